//! App tokens of a user.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::people::Who;
use crate::harness::site::Site;

const VIEW: [&str; 5] = ["uuid", "title", "last_accessed", "created", "expiration"];
const WITH_CODE: [&str; 6] = [
    "uuid",
    "title",
    "last_accessed",
    "created",
    "expiration",
    "token_code",
];

async fn login(site: &Site, code: &str) -> u16 {
    let who = Who::Basic {
        user: "$app".to_owned(),
        password: code.to_owned(),
    };
    let header = who.header().unwrap();
    let headers = [("authorization", header.as_str())];
    let answer = site.get_with("/v2/auth?service=entrepot", &headers).await;
    answer.status.as_u16()
}

/// SC-365, SC-371, SC-372, SC-373, SC-374.
#[tokio::test]
async fn an_app_token_is_made_listed_shown_and_revoked() {
    let site = Site::start(|_| ()).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let api = site.api(&token);
    let answer = api
        .post("/user/apptoken", json!({"title": "MyAppToken"}))
        .await;
    assert_eq!(answer.status, 200);
    let made = answer.json()["token"].clone();
    assert_eq!(fields(&made), WITH_CODE);
    assert_eq!(
        (&made["title"], &made["last_accessed"], &made["expiration"]),
        (&json!("MyAppToken"), &Value::Null, &Value::Null)
    );
    assert!(made["created"].as_str().unwrap().ends_with(" -0000"));
    let code = made["token_code"].as_str().unwrap();
    assert_eq!(code.len(), 120);
    assert_eq!(login(&site, code).await, 200);

    let list = api.get("/user/apptoken").await.json();
    assert_eq!(fields(&list), ["tokens", "only_expiring"]);
    assert_eq!(list["only_expiring"], Value::Null);
    assert_eq!(fields(&list["tokens"][0]), VIEW);
    let uuid = made["uuid"].as_str().unwrap();
    let path = format!("/user/apptoken/{uuid}");
    let shown = api.get(&path).await.json();
    assert_eq!(shown["token"]["token_code"], made["token_code"]);

    let answer = api.delete(&path).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    assert_eq!(api.get(&path).await.status, 404);
    assert_eq!(login(&site, code).await, 401, "AZ-12");
    for kind in ["create_app_specific_token", "revoke_app_specific_token"] {
        let lines = site.lines(kind).await;
        let metadata = &lines[0]["metadata"];
        assert_eq!(metadata["app_specific_token_title"], "MyAppToken");
        assert_eq!(metadata["app_specific_token"], uuid);
    }
}

/// AZ-06: an id of somebody else is no id.
#[tokio::test]
async fn an_app_token_of_somebody_else_is_not_there() {
    let site = Site::start(|_| ()).await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    let ann = site.oauth_token(ann, "user:admin").await;
    let bob = site.oauth_token(bob, "user:admin").await;
    let made = site
        .api(&ann)
        .post("/user/apptoken", json!({"title": "x"}))
        .await
        .json();
    let path = format!("/user/apptoken/{}", made["token"]["uuid"].as_str().unwrap());
    assert_eq!(site.api(&bob).get(&path).await.status, 404);
    assert_eq!(site.api(&bob).delete(&path).await.status, 404);
    assert_eq!(site.api(&ann).get(&path).await.status, 200);
}

/// `APP_SPECIFIC_TOKEN_EXPIRATION`; soon is the last tenth of that.
#[tokio::test]
async fn a_token_that_expires_soon_is_listed_as_such() {
    let life = Duration::from_secs(1000);
    let site = Site::start(|config| config.people.app_token_life = Some(life)).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin").await;
    let api = site.api(&token);
    api.post("/user/apptoken", json!({"title": "x"})).await;
    let expiring = async || api.get("/user/apptoken?expiring=true").await.json();
    assert_eq!(
        expiring().await,
        json!({"tokens": [], "only_expiring": true})
    );
    site.clock.advance(Duration::from_secs(900));
    assert_eq!(expiring().await["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_wrong_scope_and_nobody_are_refused() {
    let site = Site::start(|_| ()).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:read repo:admin").await;
    assert_eq!(site.api(&token).get("/user/apptoken").await.status, 403);
    let nobody = site.api_of_nobody().get("/user/apptoken").await;
    assert_eq!(nobody.status, 401);
    assert_eq!(nobody.json()["error_type"], "invalid_token");
}
