//! Redirects: what goes along, what stays behind, what is refused.

use bytes::Bytes;
use entrepot::oci::Digest;
use entrepot::upstream::{Error, FailureKind};

use super::{Setup, collect, name, reference};
use crate::harness::content::{Image, bytes};
use crate::harness::origin::{Auth, Bearer, Fault, Identity, Origin};

const BLOBS: &str = "/v2/org/app/blobs/";
const SIGNED: &str = "/signed/blob";

/// A registry that wants tokens, and a CDN that has its blobs.
async fn site(blob: &Bytes) -> (Origin, Origin, Digest) {
    let (registry, cdn) = (Origin::start().await, Origin::start().await);
    let digest = registry.push_blob("org/app", blob);
    registry.require(Auth::Bearer(Bearer::default()));
    cdn.push_file(SIGNED, blob);
    (registry, cdn, digest)
}

fn signed(cdn: &Origin) -> String {
    cdn.url(&format!("{SIGNED}?X-Signature=hidden&x=%2F"))
}

/// UP-02: nothing but the range goes to another port.
#[tokio::test]
async fn a_cdn_sees_the_range_but_no_authorization() {
    let blob = bytes(1, 5000);
    let (registry, cdn, digest) = site(&blob).await;
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    let upstream = Setup::of(&registry).account("user", "secret").build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 1000)
        .await
        .unwrap();
    assert_eq!((body.start(), body.total()), (1000, Some(5000)));
    assert_eq!(collect(body).await.unwrap(), blob[1000..]);
    assert!(
        registry
            .last("GET", BLOBS)
            .header("authorization")
            .is_some()
    );
    let request = cdn.last("GET", SIGNED);
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.header("cookie"), None);
    assert_eq!(request.header("referer"), None);
    assert_eq!(request.header("range").unwrap(), "bytes=1000-");
    assert_eq!(request.header("accept-encoding").unwrap(), "identity");
    assert_eq!(request.query, "X-Signature=hidden&x=%2F");
}

/// UP-02: the way back does not bring the credentials back.
#[tokio::test]
async fn a_detour_through_another_host_loses_authorization_for_good() {
    let (registry, cdn, digest) = site(&bytes(1, 10)).await;
    registry.push_file("/landed", &bytes(1, 10));
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    cdn.always("GET", SIGNED, Fault::Redirect(registry.url("/landed")));
    let upstream = Setup::of(&registry).account("user", "secret").build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    collect(body).await.unwrap();
    assert_eq!(
        registry.last("GET", "/landed").header("authorization"),
        None
    );
}

/// Artifact Registry redirects with a relative Location on its own host.
#[tokio::test]
async fn a_relative_redirect_on_the_same_host_keeps_authorization() {
    let (registry, _, digest) = site(&bytes(1, 10)).await;
    registry.push_file("/downloads/blob", &bytes(1, 10));
    registry.always(
        "GET",
        BLOBS,
        Fault::Redirect("../../../../downloads/blob".to_owned()),
    );
    let upstream = Setup::of(&registry).build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    collect(body).await.unwrap();
    assert!(
        registry
            .last("GET", "/downloads/")
            .header("authorization")
            .is_some()
    );
}

#[tokio::test]
async fn manifests_are_redirected_too_and_head_stays_head() {
    let (front, back) = (Origin::start().await, Origin::start().await);
    let image = Image::small(1);
    for origin in [&front, &back] {
        origin.push_image("org/app", "latest", &image);
    }
    // registry.k8s.io: the redirect's host wants a token of its own.
    back.require(Auth::Bearer(Bearer::default()));
    let to = back.url("/v2/org/app/manifests/latest");
    front.always("GET", "/v2/", Fault::Redirect(to.clone()));
    front.always("HEAD", "/v2/", Fault::Redirect(to));
    let upstream = Setup::of(&front).account("user", "secret").build();
    let head = upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    assert_eq!(head.digest, Some(image.digest()));
    let (raw, _) = upstream
        .fetch_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
    assert_eq!(raw.digest, image.digest());
    assert_eq!(back.count("HEAD", "/v2/org/app/manifests/latest"), 2);
    assert_eq!(back.last("GET", "/token").header("authorization"), None);
}

