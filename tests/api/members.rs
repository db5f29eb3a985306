//! Members and collaborators of organisations through the API.

use entrepot::model::{Grantee, LogKind, Member, Role, TeamRole, Visibility};
use serde_json::json;

use super::people::{lines, stage};
use crate::harness::api::fields;

/// SC-047, SC-420, SC-422: people in teams, with the teams and with what is granted to them.
#[tokio::test]
async fn members_are_listed_with_their_teams_and_repositories() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    site.grant("acme/app", Grantee::User(stage.bob_id), Role::Read)
        .await;
    let (ci, _) = site.robot("acme+ci").await;
    site.team(stage.acme, "bots", TeamRole::Member, &[Member::Robot(ci)])
        .await;
    let api = site.api(&stage.ann);
    let listed = api.get("/organization/acme/members").await;
    assert_eq!(listed.status, 200);
    let members = &listed.json()["members"];
    let names = |key: &str| {
        let members = members.as_array().unwrap().iter();
        members
            .map(|it| it[key].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("name"), ["ann", "bob"], "robots are no people");
    let bob = &members[1];
    assert_eq!(
        fields(bob),
        ["name", "kind", "avatar", "teams", "repositories"]
    );
    assert_eq!(bob["teams"][0]["name"], "devs");
    assert_eq!(fields(&bob["teams"][0]), ["name", "avatar"]);
    assert_eq!(bob["teams"][0]["avatar"]["kind"], "team");
    assert_eq!(bob["repositories"], json!(["app"]));
    assert_eq!(api.get("/organization/acme/members/bob").await.json(), *bob);
    let robot = api.get("/organization/acme/members/acme+ci").await.json();
    assert_eq!(
        (&robot["kind"], &robot["name"]),
        (&json!("robot"), &json!("acme+ci"))
    );
    for nobody in ["carl", "nobody", "acme", "ann+ci"] {
        let path = format!("/organization/acme/members/{nobody}");
        assert_eq!(api.get(&path).await.status, 404, "{nobody}");
    }
    for token in [&stage.bob, &stage.outsider] {
        let refused = site.api(token).get("/organization/acme/members").await;
        assert_eq!(refused.status, 403);
    }
}

/// SC-048, SC-421: who has a grant and no team.
#[tokio::test]
async fn collaborators_have_a_grant_and_no_team() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    site.repository("carl/own", Visibility::Private).await;
    for user in [stage.bob_id, stage.carl_id] {
        site.grant("acme/app", Grantee::User(user), Role::Read)
            .await;
    }
    let api = site.api(&stage.ann);
    let listed = api.get("/organization/acme/collaborators").await.json();
    let collaborators = listed["collaborators"].as_array().unwrap();
    assert_eq!(collaborators.len(), 1);
    let carl = &collaborators[0];
    assert_eq!(fields(carl), ["kind", "name", "avatar", "repositories"]);
    assert_eq!(
        (&carl["kind"], &carl["name"]),
        (&json!("user"), &json!("carl"))
    );
    assert_eq!(carl["repositories"], json!(["app"]));
}

/// SC-423: out of everything, but not the last who administers.
#[tokio::test]
async fn a_removed_member_has_nothing_left() {
    let stage = stage().await;
    let site = &stage.site;
    site.repository("acme/app", Visibility::Private).await;
    site.grant("acme/app", Grantee::User(stage.bob_id), Role::Admin)
        .await;
    let api = site.api(&stage.ann);
    let last = api.delete("/organization/acme/members/ann").await;
    assert_eq!(last.status, 400);
    let message = "Cannot remove user as they are the only organization admin";
    assert_eq!(last.json(), json!({"message": message}));
    let removed = api.delete("/organization/acme/members/bob").await;
    assert_eq!((removed.status.as_u16(), removed.text()), (204, ""));
    assert_eq!(api.get("/organization/acme/members/bob").await.status, 404);
    let granted = api
        .get("/repository/acme/app/permissions/user/")
        .await
        .json();
    assert_eq!(granted, json!({"permissions": {}}));
    let refused = site
        .api(&stage.bob)
        .get("/organization/acme/team/devs/members")
        .await;
    assert_eq!(refused.status, 403, "it counts at once");
    let robot = api.delete("/organization/acme/members/acme+ci").await;
    assert_eq!(robot.status, 404);
    let told = lines(site, "acme").await;
    let expected = json!({"member": "bob", "team": "devs"});
    assert!(told.contains(&(LogKind::OrgRemoveTeamMember, expected)));
}
