//! Where credentials and tokens never go.

use entrepot::upstream::{Error, Refusal};

use super::Setup;
use super::auth::{MANIFESTS, origin, pull};
use crate::harness::origin::{Auth, Bearer, Fault, Origin};

/// UP-07: two clients of one registry with different accounts share nothing.
#[tokio::test]
async fn tokens_never_cross_between_upstreams() {
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    pull(&Setup::of(&origin).account("one", "1")).await.unwrap();
    pull(&Setup::of(&origin).account("two", "2")).await.unwrap();
    let tokens: Vec<_> = origin
        .requests()
        .into_iter()
        .filter(|r| r.path == "/token")
        .collect();
    assert_eq!(tokens.len(), 2);
    assert_ne!(
        tokens[0].header("authorization"),
        tokens[1].header("authorization")
    );
    let used: Vec<_> = origin
        .requests()
        .into_iter()
        .filter(|r| r.is("GET", MANIFESTS))
        .collect();
    assert_ne!(
        used[1].header("authorization"),
        used[3].header("authorization")
    );
}

/// UP-01: a realm of another site sees no request at all when credentials are configured.
#[tokio::test]
async fn a_hostile_realm_gets_no_credentials() {
    let canary = Origin::start().await;
    let realm = Some(canary.url_as("canary.b.test", "/token"));
    let origin = origin(Auth::Bearer(Bearer {
        realm,
        ..Bearer::default()
    }))
    .await;
    let endpoint = origin.url_as("registry.a.test", "/");
    let error = pull(&Setup::at(&endpoint).account("user", "secret"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Unauthorized(Refusal::ForeignRealm { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("canary.b.test"), "{error}");
    assert!(canary.requests().is_empty());
    // Without an account there is nothing to steal, and some registries work like this.
    pull(&Setup::at(&endpoint)).await.unwrap();
    assert_eq!(canary.last("GET", "/token").header("authorization"), None);
}

/// UP-01: registry.gitlab.com and gitlab.com are one site.
#[tokio::test]
async fn a_realm_of_the_same_site_gets_them() {
    let auth = Origin::start().await;
    let realm = Some(auth.url_as("auth.a.test", "/token"));
    let origin = origin(Auth::Bearer(Bearer {
        realm,
        ..Bearer::default()
    }))
    .await;
    let setup = Setup::at(&origin.url_as("registry.a.test", "/")).account("user", "secret");
    pull(&setup).await.unwrap();
    assert!(auth.last("GET", "/token").header("authorization").is_some());
}

/// UP-02: a token endpoint that redirects elsewhere leaves the account behind.
#[tokio::test]
async fn a_redirected_token_request_loses_its_credentials() {
    let canary = Origin::start().await;
    let origin = origin(Auth::Bearer(Bearer::default())).await;
    let to = canary.url("/token?scope=repository:library/alpine:pull");
    origin.always("GET", "/token", Fault::Redirect(to));
    pull(&Setup::of(&origin).account("user", "secret"))
        .await
        .unwrap();
    assert_eq!(canary.last("GET", "/token").header("authorization"), None);
}