#[tokio::test]
async fn five_hops_are_followed_and_not_six() {
    let (registry, _, digest) = site(&bytes(1, 10)).await;
    registry.push_file("/end", &bytes(1, 10));
    let upstream = Setup::of(&registry).build();
    for (hops, works) in [(5, true), (6, false)] {
        registry.heal();
        registry.times(1, "GET", BLOBS, Fault::Redirect("/hop".to_owned()));
        registry.push_file("/hop", &bytes(1, 10));
        registry.times(hops - 2, "GET", "/hop", Fault::Redirect("/hop".to_owned()));
        registry.times(1, "GET", "/hop", Fault::Redirect("/end".to_owned()));
        let outcome = upstream.open_blob(&name("org/app"), &digest, 0).await;
        assert_eq!(outcome.is_ok(), works, "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(error.kind(), FailureKind::Redirect);
        }
    }
}

/// UP-03: https does not lead to http, unless the upstream is marked insecure.
#[tokio::test]
async fn a_downgrade_is_refused() {
    let identity = Identity::for_names(&["127.0.0.1"]);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, &identity.certificate_pem).unwrap();
    let (registry, cdn) = (Origin::start_tls(identity).await, Origin::start().await);
    let blob = bytes(1, 10);
    let digest = registry.push_blob("org/app", &blob);
    cdn.push_file(SIGNED, &blob);
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    let mut setup = Setup::of(&registry).ca_file(&ca_file);
    let error = setup
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Redirect(_)), "{error}");
    assert!(cdn.requests().is_empty());
    setup.rule.insecure = true;
    setup.registry = prometheus::Registry::new();
    let body = setup
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!(collect(body).await.unwrap(), blob);
}

/// A presigned URL that has expired is replaced by asking the registry once more.
#[tokio::test]
async fn an_expired_location_is_asked_for_anew_once() {
    let blob = bytes(1, 10);
    let (registry, cdn, digest) = site(&blob).await;
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    cdn.once(
        "GET",
        SIGNED,
        Fault::Status(403, vec![], "<Error>expired</Error>"),
    );
    let upstream = Setup::of(&registry).build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!(collect(body).await.unwrap(), blob);
    assert_eq!(cdn.count("GET", SIGNED), 2);
    cdn.always("GET", SIGNED, Fault::Status(403, vec![], ""));
    let error = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Denied), "{error}");
    assert_eq!(cdn.count("GET", SIGNED), 4);
}

/// The text of an error holds nothing that could be replayed.
#[tokio::test]
async fn errors_do_not_quote_presigned_urls() {
    let (registry, cdn, digest) = site(&bytes(1, 10)).await;
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    cdn.stop().await;
    let upstream = Setup::of(&registry).account("user", "secret").build();
    let error = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Connect, "{error}");
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(
            !text.contains("hidden") && !text.contains("secret"),
            "{text}"
        );
    }
}

/// A CDN's failures do not open the registry's breaker.
#[tokio::test]
async fn a_failing_cdn_does_not_take_the_registry_down() {
    let (registry, cdn, digest) = site(&bytes(1, 10)).await;
    registry.push_image("org/app", "latest", &Image::small(1));
    registry.always("GET", BLOBS, Fault::Redirect(signed(&cdn)));
    cdn.always("GET", SIGNED, Fault::Status(500, vec![], ""));
    let upstream = Setup::of(&registry).build();
    for _ in 0..5 {
        let error = upstream
            .open_blob(&name("org/app"), &digest, 0)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Status5xx, "{error}");
    }
    upstream
        .head_manifest(&name("org/app"), &reference("latest"))
        .await
        .unwrap();
}
