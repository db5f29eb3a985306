//! What holds for every path below `/v2/`.

use std::collections::BTreeMap;

use entrepot::config::{Artifacts, RegistryMirror};
use reqwest::Method;

use super::stage;
use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::site::{Site, rule};
use crate::harness::soon;

const ZERO: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

#[tokio::test]
async fn a_ping_says_that_this_is_a_registry() {
    let (_origin, site, _) = stage(&[10]).await;
    for path in ["/v2/", "/v2"] {
        let answer = site.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "{}"));
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            "registry/2.0"
        );
        assert_eq!(answer.header("content-type"), "application/json");
    }
    assert_eq!(site.head("/v2/").await.header("content-length"), "2");
    let login = [("authorization", "Basic dXNlcjpwYXNzd29yZA==")];
    let answer = site
        .ask(Method::GET, &site.mirror_url("/v2/"), &login)
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn every_failure_has_a_code_and_the_version_of_the_protocol() {
    let (origin, site, _) = stage(&[10]).await;
    for (path, status, code) in [
        (
            "/v2/docker.io/library/app/manifests/nosuch",
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "/v2/docker.io/library/app/manifests/.x",
            404,
            "MANIFEST_UNKNOWN",
        ),
        (
            "/v2/docker.io/library/app/manifests/sha256:x",
            400,
            "DIGEST_INVALID",
        ),
        (
            "/v2/docker.io/library/app/blobs/md5:x",
            400,
            "DIGEST_INVALID",
        ),
        ("/v2/docker.io/UPPER/tags/list", 400, "NAME_INVALID"),
        ("/v2/elsewhere/app/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/app/tags/list?ns=nobody.example", 404, "NAME_UNKNOWN"),
        ("/v2/docker.io/nosuch/tags/list", 404, "NAME_UNKNOWN"),
        (
            "/v2/docker.io/library/app/tags/list?n=-1",
            400,
            "PAGINATION_NUMBER_INVALID",
        ),
        ("/v2/docker.io/library/app", 404, "UNKNOWN"),
        ("/v2/_oci/ext/discover", 404, "UNKNOWN"),
    ] {
        let answer = site.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.code()),
            (status, code),
            "{path}"
        );
        assert_eq!(
            answer.header("docker-distribution-api-version"),
            "registry/2.0"
        );
        // WB-03: the request can be found in the log.
        let detail = answer.json()["errors"][0]["detail"]["request_id"].clone();
        assert_eq!(detail, answer.header("x-request-id"));
    }
    let absent = format!("/v2/docker.io/library/app/blobs/{ZERO}");
    assert_eq!(site.get(&absent).await.code(), "BLOB_UNKNOWN");
    let asked = origin.requests().len();
    site.get("/v2/app/tags/list?ns=nobody.example").await;
    assert_eq!(
        origin.requests().len(),
        asked,
        "what nobody configured is never asked for"
    );
}

/// Pushes are refused at their first request, with the reason, and nothing is read of them.
#[tokio::test]
async fn a_cache_refuses_to_be_written_to() {
    let (origin, site, image) = stage(&[10]).await;
    let digest = image.digest();
    for (method, path, allow) in [
        (Method::POST, "blobs/uploads/".to_owned(), ""),
        (Method::POST, "blobs/uploads".to_owned(), ""),
        (Method::PATCH, "blobs/uploads/x".to_owned(), ""),
        (Method::GET, "blobs/uploads/x".to_owned(), ""),
        (Method::PUT, "manifests/v1".to_owned(), "GET, HEAD"),
        (Method::DELETE, format!("manifests/{digest}"), "GET, HEAD"),
        (Method::DELETE, format!("blobs/{digest}"), "GET, HEAD"),
        (Method::POST, "tags/list".to_owned(), "GET, HEAD"),
    ] {
        let url = site.url(&format!("/v2/docker.io/library/app/{path}"));
        let answer = site.ask(method.clone(), &url, &[]).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.code(), "UNSUPPORTED");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert!(
            answer.text().contains("docker.io is a cache"),
            "{}",
            answer.text()
        );
    }
    let ping = site.ask(Method::POST, &site.url("/v2/"), &[]).await;
    assert_eq!(
        (ping.status.as_u16(), ping.header("allow")),
        (405, "GET, HEAD")
    );
    assert_eq!(origin.requests().len(), 0);
}

/// PR-14: HEAD tells what GET would, also of what is seen for the first time.
#[tokio::test]
async fn head_and_get_have_the_same_headers() {
    let (_origin, site, image) = stage(&[100_000]).await;
    let digest = image.digest();
    let layer = entrepot::oci::Digest::of(&image.layers[0]);
    for path in [
        "/v2/".to_owned(),
        "/v2/docker.io/library/app/manifests/v1".to_owned(),
        format!("/v2/docker.io/library/app/manifests/{digest}"),
        format!("/v2/docker.io/library/app/blobs/{layer}"),
        "/v2/docker.io/library/app/tags/list".to_owned(),
        format!("/v2/docker.io/library/app/referrers/{digest}"),
        "/v2/docker.io/library/app/manifests/nosuch".to_owned(),
        "/v2/_catalog".to_owned(),
        "/health".to_owned(),
        "/nosuch".to_owned(),
    ] {
        for _ in 0..2 {
            let (head, get) = (site.head(&path).await, site.get(&path).await);
            assert_eq!(head.status, get.status, "{path}");
            let compared = |answer: &crate::harness::site::Answer| {
                let mut headers = answer.headers.clone();
                // How an answer came about differs between the first and the second.
                for name in ["date", "x-request-id", "cache-status"] {
                    headers.remove(name);
                }
                headers
            };
            let (of_head, of_get) = (compared(&head), compared(&get));
            let names = |headers: &reqwest::header::HeaderMap| {
                let mut names: Vec<_> = headers.keys().cloned().collect();
                names.sort_by_key(ToString::to_string);
                names
            };
            assert_eq!(names(&of_head), names(&of_get), "{path}");
            assert_eq!(of_head, of_get, "{path}");
            assert!(head.body.is_empty(), "{path}");
        }
    }
}

