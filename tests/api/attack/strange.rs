//! Input that no client sends, at every door; and what every door's answers carry.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::tenants::Tenants;
use super::{Door, doors, send};
use crate::harness::site::{Answer, Site};

/// Queries with every parameter that a door reads, and values that it does not expect.
fn queries() -> Vec<String> {
    let names = [
        "limit",
        "page",
        "next_page",
        "namespace",
        "query",
        "filter_tag_name",
        "specificTag",
        "starttime",
        "endtime",
        "performer",
        "filter",
        "expiring",
        "token",
        "permissions",
        "includeTeams",
        "rotation",
        "expiration",
        "format",
        "scope",
        "repo_kind",
    ];
    let values = [
        "-1",
        "0",
        "18446744073709551616",
        "9223372036854775807",
        "1e400",
        "NaN",
        "",
        "%00",
        "%ff%fe",
        "%",
        "%zz",
        "%ED%A0%80",
        "\u{0}%0d%0aSet-Cookie:x",
        "99/99/99999",
        "-262143-01-01",
        "9999-12-31",
        "12/31/9999",
        "like:",
        "like:%00",
        "eq:",
        ":",
        "..%2f..",
        "%252e",
        "true&limit=2&limit=x",
    ];
    let all = |value: &str| {
        let value = value.replace('\u{0}', "");
        let pairs: Vec<_> = names.iter().map(|name| format!("{name}={value}")).collect();
        pairs.join("&")
    };
    let mut queries: Vec<_> = values.iter().map(|value| all(value)).collect();
    queries.push(format!("query={}", "x".repeat(5_000)));
    queries.push("&&&===&=".to_owned());
    queries
}

/// Bodies that are no JSON, or JSON of a kind that no door takes.
fn bodies() -> Vec<Vec<u8>> {
    let fields = [
        "name",
        "role",
        "description",
        "email",
        "username",
        "password",
        "title",
        "scope",
        "expiration",
        "visibility",
        "state",
        "manifest_digest",
        "tagPattern",
        "key",
        "value",
        "media_type",
        "limit",
        "redirect_uri",
        "application_uri",
        "upstream_registry",
        "expiration_s",
        "insecure",
        "delegate",
        "activating_user",
        "message",
        "service",
        "metadata",
        "notes",
        "repository",
        "namespace",
        "tag_expiration_s",
        "invite_code",
        "unstructured_metadata",
        "immutable",
        "is_alive",
        "enabled",
        "adminUser",
        "adminPassword",
        "dismissed",
        "invoice_email",
        "given_name",
        "bitbucket_username",
    ];
    let of = |value: Value| {
        let members = fields
            .iter()
            .map(|name| ((*name).to_owned(), value.clone()));
        Value::Object(members.collect()).to_string().into_bytes()
    };
    let mut bodies: Vec<Vec<u8>> = vec![
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"x\"".to_vec(),
        b"{".to_vec(),
        b"\xff\xfe{}".to_vec(),
        br#"{"name": "\ud800", "role": "\udc00"}"#.to_vec(),
        br#"{"name": 1e999, "expiration": 1e999}"#.to_vec(),
        br#"{"name": "a", "name": "b", "role": "read", "role": "admin"}"#.to_vec(),
        vec![b'['; 100_000],
        r#"{"a":"#.repeat(50_000).into_bytes(),
        vec![b' '; (1 << 20) + 1],
    ];
    for value in [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!(true),
        json!([[]]),
        json!({"name": {"name": []}, "kind": 7}),
        json!(""),
        json!("\u{0}\r\nSet-Cookie: x=y\u{202e}"),
        json!("(((((((((((((((((((a*)*)*)*)*)*)*)*)*)*"),
        json!("x".repeat(70_000)),
        json!("-99999999999999999999"),
    ] {
        bodies.push(of(value));
    }
    bodies
}

/// Whether it would take away what the other doors are tried with.
fn is_final(door: &Door) -> bool {
    let ends = [
        "/api/v1/repository/{repository}",
        "/api/v1/organization/{orgname}",
        "/api/v1/superuser/users/{username}",
        "/api/v1/superuser/organizations/{name}",
        "/api/v1/superuser/takeownership/{namespace}",
        "/api/v1/user/",
    ];
    door.method == Method::DELETE && ends.contains(&door.path.as_str())
        || door.path.contains("takeownership")
        || door.path.ends_with("/signout")
}

fn check(site: &Site, what: &str, answer: &Answer) {
    let (status, text) = (
        answer.status.as_u16(),
        String::from_utf8_lossy(&answer.body),
    );
    // What is not built says so; what another service did not do is 520.
    let is_known = status < 500 || [501, 503, 520].contains(&status);
    assert!(is_known, "{what}: {status} {text}");
    let data = site.config.data_dir.to_string_lossy().into_owned();
    for canary in [
        data.as_str(),
        "panicked",
        "src/",
        ".rs:",
        "redb",
        "RUST_BACKTRACE",
    ] {
        assert!(!text.contains(canary), "WB-03: {what}: {text}");
    }
    assert!(
        !answer.headers.contains_key("set-cookie") || status < 400,
        "{what}"
    );
    assert!(!answer.header("x-request-id").is_empty(), "WB-03: {what}");
}

async fn stage() -> (Tenants, String) {
    let tenants = Tenants::new().await;
    let bob = format!("Bearer {}", tenants.bob);
    (tenants, bob)
}

