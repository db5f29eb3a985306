//! Health, metrics, the page for people, and what every answer carries.

use reqwest::Method;
use serde_json::json;

use super::stage;
use crate::harness::api::fields;
use crate::harness::origin::Origin;
use crate::harness::people::Who;
use crate::harness::site::{Site, rule};

/// The shape is Quay's, so that its monitors work.
#[tokio::test]
async fn health_names_its_services() {
    let (_origin, site, _) = stage(&[10]).await;
    let basic = json!({"auth": true, "database": true, "redis": true, "storage": true});
    for (path, services) in [
        ("/status", basic.clone()),
        ("/health/endtoend", basic),
        ("/health/warning", json!({"disk_space_warning": true})),
    ] {
        let answer = site.get(path).await;
        let expected = json!({"data": {"services": services}, "status_code": 200});
        if path == "/health/warning" {
            // Whether there is room is the machine's matter; that it is said is ours.
            assert!(answer.json()["data"]["services"]["disk_space_warning"].is_boolean());
        } else {
            assert_eq!(answer.json(), expected, "{path}");
        }
        assert_eq!(answer.json()["status_code"], answer.status.as_u16());
    }
    for path in ["/health", "/health/instance", "/health/"] {
        let json = site.get(path).await.json();
        let services = json["data"]["services"].as_object().unwrap();
        for name in [
            "registry_gunicorn",
            "web_gunicorn",
            "service_key",
            "disk_space",
            "database",
        ] {
            assert!(services[name].is_boolean(), "{path} {name}");
        }
    }
    assert_eq!(site.get("/_internal_ping").await.text(), "true");
}

/// LC-02: an upstream that is down makes nothing unready.
#[tokio::test]
async fn readiness_is_about_this_site_alone() {
    let (origin, site, _) = stage(&[10]).await;
    origin.stop().await;
    site.get("/v2/docker.io/library/app/manifests/v1").await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.get(path).await.status, 200, "{path}");
        let answer = site.ask(Method::GET, &site.metrics_url(path), &[]).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

/// LC-02, CR-05: a data directory that is gone is no storage.
#[tokio::test]
async fn a_lost_data_directory_is_seen() {
    let (_origin, site, _) = stage(&[10]).await;
    std::fs::remove_dir_all(&site.config.data_dir).unwrap();
    let answer = site.get("/health/endtoend").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["data"]["services"]["storage"], false);
    assert_eq!(answer.json()["status_code"], 503);
}

/// WB-02: metrics stand on their own listener only.
#[tokio::test]
async fn metrics_count_what_happens() {
    let (_origin, site, image) = stage(&[100_000]).await;
    assert_eq!(site.get("/metrics").await.status, 404);
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    site.head("/v2/docker.io/library/app/manifests/v1").await;
    site.pull("docker.io/library/app", "v1").await;
    let of_organization = [("organization", "docker.io")];
    let bytes: usize = image.blobs().map(bytes::Bytes::len).sum();
    let content = (bytes + image.manifest.bytes.len()) as f64;
    // A request is counted when its last byte is out, a moment after the client has it.
    site.until(
        "entrepot_proxy_served_bytes_total",
        &of_organization,
        2.0 * content,
    )
    .await;
    let saved = site
        .metric("entrepot_proxy_saved_bytes_total", &of_organization)
        .await;
    assert_eq!(saved, content);
    let blobs = [("operation", "blob"), ("class", "2xx")];
    assert_eq!(
        site.metric("entrepot_http_requests_total", &blobs).await,
        4.0
    );
}

