//! Restarts: what was noted in memory is not forgotten.

use std::time::Duration;

use entrepot::oci::Digest;

use crate::bounds::{REPOSITORY, capped, held, held_tags, pull, push_images, tags, used};
use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::Place;
use crate::harness::{files, soon};

/// GC-04: the order of eviction is the same after a restart.
#[tokio::test]
async fn recency_survives_an_orderly_restart() {
    let origin = Origin::start().await;
    push_images(&origin, 5, 100_000);
    let mut site = capped(&origin, 400_000).await;
    for tag in ["v0", "v1", "v2", "v0"] {
        pull(&site, tag).await;
    }
    site.restart().await;
    pull(&site, "v3").await;
    assert_eq!(tags(&site).await, ["v0", "v2", "v3"]);
    site.restart().await;
    pull(&site, "v2").await;
    site.restart().await;
    pull(&site, "v4").await;
    assert_eq!(tags(&site).await, ["v2", "v3", "v4"]);
}

/// GC-04, CR-11: a kill loses no use that had been written.
#[tokio::test]
async fn recency_that_was_written_survives_a_kill() {
    let origin = Origin::start().await;
    push_images(&origin, 4, 300_000);
    let place = Place::new(&super::caching(&origin, "    quota: 1 MiB\n"));
    let mut process = place.serve().await;
    for tag in ["v0", "v1", "v2", "v0"] {
        super::pull(&process, tag).await.unwrap();
    }
    // A list of tags shows last uses, so it has them written first.
    place.run_well(&["cache", "ls", "docker.io"]).await;
    process.signal(rustix::process::Signal::KILL);
    process.ended().await;
    let process = place.serve().await;
    super::pull(&process, "v3").await.unwrap();
    let listed = place.run_well(&["cache", "ls", "docker.io"]).await;
    assert!(
        listed.contains(":v0") && !listed.contains(":v1"),
        "{listed}"
    );
    assert!(listed.contains(":v2") && listed.contains(":v3"), "{listed}");
}

/// GC-06: the account after a restart is the account before it.
#[tokio::test]
async fn accounts_survive_a_restart() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 3, 100_000);
    let mut site = capped(&origin, 400_000).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let before = held(&site).await;
    assert_eq!(before, images.iter().map(Image::size).sum::<u64>());
    site.restart().await;
    assert_eq!((held(&site).await, used(&site).await), (before, before));
}

/// CA-04 and the cap at every moment: what a stopped fill left is in the account after the restart too,
/// and is gone on with.
#[tokio::test]
async fn what_a_stopped_fill_left_counts_after_the_restart_and_is_resumed() {
    let origin = Origin::start().await;
    push_images(&origin, 2, 100_000);
    let image = Image::with_layers(60, &[200_000]);
    origin.push_image("library/app", "large", &image);
    let mut site = capped(&origin, 400_000).await;
    assert_eq!(
        site.get(&format!("/v2/{REPOSITORY}/manifests/large"))
            .await
            .status,
        200
    );
    let layer = Digest::of(&image.layers[0]);
    let upstream = format!("/v2/library/app/blobs/{layer}");
    origin.once("GET", &upstream, Fault::StallAt(150_000));
    let url = site.url(&format!("/v2/{REPOSITORY}/blobs/{layer}"));
    let mut response = soon("the head", reqwest::get(url)).await.unwrap();
    let mut came = 0;
    while came < 149_999 {
        let piece = soon("a piece", response.chunk()).await.unwrap();
        came += piece.expect("it goes on").len();
    }
    drop(response);
    site.stop().await;
    assert_eq!(files::bytes(&site.config.data_dir), 150_000);
    site.start_again().await;
    let manifest = image.manifest.bytes.len() as u64;
    assert_eq!(used(&site).await, 150_000 + manifest);
    // What needs its room more gets it; what is left is resumed.
    pull(&site, "v0").await;
    pull(&site, "v1").await;
    assert!(files::bytes(&site.config.data_dir) <= 400_000);
    pull(&site, "large").await;
    let resumed = origin.last("GET", &upstream);
    assert_eq!(resumed.header("range"), Some(&"bytes=150000-".to_owned()));
    assert_eq!(held_tags(&site).await["large"], image.size());
    assert_eq!(used(&site).await, held(&site).await);
    site.clock.advance(Duration::from_secs(1));
}
