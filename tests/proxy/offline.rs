//! Upstream does not answer, or must not be asked.

use std::time::Duration;

use entrepot::oci::Digest;

use super::{BY_TAG, LATER, MANIFESTS, assert_is, blob, fresh_for_a_minute, manifest};
use super::{stage, stage_with, way};
use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::site::{Site, rule};
use crate::harness::{pass_time, soon};

const ZERO: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// CA-01, SC-245: a pull of what is held needs no upstream, whatever is wrong with it.
#[tokio::test]
async fn what_is_held_is_served_without_upstream() {
    let (origin, site, image) = stage_with(&[1_000], fresh_for_a_minute, |_| {}).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    origin.stop().await;
    site.clock.advance(Duration::from_secs(3_600));
    let answer = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(answer.body, image.manifest.bytes);
    assert_eq!(answer.header("age"), "3600");
    assert_eq!(answer.header("warning"), "110 - \"Response is Stale\"");
    assert!(
        way(&answer).starts_with("entrepot; hit; detail=stale-"),
        "{}",
        way(&answer)
    );
    let stale = [
        ("organization", "docker.io"),
        ("kind", "manifest"),
        ("outcome", "stale"),
    ];
    assert_eq!(
        site.metric("entrepot_proxy_requests_total", &stale).await,
        1.0
    );
}

/// SC-246: past its expiry a tag is served stale, unless the operator wants Quay's rule.
#[tokio::test]
async fn an_expired_tag_without_upstream_is_stale_or_refused() {
    let (origin, mut site, image) = stage_with(
        &[1_000],
        |rule| {
            fresh_for_a_minute(rule);
            rule.expiration = Some(Duration::from_secs(3_600));
        },
        |_| {},
    )
    .await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    origin.stop().await;
    site.clock.advance(Duration::from_secs(3_601));
    let stale = site.pull("docker.io/library/app", "v1").await;
    assert!(way(&stale).contains("stale"), "{}", way(&stale));
    site.change_rule(|rule| rule.strict_expiration = true).await;
    let refused = site.get(BY_TAG).await;
    assert_is(&refused, 503, "UNAVAILABLE");
    let digest = image.digest().to_string();
    assert_eq!(
        site.pull("docker.io/library/app", &digest).await.status,
        200,
        "digests stay"
    );
    // Nothing that was noted of the failure keeps a pull from working again.
    origin.restart().await;
    pass_time(Duration::from_secs(120)).await;
    assert_eq!(site.get(BY_TAG).await.status, 200);
}

/// SC-246: not yet expired is served stale, strict or not.
#[tokio::test]
async fn a_strict_tag_that_has_not_expired_is_served_stale() {
    let (origin, site, image) =
        stage_with(&[1_000], |rule| rule.strict_expiration = true, |_| {}).await;
    site.get(BY_TAG).await;
    origin.stop().await;
    site.clock.advance(Duration::from_secs(86_000));
    assert_eq!(site.get(BY_TAG).await.body, image.manifest.bytes);
}

/// With nothing to serve instead, a strict pull waits for upstream as long as a first pull would.
#[tokio::test]
async fn a_strict_pull_waits_for_a_slow_upstream() {
    let (origin, site, image) = stage_with(
        &[10],
        |rule| rule.strict_expiration = true,
        |config| {
            super::patient(config);
            // Whoever does not wait has no answer.
            config.deadlines.revalidate = Duration::ZERO;
        },
    )
    .await;
    site.get(BY_TAG).await;
    site.clock.advance(Duration::from_secs(90_000));
    origin.once("HEAD", MANIFESTS, Fault::StallBeforeHeaders);
    let asking = site.get(BY_TAG);
    let letting_go = async {
        origin.wait_stalled(1).await;
        origin.release();
    };
    let (answer, ()) = tokio::join!(asking, letting_go);
    assert_eq!(answer.body, image.manifest.bytes);
}

