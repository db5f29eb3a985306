//! Names, digests and headers of people who mean harm, as raw bytes.

use std::path::Path;

use super::{BY_TAG, stage};
use crate::harness::origin::Origin;
use crate::harness::site::Site;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

async fn get_raw(site: &Site, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    site.send_raw(request.as_bytes()).await
}

/// Every file below a folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    found
}

/// PR-04: no name reaches upstream or the disk that is not of the grammar.
#[tokio::test]
async fn names_out_of_the_grammar_reach_nobody() {
    let (origin, site, _) = stage(&[10]).await;
    let before = files(&site.config.data_dir);
    let long = format!("docker.io/{}", "a/".repeat(130) + "a");
    let names = [
        "..",
        "docker.io/..",
        "docker.io/../../etc",
        "docker.io/%2e%2e/app",
        "docker.io/%2E%2E%2F%2e%2e/app",
        "docker.io/..%2f..%2fetc",
        "docker.io/%252e%252e/app",
        "docker.io/a//b",
        "docker.io/a/./b",
        "docker.io//a",
        "/docker.io/a",
        "docker.io/a%00b",
        "docker.io/a%0d%0aX-Evil:1",
        "docker.io/a%0ab",
        "docker.io\\app",
        "docker.io/a%5cb",
        "docker.io/UPPER",
        "docker.io/-a",
        "docker.io/a-",
        "docker.io/a_",
        "docker.io/a___b",
        "docker.io/a..b",
        "docker.io/a%20b",
        "docker.io/%C3%A4",
        "docker.io/%ff",
        "docker.io/%zz",
        "docker.io/a%",
        "docker.io/a@b",
        "docker.io/a:b",
        "docker.io/a%3fb",
        "docker.io/a%23b",
        "docker.io/a;b",
        &long,
    ];
    for name in names {
        for rest in [
            "manifests/v1",
            "tags/list",
            &format!("blobs/sha256:{HEX}"),
            "blobs/uploads/",
        ] {
            let (status, text) = get_raw(&site, &format!("/v2/{name}/{rest}")).await;
            assert!((400..=405).contains(&status), "{name}/{rest}: {text}");
            let body = text.split("\r\n\r\n").nth(1).unwrap();
            let json: serde_json::Value = serde_json::from_str(body).expect(body);
            assert!(
                json["errors"][0]["code"].is_string(),
                "{name}/{rest}: {text}"
            );
            assert!(!text.to_lowercase().contains("\r\nx-evil"), "{name}");
        }
    }
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(files(&site.config.data_dir), before);
}

/// PR-03: a digest is one of the algorithms we know, and exact; anything else is 400 and touches nothing.
#[tokio::test]
async fn digests_out_of_the_grammar_reach_nobody() {
    let (origin, site, _) = stage(&[10]).await;
    let before = files(&site.config.data_dir);
    let upper = HEX.to_uppercase();
    for digest in [
        format!("SHA256:{HEX}"),
        format!("sha256:{upper}"),
        format!("sha256:{}", &HEX[1..]),
        format!("sha256:{HEX}0"),
        format!("sha256:{HEX}%00"),
        format!("sha256:{HEX}%0a"),
        format!("sha256:{HEX}%20"),
        format!("sha256+b64:{HEX}"),
        format!("sha512:{HEX}"),
        format!("md5:{}", &HEX[..32]),
        format!("sha1:{}", &HEX[..40]),
        format!(":{HEX}"),
        "sha256:".to_owned(),
        ":".to_owned(),
    ] {
        for kind in ["blobs", "manifests", "referrers"] {
            let path = format!("/v2/docker.io/library/app/{kind}/{digest}");
            let (status, text) = get_raw(&site, &path).await;
            assert_eq!(status, 400, "{path}: {text}");
            assert!(text.contains("DIGEST_INVALID"), "{path}: {text}");
        }
    }
    // With slashes it is no digest's path at all.
    for digest in [
        "sha256:../../x",
        "sha256:%2e%2e%2f%2e%2e%2fx",
        "..%2f..%2fx",
    ] {
        let path = format!("/v2/docker.io/library/app/blobs/{digest}");
        let (status, text) = get_raw(&site, &path).await;
        assert!(matches!(status, 400 | 404), "{path}: {text}");
    }
    assert_eq!(origin.requests().len(), 0);
    assert_eq!(files(&site.config.data_dir), before);
}

/// PR-04: a tag out of the grammar cannot exist.
#[tokio::test]
async fn tags_out_of_the_grammar_are_unknown() {
    let (origin, site, _) = stage(&[10]).await;
    let long = "a".repeat(129);
    for tag in [
        ".x", "-x", "..", "%2e%2e", "a%2fb", "a%00", "a%20b", "a%0ab", "%C3%A4", &long,
    ] {
        let (status, text) = get_raw(&site, &format!("/v2/docker.io/a/manifests/{tag}")).await;
        assert!(status == 404 || status == 400, "{tag}: {text}");
        assert!(text.contains("\"errors\""), "{tag}: {text}");
    }
    assert_eq!(origin.requests().len(), 0);
}

/// What a name makes of itself on its way: decoded once, and asked for as it is.
#[tokio::test]
async fn an_escaped_name_is_the_name() {
    let (origin, site, image) = stage(&[10]).await;
    let digest = image.digest().to_string().replace(':', "%3A");
    for path in [
        "/v2/docker.io%2Flibrary%2Fapp/manifests/v1".to_owned(),
        "/v2/docker.io/library/app/manifests/v%31".to_owned(),
        format!("/v2/docker.io/library/app/manifests/{digest}"),
    ] {
        assert_eq!(site.get(&path).await.body, image.manifest.bytes, "{path}");
    }
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/"), 1);
}

/// CA-17: what one client sends beside the name never changes what upstream is asked or others get.
#[tokio::test]
async fn hostile_headers_and_queries_poison_nothing() {
    let origin = Origin::start().await;
    let image = crate::harness::content::Image::small(1);
    origin.push_image("library/app", "v1", &image);
    let site = Site::cache_of(&origin).await;
    let headers = [
        ("accept", "text/html"),
        ("accept-encoding", "gzip, br"),
        ("authorization", "Bearer stolen"),
        ("cookie", "session=1"),
        ("range", "bytes=0-3"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "gopher"),
        ("forwarded", "host=evil.test"),
        ("x-original-url", "/v2/other/manifests/v1"),
        ("x-http-method-override", "DELETE"),
        ("if-none-match", "\"x\""),
        ("via", "1.1 evil"),
    ];
    let path = format!("{BY_TAG}?n=1&digest=sha256:{HEX}&_state=x&token=abc&tag=v2");
    let first = site.get_with(&path, &headers).await;
    assert_eq!(
        (first.status.as_u16(), &first.body),
        (200, &image.manifest.bytes)
    );
    let asked = origin.last("GET", "/v2/library/app/manifests/");
    assert_eq!(asked.query, "");
    for name in [
        "authorization",
        "cookie",
        "range",
        "x-forwarded-host",
        "if-none-match",
    ] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert!(
        asked
            .header("accept")
            .unwrap()
            .contains("application/vnd.oci.image.index.v1+json")
    );
    let second = site.get(BY_TAG).await;
    assert_eq!(second.body, image.manifest.bytes);
    assert_eq!(second.header("content-type"), first.header("content-type"));
    assert!(!second.text().contains("evil"));
}
