//! Default permissions through the API.

use entrepot::model::LogKind;
use serde_json::{Value, json};

use super::people::{lines, stage};
use crate::harness::api::fields;

const ALL: &str = "/organization/acme/prototypes";

#[tokio::test]
async fn a_default_permission_is_made_changed_and_removed() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    assert_eq!(api.get(ALL).await.json(), json!({"prototypes": []}));
    let body = json!({
        "role": "read",
        "delegate": {"name": "devs", "kind": "team"},
        "activating_user": {"name": "bob"},
    });
    let made = api.post(ALL, body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let view = made.json();
    assert_eq!(fields(&view), ["activating_user", "delegate", "role", "id"]);
    let shape = ["name", "is_robot", "kind", "is_org_member", "avatar"];
    assert_eq!(fields(&view["activating_user"]), shape);
    assert_eq!(view["activating_user"]["is_org_member"], true);
    assert_eq!(fields(&view["delegate"]), ["name", "kind", "avatar"]);
    assert_eq!(view["role"], "read");
    let general = json!({"role": "write", "delegate": {"name": "carl", "kind": "user"}});
    let other = api.post(ALL, general).await.json();
    assert_eq!(other["activating_user"], Value::Null);
    assert_eq!(other["delegate"]["is_org_member"], false);
    assert_eq!(
        api.get(ALL).await.json(),
        json!({"prototypes": [view, other]})
    );

    let id = view["id"].as_str().unwrap();
    let path = format!("{ALL}/{id}");
    let changed = api.put(&path, json!({"role": "admin"})).await.json();
    assert_eq!(
        (&changed["role"], &changed["id"]),
        (&json!("admin"), &json!(id))
    );
    assert_eq!(api.delete(&path).await.status, 204);
    for gone in [
        api.delete(&path).await,
        api.put(&path, json!({"role": "read"})).await,
    ] {
        assert_eq!(gone.status, 404);
    }
    let told = lines(&stage.site, "acme").await;
    let expected = json!({
        "prototypeid": id,
        "username": "ann",
        "activating_username": "bob",
        "role": "admin",
        "delegate_team": "devs",
    });
    assert_eq!(told[0], (LogKind::DeletePrototypePermission, expected));
    assert_eq!(told[1].0, LogKind::ModifyPrototypePermission);
    assert_eq!(told[1].1["original_role"], "read");
    assert_eq!(told[3].0, LogKind::CreatePrototypePermission);
}

#[tokio::test]
async fn names_of_nobody_are_refused() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let devs = json!({"name": "devs", "kind": "team"});
    for (body, detail) in [
        (
            json!({"role": "read", "delegate": devs, "activating_user": {"name": "nobody"}}),
            "Unknown activating user",
        ),
        (
            json!({"role": "read", "delegate": {"name": "nobody", "kind": "user"}}),
            "Missing delegate user or team",
        ),
        (
            json!({"role": "king", "delegate": devs}),
            "'king' is not one of ['read', 'write', 'admin']",
        ),
        (json!({"role": "read"}), "'delegate' is a required property"),
    ] {
        let refused = api.post(ALL, body).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["detail"], detail);
    }
    let body = json!({"role": "read", "delegate": {"name": "none", "kind": "team"}});
    let refused = api.post(ALL, body).await;
    assert_eq!(
        refused.json(),
        json!({"message": "Team does not exist: acme/none"})
    );
    for token in [&stage.bob, &stage.outsider] {
        assert_eq!(stage.site.api(token).get(ALL).await.status, 403);
    }
}

/// AZ-06: the id of one organisation is nothing in another.
#[tokio::test]
async fn a_default_permission_belongs_to_its_organization() {
    let stage = stage().await;
    let site = &stage.site;
    site.organization("other", Some(stage.ann_id)).await;
    let api = site.api(&stage.ann);
    let body = json!({"role": "read", "delegate": {"name": "bob", "kind": "user"}});
    let made = api.post(ALL, body).await.json();
    let path = format!(
        "/organization/other/prototypes/{}",
        made["id"].as_str().unwrap()
    );
    assert_eq!(api.put(&path, json!({"role": "admin"})).await.status, 404);
    assert_eq!(api.delete(&path).await.status, 404);
    assert_eq!(api.get(ALL).await.json(), json!({"prototypes": [made]}));
}
