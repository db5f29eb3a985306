//! Labels of manifests through the API.

use entrepot::model::LogKind;
use serde_json::json;

use super::repository::Stage;
use crate::harness::content::Image;
use crate::harness::people::Who;

/// SC-393 to SC-396, AZ-06.
#[tokio::test]
async fn labels_are_listed_added_and_deleted() {
    let stage = Stage::new().await;
    let other = Image::with_layers(2, &[50]);
    stage
        .site
        .push_as(&Who::user("ann"), "acme/app", "v2", &other)
        .await;
    let all = format!(
        "/repository/acme/app/manifest/{}/labels",
        stage.image.digest()
    );
    let body = json!({"key": "team", "value": "blue", "media_type": "text/plain"});
    let added = stage.ann().post(&all, body.clone()).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let label = added.json()["label"].clone();
    let id = label["id"].as_str().unwrap().to_owned();
    assert!(added.header("location").ends_with(&format!("{all}/{id}")));
    let expected = json!({
        "id": id, "key": "team", "value": "blue", "source_type": "api", "media_type": "text/plain",
    });
    assert_eq!(label, expected);
    let told = stage.told(LogKind::ManifestLabelAdd).await;
    assert_eq!(
        (&told["key"], &told["media_type"]),
        (&json!("team"), &json!("text/plain"))
    );
    let one = format!("{all}/{id}");
    assert_eq!(stage.ann().get(&one).await.json(), expected);
    let found = stage.ann().get(&format!("{all}?filter=te")).await.json();
    assert_eq!(found, json!({"labels": [expected]}));
    assert_eq!(
        stage.ann().get(&format!("{all}?filter=x")).await.json(),
        json!({"labels": []})
    );
    let foreign = format!(
        "/repository/acme/app/manifest/{}/labels/{id}",
        other.digest()
    );
    assert_eq!(stage.ann().get(&foreign).await.status, 404);
    assert_eq!(stage.ann().delete(&foreign).await.status, 404);
    assert_eq!(stage.bob().post(&all, body).await.status, 403);
    let reserved = json!({"key": "quay.expires-after", "value": "1d", "media_type": null});
    let refused = stage.ann().post(&all, reserved).await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({"message": "Label has a reserved prefix"})
    );
    let odd = json!({"key": "a", "value": "b", "media_type": "image/png"});
    assert_eq!(stage.ann().post(&all, odd).await.status, 400);
    assert_eq!(stage.ann().delete(&one).await.status, 204);
    assert_eq!(stage.ann().get(&one).await.status, 404);
    assert_eq!(stage.told(LogKind::ManifestLabelDelete).await["id"], id);
}