/// OFFLINE: no upstream is ever asked; what is held is served, what is not is unknown.
#[tokio::test]
async fn an_offline_site_asks_nobody() {
    let (origin, mut site, image) = stage(&[1_000]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.config.offline = true;
    site.restart().await;
    let asked = origin.requests().len();
    site.clock.advance(Duration::from_secs(10 * 86_400));
    let answer = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(way(&answer), "entrepot; hit; detail=stale-offline");
    assert_eq!(answer.header("warning"), "110 - \"Response is Stale\"");
    let no_cache = [("cache-control", "no-cache")];
    assert_eq!(
        site.get_with(BY_TAG, &no_cache).await.body,
        image.manifest.bytes
    );
    assert_is(&site.get(&manifest("v2")).await, 404, "MANIFEST_UNKNOWN");
    assert_is(&site.get(&manifest(ZERO)).await, 404, "MANIFEST_UNKNOWN");
    assert_is(
        &site
            .get(&format!("/v2/docker.io/library/app/blobs/{ZERO}"))
            .await,
        404,
        "BLOB_UNKNOWN",
    );
    assert_eq!(site.head(&manifest("v2")).await.status, 404);
    assert_eq!(
        site.head(&format!("/v2/docker.io/library/app/blobs/{ZERO}"))
            .await
            .status,
        404
    );
    let tags = site.get("/v2/docker.io/library/app/tags/list").await;
    assert_eq!(tags.json()["tags"], serde_json::json!(["v1"]));
    assert!(way(&tags).contains("stale-offline"), "{}", way(&tags));
    let referrers = format!("/v2/docker.io/library/app/referrers/{}", image.digest());
    assert_eq!(
        site.get(&referrers).await.json()["manifests"],
        serde_json::json!([])
    );
    assert_is(
        &site.get("/v2/docker.io/library/nosuch/tags/list").await,
        404,
        "NAME_UNKNOWN",
    );
    assert_eq!(origin.requests().len(), asked);
}

/// An offline site whose tags expire strictly still says why it refuses.
#[tokio::test]
async fn an_offline_site_keeps_to_strict_expiry() {
    let (_origin, mut site, _) =
        stage_with(&[10], |rule| rule.strict_expiration = true, |_| {}).await;
    site.get(BY_TAG).await;
    site.config.offline = true;
    site.restart().await;
    assert_eq!(site.get(BY_TAG).await.status, 200);
    site.clock.advance(Duration::from_secs(90_000));
    assert_is(&site.get(BY_TAG).await, 503, "UNAVAILABLE");
}

/// CA-09: after some failures nobody waits for a dead upstream, and those of others are not hurt.
#[tokio::test]
async fn a_dead_upstream_is_left_alone() {
    let (dead, alive) = (Origin::start().await, Origin::start().await);
    let image = Image::small(1);
    dead.push_image("app", "v1", &image);
    alive.push_image("app", "v1", &image);
    let rules = vec![
        rule("dead", "dead.example", &dead),
        rule("alive", "alive.example", &alive),
    ];
    let site = Site::caching_with(rules, |config| {
        config.deadlines.breaker_first = Duration::from_secs(60);
    })
    .await;
    site.pull("dead/app", "v1").await;
    site.settled().await;
    dead.always("GET", "/", Fault::Status(502, vec![], ""));
    dead.always("HEAD", "/", Fault::Status(502, vec![], ""));
    for _ in 0..3 {
        site.get("/v2/dead/app/manifests/v1").await;
    }
    let asked = dead.requests().len();
    for _ in 0..20 {
        let held = site.get("/v2/dead/app/manifests/v1").await;
        assert_eq!(way(&held), "entrepot; hit; detail=stale-breaker_open");
        let cold = site.get("/v2/dead/app/manifests/v2").await;
        assert_is(&cold, 503, "UNAVAILABLE");
        assert!(cold.header("retry-after").parse::<u64>().unwrap() >= 1);
        let path = format!("/v2/dead/app/blobs/{}", Digest::of(b"absent"));
        assert_is(&site.get(&path).await, 503, "UNAVAILABLE");
    }
    assert_eq!(dead.requests().len(), asked, "nobody asks it");
    site.pull("alive/app", "v1").await;
    let open = [("organization", "dead")];
    assert!(site.metric("entrepot_upstream_breaker_state", &open).await > 0.0);
    dead.heal();
    pass_time(Duration::from_secs(120)).await;
    let answer = site.get("/v2/dead/app/manifests/v1").await;
    assert!(way(&answer).contains("validated"), "{}", way(&answer));
}

/// UP-08: an upstream that limits us is left alone for as long as it says; held tags are served.
#[tokio::test]
async fn a_limiting_upstream_is_left_alone() {
    let (origin, site, image) = stage(&[10]).await;
    site.get(BY_TAG).await;
    let limit = Fault::Status(
        429,
        vec![("Retry-After", "60".to_owned())],
        "<html>Too many</html>",
    );
    origin.always("HEAD", MANIFESTS, limit);
    let held = site.get(BY_TAG).await;
    assert_eq!(
        (&held.body, held.status.as_u16()),
        (&image.manifest.bytes, 200)
    );
    assert_eq!(way(&held), "entrepot; hit; detail=stale-rate_limited");
    let asked = origin.requests().len();
    assert_eq!(site.get(BY_TAG).await.status, 200);
    for path in [manifest("v2"), blob(&image.layers[0])] {
        let cold = site.get(&path).await;
        assert_is(&cold, 429, "TOOMANYREQUESTS");
        assert!((50..=76).contains(&cold.header("retry-after").parse().unwrap()));
    }
    assert_eq!(origin.requests().len(), asked);
}

/// A cold pull of what a dead upstream would have is a failure, and never a 404.
#[tokio::test]
async fn what_nobody_can_tell_is_unavailable() {
    let (origin, site, image) = stage(&[10]).await;
    origin.stop().await;
    for path in [
        BY_TAG.to_owned(),
        manifest(image.digest()),
        blob(&image.layers[0]),
    ] {
        let answer = soon("a failure", site.get(&path)).await;
        assert_is(&answer, 503, "UNAVAILABLE");
        assert!(site.head(&path).await.status.is_server_error());
    }
    origin.restart().await;
    pass_time(Duration::from_secs(120)).await;
    site.clock.advance(LATER);
    site.pull("docker.io/library/app", "v1").await;
}
