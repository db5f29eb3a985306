//! Signing in and out at the web.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::browser::Browser;
use crate::harness::people::password;
use crate::harness::site::Site;

/// Quay: the token first, then sign-in with it, then a new one for what follows. SC-477: the line.
#[tokio::test]
async fn a_browser_signs_in_and_out() {
    let mut config = |config: &mut entrepot::config::Config| config.audit.logins = true;
    let site = Site::start(&mut config).await;
    site.user("ann").await;
    let browser = Browser::new(&site);
    let first = browser.fetch_csrf().await;
    assert_eq!(first.len(), 64);
    assert_eq!(browser.fetch_csrf().await, first, "the session keeps it");
    let answer = browser.sign_in("ann", &password("ann")).await;
    assert_eq!(answer.text(), "{\"success\": true}\n");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("_csrf_token="), "{cookie}");
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2678400"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "this is plain HTTP");
    assert_ne!(answer.header("x-next-csrf-token"), first);
    let me = browser.get("/api/v1/user/").await;
    assert_eq!(me.json()["username"], "ann");
    let stale = browser.cookie();
    let answer = browser.post("/api/v1/signout", json!({})).await;
    assert_eq!(answer.text(), "{\"success\": true}\n");
    assert_eq!(browser.cookie(), None);
    // AU-14: the cookie is dead, not only forgotten.
    browser.set_cookie(stale);
    assert_eq!(browser.get("/api/v1/user/").await.status, 401);
    let line = &site.lines("login_success").await[0];
    assert_eq!(fields(&line["metadata"]), ["type", "useragent"]);
    assert_eq!(line["metadata"]["type"], "quayauth");
    assert_eq!(site.lines("logout_success").await.len(), 1);
}

#[tokio::test]
async fn sign_in_says_what_is_wrong() {
    let site = Site::start(|config| config.audit.login_failures = true).await;
    let ann = site.user("ann").await;
    let by = entrepot::model::Performer::SYSTEM;
    let browser = Browser::new(&site);
    let answer = browser.sign_in("ann", "wrong-password").await;
    assert_eq!(answer.status, 403);
    let expected = "{\"needsEmailVerification\": false, \"invalidCredentials\": true, \
                    \"message\": \"Invalid Username or Password\"}\n";
    assert_eq!(answer.text(), expected);
    let line = &site.lines("login_failure").await[0]["metadata"];
    assert_eq!(
        (&line["kind"], &line["username"]),
        (&json!("user"), &json!("ann"))
    );
    // AU-07: the next one waits, whether it is right or wrong.
    let answer = browser.sign_in("ann", &password("ann")).await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    site.clock.advance(std::time::Duration::from_secs(5));
    site.accounts().set_enabled(ann, false, &by).await.unwrap();
    let answer = browser.sign_in("ann", &password("ann")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["needsEmailVerification"], true);
}

/// AU-15: no change without the session's token, wherever it comes from.
#[tokio::test]
async fn a_change_needs_the_sessions_token() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    let browser = Browser::signed_in(&site, "ann").await;
    let cookie = browser.cookie().unwrap();
    let other = Browser::new(&site);
    other.fetch_csrf().await;
    other.set_cookie(Some(cookie));
    let answer = other.post("/api/v1/signout", json!({})).await;
    assert_eq!(answer.status, 403);
    let text = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("CSRF token is invalid or missing."),
        "{text}"
    );
    assert_eq!(
        browser.get("/api/v1/user/").await.status,
        200,
        "still signed in"
    );
    // Without any session the form is the same (SC-369).
    let nobody = site.api_of_nobody();
    let answer = nobody
        .post("/signin", json!({"username": "ann", "password": "x"}))
        .await;
    let expected = "{\"error\":\"CSRF token is invalid or missing.\"}\n";
    assert_eq!((answer.status.as_u16(), answer.text()), (403, expected));
}

/// Fresh login: ten minutes, renewed by the password.
#[tokio::test]
async fn a_login_that_is_not_fresh_is_renewed_by_the_password() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    let browser = Browser::signed_in(&site, "ann").await;
    let create = async || {
        browser
            .post("/api/v1/user/apptoken", json!({"title": "laptop"}))
            .await
    };
    assert_eq!(create().await.status, 200);
    site.clock.advance(std::time::Duration::from_secs(600));
    let answer = create().await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error_type"], "fresh_login_required");
    assert_eq!(answer.json()["detail"], "Requires fresh login");
    let wrong = browser
        .post("/api/v1/signin/verify", json!({"password": "wrong"}))
        .await;
    assert_eq!(wrong.status, 403);
    let expected = json!({"message": "Invalid Username or Password", "invalidCredentials": true});
    assert_eq!(wrong.json(), expected);
    site.clock.advance(std::time::Duration::from_secs(5));
    let right = json!({"password": password("ann")});
    let answer = browser.post("/api/v1/signin/verify", right).await;
    assert_eq!(answer.text(), "{\"success\": true}\n");
    assert_eq!(create().await.status, 200);
}

/// AU-14: a new password ends every other session.
#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    let one = Browser::signed_in(&site, "ann").await;
    let other = Browser::signed_in(&site, "ann").await;
    let body = json!({"password": "another-horse"});
    let answer = one.change(Method::PUT, "/api/v1/user/", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.headers.contains_key("x-next-csrf-token"));
    assert_eq!(one.get("/api/v1/user/").await.status, 200);
    assert_eq!(other.get("/api/v1/user/").await.status, 401);
    assert_eq!(site.lines("account_change_password").await.len(), 1);
    let bad = json!({"password": "short"});
    let answer = one.change(Method::PUT, "/api/v1/user/", bad).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["detail"],
        "Invalid password, password must be at least 8 characters and contain no whitespace."
    );
}

/// No login service is configured, and no mail is sent.
#[tokio::test]
async fn what_is_not_configured_answers_as_quay_does() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    let browser = Browser::signed_in(&site, "ann").await;
    let answer = browser
        .post("/api/v1/externallogin/oidc", json!({"kind": "login"}))
        .await;
    assert_eq!(answer.status, 400);
    let answer = browser
        .post("/api/v1/detachexternal/oidc", Value::Null)
        .await;
    assert_eq!(answer.text(), "{\"success\": true}\n");
    let answer = browser
        .post("/api/v1/recovery", json!({"email": "ann@example.org"}))
        .await;
    assert_eq!(answer.status, 404);
    for path in [
        "/confirm?code=x",
        "/recovery?code=x",
        "/authrepoemail?code=x",
    ] {
        assert_eq!(browser.get(path).await.status, 404, "{path}");
    }
}
