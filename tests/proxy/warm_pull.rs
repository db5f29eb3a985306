//! What is held: answered from here, whatever upstream does.

use std::time::Duration;

use super::{BLOBS, BY_TAG, LARGE, MANIFESTS, blob, fresh_for_a_minute, manifest, stage, way};
use super::{LATER, stage_with};

/// SC-235: the organisation stands for its upstream, and lists what was pulled.
#[tokio::test]
async fn an_organisation_is_the_cache_of_an_upstream() {
    let (_origin, site, image) = stage(&[1_000]).await;
    let pulled = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(pulled.body, image.manifest.bytes);
    let tags = site.get("/v2/docker.io/library/app/tags/list").await.json();
    assert_eq!(tags["tags"], serde_json::json!(["v1"]));
}

/// CA-02: what has a digest is never asked for again, however old it is.
#[tokio::test]
async fn held_digests_never_need_upstream() {
    let (origin, mut site, image) = stage(&[1_000, LARGE]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    let asked = origin.requests().len();
    for _ in 0..2 {
        site.clock.advance(Duration::from_secs(400 * 86_400));
        let by_digest = site
            .pull("docker.io/library/app", &image.digest().to_string())
            .await;
        assert_eq!(way(&by_digest), "entrepot; hit");
        for layer in &image.layers {
            let head = site.head(&blob(layer)).await;
            assert_eq!(head.header("content-length"), layer.len().to_string());
            let piece = site.get_with(&blob(layer), &[("range", "bytes=-5")]).await;
            assert_eq!(piece.body, layer[layer.len() - 5..]);
        }
        let no_cache = [("cache-control", "no-cache")];
        assert_eq!(
            site.get_with(&manifest(image.digest()), &no_cache)
                .await
                .status,
            200
        );
        // What a restart finds on disk is as good.
        site.restart().await;
    }
    assert_eq!(origin.requests().len(), asked);
}

/// A tag that was validated within `fresh_s` is answered at once.
#[tokio::test]
async fn a_fresh_tag_is_not_validated() {
    let (origin, site, image) = stage_with(&[1_000], fresh_for_a_minute, |_| {}).await;
    site.get(BY_TAG).await;
    site.clock.advance(Duration::from_secs(59));
    let answer = site.get(BY_TAG).await;
    assert_eq!(
        (way(&answer), answer.header("age")),
        ("entrepot; hit", "59")
    );
    assert_eq!(
        site.head(BY_TAG).await.header("etag"),
        format!("\"{}\"", image.digest())
    );
    assert_eq!(origin.count("HEAD", MANIFESTS), 0);
    site.clock.advance(LATER);
    assert!(way(&site.get(BY_TAG).await).contains("validated"));
    assert_eq!(origin.count("HEAD", MANIFESTS), 1);
    assert_eq!(
        (origin.count("GET", MANIFESTS), origin.count("GET", BLOBS)),
        (1, 0)
    );
}

/// A validation outlives the process, and so does the tag.
#[tokio::test]
async fn a_restart_forgets_neither_tags_nor_their_freshness() {
    let (origin, mut site, image) = stage_with(&[1_000], fresh_for_a_minute, |_| {}).await;
    site.get(BY_TAG).await;
    site.clock.advance(LATER);
    site.get(BY_TAG).await;
    site.restart().await;
    site.clock.advance(Duration::from_secs(30));
    let answer = site.get(BY_TAG).await;
    assert_eq!(
        (way(&answer), answer.header("age")),
        ("entrepot; hit", "30")
    );
    assert_eq!(answer.body, image.manifest.bytes);
    assert_eq!(origin.count("HEAD", MANIFESTS), 1);
}
