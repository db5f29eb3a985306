//! Backups while everything changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use entrepot::jobs::Intervals;
use entrepot::oci::Digest;
use entrepot::registry::Budget;
use serde_json::json;

use super::{blob_path, row};
use crate::harness::content::Image;
use crate::harness::local::Dice;
use crate::harness::process::{Place, is_absent};
use crate::harness::pusher::{Pusher, Way};
use crate::harness::site::Site;
use crate::harness::soon;

const LANES: u64 = 4;

/// What is pushed and not named yet is kept so long, by a clock that each write moves.
const GRACE: Duration = Duration::from_secs(3_600);
const STEP: Duration = Duration::from_secs(60);

/// A site that collects all the time, and keeps nothing that was deleted.
async fn turning() -> Site {
    let never = Duration::from_secs(30 * 86_400);
    let intervals = Intervals {
        collection: Some(Duration::from_millis(1)),
        flush: never,
        first_sweep: never,
        ..Intervals::default()
    };
    Site::start_turning(intervals, |config| {
        config.pushes.anonymous = vec!["local".parse().unwrap()];
        config.retention.time_machine = Duration::ZERO;
        config.retention.grace = GRACE;
    })
    .await
}

/// Pushes an image, again if a blob was collected before its manifest came.
async fn push_until_taken(client: &Pusher, repository: &str, tag: &str, image: &Image) {
    for _ in 0..100 {
        for blob in image.blobs() {
            let pushed = client.push_blob(repository, blob, Way::Single).await;
            assert_eq!(pushed.unwrap().status, 201);
        }
        let put = client.put_manifest(repository, tag, &image.manifest).await;
        match put.unwrap().status {
            201 => return,
            400 | 404 => {}
            other => panic!("{other}"),
        }
    }
    panic!("never taken");
}

/// Pushes images and deletes them again until told to stop; returns how many writes were acknowledged.
async fn churn(site: &Site, lane: u64, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let client = Pusher::new(site.address());
    let repository = format!("local/lane{lane}");
    let mut dice = Dice::new(lane + 1);
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let image = Image::with_layers(lane * 1_000_000 + turn, &[3_000, 2_000]);
        let tag = format!("t{}", dice.below(8));
        push_until_taken(&client, &repository, &tag, &image).await;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        site.clock.advance(STEP);
        if dice.below(3) == 0 {
            let path = format!("/v2/{repository}/manifests/t{}", dice.below(8));
            let deleted = client.delete(&path).await.unwrap();
            assert!(matches!(deleted.status, 202 | 404), "{}", deleted.status);
        }
    }
}

/// Pulls everything that a restored registry lists; returns how many tags that are.
async fn pull_all(client: &Pusher) -> usize {
    let mut pulled = 0;
    let get = async |path: String| {
        let got = client.get(&path).await.unwrap();
        assert_eq!(got.status, 200, "{path}");
        got.body
    };
    for lane in (0..LANES)
        .map(|lane| format!("local/lane{lane}"))
        .chain(["local/still".to_owned()])
    {
        let list: serde_json::Value =
            serde_json::from_slice(&get(format!("/v2/{lane}/tags/list")).await).unwrap();
        for tag in list["tags"].as_array().unwrap() {
            let tag = tag.as_str().unwrap();
            let manifest = get(format!("/v2/{lane}/manifests/{tag}")).await;
            let document: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
            let layers = document["layers"].as_array().unwrap().iter();
            for part in layers.chain([&document["config"]]) {
                let digest = part["digest"].as_str().unwrap();
                let blob = get(format!("/v2/{lane}/blobs/{digest}")).await;
                assert_eq!(Digest::of(&blob).to_string(), digest);
            }
            pulled += 1;
        }
    }
    pulled
}

