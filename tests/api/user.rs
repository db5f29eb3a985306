//! The current user, and what others see.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::browser::Browser;
use crate::harness::people::{Who, password};
use crate::harness::site::Site;

/// SC-503: the fields and their order.
#[tokio::test]
async fn the_current_user_is_shown_whole() {
    let site = Site::start(|_| ()).await;
    let ann = site.superuser("ann").await;
    site.organization("acme", Some(ann)).await;
    let token = site.oauth_token(ann, "user:admin super:user").await;
    let answer = site.api(&token).get("/user/").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let me = answer.json();
    let expected = [
        "anonymous",
        "username",
        "avatar",
        "can_create_repo",
        "is_me",
        "verified",
        "email",
        "logins",
        "invoice_email",
        "invoice_email_address",
        "preferred_namespace",
        "tag_expiration_s",
        "prompts",
        "company",
        "family_name",
        "given_name",
        "location",
        "is_free_account",
        "has_password_set",
        "quotas",
        "quota_report",
        "organizations",
        "super_user",
    ];
    assert_eq!(fields(&me), expected);
    let organization = &me["organizations"][0];
    let expected = [
        "name",
        "avatar",
        "can_create_repo",
        "public",
        "is_org_admin",
        "preferred_namespace",
    ];
    assert_eq!(fields(organization), expected);
    assert_eq!(
        (&organization["name"], &organization["is_org_admin"]),
        (&json!("acme"), &json!(true))
    );
    assert_eq!(organization["avatar"]["kind"], "org");
    assert_eq!(me["email"], "ann@example.org");
    assert_eq!(me["tag_expiration_s"], 14 * 86_400);
    assert_eq!(me["super_user"], true);
    // With and without the slash at the end.
    assert_eq!(site.api(&token).get("/user").await.json(), me);
}

#[tokio::test]
async fn nobody_and_a_wrong_scope_are_told_that_no_session_is_needed() {
    let site = Site::start(|_| ()).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "repo:admin").await;
    for api in [site.api_of_nobody(), site.api(&token), site.api("wrong")] {
        let answer = api.get("/user/").await;
        assert_eq!(answer.status, 401);
        let body = answer.json();
        assert_eq!(body["session_required"], false);
        assert_eq!(body["error_type"], "invalid_token");
        assert_eq!(body["detail"], "Requires authentication");
    }
}

/// SC-504, AZ-14: user:read shows less than user:admin.
#[tokio::test]
async fn others_see_little_of_a_user() {
    let site = Site::start(|_| ()).await;
    let (ann, root) = (site.user("ann").await, site.superuser("root").await);
    let little = ["anonymous", "username", "avatar"];
    let of_nobody = site.api_of_nobody().get("/users/ann").await.json();
    assert_eq!(fields(&of_nobody), little);
    let root = site.oauth_token(root, "super:user").await;
    let of_root = site.api(&root).get("/users/ann").await.json();
    assert_eq!(
        fields(&of_root),
        ["anonymous", "username", "avatar", "super_user"]
    );
    assert_eq!(of_root["super_user"], false);
    let reader = site.oauth_token(ann, "user:read").await;
    let of_reader = site.api(&reader).get("/user/").await.json();
    assert_eq!(
        fields(&of_reader),
        ["anonymous", "username", "avatar", "organizations"]
    );
    site.organization("acme", None).await;
    for unknown in ["nobody", "ann+robot", "acme"] {
        let answer = site.api_of_nobody().get(&format!("/users/{unknown}")).await;
        assert_eq!(answer.status, 404, "{unknown}");
        assert_eq!(fields(&answer.json()), ["message"], "{unknown}");
    }
}

/// AZ-13: what a user may not change about itself is ignored.
#[tokio::test]
async fn a_user_changes_its_own_account_and_nothing_else() {
    let site = Site::start(|config| config.features.user_metadata = true).await;
    let ann = site.user("ann").await;
    site.user("bob").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let api = site.api(&token);
    let body = json!({
        "email": "other@example.org",
        "invoice_email": true,
        "invoice_email_address": "bills@example.org",
        "tag_expiration_s": "86400",
        "given_name": "Ann",
        "company": null,
        "superuser": true,
        "super_user": true,
        "verified": false,
        "enabled": false,
        "id": 2,
    });
    let answer = api.put("/user/", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let me = answer.json();
    assert_eq!(me["email"], "other@example.org");
    assert_eq!(me["tag_expiration_s"], 86_400);
    assert_eq!(
        (&me["given_name"], &me["invoice_email"]),
        (&json!("Ann"), &json!(true))
    );
    assert_eq!(me["verified"], true);
    assert_eq!(me.get("super_user"), None);
    let line = &site.lines("user_change_email").await[0]["metadata"];
    assert_eq!(line["old_email"], "ann@example.org");
    for (body, text) in [
        (
            json!({"email": "bob@example.org"}),
            "E-mail address already used",
        ),
        (
            json!({"password": "a b c d e f g"}),
            "Invalid password, password must be at least 8 characters and contain no whitespace.",
        ),
    ] {
        let answer = api.put("/user/", body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["detail"].as_str()),
            (400, Some(text))
        );
    }
    let answer = api.put("/user/", json!({"tag_expiration_s": 5})).await;
    assert_eq!(
        answer.text(),
        "{\"message\": \"Invalid tag expiration option\"}\n"
    );
}

