//! The first user by the API.

use entrepot::config::{Closed, Config};
use serde_json::json;

use crate::harness::api::fields;
use crate::harness::people::Who;
use crate::harness::site::Site;

fn open(config: &mut Config) {
    config.features.user_initialize = true;
}

/// SC-269, SC-030, AU-05.
#[tokio::test]
async fn the_first_user_is_made_once_and_is_a_superuser() {
    let site = Site::start(open).await;
    let body = json!({
        "username": "quayadmin",
        "password": "quaypass12345678",
        "email": "quayadmin@example.com",
        "access_token": true,
    });
    let nobody = site.api_of_nobody();
    let answer = nobody.post("/user/initialize", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let made = answer.json();
    let expected = ["username", "email", "encrypted_password", "access_token"];
    assert_eq!(fields(&made), expected);
    assert!(answer.headers.contains_key("set-cookie"));
    assert!(answer.headers.contains_key("x-next-csrf-token"));
    let token = made["access_token"].as_str().unwrap();
    assert_eq!(token.len(), 40);
    let me = site.api(token).get("/user/").await.json();
    assert_eq!(
        (&me["username"], &me["super_user"]),
        (&json!("quayadmin"), &json!(true))
    );
    let who = Who::Basic {
        user: "quayadmin".to_owned(),
        password: made["encrypted_password"].as_str().unwrap().to_owned(),
    };
    let header = who.header().unwrap();
    let headers = [("authorization", header.as_str())];
    let answer = site.get_with("/v2/auth?service=entrepot", &headers).await;
    assert_eq!(answer.status, 200);
    let again = nobody.post("/user/initialize", body).await;
    assert_eq!(again.status, 400);
    let expected = "{\"message\": \"Cannot initialize user in a non-empty database\"}\n";
    assert_eq!(again.text(), expected);
    site.clock.advance(std::time::Duration::from_secs(9000));
    assert_eq!(site.api(token).get("/user/").await.status, 401);
}

#[tokio::test]
async fn the_first_user_is_no_superuser_if_the_configuration_names_others() {
    let site = Site::start(|config| {
        open(config);
        config.super_users = vec!["root".parse().unwrap()];
    });
    let site = site.await;
    let body = json!({"username": "ann", "password": "quaypass12345678", "access_token": true});
    let made = site
        .api_of_nobody()
        .post("/user/initialize", body)
        .await
        .json();
    let token = made["access_token"].as_str().unwrap();
    let me = site.api(token).get("/user/").await.json();
    assert_eq!(me.get("super_user"), None);
}

#[tokio::test]
async fn what_cannot_be_a_user_is_told() {
    let site = Site::start(open).await;
    for (name, password) in [("A", "quaypass12345678"), ("ann", "short")] {
        let body = json!({"username": name, "password": password});
        let answer = site.api_of_nobody().post("/user/initialize", body).await;
        assert_eq!(answer.status, 400, "{name}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("Failed to initialize user: "),
            "{message}"
        );
    }
    assert!(!site.accounts().has_users());
}

#[tokio::test]
async fn it_is_not_there_unless_the_operator_says_so() {
    let site = Site::start(|_| ()).await;
    let body = json!({"username": "ann", "password": "quaypass12345678"});
    let nobody = site.api_of_nobody();
    assert_eq!(nobody.post("/user/initialize", body).await.status, 404);
    assert_eq!(nobody.post("/bootstrap/renew", json!({})).await.status, 404);
    assert!(!site.accounts().has_users());
}

/// A registry that is only read makes nobody, also at a door that needs no CSRF token.
#[tokio::test]
async fn nobody_is_made_in_a_registry_that_is_only_read() {
    let site = Site::start(|config| {
        open(config);
        config.pushes.closed = Some(Closed::ReadOnly);
    });
    let site = site.await;
    let body = json!({"username": "ann", "password": "quaypass12345678"});
    let refused = site.api_of_nobody().post("/user/initialize", body).await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["is_readonly"], true);
    let found = site.accounts().user_by_name("ann").await.unwrap();
    assert!(found.is_none());
}
