//! Messages to everyone.

use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::site::Site;

fn message(content: &str, media_type: &str, severity: &str) -> Value {
    json!({"message": {"content": content, "media_type": media_type, "severity": severity}})
}

async fn site() -> (Site, String) {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user").await;
    (site, token)
}

/// SC-377, SC-378, SC-379: made by a superuser, read by anybody, taken back.
#[tokio::test]
async fn a_message_is_told_to_everyone_until_it_is_deleted() {
    let (site, token) = site().await;
    let api = site.api(&token);
    let made = api
        .post("/messages", message("Hi", "text/plain", "info"))
        .await;
    assert_eq!((made.status.as_u16(), made.text()), (201, ""));
    api.post("/messages", message("**Down**", "text/markdown", "error"))
        .await;
    let list = site.api_of_nobody().get("/messages").await;
    assert_eq!(list.status, 200);
    let list = list.json();
    assert_eq!(fields(&list), ["messages"]);
    let [first, second] = &list["messages"].as_array().unwrap()[..] else {
        panic!("{list}")
    };
    assert_eq!(fields(first), ["uuid", "content", "severity", "media_type"]);
    assert_eq!(
        (&first["content"], &first["severity"]),
        (&json!("Hi"), &json!("info"))
    );
    assert_eq!(first["media_type"], "text/plain");
    assert_eq!(second["media_type"], "text/markdown");
    let uuid = first["uuid"].as_str().unwrap();
    for _ in 0..2 {
        let deleted = api.delete(&format!("/message/{uuid}")).await;
        assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    }
    let left = site.api_of_nobody().get("/messages").await.json();
    assert_eq!(left["messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_superusers_tell_everyone() {
    let (site, _) = site().await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "super:user").await;
    let body = || message("Hi", "text/plain", "info");
    let refused = site.api(&token).post("/messages", body()).await;
    assert_eq!(refused.status, 403);
    assert_eq!(site.api(&token).delete("/message/x").await.status, 403);
    let nobody = site.api_of_nobody().post("/messages", body()).await;
    assert!(nobody.status.is_client_error());
    let list = site.api_of_nobody().get("/messages").await.json();
    assert_eq!(list, json!({"messages": []}));
}

#[tokio::test]
async fn a_message_that_is_wrong_is_refused_with_the_reason() {
    let (site, token) = site().await;
    for (body, detail) in [
        (json!({}), "'message' is a required property"),
        (
            message("Hi", "text/html", "info"),
            "'text/html' is not one of",
        ),
        (
            message("Hi", "text/plain", "fatal"),
            "'fatal' is not one of",
        ),
        (message("", "text/plain", "info"), "a message has from 1 to"),
        (
            json!({"message": {"content": "Hi"}}),
            "is a required property",
        ),
    ] {
        let refused = site.api(&token).post("/messages", body).await;
        assert_eq!(refused.status, 400);
        let answer = refused.json();
        assert_eq!(answer["error_type"], "invalid_request");
        let found = answer["detail"].as_str().unwrap();
        assert!(found.contains(detail), "{found}");
    }
}
