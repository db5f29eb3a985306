//! The disk: its reserve, and what is left of service when it is full.

use std::time::Duration;

use entrepot::model::ByteSize;
use entrepot::oci::Digest;
use tempfile::TempDir;

use super::{REPOSITORY, held_tags, pull, push_images, tags, used};
use crate::harness::content;
use crate::harness::files;
use crate::harness::origin::{Fault, Origin};
use crate::harness::site::{Site, rule};
use crate::harness::volume::Volume;
use crate::harness::{pass_time, soon};

const MIB: u64 = 1 << 20;

/// A site on a small volume, without a quota.
struct Stage {
    site: Site,
    volume: Volume,
    _folder: TempDir,
}

impl Stage {
    /// `None` where no volume can be mounted.
    async fn new(origin: &Origin, bytes: u64, inodes: u64, reserve: u64) -> Option<Self> {
        let folder = tempfile::Builder::new()
            .prefix("entrepot-")
            .tempdir()
            .unwrap();
        let data = folder.path().join("data");
        let volume = Volume::mount(&data, bytes, inodes)?;
        let site = Site::start(|config| {
            config.data_dir = data;
            config.disk_reserve = Some(ByteSize(reserve));
            config.upstreams = vec![rule("docker.io", "docker.io", origin)];
        })
        .await;
        Some(Self {
            site,
            volume,
            _folder: folder,
        })
    }

    async fn cache_status(&self, path: &str) -> String {
        let answer = self.site.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.header("cache-status").to_owned()
    }

    fn assert_store_works(&self) {
        assert!(!self.site.registry().store().failed());
    }
}

const STORED: &str = "entrepot; fwd=uri-miss; stored";
const PASSED: &str = "entrepot; fwd=uri-miss; detail=no-room";

/// DK-01, DK-02: the disk fills up in the middle of a fill. Every pull is answered in full, what is held
/// is served, and room heals everything without a restart.
#[tokio::test]
async fn a_disk_that_fills_up_under_a_pull_costs_the_client_nothing() {
    let origin = Origin::start().await;
    push_images(&origin, 2, 100_000);
    let Some(stage) = Stage::new(&origin, 48 * MIB, 2000, 2 * MIB).await else {
        return;
    };
    let site = &stage.site;
    pull(site, "v0").await;
    let blob = content::bytes(5, 20 << 20);
    let digest = origin.push_blob("library/app", &blob);
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    origin.once("GET", "/v2/library/app/blobs/", Fault::StallAt(4 << 20));
    let pulling = site.get(&path);
    let filling = async {
        let partial = files::partial(&site.config.data_dir, &digest);
        soon("the first 4 MiB", async {
            while !std::fs::metadata(&partial).is_ok_and(|file| file.len() >= 4 << 20) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stage.volume.fill(0);
        origin.release();
    };
    let (answer, ()) = tokio::join!(pulling, filling);
    assert_eq!(answer.body, blob, "{} of {}", answer.body.len(), blob.len());
    site.settled().await;
    let left = files::contents(&site.config.data_dir);
    assert!(!left.contains_key(&digest.hex()), "{left:?}");
    assert!(
        origin
            .last("GET", "/v2/library/app/blobs/")
            .header("range")
            .is_some()
    );

    // Full as it is: what is held is served, and the rest passes.
    site.pull(REPOSITORY, "v0").await;
    site.pull(REPOSITORY, "v1").await;
    assert_eq!(stage.cache_status(&path).await, PASSED);
    stage.assert_store_works();
    assert_eq!(used(site).await, super::held(site).await);

    stage.volume.clear();
    assert_eq!(stage.cache_status(&path).await, STORED);
    site.settled().await;
    assert_eq!(stage.cache_status(&path).await, "entrepot; hit");
    pull(site, "v1").await;
    assert!(held_tags(site).await["v1"] > 100_000);
}

/// DK-03: with the disk full to the last byte, eviction still works and gives its bytes back.
#[tokio::test]
async fn eviction_works_on_a_full_disk() {
    let origin = Origin::start().await;
    push_images(&origin, 6, 2 << 20);
    let Some(stage) = Stage::new(&origin, 40 * MIB, 2000, 4 * MIB).await else {
        return;
    };
    let site = &stage.site;
    for number in 0..6 {
        pull(site, &format!("v{number}")).await;
    }
    // Last uses that are noted and not yet written: they come on top.
    site.pull(REPOSITORY, "v0").await;
    stage.volume.fill(0);
    assert_eq!(stage.volume.free_bytes(), 0);
    pass_time(Duration::from_secs(6)).await;
    soon("the reserve", async {
        while stage.volume.free_bytes() < 4 * MIB {
            assert!(!site.registry().store().failed(), "the store has failed");
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(tags(site).await.contains(&"v0".to_owned()), "used last");
    stage.assert_store_works();
    assert!(site.metric("entrepot_registry_evictions_total", &[]).await >= 2.0);
}

/// DK-01: no inode left is no room either.
#[tokio::test]
async fn without_inodes_pulls_pass_through() {
    let origin = Origin::start().await;
    push_images(&origin, 3, 100_000);
    let Some(stage) = Stage::new(&origin, 48 * MIB, 120, 2 * MIB).await else {
        return;
    };
    let site = &stage.site;
    pull(site, "v0").await;
    stage.volume.take_inodes();
    let blob = content::bytes(6, 300_000);
    let path = format!(
        "/v2/{REPOSITORY}/blobs/{}",
        origin.push_blob("library/app", &blob)
    );
    for _ in 0..2 {
        let answer = site.get(&path).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &blob));
        site.settled().await;
    }
    site.pull(REPOSITORY, "v0").await;
    site.pull(REPOSITORY, "v1").await;
    stage.assert_store_works();
    stage.volume.clear();
    assert_eq!(stage.cache_status(&path).await, STORED);
    site.settled().await;
    assert_eq!(stage.cache_status(&path).await, "entrepot; hit");
}

/// DK-04: room is made before the volume is full: pulls of three times its size never meet its end, and
/// the reserve is not touched by content.
#[tokio::test]
async fn steady_pulls_on_a_small_disk_never_fill_it() {
    const RESERVE: u64 = 6 * MIB;
    let origin = Origin::start().await;
    let images = push_images(&origin, 30, 3 << 20);
    let Some(stage) = Stage::new(&origin, 32 * MIB, 2000, RESERVE).await else {
        return;
    };
    let site = &stage.site;
    for (number, image) in images.iter().enumerate() {
        pull(site, &format!("v{number}")).await;
        let free = stage.volume.free_bytes();
        assert!(
            free + MIB >= RESERVE,
            "{free} bytes free after {number} pulls"
        );
        let layer = Digest::of(&image.layers[0]);
        assert!(
            files::blob(&site.config.data_dir, &layer).exists(),
            "pull {number} was kept"
        );
    }
    assert_eq!(site.metric("entrepot_blob_failed_total", &[]).await, 0.0);
    assert!(tags(site).await.len() >= 4, "no more went than had to");
    stage.assert_store_works();
}
