//! Repositories that somebody likes.

use serde_json::json;

use super::repository::Stage;

/// SC-505.
#[tokio::test]
async fn a_repository_is_starred_listed_and_unstarred() {
    let stage = Stage::new().await;
    let body = json!({"namespace": "acme", "repository": "app"});
    let starred = stage.ann().post("/user/starred", body.clone()).await;
    assert_eq!(
        (starred.status.as_u16(), starred.json()),
        (201, body.clone())
    );
    let again = stage.ann().post("/user/starred", body.clone()).await;
    assert_eq!(again.status, 201);
    let list = stage.ann().get("/user/starred").await.json();
    let expected =
        json!({"namespace": "acme", "name": "app", "description": null, "is_public": false});
    assert_eq!(list, json!({"repositories": [expected]}));
    assert_eq!(
        stage.ann().get("/repository/acme/app").await.json()["is_starred"],
        true
    );
    let all = stage.ann().get("/repository?starred=true").await.json();
    assert_eq!(all["repositories"][0]["is_starred"], true);
    let hidden = stage.bob().post("/user/starred", body).await;
    let missing = json!({"namespace": "acme", "repository": "none"});
    let missing = stage.bob().post("/user/starred", missing).await;
    assert_eq!(
        (hidden.status, hidden.text()),
        (missing.status, missing.text()),
        "AZ-11"
    );
    assert_eq!(hidden.status, 404);
    assert_eq!(
        stage.ann().delete("/user/starred/acme/app").await.status,
        204
    );
    assert_eq!(
        stage.ann().get("/user/starred").await.json(),
        json!({"repositories": []})
    );
    assert_eq!(
        stage.site.api_of_nobody().get("/user/starred").await.status,
        401
    );
}
