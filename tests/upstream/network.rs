//! Proxies, certificates and forbidden addresses.

use entrepot::config::ProxyEnvironment;
use entrepot::model::ProxyChoice;
use entrepot::outbound::AddressPolicy;
use entrepot::upstream::{Error, FailureKind, Upstream};

use super::{Setup, collect, name, reference};
use crate::harness::content::{Image, bytes};
use crate::harness::http_proxy::HttpProxy;
use crate::harness::origin::{Fault, Identity, Origin};
use crate::harness::soon;

async fn head(upstream: &Upstream) -> Result<(), Error> {
    let (repository, latest) = (name("org/app"), reference("latest"));
    soon("an answer", upstream.head_manifest(&repository, &latest))
        .await
        .map(drop)
}

fn serve_image(origin: &Origin) {
    origin.push_image("org/app", "latest", &Image::small(1));
}

/// A name that only the proxy can resolve: `Setup` knows no `far.c.test`.
const FAR: &str = "far.c.test";

#[tokio::test]
async fn plain_http_goes_through_the_proxy_in_absolute_form() {
    let origin = Origin::start().await;
    serve_image(&origin);
    let proxy = HttpProxy::start(origin.address()).await;
    let mut setup = Setup::at(&format!("http://{FAR}/"));
    setup.rule.proxy = ProxyChoice::Url(proxy.url().replace("//", "//user:pass@").parse().unwrap());
    head(&setup.build()).await.unwrap();
    let heads = proxy.heads();
    assert!(heads[0].starts_with("HEAD http://far.c.test/v2/org/app/manifests/latest HTTP/1.1"));
    assert!(
        heads[0]
            .to_lowercase()
            .contains("proxy-authorization: basic"),
        "{heads:?}"
    );
}

#[tokio::test]
async fn https_goes_through_a_tunnel_of_the_environments_proxy() {
    let identity = Identity::for_names(&[FAR]);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("ca.pem");
    std::fs::write(&ca_file, &identity.certificate_pem).unwrap();
    let origin = Origin::start_tls(identity).await;
    serve_image(&origin);
    let proxy = HttpProxy::start(origin.address()).await;
    let mut setup = Setup::at(&format!("https://{FAR}/")).ca_file(&ca_file);
    setup.rule.proxy = ProxyChoice::Environment;
    setup.outbound.proxies = ProxyEnvironment {
        http: None,
        https: Some(format!("localhost:{}", proxy.port())),
        no_proxy: Some("registry.a.test,10.0.0.0/8".to_owned()),
    };
    head(&setup.build()).await.unwrap();
    assert!(
        proxy.heads()[0].starts_with("CONNECT far.c.test:443 HTTP/1.1"),
        "{:?}",
        proxy.heads()
    );
    assert_eq!(origin.count("HEAD", "/v2/"), 1);
}

#[tokio::test]
async fn no_proxy_and_a_choice_of_none_go_straight() {
    let origin = Origin::start().await;
    serve_image(&origin);
    let proxy = HttpProxy::start(origin.address()).await;
    for (choice, no_proxy) in [
        (ProxyChoice::Environment, Some("a.test".to_owned())),
        (ProxyChoice::None, None),
    ] {
        let mut setup = Setup::at(&origin.url_as("registry.a.test", "/"));
        setup.rule.proxy = choice;
        let http = Some(proxy.url());
        setup.outbound.proxies = ProxyEnvironment {
            http,
            https: None,
            no_proxy,
        };
        head(&setup.build()).await.unwrap();
    }
    assert!(proxy.heads().is_empty());
}

/// UP-04: who gives a URL from outside reaches no local address, by literal or by name.
#[tokio::test]
async fn a_guarded_upstream_reaches_nothing_local() {
    let origin = Origin::start().await;
    serve_image(&origin);
    for endpoint in [
        origin.url("/"),
        origin.url_as("registry.a.test", "/"),
        origin.url_as("localhost", "/"),
        origin.url_as("0x7f.1", "/"),
        origin.url_as("[::ffff:127.0.0.1]", "/"),
    ] {
        let mut setup = Setup::at(&endpoint);
        setup.trust = AddressPolicy::PublicOrAllowed;
        let error = head(&setup.build()).await.unwrap_err();
        assert_eq!(
            error.kind(),
            FailureKind::RefusedAddress,
            "{endpoint}: {error}"
        );
        assert!(!error.is_outage());
    }
    assert_eq!(origin.connections(), 0);
}

