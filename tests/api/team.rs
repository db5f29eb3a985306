//! Teams and invitations through the API.

use entrepot::model::{Grantee, LogKind, Role, Visibility};
use serde_json::{Value, json};

use super::people::{inviting_stage, lines, stage};
use crate::harness::api::fields;

/// SC-053, SC-496, SC-497: made, changed and removed.
#[tokio::test]
async fn a_team_is_made_changed_and_removed() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let path = "/organization/acme/team/ops";
    let body = json!({"role": "creator", "description": "runs it"});
    let made = api.put(path, body).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let view = made.json();
    let expected = [
        "name",
        "description",
        "can_view",
        "role",
        "avatar",
        "new_team",
    ];
    assert_eq!(fields(&view), expected);
    assert_eq!(
        (&view["role"], &view["new_team"]),
        (&json!("creator"), &json!(true))
    );
    let changed = api
        .put(path, json!({"role": "admin", "description": "rules"}))
        .await;
    let view = changed.json();
    assert_eq!(
        (&view["role"], &view["new_team"]),
        (&json!("admin"), &json!(false))
    );
    assert_eq!(view["description"], "rules");
    let removed = api.delete(path).await;
    assert_eq!((removed.status.as_u16(), removed.text()), (204, ""));
    let told = lines(&stage.site, "acme").await;
    let kinds: Vec<_> = told.iter().take(4).map(|(kind, _)| *kind).collect();
    let expected = [
        LogKind::OrgDeleteTeam,
        LogKind::OrgSetTeamRole,
        LogKind::OrgSetTeamDescription,
        LogKind::OrgCreateTeam,
    ];
    assert_eq!(kinds, expected);
    assert_eq!(told[1].1, json!({"team": "ops", "role": "admin"}));
    let again = api.delete(path).await;
    assert_eq!(again.status, 400);
    let message = "Team 'ops' is not a team in org 'acme'";
    assert_eq!(again.json(), json!({"message": message}));
}

#[tokio::test]
async fn a_team_without_form_is_refused() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let rule = "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
    let refused = api
        .put("/organization/acme/team/Abc", json!({"role": "member"}))
        .await;
    assert_eq!(refused.status, 400);
    let message = format!("Invalid team name Abc: {rule}");
    assert_eq!(refused.json(), json!({"message": message}));
    for (body, detail) in [
        (
            json!({"role": "king"}),
            "'king' is not one of ['member', 'creator', 'admin']",
        ),
        (json!({}), "'role' is a required property"),
    ] {
        let refused = api.put("/organization/acme/team/ops", body).await;
        assert_eq!(refused.json()["detail"], detail);
    }
    for token in [&stage.bob, &stage.outsider] {
        let api = stage.site.api(token);
        let refused = api
            .put("/organization/acme/team/ops", json!({"role": "admin"}))
            .await;
        assert_eq!(refused.status, 403);
    }
}

/// Who asks keeps the organisation.
#[tokio::test]
async fn nobody_takes_the_organization_from_itself() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let owners = "/organization/acme/team/owners";
    let weakened = api.put(owners, json!({"role": "member"})).await;
    assert_eq!(
        weakened.json()["message"],
        "Cannot remove admin from team 'owners' because calling user would no longer have admin \
         on org 'acme'"
    );
    let deleted = api.delete(owners).await;
    assert_eq!(
        deleted.json()["message"],
        "Deleting team 'owners' would remove admin ability for user 'ann' in organization 'acme'"
    );
    let left = api
        .delete("/organization/acme/team/owners/members/ann")
        .await;
    assert_eq!(
        left.json()["message"],
        "User cannot remove themselves from their only admin team."
    );
    for refused in [weakened, deleted, left] {
        assert_eq!(refused.status, 400);
    }
}