/// Addressing: mirror listener, `?ns=`, first component; and one repository behind all of them.
#[tokio::test]
async fn one_repository_is_reached_in_every_way() {
    let (origin, site, image) = stage(&[10]).await;
    let wanted = image.digest().to_string();
    for path in [
        "/v2/docker.io/library/app/manifests/v1",
        "/v2/docker.io/app/manifests/v1",
        "/v2/library/app/manifests/v1?ns=docker.io",
        "/v2/library/app/manifests/v1?ns=registry-1.docker.io&other=1",
        "/v2/docker.io/library/app/manifests/v1?ns=docker.io",
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.header("docker-content-digest"), wanted, "{path}");
        let scoped = path.contains("ns=");
        assert_eq!(
            answer.headers.contains_key("oci-namespace"),
            scoped,
            "{path}"
        );
    }
    let answer = site
        .mirror_get("/v2/library/app/manifests/v1?ns=docker.io")
        .await;
    assert_eq!(answer.header("docker-content-digest"), wanted);
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/"), 1);
}

/// A mirror by its name: the organisation's content at the root of a common listener.
#[tokio::test]
async fn a_hostname_serves_its_organisation_at_the_root() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("library/app", "v1", &image);
    let rules = vec![rule("docker.io", "docker.io", &origin)];
    let site = Site::start(|config| {
        config.upstreams = rules;
        config.registry_mirrors = vec![RegistryMirror {
            organization: "docker.io".parse().unwrap(),
            listen: None,
            hostname: Some("mirror.test".to_owned()),
        }];
    })
    .await;
    for host in ["mirror.test", "MIRROR.test:8080"] {
        let host = [("host", host)];
        let answer = site.get_with("/v2/library/app/manifests/v1", &host).await;
        assert_eq!(answer.status, 200, "{host:?}");
        assert_eq!(
            answer.header("docker-content-digest"),
            image.digest().to_string()
        );
    }
    assert_eq!(site.get("/v2/library/app/manifests/v1").await.status, 404);
}

#[tokio::test]
async fn an_upstream_that_is_down_is_not_a_404() {
    let (origin, site, _) = stage(&[10]).await;
    let refusal = Fault::Status(429, vec![("Retry-After", "7".to_owned())], "");
    origin.always("GET", "/v2/library/app/manifests/", refusal);
    let answer = site.get("/v2/docker.io/library/app/manifests/v1").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.code()),
        (429, "TOOMANYREQUESTS")
    );
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    let (origin, site, _) = stage(&[10]).await;
    origin.stop().await;
    let answer = site.get("/v2/docker.io/library/app/manifests/v1").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert_eq!(answer.code(), "UNAVAILABLE");
}

#[tokio::test]
async fn a_cache_that_is_not_for_everyone_is_denied() {
    let origin = Origin::start().await;
    let mut rule = rule("private", "private.example", &origin);
    rule.anonymous_pull = false;
    let site = Site::caching(vec![rule]).await;
    let answer = site.get("/v2/private/app/tags/list").await;
    assert_eq!((answer.status.as_u16(), &*answer.code()), (403, "DENIED"));
    assert_eq!(origin.requests().len(), 0);
}

/// SC-201, SC-203: whoever is refused for a type reads which one it is and which key says so.
#[tokio::test]
async fn a_type_that_is_not_taken_is_named_with_its_key() {
    let listed = Artifacts::Listed(BTreeMap::new());
    for (artifacts, part) in [
        (
            listed,
            "the artifactType text/x-note is not allowed in this registry \
             (ALLOWED_OCI_ARTIFACT_TYPES)",
        ),
        (
            Artifacts::Images,
            "a manifest of type application/vnd.oci.image.manifest.v1+json is not allowed in this \
             registry (FEATURE_GENERAL_OCI_SUPPORT)",
        ),
    ] {
        let site = Site::start(|config| {
            config.pushes.anonymous = vec!["local".parse().unwrap()];
            config.pushes.artifacts = artifacts;
        })
        .await;
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","artifactType":"text/x-note",
            "config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{ZERO}","size":2}},
            "layers":[]}}"#
        );
        let url = site.url("/v2/local/app/manifests/v1");
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let put = client.put(&url).header("content-type", MANIFEST);
        let answer = soon(&url, put.body(manifest).send()).await.unwrap();
        assert_eq!(answer.status(), 415);
        let text = soon(&url, answer.text()).await.unwrap();
        assert!(text.contains(part), "{text}");
    }
}
