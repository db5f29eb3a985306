//! Requests that another site has a browser send, planted sessions, and headers that claim things.

use entrepot::config::UrlScheme;
use entrepot::model::Visibility;
use reqwest::Method;
use serde_json::{Value, json};

use super::{doors, send};
use crate::harness::browser::Browser;
use crate::harness::people::password;
use crate::harness::site::Site;

/// A site where root, a superuser, rules acme.
async fn stage() -> Site {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    site.organization("acme", Some(root)).await;
    site.repository("acme/app", Visibility::Private).await;
    site
}

/// Doors that take a proof of their own, which no other site has.
const PROVEN: [&str; 8] = [
    "/api/v1/user/initialize",
    "/api/v1/bootstrap/renew",
    "/oauth/access_token",
    "/oauth/authorizeapp",
    "/oauth/denyapp",
    "/oauth/authorize/assignuser",
    "/keys/services/{service}/keys/{kid}",
    "/api/v1/user/",
];

/// AU-15: every door that changes something, with the cookie that a browser would send along and every kind
/// of request that another site can have it send: none is let in, and nothing is changed.
#[tokio::test]
async fn another_site_changes_nothing_at_any_door() {
    let site = stage().await;
    let browser = Browser::signed_in(&site, "root").await;
    let cookie = browser.cookie().unwrap();
    let stranger = Browser::new(&site);
    let foreign = stranger.fetch_csrf().await;
    let watched = [
        "/api/v1/user/",
        "/api/v1/organization/acme",
        "/api/v1/repository/acme/app",
        "/api/v1/organization/acme/robots",
        "/api/v1/user/apptoken",
        "/api/v1/messages",
    ];
    let look = async || {
        let mut seen = Vec::new();
        for path in watched {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, 200, "{path}");
            seen.push(answer.text().to_owned());
        }
        seen
    };
    let before = look().await;
    let mut changing = doors(&site).await;
    changing.retain(|door| door.changes());
    assert!(changing.len() > 80, "{}", changing.len());
    let form = format!("_csrf_token={foreign}&role=admin&name=x&username=evil");
    let requests = [
        ("text/plain", r#"{"role": "admin", "name": "x"}"#.to_owned()),
        ("application/x-www-form-urlencoded", form),
        ("application/json", "{}".to_owned()),
        ("", String::new()),
    ];
    for door in &changing {
        let path = door.at(|name| match name {
            "orgname" => "acme".to_owned(),
            "repository" => "acme/app".to_owned(),
            _ => "nosuch".to_owned(),
        });
        for (kind, body) in &requests {
            let headers = [
                ("cookie", cookie.as_str()),
                ("content-type", kind),
                ("origin", "https://evil.example"),
                ("x-requested-with", "XMLHttpRequest"),
                ("x-csrf-token", foreign.as_str()),
            ];
            let answer = send(&site, &door.method, &path, &headers, body.clone()).await;
            let what = format!("{} {path} {kind}: {}", door.method, answer.status);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(answer.status.is_client_error(), "{what}");
            // A feature that is off is off for everybody.
            let is_off = answer.status == 404;
            let is_refused = answer.status == 403 && text.contains("CSRF");
            assert!(
                is_refused || is_off || PROVEN.contains(&door.path.as_str()),
                "{what} {text}"
            );
        }
    }
    assert_eq!(look().await, before);
}

/// AU-15: a method is the one of the request line, whatever a header or a parameter says.
#[tokio::test]
async fn a_method_is_never_overridden() {
    let site = stage().await;
    let browser = Browser::signed_in(&site, "root").await;
    let cookie = browser.cookie().unwrap();
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        for method in ["DELETE", "PUT", "POST"] {
            let headers = [("cookie", cookie.as_str()), (name, method)];
            let path = format!("/api/v1/organization/acme?_method={method}&method={method}");
            let answer = site.get_with(&path, &headers).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.json()["name"], "acme", "{name}: {method}");
        }
    }
    assert_eq!(browser.get("/api/v1/organization/acme").await.status, 200);
}

/// AU-15: a cookie beside a token gives the token nothing, and the token excuses nothing but itself.
#[tokio::test]
async fn a_bad_token_is_no_excuse_for_a_cookie() {
    let site = stage().await;
    let browser = Browser::signed_in(&site, "root").await;
    let cookie = browser.cookie().unwrap();
    let robot = "/api/v1/organization/acme/robots/evil";
    for authorization in [
        "Bearer x",
        "Bearer",
        "Bearer a b",
        "Basic !",
        "Basic eDp5",
        "Digest x",
        "",
    ] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("authorization", authorization),
        ];
        let answer = send(&site, &Method::PUT, robot, &headers, "{}").await;
        assert_eq!(answer.status, 403, "{authorization}: {}", answer.text());
    }
    let robots = browser.get("/api/v1/organization/acme/robots").await;
    assert_eq!(robots.json(), json!({"robots": []}));
}

