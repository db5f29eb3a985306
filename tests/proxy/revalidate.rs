//! Tags: when upstream is asked where they point, and what its answer does.

use std::time::Duration;

use super::{
    BLOBS, BY_TAG, LATER, MANIFESTS, fresh_for_a_minute, manifest, stage, stage_with, way,
};
use crate::harness::content::Image;
use crate::harness::origin::{Auth, Bearer, Fault, Origin};
use crate::harness::pass_time;
use crate::harness::site::Site;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

async fn pulled() -> (Origin, Site, Image) {
    let (origin, site, image) = stage_with(&[1_000], fresh_for_a_minute, |_| {}).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    site.clock.advance(LATER);
    (origin, site, image)
}

/// SC-243: a tag that moved upstream moves here; what it pointed to stays, by digest.
#[tokio::test]
async fn a_moved_tag_brings_the_new_image() {
    let (origin, site, old) = pulled().await;
    let new = Image::small(2);
    origin.push_image("library/app", "v1", &new);
    let answer = site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    assert_eq!(answer.body, new.manifest.bytes);
    assert_eq!(way(&answer), "entrepot; fwd=stale; stored; detail=moved");
    assert_eq!((answer.header("age"), answer.header("warning")), ("0", ""));
    // By digest, so that it cannot move again in between.
    assert_eq!(
        origin.count("GET", &format!("{MANIFESTS}{}", new.digest())),
        1
    );
    assert_eq!(origin.count("GET", BY_TAG), 0);
    origin.stop().await;
    let before = site
        .pull("docker.io/library/app", &old.digest().to_string())
        .await;
    assert_eq!(before.body, old.manifest.bytes);
    assert_eq!(site.get(BY_TAG).await.body, new.manifest.bytes);
}

/// A tag that moves back to what is held moves without a fetch.
#[tokio::test]
async fn a_tag_that_moves_back_costs_one_head() {
    let (origin, site, old) = pulled().await;
    origin.push_image("library/app", "v1", &Image::small(2));
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    origin.push_image("library/app", "v1", &old);
    site.clock.advance(LATER);
    let fetched = origin.count("GET", "/v2/");
    assert_eq!(site.get(BY_TAG).await.body, old.manifest.bytes);
    assert_eq!(origin.count("GET", "/v2/"), fetched);
}

/// SC-244: the same digest costs a HEAD and nothing else.
#[tokio::test]
async fn an_unchanged_tag_costs_one_head() {
    let (origin, site, image) = pulled().await;
    let fetched = origin.count("GET", "/v2/");
    let answer = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(answer.body, image.manifest.bytes);
    assert_eq!(way(&answer), "entrepot; fwd=stale; detail=validated");
    assert_eq!((answer.header("age"), answer.header("warning")), ("0", ""));
    assert_eq!(
        (origin.count("HEAD", "/v2/"), origin.count("GET", "/v2/")),
        (1, fetched)
    );
    site.clock.advance(Duration::from_secs(59));
    assert_eq!(
        way(&site.get(BY_TAG).await),
        "entrepot; hit",
        "it was renewed"
    );
    assert_eq!(origin.count("HEAD", "/v2/"), 1);
}

/// A registry that does not say the digest is asked for the bytes, which do.
#[tokio::test]
async fn without_a_digest_the_bytes_tell() {
    let (origin, site, image) = pulled().await;
    origin.always(
        "HEAD",
        MANIFESTS,
        Fault::Headers(vec![("Docker-Content-Digest", None)]),
    );
    let same = site.get(BY_TAG).await;
    assert_eq!(same.body, image.manifest.bytes);
    assert!(way(&same).contains("validated"), "{}", way(&same));
    let new = Image::small(2);
    origin.push_image("library/app", "v1", &new);
    site.clock.advance(LATER);
    let moved = site.get(BY_TAG).await;
    assert_eq!(moved.body, new.manifest.bytes);
    assert!(way(&moved).contains("moved"), "{}", way(&moved));
}