/// SC-492, SC-493, SC-064: who joins at once, and who leaves.
#[tokio::test]
async fn members_come_and_go() {
    let stage = stage().await;
    let site = &stage.site;
    site.robot("acme+ci").await;
    site.robot("ann+ci").await;
    let api = site.api(&stage.ann);
    let members = "/organization/acme/team/devs/members";
    for (name, is_robot) in [("carl", false), ("acme+ci", true)] {
        let added = api.put(&format!("{members}/{name}"), Value::Null).await;
        assert_eq!(added.status, 200, "{}", added.text());
        let view = added.json();
        assert_eq!(
            fields(&view),
            ["name", "kind", "is_robot", "avatar", "invited"]
        );
        assert_eq!(
            (&view["is_robot"], &view["invited"]),
            (&json!(is_robot), &json!(false))
        );
    }
    let listed = api.get(members).await.json();
    assert_eq!(fields(&listed), ["name", "members", "can_edit"]);
    assert_eq!(listed["can_edit"], true);
    let names = listed["members"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bob", "carl", "acme+ci"]);
    // Who is in it sees it, and may not change it.
    let seen = site.api(&stage.bob).get(members).await.json();
    assert_eq!(seen["can_edit"], false);
    let owners = site
        .api(&stage.bob)
        .get("/organization/acme/team/owners/members")
        .await;
    assert_eq!(owners.status, 403);
    for (name, status, message) in [
        ("carl", 400, "User carl is already a member of team devs"),
        (
            "ann+ci",
            400,
            "Cannot add the specified robot to this team, as it is not a member of the organization",
        ),
    ] {
        let refused = api.put(&format!("{members}/{name}"), Value::Null).await;
        assert_eq!(refused.status, status);
        assert_eq!(refused.json(), json!({"message": message}));
    }
    let unknown = api.put(&format!("{members}/nobody"), Value::Null).await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["detail"]),
        (400, &json!("Unknown user"))
    );
    assert_eq!(api.delete(&format!("{members}/carl")).await.status, 204);
    let again = api.delete(&format!("{members}/carl")).await;
    assert_eq!(
        again.json()["message"],
        "User carl does not belong to team devs"
    );
    assert_eq!(api.delete(&format!("{members}/nobody")).await.status, 404);
    let missing = api.get("/organization/acme/team/none/members").await;
    assert_eq!(missing.status, 404);
    let told = lines(site, "acme").await;
    let expected = json!({"member": "carl", "team": "devs"});
    assert_eq!(told[0], (LogKind::OrgRemoveTeamMember, expected.clone()));
    assert!(told.contains(&(LogKind::OrgAddTeamMember, expected)));
}

/// SC-495.
#[tokio::test]
async fn what_is_granted_to_a_team_is_listed() {
    let stage = stage().await;
    stage.site.repository("acme/app", Visibility::Public).await;
    let grantee = Grantee::Team(stage.devs);
    stage.site.grant("acme/app", grantee, Role::Write).await;
    let path = "/organization/acme/team/devs/permissions";
    let listed = stage.site.api(&stage.ann).get(path).await;
    let repository = json!({"name": "app", "is_public": true});
    let expected = json!({"permissions": [{"repository": repository, "role": "write"}]});
    assert_eq!(listed.json(), expected);
    let view = stage
        .site
        .api(&stage.ann)
        .get("/organization/acme")
        .await
        .json();
    assert_eq!(view["teams"]["devs"]["repo_count"], 1);
    assert_eq!(stage.site.api(&stage.bob).get(path).await.status, 403);
}

/// SC-060, SC-062, SC-064: invited, in the list, and in the team once that is accepted.
#[tokio::test]
async fn an_invited_user_joins_by_accepting() {
    let stage = inviting_stage().await;
    let site = &stage.site;
    site.robot("acme+ci").await;
    let api = site.api(&stage.ann);
    let members = "/organization/acme/team/devs/members";
    let invited = api.put(&format!("{members}/carl"), Value::Null).await;
    assert_eq!(invited.json()["invited"], true);
    let robot = api.put(&format!("{members}/acme+ci"), Value::Null).await;
    assert_eq!(robot.json()["invited"], false, "robots are not asked");
    let pending = api
        .get(&format!("{members}?includePending=true"))
        .await
        .json();
    let names = pending["members"].as_array().unwrap().iter();
    let names: Vec<_> = names
        .map(|it| (it["name"].as_str(), it["invited"].as_bool()))
        .collect();
    let expected = [("bob", false), ("acme+ci", false), ("carl", true)];
    let expected = expected.map(|(name, invited)| (Some(name), Some(invited)));
    assert_eq!(names, expected);
    let plain = api.get(members).await.json();
    assert_eq!(plain["members"].as_array().unwrap().len(), 2);

    let inbox = site
        .api(&stage.outsider)
        .get("/user/notifications")
        .await
        .json();
    let notice = &inbox["notifications"][0];
    assert_eq!(notice["kind"], "org_team_invite");
    let told = &notice["metadata"];
    assert_eq!(fields(told), ["code", "inviter", "org", "team"]);
    assert_eq!(
        (&told["inviter"], &told["org"]),
        (&json!("ann"), &json!("acme"))
    );
    let path = format!("/teaminvite/{}", told["code"].as_str().unwrap());
    let other = site.api(&stage.bob).put(&path, Value::Null).await;
    assert_eq!(other.status, 400);
    let message = "This invite is intended for user \"carl\". Please login to that account and try \
                   again.";
    assert_eq!(other.json(), json!({"message": message}));
    let accepted = site.api(&stage.outsider).put(&path, Value::Null).await;
    assert_eq!(accepted.json(), json!({"org": "acme", "team": "devs"}));
    let inbox = site
        .api(&stage.outsider)
        .get("/user/notifications")
        .await
        .json();
    assert_eq!(
        inbox["notifications"],
        json!([]),
        "what is answered is no news"
    );
    let again = site.api(&stage.outsider).put(&path, Value::Null).await;
    assert_eq!(
        again.json(),
        json!({"message": "Invalid confirmation code."})
    );
    let listed = api
        .get(&format!("{members}?includePending=true"))
        .await
        .json();
    let carl = &listed["members"][1];
    assert_eq!(
        (&carl["name"], &carl["invited"]),
        (&json!("carl"), &json!(false))
    );
    let told = lines(site, "acme").await;
    let answer = json!({"member": "carl", "team": "devs", "inviter": "ann"});
    assert_eq!(told[0], (LogKind::OrgTeamMemberInviteAccepted, answer));
    let invite = json!({"user": "carl", "member": "carl", "team": "devs"});
    assert!(told.contains(&(LogKind::OrgInviteTeamMember, invite)));
}

