//! A cache at its quota while upstream is down.

use entrepot::oci::Digest;

use super::{REPOSITORY, capped, held, pull, push_images};
use crate::harness::origin::Origin;

/// CA-07: what is asked for and cannot come costs nothing of what is held.
#[tokio::test]
async fn what_cannot_come_takes_nobodys_place() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 8, 100_000);
    let (kept, absent) = images.split_at(4);
    // Room for four of them, and for less than one more.
    let site = capped(&origin, 450_000).await;
    for number in 0..kept.len() {
        pull(&site, &format!("v{number}")).await;
    }
    let path = |what: &str| format!("/v2/{REPOSITORY}/{what}");
    for number in kept.len()..images.len() {
        let manifest = site.get(&path(&format!("manifests/v{number}"))).await;
        assert_eq!(manifest.status, 200);
    }
    let before = held(&site).await;
    let evictions = async || site.metric("entrepot_registry_evictions_total", &[]).await;
    let evicted = evictions().await;
    origin.stop().await;
    // The first of them learn of the outage, the others are told of it (CA-09).
    for image in absent {
        let layer = Digest::of(&image.layers[0]);
        let answer = site.get(&path(&format!("blobs/{layer}"))).await;
        assert!(answer.status.is_server_error(), "{}", answer.text());
    }
    assert_eq!((evictions().await, held(&site).await), (evicted, before));
    for number in 0..kept.len() {
        site.pull(REPOSITORY, &format!("v{number}")).await;
    }
    assert_eq!(
        origin.count("GET", "/v2/library/app/blobs/"),
        8,
        "a config and a layer each"
    );
}
