//! Power cuts: what was not synced is gone, and nothing of it had been promised.
//!
//! A kill leaves all that the process wrote in the kernel's hands; only a cut shows a sync that is missing. The
//! disk is a file system of its own ([`Disk`]), stopped in the middle of pushes, deletions, collections, pulls
//! through a cache that has to evict for them, and runs of a mirror.

use std::fs::File;
use std::time::Instant;

use entrepot::oci::Digest;
use serde_json::Value;

use super::crash::is_long;
use super::push_crash::{Yard, yaml};
use crate::harness::chance::{Chance, seed};
use crate::harness::content::Image;
use crate::harness::disk::Disk;
use crate::harness::origin::Origin;
use crate::harness::pusher::{Cut, Pusher};

const DISK_BYTES: u64 = 256 << 20;

/// Images that are pulled through the cache, which holds a third of them.
const PULLED: u64 = 20;

/// Tags of the mirror's source.
const MIRRORED: u64 = 40;

/// A cache that is too small, and a mirror.
fn with_upstream(origin: &Origin) -> String {
    let caches = format!(
        "PROXY_CACHES:\n- organization: docker.io\n  upstream: docker.io\n  endpoint: {}\n  quota: 1 MiB\n\
         MIRRORS:\n- repository: mirrored/app\n  external_reference: http://{}/team/app\n  \
         sync_interval: 60\n  root_rule: {{rule_value: [\"*\"]}}\n\
         REPO_MIRROR_INTERVAL: 1\nDISK_RESERVE: 8 MiB\n",
        origin.url(""),
        origin.address(),
    );
    yaml().replace("PROXY_CACHES: []\n", &caches)
}

fn furnish(origin: &Origin) {
    for number in 0..PULLED {
        let image = Image::with_layers(number, &[100_000, 50_000]);
        origin.push_image("library/app", &format!("t{number}"), &image);
    }
    for number in 0..MIRRORED {
        let image = Image::with_layers(1_000 + number, &[60_000]);
        origin.push_image("team/app", &format!("v{number}"), &image);
    }
}

/// Pulls one image after the other until the connection breaks, or the server says that it cannot go on; returns
/// how many came.
async fn draw(pusher: Pusher, mut chance: Chance) -> usize {
    let mut drawn = 0;
    loop {
        let tag = format!("t{}", chance.of(0..PULLED as usize));
        match draw_one(&pusher, &tag).await {
            Ok(true) => drawn += 1,
            Ok(false) | Err(Cut) => return drawn,
        }
    }
}

pub(super) async fn draw_one(pusher: &Pusher, tag: &str) -> Result<bool, Cut> {
    let path = |what: &str| format!("/v2/docker.io/library/app/{what}");
    let manifest = pusher.get(&path(&format!("manifests/{tag}"))).await?;
    if manifest.status >= 500 {
        return Ok(false);
    }
    assert_eq!(manifest.status, 200, "{tag}");
    let document: Value = serde_json::from_slice(&manifest.body).unwrap();
    for blob in document["layers"].as_array().unwrap() {
        let digest = blob["digest"].as_str().unwrap();
        let answer = pusher.get(&path(&format!("blobs/{digest}"))).await?;
        if answer.status >= 500 {
            return Ok(false);
        }
        assert_eq!(answer.status, 200, "{digest}");
        assert_eq!(Digest::of(&answer.body).to_string(), digest);
    }
    Ok(true)
}

/// CR-03, CR-05, CR-06, TP-02: the power is cut somewhere in the work of all, three times; `ENTREPOT_LONG=1` cuts
/// it 100 times. Each time the server starts again, what was acknowledged is there and nothing else, every file
/// is what its name says, and the store agrees with itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_change_holds_after_a_power_cut() {
    let cuts = if is_long() { 100 } else { 3 };
    let origin = Origin::start().await;
    furnish(&origin);
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut yard = Yard::new(4, seed);
    yard.place.configure(&with_upstream(&origin));
    let (image, data) = (yard.place.path("disk"), yard.place.path("data"));
    let Some(disk) = Disk::mount(image, data, DISK_BYTES) else {
        return;
    };
    let (begun, mut drawn) = (Instant::now(), 0);
    for cut in 1..=cuts {
        let (mut process, mut at) = yard.serve().await;
        let wrongs = yard.wrongs(&at.pusher, cut % 10 == 0).await;
        assert!(wrongs.is_empty(), "after cut {}: {wrongs:#?}", cut - 1);
        // From the cut on every write fails, and the server says so.
        at.may_fail = true;
        let drawing = tokio::spawn(draw(at.pusher.clone(), chance.split()));
        yard.work_until(&mut process, &at, || disk.cut()).await;
        drawn += drawing.await.unwrap();
        disk.turn_on().await;
        let found = yard.findings().await;
        assert!(found.is_empty(), "after cut {cut}: {found:#?}");
        let read = yard
            .place
            .run_well(&["scrub", "--bandwidth", "none", "--json"]);
        let read: Value = serde_json::from_str(read.await.trim()).unwrap();
        assert_eq!((&read["damaged"], &read["absent"]), (&0.into(), &0.into()));
        if cut % 10 == 0 || cut == cuts {
            yard.report(cut, begun.elapsed());
        }
    }
    let (mut process, at) = yard.serve().await;
    let wrongs = yard.wrongs(&at.pusher, true).await;
    assert!(wrongs.is_empty(), "at the end: {wrongs:#?}");
    process.signal(rustix::process::Signal::TERM);
    assert!(process.ended().await.success());
    assert!(yard.cut_changes * 2 >= cuts, "changes were cut");
    assert!(drawn > 0, "images were pulled");
}

/// TP-02, the counter-proof: a cut takes what was not synced, and only that.
#[tokio::test]
async fn a_cut_takes_what_was_not_synced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mounted");
    let Some(disk) = Disk::mount(folder.path().join("disk"), path.clone(), 32 << 20) else {
        return;
    };
    let (synced, written) = (path.join("synced"), path.join("written"));
    for file in [&synced, &written] {
        std::fs::write(file, "all of it").unwrap();
    }
    for path in [&synced, &path] {
        File::open(path).unwrap().sync_all().unwrap();
    }
    std::fs::write(&written, "something else").unwrap();
    std::fs::write(path.join("new"), "never synced").unwrap();
    disk.cut();
    disk.turn_on().await;
    assert_eq!(std::fs::read_to_string(synced).unwrap(), "all of it");
    assert_ne!(
        std::fs::read_to_string(written).ok().as_deref(),
        Some("something else")
    );
    assert!(!path.join("new").exists());
}