/// CA-07: one 404 may be a mishap; the second, half a minute later, ends the tag and nothing else.
#[tokio::test]
async fn a_tag_ends_when_upstream_says_twice_that_it_is_gone() {
    let (origin, site, image) = stage(&[1_000]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    origin.untag("library/app", "v1");
    for _ in 0..3 {
        let answer = site.get(BY_TAG).await;
        assert_eq!(answer.body, image.manifest.bytes);
        assert_eq!(
            way(&answer),
            "entrepot; hit; detail=stale-upstream-404-once"
        );
        site.clock.advance(Duration::from_secs(9));
    }
    site.clock.advance(Duration::from_secs(3));
    super::assert_is(&site.get(BY_TAG).await, 404, "MANIFEST_UNKNOWN");
    super::assert_is(&site.get(BY_TAG).await, 404, "MANIFEST_UNKNOWN");
    assert_eq!(site.head(BY_TAG).await.status, 404);
    origin.stop().await;
    let by_digest = site
        .pull("docker.io/library/app", &image.digest().to_string())
        .await;
    assert_eq!(
        by_digest.body, image.manifest.bytes,
        "its manifest stays, by digest"
    );
}

/// CA-07: an answer in between makes the first 404 void, and later ones count from the start.
#[tokio::test]
async fn a_tag_that_came_back_has_two_404_before_it_again() {
    let (origin, site, image) = stage(&[1_000]).await;
    site.get(BY_TAG).await;
    for _ in 0..2 {
        origin.untag("library/app", "v1");
        assert_eq!(site.get(BY_TAG).await.status, 200);
        site.clock.advance(Duration::from_secs(10));
        origin.push_image("library/app", "v1", &image);
        assert!(way(&site.get(BY_TAG).await).contains("validated"));
        site.clock.advance(HALF_A_MINUTE);
    }
    origin.untag("library/app", "v1");
    assert_eq!(site.get(BY_TAG).await.status, 200, "the first of these");
    // What was noted of the answer in between is written; it is older than the 404.
    site.registry().flush_recency().await.unwrap();
    site.clock.advance(HALF_A_MINUTE);
    super::assert_is(&site.get(BY_TAG).await, 404, "MANIFEST_UNKNOWN");
}

/// A tag that ended comes back as soon as upstream has it.
#[tokio::test]
async fn a_tag_that_ended_can_come_back() {
    let (origin, site, image) = stage(&[1_000]).await;
    site.get(BY_TAG).await;
    origin.untag("library/app", "v1");
    site.get(BY_TAG).await;
    site.clock.advance(HALF_A_MINUTE);
    assert_eq!(site.get(BY_TAG).await.status, 404);
    origin.push_image("library/app", "v1", &image);
    site.clock.advance(HALF_A_MINUTE);
    assert_eq!(site.get(BY_TAG).await.body, image.manifest.bytes);
}

/// CA-07: refusals and failures are no absence, however often they come.
#[tokio::test]
async fn a_refusal_never_ends_a_tag() {
    for (status, wanted) in [
        (401, "unauthorized"),
        (403, "denied"),
        (429, "rate_limited"),
        (500, "status_5xx"),
    ] {
        let (origin, site, image) = stage(&[1_000]).await;
        site.get(BY_TAG).await;
        origin.always("HEAD", MANIFESTS, Fault::Status(status, vec![], ""));
        origin.always("GET", MANIFESTS, Fault::Status(status, vec![], ""));
        for _ in 0..4 {
            let answer = site.get(BY_TAG).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body),
                (200, &image.manifest.bytes)
            );
            assert_eq!(answer.header("warning"), "110 - \"Response is Stale\"");
            let either = [wanted, "breaker_open"].map(|kind| format!("detail=stale-{kind}"));
            assert!(
                either.iter().any(|way_| way(&answer).contains(way_)),
                "{}",
                way(&answer)
            );
            site.clock.advance(LATER);
        }
    }
}

/// CA-01, CA-07: the same for a registry whose accounts are revoked.
#[tokio::test]
async fn a_revoked_account_hides_nothing_that_is_held() {
    let (origin, site, image) = pulled().await;
    let account = Some(("someone", "else"));
    origin.require(Auth::Bearer(Bearer {
        account,
        ..Bearer::default()
    }));
    let answer = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(answer.body, image.manifest.bytes);
    assert!(
        way(&answer).contains("stale-unauthorized"),
        "{}",
        way(&answer)
    );
}