/// SC-268: sign-up is off unless the operator says otherwise.
#[tokio::test]
async fn whoever_comes_may_sign_up_where_that_is_allowed() {
    let body =
        json!({"username": "ann", "password": "quaypass12345678", "email": "ann@example.org"});
    let closed = Site::start(|_| ()).await;
    let browser = Browser::new(&closed);
    browser.fetch_csrf().await;
    assert_eq!(
        browser.post("/api/v1/user/", body.clone()).await.status,
        404
    );
    let site = Site::start(|config| config.features.user_creation = true).await;
    let browser = Browser::new(&site);
    assert_eq!(
        browser.post("/api/v1/user/", body.clone()).await.status,
        403,
        "AU-15"
    );
    browser.fetch_csrf().await;
    let answer = browser.post("/api/v1/user/", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["is_me"], true);
    assert_eq!(browser.get("/api/v1/user/").await.json()["username"], "ann");
    let again = browser.post("/api/v1/user/", body).await;
    assert_eq!(again.json()["detail"], "The username already exists");
    assert_eq!(
        site.lines("user_create").await.len(),
        2,
        "ann, and who reads the log"
    );
    for bad in ["A", "a b", "admin%20", "ａdmin"] {
        let body = json!({"username": bad, "password": "quaypass12345678"});
        let answer = browser.post("/api/v1/user/", body).await;
        assert_eq!(answer.status, 400, "AZ-17: {bad}");
    }
}

#[tokio::test]
async fn a_user_deletes_its_account() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    let browser = Browser::signed_in(&site, "ann").await;
    let stale = browser.cookie();
    let answer = browser
        .change(Method::DELETE, "/api/v1/user/", Value::Null)
        .await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    assert_eq!(site.api_of_nobody().get("/users/ann").await.status, 404);
    browser.set_cookie(stale);
    assert_eq!(browser.get("/api/v1/user/").await.status, 401);
    assert_eq!(site.lines("user_delete").await.len(), 1);
}

/// Quay: the encrypted password serves clients, and ends with the password.
#[tokio::test]
async fn a_client_key_is_given_for_the_password() {
    let site = Site::start(|_| ()).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let api = site.api(&token);
    let wrong = api
        .post("/user/clientkey", json!({"password": "wrong"}))
        .await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["detail"], "Invalid Username or Password");
    site.clock.advance(std::time::Duration::from_secs(5));
    let answer = api
        .post("/user/clientkey", json!({"password": password("ann")}))
        .await;
    let body = answer.json();
    assert_eq!(fields(&body), ["key"]);
    let who = Who::Basic {
        user: "ann".to_owned(),
        password: body["key"].as_str().unwrap().to_owned(),
    };
    let header = who.header().unwrap();
    let headers = [("authorization", header.as_str())];
    let answer = site.get_with("/v2/auth?service=entrepot", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(site.lines("user_generate_client_key").await.len(), 1);
}

#[tokio::test]
async fn a_user_becomes_an_organisation_of_somebody_else() {
    let site = Site::start(|_| ()).await;
    site.user("ann").await;
    site.user("bob").await;
    let browser = Browser::signed_in(&site, "ann").await;
    let path = "/api/v1/user/convert";
    let own = json!({"adminUser": "ann", "adminPassword": password("ann")});
    let answer = browser.post(path, own).await;
    assert_eq!(answer.json()["reason"], "invaliduser");
    assert_eq!(answer.json()["detail"], "The admin user is not valid");
    let wrong = json!({"adminUser": "bob", "adminPassword": "wrong"});
    let answer = browser.post(path, wrong).await;
    assert_eq!(
        answer.json()["detail"],
        "The admin user credentials are not valid"
    );
    site.clock.advance(std::time::Duration::from_secs(5));
    let right = json!({"adminUser": "bob", "adminPassword": password("bob")});
    let answer = browser.post(path, right).await;
    assert_eq!(answer.text(), "{\"success\": true}\n");
    let me = browser.get("/api/v1/user/").await.json();
    assert_eq!(
        (&me["username"], &me["organizations"][0]["name"]),
        (&json!("bob"), &json!("ann"))
    );
    assert_eq!(site.lines("account_convert").await.len(), 1);
}
