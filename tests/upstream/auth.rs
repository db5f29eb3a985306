//! Token dances with every variant that registries have.

use std::time::Duration;

use entrepot::upstream::{Error, FailureKind, Refusal};

use super::{Setup, name, reference};
use crate::harness::content::Image;
use crate::harness::origin::{Auth, Bearer, Fault, Origin, TokenField};
use crate::harness::{pass_time, soon};

pub(super) const MANIFESTS: &str = "/v2/library/alpine/manifests/";

pub(super) async fn origin(auth: Auth) -> Origin {
    let origin = Origin::start().await;
    origin.push_image("library/alpine", "latest", &Image::small(1));
    origin.require(auth);
    origin
}

pub(super) async fn pull(setup: &Setup) -> Result<(), Error> {
    let upstream = setup.build();
    let (repository, latest) = (name("library/alpine"), reference("latest"));
    let work = upstream.fetch_manifest(&repository, &latest);
    soon("a manifest", work).await.map(drop)
}

#[tokio::test]
async fn an_anonymous_token_is_fetched_once_and_used_again() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    let upstream = Setup::of(&origin).build();
    for _ in 0..3 {
        upstream
            .fetch_manifest(&name("library/alpine"), &reference("latest"))
            .await
            .unwrap();
    }
    assert_eq!(origin.count("GET", "/token"), 1);
    assert_eq!(origin.count("GET", MANIFESTS), 4);
    let request = origin.last("GET", "/token");
    assert_eq!(request.parameter("service").unwrap(), "origin.test");
    assert_eq!(
        request.parameter("scope").unwrap(),
        "repository:library/alpine:pull"
    );
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn every_variant_of_a_token_answer_is_understood() {
    for bearer in [
        Bearer {
            field: TokenField::AccessToken,
            ..Bearer::default()
        },
        Bearer {
            field: TokenField::Token,
            expires_in: None,
            ..Bearer::default()
        },
        Bearer {
            service: None,
            ..Bearer::default()
        },
        // public.ecr.aws: a scope of its own, and 400 for any other.
        Bearer {
            scope: Some("aws"),
            ..Bearer::default()
        },
        // A realm with a query, and a relative one.
        Bearer {
            realm: Some("/token?x=1".to_owned()),
            ..Bearer::default()
        },
    ] {
        let with_service = bearer.service.is_some();
        let origin = origin(Auth::Bearer(bearer)).await;
        pull(&Setup::of(&origin)).await.unwrap();
        let request = origin.last("GET", "/token");
        assert_eq!(request.parameter("service").is_some(), with_service);
    }
}

#[tokio::test]
async fn credentials_go_to_the_token_endpoint_and_not_to_the_registry() {
    let account = Some(("robot$a+b", "secret"));
    let origin = origin(Auth::Bearer(Bearer {
        account,
        ..Bearer::default()
    }))
    .await;
    pull(&Setup::of(&origin).account("robot$a+b", "secret"))
        .await
        .unwrap();
    assert!(
        origin
            .last("GET", "/token")
            .header("authorization")
            .unwrap()
            .starts_with("Basic ")
    );
    for request in origin
        .requests()
        .iter()
        .filter(|request| request.is("GET", "/v2/"))
    {
        let value = request.header("authorization");
        assert!(
            value.is_none_or(|value| value.starts_with("Bearer ")),
            "{value:?}"
        );
    }
}

#[tokio::test]
async fn basic_is_answered_with_the_account_and_remembered() {
    let origin = origin(Auth::Basic {
        user: "AWS",
        password: "p",
    })
    .await;
    let upstream = Setup::of(&origin).account("AWS", "p").build();
    for _ in 0..3 {
        upstream
            .fetch_manifest(&name("library/alpine"), &reference("latest"))
            .await
            .unwrap();
    }
    assert_eq!(origin.count("GET", MANIFESTS), 4);
}

