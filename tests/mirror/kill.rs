//! kill -9 in the middle of a run: the next process goes on where it was, under the same number.

use std::fs;

use entrepot::app::{App, Surroundings};
use entrepot::config::Config;
use entrepot::model::{MirrorStatus, RepositoryState, SyncState, Timestamp, Visibility};
use entrepot::oci::Digest;
use entrepot::store::{self, ReadTx, WriteTx};
use rustix::process::Signal;

use super::{SOURCE, record, still};
use crate::harness::content::Image;
use crate::harness::files;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::Place;
use crate::harness::soon;

/// Has the data of a place have a mirror that is due.
async fn furnish(place: &Place, origin: &Origin) {
    with_app(place, async |app| {
        let by = entrepot::model::Performer::SYSTEM;
        let name = "acme".parse().unwrap();
        let new = entrepot::accounts::NewOrganization::named(&name, None);
        let namespace = app.accounts().create_organization(new).await.unwrap();
        let robot = "acme+mirror".parse().unwrap();
        let (robot, _) = app.accounts().create_robot(&robot, "", &by).await.unwrap();
        let repository = "app".parse().unwrap();
        let public = Visibility::Public;
        let made = app
            .registry()
            .create_repository(namespace, &repository, public, &by);
        let repository = made.await.unwrap().repository;
        let mut record = record(origin, SOURCE);
        record.robot = Some(robot);
        // Made by the API: one that no file names any more would not run.
        record.configured = false;
        let write = move |tx: &mut WriteTx<'_>| {
            let mut of = tx.repositories().record(repository)?.unwrap();
            of.state = RepositoryState::Mirror;
            tx.repositories().put(repository, &of)?;
            tx.mirrors().put(repository, &record)?;
            let status = MirrorStatus::new(Some(Timestamp::default()));
            tx.mirrors().put_status(repository, &status)
        };
        let written: Result<(), store::Error> = app.registry().store().write(write).await;
        written.unwrap();
    })
    .await;
}

async fn status(place: &Place) -> MirrorStatus {
    with_app(place, async |app| {
        let read = |tx: &ReadTx| tx.mirrors().list(None, 1);
        let read: Result<Vec<_>, store::Error> = app.registry().store().read(read).await;
        read.unwrap().remove(0).1
    })
    .await
}

/// Looks into the data of a place that nobody serves.
async fn with_app<T>(place: &Place, look: impl AsyncFnOnce(&App) -> T) -> T {
    let config = Config::for_testing(place.path("data"));
    let surroundings = Surroundings {
        intervals: still(),
        ..Surroundings::default()
    };
    // The loops turn once at their begin, and the mirror is not theirs to run.
    let config = Config {
        offline: true,
        ..config
    };
    let app = soon("the start", App::start(config, surroundings))
        .await
        .unwrap();
    let found = look(&app).await;
    soon("the end", app.stop()).await;
    found
}

/// CR-01, CA-10.
#[tokio::test]
async fn a_run_that_is_killed_goes_on_where_it_was() {
    let origin = Origin::start().await;
    let place = Place::new(
        "REPO_MIRROR_INTERVAL: 1\nPROXY_CACHES: []\nSSRF_ALLOWED_HOSTS: [127.0.0.0/8]\n",
    );
    for number in 0..5 {
        origin.push_image(SOURCE, &format!("v{number}"), &Image::small(number));
    }
    let image = Image::with_layers(9, &[600_000]);
    origin.push_image(SOURCE, "zz", &image);
    let layer = Digest::of(&image.layers[0]);
    let blob = format!("/v2/{SOURCE}/blobs/{layer}");
    furnish(&place, &origin).await;
    origin.once("GET", &blob, Fault::StallAt(300_000));
    let mut process = place.serve().await;
    origin.wait_stalled(1).await;
    let partial = files::partial(&place.path("data"), &layer);
    soon("the bytes up to the stall", async {
        while !fs::metadata(&partial).is_ok_and(|file| file.len() >= 250_000) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The others are whole before the kill: they came side by side.
    soon("the other tags", async {
        loop {
            let url = process.url("/v2/acme/app/tags/list");
            let list = reqwest::get(url).await.unwrap().text().await.unwrap();
            if (0..5).all(|number| list.contains(&format!("v{number}"))) {
                break;
            }
        }
    })
    .await;
    process.signal(Signal::KILL);
    assert!(!process.ended().await.success());
    origin.release();
    let cut = status(&place).await;
    assert_eq!(
        (cut.state, cut.run, cut.report.copied),
        (SyncState::Syncing, 1, 5)
    );
    let asked = origin.requests().len();
    let kept = fs::metadata(&partial).unwrap().len();
    let mut process = place.serve().await;
    process.logs("a mirror was synchronized").await;
    process.signal(Signal::TERM);
    process.ended().await;
    let resumed = origin.last("GET", &blob);
    assert_eq!(resumed.header("range"), Some(&format!("bytes={kept}-")));
    let heads = origin.requests().split_off(asked);
    let heads = heads
        .iter()
        .filter(|request| request.is("HEAD", "/v2/team/app/manifests/"));
    assert_eq!(heads.count(), 1, "what was copied is not asked for again");
    let done = status(&place).await;
    assert_eq!((done.state, done.run), (SyncState::Success, 1));
    assert_eq!((done.report.copied, done.report.failed), (6, 0));
}
