//! A clock that is wrong by years.

use std::sync::atomic::Ordering;
use std::time::Duration;

use entrepot::model::Clock;

use crate::bounds::{REPOSITORY, capped, capped_rule, held_tags, pull, push_images, tags};
use crate::harness::origin::{Identity, Origin};
use crate::harness::pass_time;
use crate::harness::site::Site;

const TEN_YEARS_MS: i64 = 10 * 365 * 86_400 * 1000;

/// Sets the clock ahead or back.
fn jump(site: &Site, by_ms: i64) {
    match &site.clock {
        Clock::Manual(now) => _ = now.fetch_add(by_ms, Ordering::Relaxed),
        Clock::System => panic!("tests move their clock"),
    }
}

/// RS-05: nothing goes because the clock jumped, and everything held is served.
#[tokio::test]
async fn a_jump_of_the_clock_deletes_nothing() {
    let origin = Origin::start().await;
    push_images(&origin, 3, 100_000);
    let mut site = capped(&origin, 400_000).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let before = held_tags(&site).await;
    for by in [
        TEN_YEARS_MS,
        -2 * TEN_YEARS_MS,
        -5 * TEN_YEARS_MS,
        12 * TEN_YEARS_MS,
    ] {
        jump(&site, by);
        // Every loop turns, relief and gauges among them.
        pass_time(Duration::from_secs(11)).await;
        for tag in ["v0", "v1", "v2"] {
            pull(&site, tag).await;
        }
        site.proxy().sweep().await.unwrap();
        assert_eq!(held_tags(&site).await, before, "after {by} ms");
        site.restart().await;
        assert_eq!(
            held_tags(&site).await,
            before,
            "after {by} ms and a restart"
        );
    }
    // Without upstream as well: stale content is served, however old it seems.
    origin.stop().await;
    jump(&site, 3 * TEN_YEARS_MS);
    for tag in ["v0", "v1", "v2"] {
        site.pull(REPOSITORY, tag).await;
    }
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/v0"), 1);
}

/// RS-06, RS-05: a start without a clock serves what is held and fetches, and the time that comes later is taken
/// as it is.
#[tokio::test]
async fn a_start_at_1970_serves_and_heals() {
    let origin = Origin::start().await;
    push_images(&origin, 2, 100_000);
    let mut site = capped(&origin, 400_000).await;
    pull(&site, "v0").await;
    for moment in [0, 2_147_483_648_000, 4_102_444_800_000] {
        // 1970, 2038, 2100
        jump(&site, moment - site.clock.now().as_millis());
        site.restart().await;
        pull(&site, "v0").await;
        pull(&site, "v1").await;
        assert_eq!(tags(&site).await, ["v0", "v1"], "at {moment}");
        assert_eq!(site.get("/readyz").await.status, 200, "at {moment}");
    }
}

/// RS-06: while the clock stands at 1970 no certificate is good: what is held is served, the message names the
/// clock, and upstream is believed as soon as the clock is set, without a restart.
#[tokio::test]
async fn tls_upstreams_heal_when_the_clock_is_set() {
    let identity = Identity::for_names(&["127.0.0.1"]);
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, &identity.certificate_pem).unwrap();
    let origin = Origin::start_tls(identity).await;
    push_images(&origin, 2, 100_000);
    let mut rule = capped_rule(&origin, 400_000);
    rule.ca_file = Some(authority);
    let mut site = Site::caching(vec![rule]).await;
    pull(&site, "v0").await;
    let today = site.clock.now();
    jump(&site, -today.as_millis());
    site.restart().await;
    assert_eq!(site.get("/readyz").await.status, 200);
    pull(&site, "v0").await;
    let manifest = |tag: &str| format!("/v2/{REPOSITORY}/manifests/{tag}");
    let answer = site.get(&manifest("v1")).await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    let text = answer.text();
    assert!(text.contains("(clock)"), "{text}");
    // As often as it takes for the breaker to open.
    for _ in 0..5 {
        site.get(&manifest("v1")).await;
    }
    jump(&site, today.as_millis());
    pass_time(Duration::from_secs(61)).await;
    pull(&site, "v1").await;
}

/// GC-04: the order of uses is that in which they happened, whatever the clock said.
#[tokio::test]
async fn the_order_of_eviction_is_that_of_use_whatever_the_clock_says() {
    let origin = Origin::start().await;
    push_images(&origin, 7, 100_000);
    let mut site = capped(&origin, 400_000).await;
    pull(&site, "v2").await;
    pull(&site, "v1").await;
    jump(&site, TEN_YEARS_MS);
    pull(&site, "v0").await;
    jump(&site, -2 * TEN_YEARS_MS);
    pull(&site, "v1").await;
    pull(&site, "v3").await;
    assert_eq!(tags(&site).await, ["v0", "v1", "v3"], "v2 was used first");
    pull(&site, "v4").await;
    assert_eq!(tags(&site).await, ["v1", "v3", "v4"], "then v0");
    // A restart forgets neither order nor jump.
    site.restart().await;
    jump(&site, -TEN_YEARS_MS);
    pull(&site, "v1").await;
    pull(&site, "v5").await;
    assert_eq!(tags(&site).await, ["v1", "v4", "v5"], "then v3");
    jump(&site, 20 * TEN_YEARS_MS);
    pull(&site, "v6").await;
    assert_eq!(tags(&site).await, ["v1", "v5", "v6"], "then v4");
}