#[tokio::test]
async fn wrong_or_missing_credentials_are_neither_outage_nor_absence() {
    let account = Some(("user", "right"));
    let bearer = || {
        Auth::Bearer(Bearer {
            account,
            ..Bearer::default()
        })
    };
    for (auth, password) in [
        (bearer(), Some("wrong")),
        (bearer(), None),
        (
            Auth::Basic {
                user: "user",
                password: "right",
            },
            Some("wrong"),
        ),
        (
            Auth::Basic {
                user: "user",
                password: "right",
            },
            None,
        ),
    ] {
        let origin = origin(auth).await;
        let setup = Setup::of(&origin);
        let setup = match password {
            Some(password) => setup.account("user", password),
            None => setup,
        };
        let error = pull(&setup).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Unauthorized, "{error}");
        assert!(!error.is_outage() && !error.is_absent());
        assert!(!error.to_string().contains("wrong"), "{error}");
        assert!(origin.count("GET", MANIFESTS) <= 4);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_denies_or_lacks_is_not_an_absent_manifest() {
    for (status, kind) in [
        (403, FailureKind::Denied),
        (400, FailureKind::Unauthorized),
        (404, FailureKind::Invalid),
    ] {
        let origin = origin(Auth::Bearer(Bearer::default())).await;
        origin.always("GET", "/token", Fault::Status(status, vec![], "{}"));
        let error = pull(&Setup::of(&origin)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(!error.is_absent());
    }
}

#[tokio::test]
async fn a_refused_token_is_dropped_and_the_dance_begun_anew() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    let upstream = Setup::of(&origin).build();
    let pull = || async {
        upstream
            .fetch_manifest(&name("library/alpine"), &reference("latest"))
            .await
            .unwrap();
    };
    pull().await;
    origin.revoke_tokens();
    pull().await;
    assert_eq!(origin.count("GET", "/token"), 2);
    // Refused, asked without, answered.
    assert_eq!(origin.count("GET", MANIFESTS), 2 + 3);
}

#[tokio::test]
async fn an_upstream_that_refuses_every_token_is_given_up_after_two_dances() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    let challenge = format!("Bearer realm=\"{}\"", origin.url("/token"));
    let headers = vec![("WWW-Authenticate", challenge)];
    origin.always(
        "GET",
        MANIFESTS,
        Fault::Status(401, headers, "<html>no</html>"),
    );
    let error = pull(&Setup::of(&origin)).await.unwrap_err();
    assert!(
        matches!(error, Error::Unauthorized(Refusal::Rejected)),
        "{error}"
    );
    assert_eq!(origin.count("GET", "/token"), 2);
    assert_eq!(origin.count("GET", MANIFESTS), 4);
}

/// Tokens are replaced at 80 % of their life, before anyone is refused.
#[tokio::test]
async fn tokens_are_renewed_before_they_end() {
    let origin = origin(Auth::Bearer(Bearer {
        expires_in: Some(100),
        ..Bearer::default()
    }))
    .await;
    let upstream = Setup::of(&origin).build();
    for (pass, tokens) in [(0, 1), (70, 1), (15, 2)] {
        pass_time(Duration::from_secs(pass)).await;
        upstream
            .head_manifest(&name("library/alpine"), &reference("latest"))
            .await
            .unwrap();
        assert_eq!(origin.count("GET", "/token"), tokens);
    }
    assert_eq!(origin.count("HEAD", MANIFESTS), 4);
}

#[tokio::test]
async fn any_number_of_waiters_share_one_token_request() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    origin.once("GET", "/token", Fault::StallBeforeHeaders);
    let upstream = Setup::of(&origin).connections(32).build();
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let upstream = upstream.clone();
        pulls.spawn(async move {
            upstream
                .head_manifest(&name("library/alpine"), &reference("latest"))
                .await
        });
    }
    origin.wait_for(20, "HEAD", MANIFESTS).await;
    origin.wait_for(1, "GET", "/token").await;
    origin.release();
    for result in soon("all pulls", pulls.join_all()).await {
        result.unwrap();
    }
    assert_eq!(origin.count("GET", "/token"), 1);
}

#[tokio::test]
async fn waiters_share_a_failed_token_request_too() {
    let account = Some(("a", "b"));
    let origin = origin(Auth::Bearer(Bearer {
        account,
        ..Bearer::default()
    }))
    .await;
    origin.once("GET", "/token", Fault::StallBeforeHeaders);
    let upstream = Setup::of(&origin).connections(32).build();
    let mut pulls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let upstream = upstream.clone();
        pulls.spawn(async move {
            upstream
                .head_manifest(&name("library/alpine"), &reference("latest"))
                .await
        });
    }
    origin.wait_for(10, "HEAD", MANIFESTS).await;
    origin.wait_for(1, "GET", "/token").await;
    // The refusals are on their way: let every task take up its own before the token request ends.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    origin.release();
    for result in soon("all pulls", pulls.join_all()).await {
        assert_eq!(result.unwrap_err().kind(), FailureKind::Unauthorized);
    }
    assert_eq!(origin.count("GET", "/token"), 1);
}

/// DO-02: an endless token answer.
#[tokio::test]
async fn an_endless_token_answer_is_cut_off() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    origin.always("GET", "/token", Fault::Endless);
    let error = pull(&Setup::of(&origin)).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::TooLarge, "{error}");
}

#[tokio::test]
async fn a_ping_dances_like_everything_else() {
    let account = Some(("user", "right"));
    let origin = origin(Auth::Bearer(Bearer {
        account,
        ..Bearer::default()
    }))
    .await;
    Setup::of(&origin)
        .account("user", "right")
        .build()
        .ping()
        .await
        .unwrap();
    assert_eq!(origin.last("GET", "/token").parameter("scope"), None);
    let error = Setup::of(&origin)
        .account("user", "wrong")
        .build()
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Unauthorized);
}
