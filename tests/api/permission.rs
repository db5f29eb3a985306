//! Grants on repositories through the API.

use entrepot::model::{LogKind, Visibility};
use serde_json::json;

use super::people::{lines, stage};
use crate::harness::api::fields;

const APP: &str = "/repository/acme/app/permissions";

/// SC-433, SC-434: users and robots.
#[tokio::test]
async fn a_role_is_granted_to_people_and_taken_back() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    site.robot("acme+ci").await;
    let api = site.api(&stage.ann);
    for (name, is_robot, is_member) in [("carl", false, false), ("acme+ci", true, true)] {
        let path = format!("{APP}/user/{name}");
        let none = json!({"message": "User does not have permission for repo."});
        assert_eq!(api.get(&path).await.json(), none);
        let granted = api.put(&path, json!({"role": "read"})).await;
        assert_eq!(granted.status, 200, "{}", granted.text());
        let view = granted.json();
        assert_eq!(
            fields(&view),
            ["role", "name", "is_robot", "avatar", "is_org_member"]
        );
        assert_eq!(
            (&view["role"], &view["name"]),
            (&json!("read"), &json!(name))
        );
        assert_eq!(view["is_robot"], is_robot);
        assert_eq!(view["is_org_member"], is_member);
        assert_eq!(api.get(&path).await.json(), view);
        assert_eq!(
            api.put(&path, json!({"role": "write"})).await.json()["role"],
            "write"
        );
    }
    let listed = api.get(&format!("{APP}/user/")).await.json();
    assert_eq!(fields(&listed["permissions"]), ["carl", "acme+ci"]);
    assert_eq!(listed["permissions"]["acme+ci"]["is_robot"], true);
    let path = format!("{APP}/user/carl");
    let revoked = api.delete(&path).await;
    assert_eq!((revoked.status.as_u16(), revoked.text()), (204, ""));
    let again = api.delete(&path).await;
    let detail = "User does not have permission for repo.";
    assert_eq!(
        (again.status.as_u16(), &again.json()["detail"]),
        (400, &json!(detail))
    );
    let told = lines(site, "acme").await;
    let expected = json!({"username": "carl", "repo": "app", "namespace": "acme"});
    assert_eq!(told[0], (LogKind::DeleteRepoPermission, expected));
    let expected =
        json!({"role": "write", "username": "acme+ci", "repo": "app", "namespace": "acme"});
    assert_eq!(told[1], (LogKind::ChangeRepoPermission, expected));
}

#[tokio::test]
async fn what_cannot_be_granted_is_told_in_quays_words() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    site.repository("ann/own", Visibility::Private).await;
    site.robot("ann+ci").await;
    let api = site.api(&stage.ann);
    let role = json!({"role": "read"});
    let own = "/repository/ann/own/permissions/user/ann";
    let detail = "Namespace owner must always be admin.";
    for refused in [api.put(own, role.clone()).await, api.delete(own).await] {
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(detail))
        );
    }
    for (path, body, detail) in [
        ("user/nobody", &role, "Invalid username: nobody"),
        (
            "user/ann+ci",
            &role,
            "Cannot add robot ann+ci under namespace acme",
        ),
        ("team/none", &role, "No team none in organization acme"),
        (
            "user/carl",
            &json!({"role": "king"}),
            "'king' is not one of ['read', 'write', 'admin']",
        ),
    ] {
        let refused = api.put(&format!("{APP}/{path}"), body.clone()).await;
        assert_eq!(refused.status, 400);
        assert_eq!(refused.json()["detail"], detail);
    }
    // Of a user's own repository nobody is a member.
    let granted = api
        .put("/repository/ann/own/permissions/user/bob", role.clone())
        .await;
    assert_eq!(
        fields(&granted.json()),
        ["role", "name", "is_robot", "avatar"]
    );
    let robot = api
        .put("/repository/ann/own/permissions/user/ann+ci", role)
        .await;
    assert_eq!(robot.status, 200);
}

/// SC-055, SC-438, SC-439, SC-440.
#[tokio::test]
async fn a_role_is_granted_to_a_team_and_taken_back() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    let api = site.api(&stage.ann);
    let path = format!("{APP}/team/devs");
    let none = json!({"message": "Team does not have permission for repo."});
    assert_eq!(api.get(&path).await.json(), none);
    let granted = api.put(&path, json!({"role": "write"})).await;
    assert_eq!(granted.status, 200);
    let view = granted.json();
    assert_eq!(fields(&view), ["role", "name", "avatar"]);
    assert_eq!(api.get(&path).await.json(), json!({"role": "write"}));
    let listed = api.get(&format!("{APP}/team/")).await.json();
    assert_eq!(listed, json!({"permissions": {"devs": view}}));
    let transitive = api.get(&format!("{APP}/user/bob/transitive")).await;
    assert_eq!(
        transitive.json(),
        json!({"permissions": [{"role": "write"}]})
    );
    assert_eq!(
        api.get(&format!("{APP}/user/carl/transitive")).await.status,
        404
    );
    let revoked = api.delete(&path).await;
    assert_eq!((revoked.status.as_u16(), revoked.text()), (204, ""));
    assert_eq!(api.delete(&path).await.status, 400);
    let told = lines(site, "acme").await;
    let expected = json!({"team": "devs", "repo": "app"});
    assert_eq!(told[0], (LogKind::DeleteRepoPermission, expected));
}

/// Only who administers the repository sees and changes what is granted on it.
#[tokio::test]
async fn grants_are_for_admins() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Public).await;
    let api = site.api(&stage.ann);
    api.put(&format!("{APP}/user/bob"), json!({"role": "write"}))
        .await;
    for token in [&stage.bob, &stage.outsider] {
        let api = site.api(token);
        let body = json!({"role": "admin"});
        assert_eq!(api.get(&format!("{APP}/user/")).await.status, 403);
        assert_eq!(api.put(&format!("{APP}/user/bob"), body).await.status, 403);
        assert_eq!(api.delete(&format!("{APP}/user/bob")).await.status, 403);
    }
    let nobody = site.api_of_nobody().get(&format!("{APP}/user/")).await;
    assert_eq!(nobody.status, 401);
}
