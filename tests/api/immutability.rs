//! Policies by which tags become immutable, of organisations and repositories.

use entrepot::model::LogKind;
use serde_json::json;

use super::repository::Stage;
use crate::harness::people::Who;

#[tokio::test]
async fn a_policy_is_kept_and_followed() {
    let stage = Stage::new().await;
    for base in ["/organization/acme", "/repository/acme/app"] {
        let all = format!("{base}/immutabilitypolicy/");
        let made = stage
            .ann()
            .post(&all, json!({"tagPattern": "v[0-9]+"}))
            .await;
        assert_eq!(made.status, 201, "{}", made.text());
        let uuid = made.json()["uuid"].as_str().unwrap().to_owned();
        let expected = json!({"uuid": uuid, "tagPattern": "v[0-9]+", "tagPatternMatches": true});
        assert_eq!(
            stage.ann().get(&all).await.json(),
            json!({"policies": [expected]})
        );
        let one = format!("{all}{uuid}");
        assert_eq!(stage.ann().get(&one).await.json(), expected);
        let refused = stage.ann().delete("/repository/acme/app/tag/v1").await;
        assert_eq!(refused.status, 409);
        let twice = stage
            .ann()
            .post(&all, json!({"tagPattern": "v[0-9]+"}))
            .await;
        let text = "A policy with the same tag_pattern already exists";
        assert_eq!(
            (twice.status.as_u16(), &twice.json()["detail"]),
            (400, &json!(text))
        );
        let bad = stage.ann().post(&all, json!({"tagPattern": "("})).await;
        assert_eq!(bad.status, 400);
        let changed = json!({"tagPattern": "rel.*", "tagPatternMatches": true});
        assert_eq!(stage.ann().put(&one, changed).await.status, 204);
        let told = stage.told(LogKind::UpdateImmutabilityPolicy).await;
        assert_eq!(told["tag_pattern"], "rel.*");
        assert_eq!(stage.bob().get(&all).await.status, 403);
        let deleted = stage.ann().delete(&one).await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.json()),
            (200, json!({"uuid": uuid}))
        );
        assert_eq!(stage.ann().get(&one).await.status, 404);
        let odd = stage.ann().get(&format!("{all}not-a-uuid")).await;
        assert_eq!(odd.status, 404);
    }
}

/// AZ-08: whoever pushes.
#[tokio::test]
async fn a_tag_that_a_policy_covers_is_pushed_once() {
    let stage = Stage::new().await;
    let all = "/repository/acme/app/immutabilitypolicy/";
    let body = json!({"tagPattern": "dev", "tagPatternMatches": false});
    assert_eq!(stage.ann().post(all, body).await.status, 201);
    let who = Who::user("ann");
    let other = crate::harness::content::Image::small(5);
    stage.site.push_as(&who, "acme/app", "dev", &other).await;
    stage
        .site
        .push_as(&who, "acme/app", "dev", &stage.image)
        .await;
    stage.site.push_as(&who, "acme/app", "v9", &other).await;
    let again = stage
        .site
        .put_manifest_as(&who, "acme/app", "v9", &stage.image.manifest);
    let again = again.await;
    assert_eq!(
        (again.status.as_u16(), again.code()),
        (409, "TAG_IMMUTABLE".to_owned())
    );
}