/// AU-14: a session that somebody planted in a browser is never that of who signs in there.
#[tokio::test]
async fn a_planted_session_stays_nobodys() {
    let site = stage().await;
    let browser = Browser::new(&site);
    browser.fetch_csrf().await;
    let (planted, token) = (browser.cookie(), browser.csrf());
    let answer = browser.sign_in("root", &password("root")).await;
    assert_eq!(answer.status, 200);
    assert_ne!(browser.cookie(), planted);
    assert_ne!(browser.csrf(), token);
    let own = browser.cookie();
    let attacker = Browser::new(&site);
    attacker.set_cookie(planted);
    assert_eq!(attacker.get("/api/v1/user/").await.status, 401);
    // Nor does the token of before change anything in the session of after.
    let cookie = own.unwrap();
    let headers = [
        ("cookie", cookie.as_str()),
        ("x-csrf-token", token.as_str()),
    ];
    let answer = send(&site, &Method::POST, "/api/v1/signout", &headers, "{}").await;
    assert_eq!(answer.status, 403);
    assert_eq!(browser.get("/api/v1/user/").await.status, 200);
}

/// AU-14: where clients come by TLS, the cookie does not leave it; every answer that sets one says so.
#[tokio::test]
async fn a_cookie_of_a_secure_site_is_secure() {
    let site = Site::start(|config| config.url_scheme = Some(UrlScheme::Https)).await;
    site.user("ann").await;
    let browser = Browser::new(&site);
    let first = browser.get("/csrf_token").await;
    let login = browser.sign_in("ann", &password("ann")).await;
    let out = browser.post("/api/v1/signout", json!({})).await;
    for answer in [first, login, out] {
        let cookie = answer.header("set-cookie");
        for part in ["; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
    }
}

/// AU-15, AU-05: the page of another site, shown by the operator's browser, makes no first user.
#[tokio::test]
async fn another_site_makes_no_first_user() {
    let site = Site::start(|config| config.features.user_initialize = true).await;
    let path = "/api/v1/user/initialize";
    let body = json!({"username": "evil", "password": "evil-evil-evil"}).to_string();
    for origin in ["https://evil.example", "null", "http://localhost", ""] {
        let headers = [("origin", origin), ("content-type", "text/plain")];
        let answer = send(&site, &Method::POST, path, &headers, body.clone()).await;
        assert_eq!(answer.status, 403, "{origin}: {}", answer.text());
    }
    let missing = site.get("/api/v1/users/evil").await;
    assert_eq!(missing.status, 404);
    let own = site.url("");
    let headers = [("origin", own.as_str())];
    let answer = send(&site, &Method::POST, path, &headers, body).await;
    assert_eq!(answer.status, 200, "the site's own page may");
}

/// WB-02, as DESIGN has it: credentials are for origins that are listed, letter by letter, and for no other.
#[tokio::test]
async fn only_listed_origins_are_answered_with_credentials() {
    let good = "https://good.example";
    let site = Site::start(|config| config.web.cors_origins = vec![good.to_owned()]).await;
    let open = stage().await;
    let credentials = "access-control-allow-credentials";
    for path in [
        "/api/v1/user/",
        "/api/v1/discovery",
        "/csrf_token",
        "/config",
    ] {
        for evil in [
            "null",
            "https://good.example.evil",
            "https://evil.example",
            "http://good.example",
            "https://good.example:444",
            "https://GOOD.example",
        ] {
            let answer = site.get_with(path, &[("origin", evil)]).await;
            assert!(!answer.headers.contains_key(credentials), "{path}: {evil}");
            let allowed = answer.header("access-control-allow-origin");
            assert_eq!(allowed, "", "{path}: {evil}");
            let answer = open.get_with(path, &[("origin", evil)]).await;
            assert!(!answer.headers.contains_key(credentials), "{path}: {evil}");
            assert_eq!(answer.header("access-control-allow-origin"), "*");
        }
        let answer = site.get_with(path, &[("origin", good)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), good, "{path}");
        assert_eq!(answer.header(credentials), "true");
    }
}

/// AU-16: where the operator named the site, nothing that a client sends renames it; nor does it say where a
/// client is.
#[tokio::test]
async fn a_client_renames_neither_the_site_nor_itself() {
    let site = Site::start(|config| {
        config.server_hostname = Some("registry.example".to_owned());
        config.audit.logins = true;
    })
    .await;
    site.user("ann").await;
    let spoofed = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "192.0.2.66"),
        ("x-real-ip", "192.0.2.66"),
        ("forwarded", "for=192.0.2.66;host=evil.example;proto=https"),
        ("x-remote-user", "ann"),
        ("remote-user", "ann"),
        ("x-forwarded-user", "ann"),
    ];
    for path in [
        "/config",
        "/api/v1/discovery",
        "/api/v1/openapi.json",
        "/api/v1/organization/nosuch",
        "/api/v1/user/",
        "/.well-known/app-capabilities",
        "/.well-known/change-password",
        "/opensearch.xml",
        "/",
        "/csrf_token",
        "/nosuch",
    ] {
        let answer = site.get_with(path, &spoofed).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!(!text.contains("evil.example"), "{path}: {text}");
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains("evil.example"), "{path}: {name}: {value}");
        }
        assert!(!text.contains("\"username\": \"ann\""), "{path}: {text}");
    }
    let browser = Browser::new(&site);
    browser.fetch_csrf().await;
    let body = json!({"username": "ann", "password": password("ann")}).to_string();
    let (cookie, csrf) = (browser.cookie().unwrap(), browser.csrf());
    let mut headers = spoofed.to_vec();
    headers.extend([("cookie", cookie.as_str()), ("x-csrf-token", csrf.as_str())]);
    let answer = send(&site, &Method::POST, "/api/v1/signin", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let line = site.lines("login_success").await.remove(0);
    assert_eq!(line["ip"], Value::from("127.0.0.1"));
}
