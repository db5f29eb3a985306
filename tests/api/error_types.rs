//! What the kinds of errors mean.

use serde_json::json;

use crate::harness::api::fields;
use crate::harness::site::Site;

/// SC-419: where the `type` of an exception leads.
#[tokio::test]
async fn the_type_of_an_error_leads_to_its_description() {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "user:admin").await;
    let missing = site.api(&token).get("/user/notifications/none").await;
    assert_eq!(missing.status, 404);
    let url = missing.json()["type"].as_str().unwrap().to_owned();
    assert_eq!(url, site.url("/api/v1/error/not_found"));
    let told = site.get("/api/v1/error/not_found").await;
    assert_eq!(told.status, 200);
    assert_eq!(fields(&told.json()), ["type", "title", "description"]);
    assert_eq!(told.json()["type"], url);
    assert_eq!(told.json()["title"], "not_found");
}

/// quay-api 2.1: every kind that there is, and no other.
#[tokio::test]
async fn every_kind_of_error_is_described() {
    let site = Site::start(|_| {}).await;
    for kind in [
        "external_service_timeout",
        "invalid_request",
        "invalid_response",
        "invalid_token",
        "expired_token",
        "insufficient_scope",
        "fresh_login_required",
        "exceeds_license",
        "not_found",
        "downstream_issue",
        "tag_immutable",
        "token_rotation_failed",
    ] {
        let told = site.get(&format!("/api/v1/error/{kind}")).await.json();
        assert_eq!(told["title"], kind);
        assert!(told["description"].as_str().unwrap().len() > 10);
    }
    let unknown = site.get("/api/v1/error/404").await;
    assert_eq!(unknown.status, 404);
    let expected = json!({
        "detail": "Not Found",
        "error_message": "Not Found",
        "error_type": "not_found",
        "title": "not_found",
        "type": site.url("/api/v1/error/not_found"),
        "status": 404,
    });
    assert_eq!(unknown.json(), expected);
}