/// UP-04: every hop is checked, and an allowed host stays allowed.
#[tokio::test]
async fn a_guarded_upstream_is_not_led_astray() {
    let (origin, inside) = (Origin::start().await, Origin::start().await);
    let blob = bytes(1, 10);
    let digest = origin.push_blob("org/app", &blob);
    let mut setup = Setup::at(&origin.url_as("registry.a.test", "/"));
    setup.trust = AddressPolicy::PublicOrAllowed;
    setup.outbound.ssrf_allowed_hosts = vec!["registry.a.test".parse().unwrap()];
    let upstream = setup.build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!(collect(body).await.unwrap(), blob);
    for to in [
        inside.url("/"),
        inside.url_as("canary.b.test", "/"),
        "http://169.254.169.254/".to_owned(),
    ] {
        origin.once("GET", "/v2/", Fault::Redirect(to.clone()));
        let error = upstream
            .open_blob(&name("org/app"), &digest, 0)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::RefusedAddress, "{to}: {error}");
    }
    assert_eq!(inside.connections(), 0);
}

/// A certificate for `names`, its file, and a server that has it.
async fn tls_site(names: &[&str]) -> (tempfile::TempDir, Origin) {
    let identity = Identity::for_names(names);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), &identity.certificate_pem).unwrap();
    let origin = Origin::start_tls(identity).await;
    serve_image(&origin);
    (directory, origin)
}

#[tokio::test]
async fn a_ca_file_or_a_directory_of_them_makes_a_certificate_good() {
    let (directory, origin) = tls_site(&["registry.a.test"]).await;
    let endpoint = origin.url_as("registry.a.test", "/");
    head(
        &Setup::at(&endpoint)
            .ca_file(&directory.path().join("ca.pem"))
            .build(),
    )
    .await
    .unwrap();
    let mut setup = Setup::at(&endpoint);
    setup.outbound.extra_ca_certs = Some(directory.path().to_owned());
    head(&setup.build()).await.unwrap();
}

/// UP-03, SE-03: unknown authority, wrong name, an authority other than the one pinned. Never asked twice.
#[tokio::test]
async fn tls_errors_are_final() {
    let (directory, origin) = tls_site(&["registry.a.test"]).await;
    let (other, _) = tls_site(&["registry.a.test"]).await;
    let mut unknown = Setup::at(&origin.url_as("registry.a.test", "/"));
    unknown.outbound.extra_ca_certs = Some(other.path().to_owned());
    let wrong_name = Setup::at(&origin.url_as("localhost", "/"));
    let wrong_name = wrong_name.ca_file(&directory.path().join("ca.pem"));
    let mut pinned = Setup::at(&origin.url_as("registry.a.test", "/"));
    pinned.outbound.extra_ca_certs = Some(directory.path().to_owned());
    let pinned = pinned.ca_file(&other.path().join("ca.pem"));
    for (tried, setup) in [unknown, wrong_name, pinned].iter().enumerate() {
        let error = head(&setup.build()).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::Tls, "{error}");
        assert!(error.is_outage());
        assert_eq!(origin.connections(), tried + 1);
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn what_cannot_be_set_up_is_said_at_once() {
    let origin = Origin::start().await;
    let missing = Setup::of(&origin).ca_file("/nonexistent/ca.pem".as_ref());
    assert!(
        missing
            .try_build()
            .is_err_and(|error| error.to_string().contains("ca.pem"))
    );
    let mut proxy = Setup::of(&origin);
    proxy.rule.proxy = ProxyChoice::Environment;
    proxy.outbound.proxies.http = Some("http://".to_owned());
    assert!(proxy.try_build().is_err());
    let mut scheme = Setup::of(&origin);
    scheme.rule.endpoint = Some("ftp://registry.a.test/".parse().unwrap());
    assert!(scheme.try_build().is_err());
}

#[tokio::test]
async fn an_endpoint_may_have_a_path_and_an_unknown_name_is_an_outage() {
    let origin = Origin::start().await;
    origin.push_file("/prefix/v2/", &bytes(1, 2));
    Setup::at(&origin.url("/prefix"))
        .build()
        .ping()
        .await
        .unwrap();
    let error = Setup::at("http://nowhere.c.test/")
        .build()
        .ping()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), FailureKind::Dns, "{error}");
    assert!(error.is_outage());
}