/// LC-06: three backups under pushes, deletions and a collector that turns without a pause; each of them
/// restored serves everything that it lists, and the check finds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_under_load_dangle_nowhere() {
    let site = turning().await;
    let client = Pusher::new(site.address());
    let still = Image::with_layers(77, &[40_000]);
    push_until_taken(&client, "local/still", "kept", &still).await;
    let place = Place::new(
        "ANONYMOUS_PUSH: [local]\nPROXY_CACHES: []\nDEFAULT_TAG_EXPIRATION: 0s\nTAG_EXPIRATION_OPTIONS: [0s]\n",
    );
    let data = site.config.data_dir.display().to_string();
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    let lanes = futures_util::future::join_all(
        (0..LANES).map(|lane| churn(&site, lane, &stop, &acknowledged)),
    );
    let backups = async {
        let mut taken = Vec::new();
        for mode in ["--copy", "--json", "--copy"] {
            let reached = acknowledged.load(Ordering::Relaxed) + 20;
            soon("some writes", async {
                while acknowledged.load(Ordering::Relaxed) < reached {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let before = acknowledged.load(Ordering::Relaxed);
            let words = ["--data-dir", &data, "backup", "backups", mode, "--json"];
            let words = if mode == "--json" {
                &words[..5]
            } else {
                &words[..]
            };
            taken.push(row(&place, words).await);
            let during = acknowledged.load(Ordering::Relaxed) - before;
            assert!(during > 0, "writes waited for the backup");
        }
        stop.store(true, Ordering::Relaxed);
        taken
    };
    let (taken, _) = tokio::join!(backups, lanes);
    drop(site);
    for backup in &taken {
        assert_eq!(backup["absent"], json!([]), "{backup}");
    }
    let verified = row(&place, &["backup", "--verify", "--json", "backups"]).await;
    assert_eq!(
        (&verified["faults"], &verified["generations"]),
        (&json!(0), &json!(3))
    );
    let mut tags = BTreeMap::new();
    for backup in &taken {
        let name = backup["generation"].as_str().unwrap();
        let told = row(
            &place,
            &["restore", "backups", "--generation", name, "--json"],
        )
        .await;
        assert_eq!(told["findings"], json!([]), "{told}");
        let server = place.serve().await;
        tags.insert(name, pull_all(&Pusher::new(server.address)).await);
        crate::app::accounts::stop(server).await;
        std::fs::remove_dir_all(place.path("data")).unwrap();
    }
    for (name, tags) in tags {
        assert!(tags > 1, "{name} has next to nothing");
        let row = taken.iter().find(|row| row["generation"] == name).unwrap();
        assert_eq!(row["counts"]["tags"], tags, "{row}");
    }
}

/// Rows go while a backup holds their files, which go when it has ended; what was pushed again stays.
#[tokio::test]
async fn files_wait_for_a_backup_to_end() {
    let mut site = Site::local_with(|config| {
        config.retention.grace = Duration::ZERO;
        config.retention.time_machine = Duration::ZERO;
    })
    .await;
    let (gone, back) = (Image::with_layers(1, &[900]), Image::with_layers(2, &[800]));
    for (tag, image) in [("gone", &gone), ("back", &back)] {
        site.push_image("local/app", tag, image).await;
    }
    let path = |image: &Image| blob_path(&site.config.data_dir, &Digest::of(&image.layers[0]));
    let (gone_path, back_path) = (path(&gone), path(&back));
    let hold = site.registry().hold_files();
    for tag in ["gone", "back"] {
        let deleted = site.delete(&format!("/v2/local/app/manifests/{tag}")).await;
        assert_eq!(deleted.status, 202);
    }
    site.clock.advance(Duration::from_secs(3600));
    // The site's own collector may have been there before.
    site.registry().collect(Budget::UNBOUNDED).await.unwrap();
    let blob = format!("/v2/local/app/blobs/{}", Digest::of(&gone.layers[0]));
    assert_eq!(
        site.head_status(&blob).await,
        404,
        "nobody is shown it any more"
    );
    assert!(gone_path.exists() && back_path.exists());
    site.proxy().sweep().await.unwrap();
    assert!(gone_path.exists(), "a sweep minds the hold");
    site.push_image("local/app", "back", &back).await;
    // Two holds: the first to end frees nothing.
    let second = site.registry().hold_files();
    drop(hold);
    assert!(gone_path.exists());
    drop(second);
    soon("the file to go", async {
        while !is_absent(&gone_path) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(back_path.exists());
    site.pull("local/app", "back").await;
    site.restart().await;
    site.pull("local/app", "back").await;
}
