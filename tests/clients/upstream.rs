//! The instrument itself: what the upstream's log says is what it was asked.

use crate::harness::clients::{Client, require};
use crate::harness::distribution::Distribution;
use crate::harness::images::{Dialect, Image};

#[tokio::test]
async fn the_upstream_counts_every_blob_it_sends_across_restarts() {
    let Some([registry]) = require([Client::DockerRegistry]) else {
        return;
    };
    let mut upstream = Distribution::start(&registry).await.expect("it starts");
    let address = upstream.address();
    let image = Image::for_this_machine("counted", Dialect::Oci, &[1_000, 2_000]);
    upstream.push_image("library/counted", "v1", &image).await;

    let [config, first, second] = image.blobs() else {
        panic!("an image of two layers has three blobs");
    };
    for blob in [first, second, second] {
        let bytes = upstream.fetch_blob("library/counted", &blob.digest).await;
        assert_eq!(bytes, blob.bytes);
    }
    upstream.stop().await;
    assert_eq!(upstream.blobs_sent().get(&config.digest), None);
    assert_eq!(upstream.blobs_sent().get(&first.digest), Some(&1));
    assert_eq!(upstream.blobs_sent().get(&second.digest), Some(&2));

    upstream.restart().await.expect("it starts again");
    assert_eq!(upstream.address(), address);
    upstream.fetch_blob("library/counted", &second.digest).await;
    upstream.stop().await;
    assert_eq!(upstream.blobs_sent().get(&second.digest), Some(&3));
}