/// SC-063, SC-494: by address, withdrawn and declined.
#[tokio::test]
async fn an_invitation_is_sent_by_address_withdrawn_or_declined() {
    let stage = inviting_stage().await;
    let site = &stage.site;
    let api = site.api(&stage.ann);
    let path = "/organization/acme/team/devs/invite/carl@example.org";
    let invited = api.put(path, Value::Null).await;
    assert_eq!(invited.status, 200, "{}", invited.text());
    let view = invited.json();
    assert_eq!(fields(&view), ["email", "kind", "avatar", "invited"]);
    assert_eq!(
        (&view["kind"], &view["invited"]),
        (&json!("invite"), &json!(true))
    );
    let withdrawn = api.delete(path).await;
    assert_eq!((withdrawn.status.as_u16(), withdrawn.text()), (204, ""));
    assert_eq!(api.delete(path).await.status, 404);

    // Whose address it is accepts.
    api.put(path, Value::Null).await;
    let code = |index: usize| async move {
        let all = site.accounts().invitations_of(stage.devs).await.unwrap();
        all[index].0.code.clone()
    };
    let path = format!("/teaminvite/{}", code(0).await);
    let accepted = site.api(&stage.outsider).put(&path, Value::Null).await;
    assert_eq!(accepted.status, 200, "{}", accepted.text());

    let dora = site.user("dora").await;
    let token = site.oauth_token(dora, "user:admin").await;
    let members = "/organization/acme/team/devs/members/dora";
    api.put(members, Value::Null).await;
    let path = format!("/teaminvite/{}", code(0).await);
    let foreign = site.api(&stage.bob).delete(&path).await;
    assert_eq!(foreign.status, 400, "it is not for everybody to decline");
    let declined = site.api(&token).delete(&path).await;
    assert_eq!((declined.status.as_u16(), declined.text()), (204, ""));
    assert_eq!(site.api(&token).delete(&path).await.status, 400);
    // A member that is only invited is removed by taking the invitation back.
    api.put(members, Value::Null).await;
    assert_eq!(api.delete(members).await.status, 204);
    let left = site.accounts().invitations_of(stage.devs).await.unwrap();
    assert!(left.is_empty());
    let told = lines(site, "acme").await;
    let withdrawn = json!({"user": "dora", "team": "devs", "member": "dora"});
    assert_eq!(told[0], (LogKind::OrgDeleteTeamMemberInvite, withdrawn));
}

/// Without mail there are no invitations.
#[tokio::test]
async fn without_mailing_the_doors_of_invitations_are_closed() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let invite = "/organization/acme/team/devs/invite/x@example.org";
    assert_eq!(api.put(invite, Value::Null).await.status, 404);
    assert_eq!(api.put("/teaminvite/code", Value::Null).await.status, 404);
    let syncing = "/organization/acme/team/devs/syncing";
    assert_eq!(
        api.post(syncing, json!({"group_dn": "cn=x"})).await.status,
        404
    );
}
