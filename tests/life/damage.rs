//! Damage behind our back: planted, short, lost and flipped bytes.

use std::fs;
use std::os::unix::fs::FileExt as _;

use entrepot::oci::Digest;

use crate::bounds::{REPOSITORY, held, pull};
use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};

/// A site that holds `library/app:v1`.
async fn stage() -> (Origin, Site, Image) {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[60_000]);
    origin.push_image("library/app", "v1", &image);
    let mut rule = rule("docker.io", "docker.io", &origin);
    rule.fresh = std::time::Duration::from_secs(86_400);
    let site = Site::caching(vec![rule]).await;
    pull(&site, "v1").await;
    (origin, site, image)
}

fn path_of(blob: &[u8]) -> String {
    format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(blob))
}

/// CR-05, CA-08: a file of the wrong length under the final name is no hit, with upstream or without.
#[tokio::test]
async fn a_short_file_is_never_a_hit_and_heals() {
    for len in [0, 59_999, 60_001] {
        let (origin, mut site, image) = stage().await;
        let layer = &image.layers[0];
        let file = files::blob(&site.config.data_dir, &Digest::of(layer));
        site.stop().await;
        fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(len)
            .unwrap();
        origin.stop().await;
        site.start_again().await;
        let answer = site.get(&path_of(layer)).await;
        assert!(
            answer.status.is_client_error() || answer.status.is_server_error(),
            "{len}"
        );
        origin.restart().await;
        let answer = site.get(&path_of(layer)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, layer),
            "{len}"
        );
        site.settled().await;
        assert_eq!(
            site.get(&path_of(layer)).await.header("cache-status"),
            "entrepot; hit"
        );
        assert_eq!(held(&site).await, image.size(), "it counts once");
    }
}

/// CR-08: a row whose file is gone heals at the next pull, and is counted.
#[tokio::test]
async fn a_lost_file_heals() {
    let (origin, mut site, image) = stage().await;
    let layer = &image.layers[0];
    site.stop().await;
    fs::remove_file(files::blob(&site.config.data_dir, &Digest::of(layer))).unwrap();
    site.start_again().await;
    let answer = site.get(&path_of(layer)).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, layer));
    assert_eq!(
        answer.header("cache-status"),
        "entrepot; fwd=uri-miss; stored"
    );
    assert!(
        site.metric("entrepot_registry_damaged_blobs_total", &[])
            .await
            >= 1.0
    );
    site.settled().await;
    origin.stop().await;
    site.pull(REPOSITORY, "v1").await;
    assert_eq!(held(&site).await, image.size(), "it counts once");
}

/// DK-07: a flipped byte in a stored manifest is found when it is read, never served, and healed.
#[tokio::test]
async fn a_flipped_byte_in_a_manifest_is_never_served_and_heals() {
    let (origin, mut site, image) = stage().await;
    site.stop().await;
    let store = site.config.data_dir.join("entrepot.redb");
    let bytes = fs::read(&store).unwrap();
    let document = &image.manifest.bytes[..];
    let found = (0..bytes.len() - document.len()).filter(|&at| bytes[at..].starts_with(document));
    let file = fs::File::options().write(true).open(&store).unwrap();
    let places: Vec<_> = found.collect();
    assert!(!places.is_empty(), "the document lies in the store");
    for at in places {
        file.write_all_at(b"!", at as u64 + 20).unwrap();
    }
    origin.stop().await;
    site.start_again().await;
    let path = format!("/v2/{REPOSITORY}/manifests/{}", image.digest());
    let answer = site.get(&path).await;
    assert!(!answer.status.is_success(), "{}", answer.status);
    origin.restart().await;
    // Upstream is believed to be down for a while; a new process tries at once.
    site.restart().await;
    let answer = site.get(&path).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body),
        (200, &image.manifest.bytes)
    );
    pull(&site, "v1").await;
    assert_eq!(held(&site).await, image.size());
}

/// CR-07: files without rows and fills that nobody resumed go at the next sweep, and nothing else does.
#[tokio::test]
async fn a_sweep_removes_what_nobody_names() {
    let (origin, mut site, image) = stage().await;
    site.stop().await;
    let data = site.config.data_dir.clone();
    let before = files::contents(&data);
    for seed in 0..50 {
        let orphan = content::bytes(900 + seed, 1000);
        let path = files::blob(&data, &Digest::of(&orphan));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &orphan).unwrap();
    }
    let left = Digest::of(b"left");
    fs::write(files::partial(&data, &left), "half").unwrap();
    fs::write(data.join("tmp/7"), "half").unwrap();
    site.start_again().await;
    let report = site.proxy().sweep().await.unwrap();
    assert_eq!(report.removed_files, 50);
    assert_eq!(files::contents(&data), before);
    origin.stop().await;
    site.pull(REPOSITORY, "v1").await;
    assert_eq!(held(&site).await, image.size());
}