#[tokio::test]
async fn the_page_shows_caches_and_how_to_pull() {
    let origin = Origin::start().await;
    let rules = vec![
        rule("docker.io", "docker.io", &origin),
        rule("team", "ghcr.io/team", &origin),
    ];
    let site = Site::caching(rules).await;
    let answer = site.get("/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    let page = answer.text();
    let host = site.address();
    for text in [
        format!("docker pull {host}/docker.io/library/alpine"),
        format!("podman pull --tls-verify=false {host}/docker.io/library/alpine"),
        format!("docker pull {host}/team/NAME:TAG"),
        format!("http://{}", site.mirror_address()),
        format!("[host.&quot;http://{host}&quot;]"),
        "It works.".to_owned(),
        "ghcr.io/team".to_owned(),
    ] {
        assert!(page.contains(&text), "{text} in {page}");
    }
    let nonce = page
        .split("nonce=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains(&format!("style-src 'nonce-{nonce}'")),
        "{policy}"
    );
    assert!(policy.contains("default-src 'none'"));
    assert_ne!(
        site.get("/").await.header("content-security-policy"),
        policy
    );
}

/// What a client writes into `Host` is text on the page, or no host at all.
#[tokio::test]
async fn the_page_repeats_nothing_as_markup() {
    let (_origin, site, _) = stage(&[10]).await;
    let answer = site.get_with("/", &[("host", "a'onload=x.example")]).await;
    assert!(!answer.text().contains("a'onload"), "{}", answer.text());
}

/// WB-02: on every route.
#[tokio::test]
async fn every_answer_carries_the_security_headers_and_its_name() {
    let (_origin, site, _) = stage(&[10]).await;
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/v2/"),
        (Method::GET, "/v2/docker.io/library/app/manifests/v1"),
        (Method::GET, "/v2/nosuch"),
        (Method::POST, "/v2/docker.io/library/app/blobs/uploads/"),
        (Method::GET, "/nosuch"),
        (Method::PUT, "/health"),
        (Method::GET, "/favicon.ico"),
        (Method::GET, "/readyz"),
    ] {
        let answer = site.ask(method, &site.url(path), &[]).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(
            !answer.headers.contains_key("access-control-allow-origin"),
            "{path}"
        );
    }
    let answer = site.get_with("/livez", &[("x-request-id", "mine-1")]).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_clients_form() {
    let (_origin, site, _) = stage(&[10]).await;
    assert_eq!(site.get("/favicon.ico").await.status, 204);
    let text = site.get("/nosuch").await;
    assert_eq!(
        (text.status.as_u16(), text.header("content-type")),
        (404, "text/plain; charset=utf-8")
    );
    let json = site
        .get_with("/nosuch", &[("accept", "application/json")])
        .await;
    assert_eq!(json.json()["status"], 404);
    let wrong = site.ask(Method::DELETE, &site.url("/health"), &[]).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.header("allow")),
        (405, "GET, HEAD")
    );
}

/// quay-api 9.5: who is no superuser is told what everybody is, with whatever credentials.
#[tokio::test]
async fn superusers_are_told_more_of_health() {
    let site = Site::start(|_| {}).await;
    site.superuser("root").await;
    site.user("ann").await;
    let everybody = site.get("/health/instance").await;
    assert_eq!(fields(&everybody.json()["data"]), ["services"]);
    let wrong = Who::Basic {
        user: "root".to_owned(),
        password: "wrong".to_owned(),
    };
    for path in ["/health/instance", "/health/endtoend", "/health/warning"] {
        let told = site.get_as(&Who::user("root"), path).await.json();
        let data = &told["data"];
        let mut named = fields(data);
        named.sort_unstable();
        let expected = [
            "config_provider",
            "hostname",
            "is_testing",
            "local_service_key_id",
            "notes",
            "services",
            "services_expanded",
        ];
        assert_eq!(named, expected);
        for (name, works) in data["services"].as_object().unwrap() {
            let expanded = &data["services_expanded"][name];
            assert_eq!(&expanded["status"], works, "{name}");
            let is_told = expanded.get("failure").is_some();
            assert_eq!(is_told, works == &json!(false), "{name}");
        }
    }
    for who in [Who::user("ann"), Who::Bearer("none".to_owned()), wrong] {
        let answer = site.get_as(&who, "/health/instance").await;
        assert_eq!(answer.text(), everybody.text(), "{who:?}");
    }
}
