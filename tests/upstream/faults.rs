//! Outages, rate limits and the breaker.

use std::time::Duration;

use entrepot::upstream::{Error, FailureKind, Upstream};

use super::{Setup, name, reference};
use crate::harness::content::Image;
use crate::harness::origin::{Auth, Bearer, Fault, Origin};
use crate::harness::{pass_time, soon};

const PATH: &str = "/v2/org/app/manifests/";

async fn origin() -> Origin {
    let origin = Origin::start().await;
    origin.push_image("org/app", "latest", &Image::small(1));
    origin
}

async fn head(upstream: &Upstream) -> Result<(), Error> {
    let latest = reference("latest");
    let repository = name("org/app");
    let work = upstream.head_manifest(&repository, &latest);
    soon("an answer", work).await.map(drop)
}

#[tokio::test]
async fn a_failing_upstream_is_asked_three_times_and_no_more() {
    for fault in [
        Fault::Status(502, vec![], "<html>Bad Gateway</html>"),
        Fault::Status(408, vec![], ""),
        Fault::HangUp,
    ] {
        let origin = origin().await;
        origin.times(2, "HEAD", PATH, fault.clone());
        let upstream = Setup::of(&origin).build();
        head(&upstream).await.unwrap();
        assert_eq!(origin.count("HEAD", PATH), 3, "{fault:?}");
        origin.always("HEAD", PATH, fault.clone());
        let error = head(&upstream).await.unwrap_err();
        assert!(error.is_outage(), "{error}");
        assert_eq!(origin.count("HEAD", PATH), 6, "{fault:?}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_fails_is_asked_again() {
    let origin = origin().await;
    origin.require(Auth::Bearer(Bearer::default()));
    origin.times(2, "GET", "/token", Fault::Status(503, vec![], ""));
    head(&Setup::of(&origin).build()).await.unwrap();
    assert_eq!(origin.count("GET", "/token"), 3);
}

#[tokio::test]
async fn a_stopped_upstream_is_an_outage_until_it_is_back() {
    let origin = origin().await;
    let upstream = Setup::of(&origin).build();
    head(&upstream).await.unwrap();
    origin.stop().await;
    let error = head(&upstream).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect, "{error}");
    assert!(error.is_outage());
    origin.restart().await;
    pass_time(Duration::from_secs(2)).await;
    head(&upstream).await.unwrap();
}

#[tokio::test]
async fn silence_ends_at_the_deadline_and_is_not_repeated() {
    let origin = origin().await;
    origin.always("HEAD", PATH, Fault::StallBeforeHeaders);
    let setup = Setup::of(&origin).patience(Duration::from_millis(200));
    let error = head(&setup.build()).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Timeout, "{error}");
    assert_eq!(origin.count("HEAD", PATH), 1);
}

/// CA-09: three outages open the breaker; then nobody waits, one probe decides, success closes it.
#[tokio::test]
async fn the_breaker_opens_probes_and_closes() {
    let origin = origin().await;
    origin.always("HEAD", PATH, Fault::Status(500, vec![], ""));
    let setup = Setup::of(&origin);
    let upstream = setup.build();
    let state = || setup.metric("entrepot_upstream_breaker_state", &["cache"]);
    head(&upstream).await.unwrap_err();
    assert_eq!((origin.count("HEAD", PATH), state()), (3, 1.0));

    let error = head(&upstream).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::BreakerOpen, "{error}");
    assert!(error.is_outage() && error.retry_after().unwrap() <= Duration::from_secs(2));
    assert_eq!(origin.count("HEAD", PATH), 3);

    // The probe fails: open again, for longer.
    pass_time(Duration::from_secs(2)).await;
    assert_eq!(
        head(&upstream).await.unwrap_err().kind(),
        FailureKind::Status5xx
    );
    assert_eq!(
        head(&upstream).await.unwrap_err().kind(),
        FailureKind::BreakerOpen
    );
    assert_eq!((origin.count("HEAD", PATH), state()), (4, 1.0));

    origin.heal();
    pass_time(Duration::from_secs(4)).await;
    head(&upstream).await.unwrap();
    assert_eq!(state(), 0.0);
    head(&upstream).await.unwrap();
}

