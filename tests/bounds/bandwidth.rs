//! The bandwidth of a cache limits fills, never hits.

use entrepot::model::ByteSize;
use entrepot::oci::Digest;

use super::{REPOSITORY, pull, push_images};
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};
use crate::harness::{content, files, soon};

/// Bytes a second: a fill of the blob below would take minutes.
const BANDWIDTH: u64 = 1000;

/// Hits of two thousand times the bandwidth are answered while a fill waits for its second piece.
#[tokio::test]
async fn hits_pass_while_a_fill_is_held_back() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 1, 200_000);
    let mut slow = rule("docker.io", "docker.io", &origin);
    let site = Site::caching(vec![slow.clone()]).await;
    pull(&site, "v0").await;
    slow.bandwidth = Some(ByteSize(BANDWIDTH));
    let mut config = site.config.clone();
    config.upstreams = vec![slow];
    site.app().reload(Ok((config, Vec::new()))).await;

    let blob = content::bytes(9, 4 << 20);
    let cold = origin.push_blob("library/app", &blob);
    let url = site.url(&format!("/v2/{REPOSITORY}/blobs/{cold}"));
    let mut filling = soon("the head", reqwest::get(url)).await.unwrap();
    let first = soon("the first piece", filling.chunk()).await.unwrap();
    assert!(first.is_some_and(|piece| blob.starts_with(&piece)));

    let path = format!(
        "/v2/{REPOSITORY}/blobs/{}",
        Digest::of(&images[0].layers[0])
    );
    for _ in 0..10 {
        let answer = site.get(&path).await;
        assert_eq!(answer.header("cache-status"), "entrepot; hit");
        assert_eq!(answer.body, images[0].layers[0]);
    }
    let came = std::fs::metadata(files::partial(&site.config.data_dir, &cold))
        .unwrap()
        .len();
    assert!(came < 1 << 20, "the fill was held back: {came} bytes came");
    assert!(site.proxy().is_filling(&cold));
}