/// CA-01, LC budgets: a stalled upstream costs the deadline once, then nothing within `fresh_s`; its
/// answer, when it comes, counts.
#[tokio::test]
async fn a_silent_upstream_costs_one_deadline() {
    let (origin, site, image) = stage_with(&[10], fresh_for_a_minute, |config| {
        super::patient(config);
        config.deadlines.revalidate = Duration::from_millis(50);
    })
    .await;
    site.get(BY_TAG).await;
    site.clock.advance(LATER);
    origin.once("HEAD", MANIFESTS, Fault::StallBeforeHeaders);
    let slow = site.get(BY_TAG).await;
    assert_eq!(slow.body, image.manifest.bytes);
    assert_eq!(way(&slow), "entrepot; hit; detail=stale-upstream-slow");
    assert_eq!(slow.header("age"), "61");
    for _ in 0..10 {
        let at_once = site.get(BY_TAG).await;
        assert_eq!(
            way(&at_once),
            "entrepot; hit; detail=stale-checked-a-moment-ago"
        );
    }
    assert_eq!(origin.count("HEAD", MANIFESTS), 1);
    let slow = [("organization", "docker.io"), ("outcome", "slow")];
    assert_eq!(
        site.metric("entrepot_proxy_validations_total", &slow).await,
        1.0
    );
    origin.release();
    let same = [("organization", "docker.io"), ("outcome", "same")];
    crate::harness::soon("the check behind", async {
        while site.metric("entrepot_proxy_validations_total", &same).await < 1.0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(way(&site.get(BY_TAG).await), "entrepot; hit");
    assert_eq!(origin.count("HEAD", MANIFESTS), 1);
}

/// A tag that moved while upstream was slow to say so is the new one at the next pull.
#[tokio::test]
async fn a_late_answer_still_moves_the_tag() {
    let (origin, site, old) = stage_with(&[10], fresh_for_a_minute, |config| {
        super::patient(config);
        config.deadlines.revalidate = Duration::from_millis(50);
    })
    .await;
    site.get(BY_TAG).await;
    site.clock.advance(LATER);
    let new = Image::small(2);
    origin.push_image("library/app", "v1", &new);
    origin.once("HEAD", MANIFESTS, Fault::StallBeforeHeaders);
    assert_eq!(site.get(BY_TAG).await.body, old.manifest.bytes);
    origin.release();
    let moved = [("organization", "docker.io"), ("outcome", "moved")];
    crate::harness::soon("the check behind", async {
        while site
            .metric("entrepot_proxy_validations_total", &moved)
            .await
            < 1.0
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = site.get(BY_TAG).await;
    assert_eq!(
        (way(&answer), &answer.body),
        ("entrepot; hit", &new.manifest.bytes)
    );
}

/// RFC 9111 5.2.1.4: who says `no-cache` is told what upstream says now, absence included.
#[tokio::test]
async fn no_cache_asks_upstream_about_fresh_and_absent_tags() {
    let (origin, site, _) = stage_with(&[10], fresh_for_a_minute, |_| {}).await;
    site.get(BY_TAG).await;
    let new = Image::small(2);
    origin.push_image("library/app", "v1", &new);
    assert_eq!(way(&site.get(BY_TAG).await), "entrepot; hit");
    let no_cache = [("cache-control", "no-cache")];
    assert_eq!(
        site.get_with(BY_TAG, &no_cache).await.body,
        new.manifest.bytes
    );
    assert_eq!(site.get(&manifest("v2")).await.status, 404);
    origin.push_image("library/app", "v2", &new);
    assert_eq!(site.get(&manifest("v2")).await.status, 404, "remembered");
    assert_eq!(
        site.get_with(&manifest("v2"), &no_cache).await.body,
        new.manifest.bytes
    );
    assert_eq!(site.get(&manifest("v2")).await.status, 200);
}

/// What upstream moved the tag to cannot be had: what is held is served.
#[tokio::test]
async fn a_move_to_what_cannot_be_fetched_is_no_move() {
    for fault in [
        Fault::Status(500, vec![], ""),
        Fault::WrongBytes,
        Fault::Html,
        Fault::Gzip,
        Fault::CutAt(100),
    ] {
        let (origin, site, old) = pulled().await;
        let new = Image::small(2);
        origin.push_image("library/app", "v1", &new);
        origin.always("GET", MANIFESTS, fault.clone());
        let answer = site.get(BY_TAG).await;
        assert_eq!(answer.body, old.manifest.bytes, "{fault:?}");
        assert!(
            way(&answer).contains("detail=stale-"),
            "{fault:?}: {}",
            way(&answer)
        );
        origin.heal();
        site.clock.advance(LATER);
        pass_time(Duration::from_secs(120)).await;
        assert_eq!(site.get(BY_TAG).await.body, new.manifest.bytes, "{fault:?}");
        assert_eq!(origin.count("GET", BLOBS), 2);
    }
}

/// SC-237, as DESIGN 4 has it: an expired tag must be validated, and what it led to is not deleted.
#[tokio::test]
async fn an_expired_tag_is_validated_and_nothing_is_deleted() {
    let (origin, site, image) = stage_with(
        &[1_000],
        |rule| {
            rule.expiration = Some(Duration::from_secs(60));
            rule.fresh = Duration::from_secs(3_600);
        },
        |_| {},
    )
    .await;
    site.pull("docker.io/library/app", "v1").await;
    let fetched = origin.count("GET", "/v2/");
    site.clock.advance(LATER);
    let answer = site.pull("docker.io/library/app", "v1").await;
    assert!(way(&answer).contains("validated"), "{}", way(&answer));
    assert_eq!(
        (origin.count("HEAD", "/v2/"), origin.count("GET", "/v2/")),
        (1, fetched)
    );
    site.clock.advance(LATER);
    origin.untag("library/app", "v1");
    site.get(BY_TAG).await;
    site.clock.advance(Duration::from_secs(3_600));
    assert_eq!(
        site.get(BY_TAG).await.status,
        404,
        "gone when upstream has not got it either"
    );
    site.pull("docker.io/library/app", &image.digest().to_string())
        .await;
}
