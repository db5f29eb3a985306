//! Manifests at the door: headers, conditions, digests.

use entrepot::oci::{Algorithm, Digest};

use super::stage;

const BY_TAG: &str = "/v2/docker.io/library/app/manifests/v1";

#[tokio::test]
async fn a_manifest_goes_out_as_it_came() {
    let (_origin, site, image) = stage(&[10]).await;
    let digest = image.digest().to_string();
    let by_digest = format!("/v2/docker.io/library/app/manifests/{digest}");
    for (path, cache_control) in [
        (BY_TAG, "no-cache"),
        (&*by_digest, "public, max-age=31536000, immutable"),
    ] {
        let ranged = [("range", "bytes=0-1"), ("accept", "text/html")];
        let answer = site.get_with(path, &ranged).await;
        assert_eq!(answer.status, 200, "Range and Accept change nothing");
        assert_eq!(answer.body, image.manifest.bytes);
        assert_eq!(answer.header("content-type"), image.manifest.media_type);
        assert_eq!(answer.header("docker-content-digest"), digest);
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("cache-control"), cache_control);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn an_answer_says_how_it_came_about() {
    let (origin, site, _) = stage(&[10]).await;
    let status = |answer: crate::harness::site::Answer| answer.header("cache-status").to_owned();
    assert!(status(site.get(BY_TAG).await).starts_with("entrepot; fwd=uri-miss"));
    assert!(status(site.get(BY_TAG).await).contains("validated"));
    origin.stop().await;
    site.clock.advance(std::time::Duration::from_secs(7));
    let answer = site.get(BY_TAG).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("warning"), "110 - \"Response is Stale\"");
    assert_eq!(answer.header("age"), "7");
    assert!(
        answer
            .header("cache-status")
            .starts_with("entrepot; hit; detail=stale")
    );
}

#[tokio::test]
async fn a_client_that_has_the_manifest_gets_304() {
    let (_origin, site, image) = stage(&[10]).await;
    let etag = format!("\"{}\"", image.digest());
    for value in [&*etag, &format!("W/{etag}"), "*", etag.trim_matches('"')] {
        let answer = site.get_with(BY_TAG, &[("if-none-match", value)]).await;
        assert_eq!(answer.status, 304, "{value}");
        assert!(answer.body.is_empty());
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(
            answer.header("docker-content-digest"),
            image.digest().to_string()
        );
    }
    let answer = site
        .get_with(BY_TAG, &[("if-none-match", "\"sha256:00\"")])
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_digest_of_another_algorithm_is_answered_in_its_own() {
    let (_origin, site, image) = stage(&[10]).await;
    let digest = Digest::with(Algorithm::Sha512, &image.manifest.bytes);
    let path = format!("/v2/docker.io/library/app/manifests/{digest}");
    for _ in 0..2 {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
}

#[tokio::test]
async fn no_cache_validates_what_is_fresh() {
    let (origin, site, _) = stage(&[10]).await;
    let mut rule = crate::harness::site::rule("docker.io", "docker.io", &origin);
    rule.fresh = std::time::Duration::from_secs(60);
    let deadlines = site.config.deadlines.clone();
    site.proxy()
        .reconfigure(vec![rule], deadlines, false, true)
        .await
        .unwrap();
    site.get(BY_TAG).await;
    site.get(BY_TAG).await;
    assert_eq!(origin.count("HEAD", "/v2/library/app/manifests/v1"), 0);
    for header in [("cache-control", "no-cache"), ("pragma", "no-cache")] {
        let before = origin.count("HEAD", "/v2/library/app/manifests/v1");
        site.get_with(BY_TAG, &[header]).await;
        assert_eq!(
            origin.count("HEAD", "/v2/library/app/manifests/v1"),
            before + 1
        );
    }
}