/// WB-03, AZ-10: whatever a query says, no door fails by it.
#[tokio::test]
async fn no_query_makes_a_door_fail() {
    let (tenants, bob) = stage().await;
    let site = &tenants.site;
    let mut doors = doors(site).await;
    doors.retain(|door| !door.changes());
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        for query in queries() {
            let headers = [("authorization", bob.as_str())];
            let answer = site.get_with(&format!("{path}?{query}"), &headers).await;
            let query: String = query.chars().take(80).collect();
            check(site, &format!("{path}?{query}"), &answer);
        }
    }
}

/// WB-03: whatever a body says, no door fails by it.
#[tokio::test]
async fn no_body_makes_a_door_fail() {
    let (tenants, bob) = stage().await;
    let site = &tenants.site;
    let mut doors = doors(site).await;
    doors.retain(|door| door.changes() && !is_final(door));
    let order = [Method::POST, Method::PUT, Method::DELETE];
    doors.sort_by_key(|door| order.iter().position(|method| *method == door.method));
    let bodies = bodies();
    for door in &doors {
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        for body in &bodies {
            let headers = [("authorization", bob.as_str())];
            let answer = send(site, &door.method, &path, &headers, body.clone()).await;
            let begin: String = String::from_utf8_lossy(body).chars().take(60).collect();
            check(site, &format!("{} {path} {begin}", door.method), &answer);
        }
    }
}

/// WB-03: whatever stands in a path, no door fails by it.
#[tokio::test]
async fn no_path_makes_a_door_fail() {
    let (tenants, bob) = stage().await;
    let site = &tenants.site;
    let values = [
        "%00",
        "a%00b",
        "%ff",
        "%ED%A0%80",
        "..",
        "%2e%2e",
        "%2F",
        "%0d%0aX:%20y",
        "%F0%9F%98%80",
        "-1",
        "99999999999999999999",
        "sha256:x",
        "+",
        "a+",
        "+a",
        "a@",
        "'%22<>",
        "%25",
        "*",
        "~",
        "%5c",
    ];
    let long = "x".repeat(3_000);
    for door in &doors(site).await {
        for value in values.iter().copied().chain([long.as_str()]) {
            let path = door.at(|name| match name {
                "orgname" => "umbra".to_owned(),
                "repository" => "umbra/zqvault".to_owned(),
                _ => value.to_owned(),
            });
            if path == door.path {
                continue;
            }
            let headers = [("authorization", bob.as_str())];
            let answer = send(site, &door.method, &path, &headers, "{}").await;
            check(site, &format!("{} {path}", door.method), &answer);
        }
        if is_final(door) {
            continue;
        }
        for value in &values[..6] {
            let path = door.at(|_| (*value).to_owned());
            let headers = [("authorization", bob.as_str())];
            let answer = send(site, &door.method, &path, &headers, "{}").await;
            check(site, &format!("{} {path}", door.method), &answer);
        }
    }
}

/// WB-02: on every door, to nobody and to somebody, let in or not: nothing runs, is framed, is taken for
/// another type, or tells where it was read; and nothing of the API is kept by anybody on the way.
#[tokio::test]
async fn every_door_answers_with_the_security_headers() {
    let (tenants, bob) = stage().await;
    let site = &tenants.site;
    for door in &doors(site).await {
        if is_final(door) {
            continue;
        }
        let path = door.at(|name| tenants.value(door, name, "umbra"));
        for headers in [&[][..], &[("authorization", bob.as_str())]] {
            let answer = send(site, &door.method, &path, headers, "{}").await;
            let what = format!("{} {path}: {}", door.method, answer.status);
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
            let policy = answer.header("content-security-policy");
            for part in ["default-src ", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(part), "{what}: {policy}");
            }
            let kind = answer.header("content-type");
            assert!(
                !kind.contains("html") || policy.contains("default-src 'none'"),
                "{what}"
            );
            if door.is_api() {
                let kept = answer.header("cache-control");
                assert!(kept.contains("no-store"), "AZ-16: {what}: {kept:?}");
            }
        }
    }
}

/// TP-04: the doors beside `/api/v1` and what nobody gets there. A door that is added is written down here.
#[tokio::test]
async fn every_door_of_the_web_is_written_down() {
    let site = Site::start(|_| {}).await;
    let mut found = BTreeMap::new();
    for door in doors(&site).await.iter().filter(|door| !door.is_api()) {
        let path = door.at(|_| "nosuch".to_owned());
        let status = send(&site, &door.method, &path, &[], "")
            .await
            .status
            .as_u16();
        found.insert(format!("{} {}", door.method, door.path), status);
    }
    let expected: BTreeMap<String, u16> = [
        ("DELETE /keys/services/{service}/keys/{kid}", 400),
        ("GET /.well-known/app-capabilities", 200),
        ("GET /.well-known/change-password", 401),
        ("GET /authrepoemail", 404),
        ("GET /config", 200),
        ("GET /confirm", 404),
        ("GET /confirminvite", 404),
        ("GET /csrf_token", 200),
        ("GET /keys/services/{service}/keys", 200),
        ("GET /keys/services/{service}/keys/{kid}", 404),
        ("GET /oauth/authorize", 400),
        ("GET /oauth/localapp", 401),
        ("GET /opensearch.xml", 200),
        ("GET /recovery", 404),
        ("GET /robots.txt", 200),
        ("GET /secscan/_internal_ping", 200),
        ("GET /v1/", 200),
        ("GET /v1/_internal_ping", 200),
        ("GET /v1/_ping", 200),
        ("GET /v1/search", 200),
        ("POST /oauth/access_token", 400),
        ("POST /oauth/authorize/assignuser", 401),
        ("POST /oauth/authorizeapp", 401),
        ("POST /oauth/denyapp", 401),
        ("PUT /keys/services/{service}/keys/{kid}", 400),
    ]
    .map(|(door, status)| (door.to_owned(), status))
    .into();
    assert_eq!(found, expected);
}