/// CA-09: while one probe is under way everyone else is answered at once.
#[tokio::test]
async fn only_one_probe_is_let_through() {
    let origin = origin().await;
    origin.times(3, "HEAD", PATH, Fault::Status(500, vec![], ""));
    let upstream = Setup::of(&origin).build();
    head(&upstream).await.unwrap_err();
    origin.once("HEAD", PATH, Fault::StallBeforeHeaders);
    pass_time(Duration::from_secs(2)).await;
    let prober = upstream.clone();
    let probe = tokio::spawn(async move { head(&prober).await });
    origin.wait_for(4, "HEAD", PATH).await;
    assert_eq!(
        head(&upstream).await.unwrap_err().kind(),
        FailureKind::BreakerOpen
    );
    origin.release();
    soon("the probe", probe).await.unwrap().unwrap();
    head(&upstream).await.unwrap();
}

/// UP-08: a 429 is not asked again, and everything else waits as long as it says.
#[tokio::test]
async fn a_429_stops_all_requests_until_its_time() {
    let origin = origin().await;
    let headers = vec![("Retry-After", "30".to_owned())];
    origin.once(
        "GET",
        PATH,
        Fault::Status(429, headers, "Too Many Requests (HAP429)\n"),
    );
    let upstream = Setup::of(&origin).build();
    let fetch = || async {
        upstream
            .fetch_manifest(&name("org/app"), &reference("latest"))
            .await
    };
    let error = fetch().await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::RateLimited, "{error}");
    let wait = error.retry_after().unwrap().as_secs();
    assert!((30..=38).contains(&wait), "{wait}");
    assert_eq!(
        head(&upstream).await.unwrap_err().kind(),
        FailureKind::RateLimited
    );
    assert_eq!(origin.requests().len(), 1);
    pass_time(Duration::from_secs(40)).await;
    fetch().await.unwrap();
}

/// UP-08: the token endpoint has the same limiter in front.
#[tokio::test]
async fn a_429_of_the_token_endpoint_counts_too() {
    let origin = origin().await;
    origin.require(Auth::Bearer(Bearer::default()));
    origin.once("GET", "/token", Fault::Status(429, vec![], ""));
    let upstream = Setup::of(&origin).build();
    let error = head(&upstream).await.unwrap_err();
    assert!(
        error.retry_after().unwrap() >= Duration::from_secs(60),
        "{error}"
    );
    assert_eq!(
        head(&upstream).await.unwrap_err().kind(),
        FailureKind::RateLimited
    );
    assert_eq!(origin.requests().len(), 2);
}

/// UP-08: what is left of Docker Hub's allowance is a metric.
#[tokio::test]
async fn announced_limits_are_shown() {
    let origin = origin().await;
    let headers = vec![
        ("ratelimit-limit", Some("100;w=21600".to_owned())),
        ("ratelimit-remaining", Some("76;w=21600".to_owned())),
    ];
    origin.always("HEAD", PATH, Fault::Headers(headers));
    let setup = Setup::of(&origin);
    head(&setup.build()).await.unwrap();
    assert_eq!(
        setup.metric("entrepot_upstream_ratelimit_limit", &["cache"]),
        100.0
    );
    assert_eq!(
        setup.metric("entrepot_upstream_ratelimit_remaining", &["cache"]),
        76.0
    );
}

#[tokio::test]
async fn a_503_says_when_to_come_back() {
    let origin = origin().await;
    let headers = vec![("Retry-After", "7".to_owned())];
    origin.always("HEAD", PATH, Fault::Status(503, headers, ""));
    let error = head(&Setup::of(&origin).build()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}
