//! kill -9: what was acknowledged stays, what was on its way goes on where it was.

use std::fs;

use bytes::Bytes;
use entrepot::oci::Digest;
use rustix::process::Signal;

use super::{caching, get, pull};
use crate::harness::clients::variable;
use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::{Place, Process};
use crate::harness::soon;

async fn kill(process: &mut Process) {
    process.signal(Signal::KILL);
    assert!(!process.ended().await.success());
}

/// Begins a pull of a blob that upstream stops sending at `offset`, and kills the server there.
async fn kill_at(offset: usize, origin: &Origin, place: &Place, blob: &Bytes) {
    let digest = origin.push_blob("library/app", blob);
    origin.once("GET", "/v2/library/app/blobs/", Fault::StallAt(offset));
    let mut process = place.serve().await;
    let path = format!("blobs/{digest}");
    let partial = files::partial(&place.path("data"), &digest);
    let cut = async {
        soon("the bytes up to the stall", async {
            while !fs::metadata(&partial).is_ok_and(|file| file.len() >= offset as u64) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        process.signal(Signal::KILL);
    };
    let (answer, ()) = tokio::join!(get(&process, &path), cut);
    assert!(answer.is_err(), "a body that broke off is no whole one");
    assert!(!process.ended().await.success());
    origin.release();
}

/// CA-04, CR-05: a fill that a kill broke off is resumed by Range at the byte that the disk has, and its
/// hash with it; nothing comes twice.
#[tokio::test]
async fn a_fill_is_resumed_after_a_kill_at_any_offset() {
    const LEN: usize = 3 << 20;
    let origin = Origin::start().await;
    let place = Place::new(&caching(&origin, ""));
    for (number, offset) in [1, 300_001, LEN - 2].into_iter().enumerate() {
        let blob = content::bytes(200 + number as u64, LEN);
        kill_at(offset, &origin, &place, &blob).await;
        let digest = Digest::of(&blob);
        let kept = fs::metadata(files::partial(&place.path("data"), &digest))
            .unwrap()
            .len();
        let mut process = place.serve().await;
        let answer = get(&process, &format!("blobs/{digest}")).await.unwrap();
        assert_eq!((answer.status, &answer.body), (200, &blob));
        let resumed = origin.last("GET", &format!("/v2/library/app/blobs/{digest}"));
        assert_eq!(resumed.header("range"), Some(&format!("bytes={kept}-")));
        let twice = offset as u64 - kept;
        assert!(twice * 20 <= LEN as u64, "{twice} bytes came twice");
        kill(&mut process).await;
    }
}

/// CR-01 in short: kills under pulls. Whatever was seen to be a hit is served after every kill without
/// upstream, and no answer that came whole is ever wrong. `ENTREPOT_LONG=1` kills hundreds of times.
#[tokio::test]
async fn what_was_acknowledged_survives_any_number_of_kills() {
    let kills = if is_long() { 300 } else { 8 };
    let origin = Origin::start().await;
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let mut acknowledged: Vec<(String, Image)> = Vec::new();
    let mut interrupted: Vec<String> = Vec::new();
    let mut cut = 0;
    for round in 0..kills {
        let image = |number| Image::with_layers(round * 10 + number, &[200_000, 60_000]);
        let mut images: Vec<_> = (0..3)
            .map(|number| (tag(round, number), image(number)))
            .collect();
        for (tag, image) in &images {
            origin.push_image("library/app", tag, image);
        }
        let mut process = place.serve().await;
        let (first, whole) = images.swap_remove(0);
        soon("an image of hits", async {
            while !is_held(&process, &first, &whole).await {}
        })
        .await;
        acknowledged.push((first, whole));
        interrupted.extend(images.into_iter().map(|(tag, _)| tag));
        let newest = interrupted.iter().rev().take(4);
        let pulls = newest.map(|tag| pull(&process, tag));
        let pulls = futures_util::future::join_all(pulls);
        // Somewhere else in the work each time: after so many requests that upstream saw.
        let asked = origin.count("GET", "/v2/") + 1 + round as usize % 7;
        let moment = origin.wait_for(asked, "GET", "/v2/");
        tokio::select! {
            _ = pulls => {}
            () = moment => cut += 1,
        }
        kill(&mut process).await;

        origin.stop().await;
        let mut process = place.serve().await;
        let (newest, older) = acknowledged.split_at(acknowledged.len().saturating_sub(6));
        for (tag, image) in newest.iter().chain(older.iter().step_by(7)) {
            assert_eq!(
                pull(&process, tag).await.unwrap(),
                image.manifest.bytes,
                "{tag}"
            );
        }
        kill(&mut process).await;
        origin.restart().await;
    }
    assert!(cut * 2 >= kills, "{cut} kills came in the middle of pulls");
}

fn tag(round: u64, number: u64) -> String {
    format!("r{round}n{number}")
}

/// Whether every part of an image is answered as a hit now.
async fn is_held(process: &Process, tag: &str, image: &Image) -> bool {
    let blobs = image
        .blobs()
        .map(|blob| format!("blobs/{}", Digest::of(blob)));
    let paths: Vec<_> = [format!("manifests/{tag}")]
        .into_iter()
        .chain(blobs)
        .collect();
    for path in paths {
        let answer = get(process, &path).await.unwrap();
        if answer.cache_status != "entrepot; hit" {
            return false;
        }
    }
    true
}

pub(super) fn is_long() -> bool {
    variable("ENTREPOT_LONG").is_some_and(|value| value == "1")
}
