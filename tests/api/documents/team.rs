//! Teams, invitations into them, and default permissions.

use entrepot::model::Visibility;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, invalid, not_found};

const DEVS: &str = "/organization/acme/team/devs";

fn member(name: &str, is_robot: bool, invited: bool) -> Value {
    json!({
        "name": name,
        "kind": "user",
        "is_robot": is_robot,
        "avatar": avatar(name, if is_robot { "robot" } else { "user" }),
        "invited": invited,
    })
}

/// quay-api section 16, SEED.
#[tokio::test]
async fn the_doors_of_a_team_answer_as_documented() {
    let guide = Guide::with(|config| {
        config.features.team_syncing = true;
        config.features.nonsuperuser_team_syncing_setup = true;
    })
    .await;
    of_itself(&guide).await;
    of_its_members(&guide).await;
    of_its_rights(&guide).await;
    let mailing = Guide::with(|config| config.features.mailing = true).await;
    of_invitations(&mailing).await;
    all_are_shown(&[&guide, &mailing], &["team"], &[]);
}

async fn of_itself(guide: &Guide) {
    let view = |role: &str, is_new: bool| {
        json!({
            "name": "ops",
            "description": "",
            "can_view": true,
            "role": role,
            "avatar": avatar("ops", "team"),
            "new_team": is_new,
        })
    };
    let line = "PUT /organization/acme/team/ops";
    for (role, is_new) in [("creator", true), ("admin", false), ("member", false)] {
        guide
            .ask(&guide.ann, line, json!({ "role": role }))
            .await
            .is(200, &view(role, is_new));
    }
    let line = "DELETE /organization/acme/team/ops";
    guide.ask(&guide.ann, line, Value::Null).await.says(204, "");
    let refusal = json!({"message": "Team 'ops' is not a team in org 'acme'"});
    guide
        .ask(&guide.ann, line, Value::Null)
        .await
        .refuses(400, &refusal);
    let message = "Cannot remove admin from team 'owners' because calling user would no longer \
                   have admin on org 'acme'";
    let own = "PUT /organization/acme/team/owners";
    guide
        .ask(&guide.ann, own, json!({"role": "member"}))
        .await
        .refuses(400, &json!({ "message": message }));
}

async fn of_its_members(guide: &Guide) {
    guide.site.robot("acme+ci").await;
    let line = |method: &str, name: &str| format!("{method} {DEVS}/members/{name}");
    for (name, is_robot) in [("carl", false), ("acme+ci", true)] {
        guide
            .ask(&guide.ann, &line("PUT", name), Value::Null)
            .await
            .is(200, &member(name, is_robot, false));
    }
    let members = [
        member("bob", false, false),
        member("carl", false, false),
        member("acme+ci", true, false),
    ];
    let list = json!({"name": "devs", "members": members, "can_edit": true});
    let all = format!("{DEVS}/members");
    let pending = format!("{all}?includePending=true");
    guide.get(&guide.ann, &pending).await.is(200, &list);
    guide
        .ask(&guide.ann, &line("PUT", "nobody"), Value::Null)
        .await
        .refuses(400, &invalid(&guide.site, "Unknown user"));
    guide
        .ask(&guide.ann, &line("DELETE", "carl"), Value::Null)
        .await
        .says(204, "");
    guide
        .get(&guide.ann, "/organization/acme/team/none/members")
        .await
        .refuses(404, &not_found(&guide.site));
}

/// The permissions of a team; the documents' body for groups of a directory is read, and refused.
async fn of_its_rights(guide: &Guide) {
    guide.site.repository("acme/app", Visibility::Private).await;
    let grant = "PUT /repository/acme/app/permissions/team/devs";
    let _ = guide
        .ask(&guide.ann, grant, json!({"role": "write"}))
        .await
        .succeeds(200);
    let repository = json!({"name": "app", "is_public": false});
    let granted = json!({"permissions": [{"repository": repository, "role": "write"}]});
    let path = format!("{DEVS}/permissions");
    guide.get(&guide.ann, &path).await.is(200, &granted);

    let line = format!("POST {DEVS}/syncing");
    let body = json!({"group_dn": "cn=ldapgroup,ou=Users"});
    let refusal = invalid(&guide.site, "Could not sync to group: Not supported");
    guide
        .ask(&guide.ann, &line, body)
        .await
        .only_refuses(400, &refusal);
    let view = json!({
        "name": "devs",
        "description": "",
        "can_view": true,
        "role": "member",
        "avatar": avatar("devs", "team"),
        "new_team": false,
    });
    guide
        .ask(&guide.ann, &format!("DELETE {DEVS}/syncing"), Value::Null)
        .await
        .is(200, &view);
}

async fn of_invitations(guide: &Guide) {
    let line = |name: &str| format!("PUT {DEVS}/members/{name}");
    guide
        .ask(&guide.ann, &line("carl"), Value::Null)
        .await
        .is(200, &member("carl", false, true));
    let code = async || {
        let inbox = guide.get(&guide.carl, "/user/notifications").await;
        let inbox = inbox.succeeds(200).json();
        let notice = &inbox["notifications"][0]["metadata"];
        notice["code"].as_str().unwrap().to_owned()
    };
    let invite = format!("/teaminvite/{}", code().await);
    guide
        .ask(&guide.carl, &format!("PUT {invite}"), Value::Null)
        .await
        .is(200, &json!({"org": "acme", "team": "devs"}));
    let refusal = json!({"message": "Invalid confirmation code."});
    guide
        .ask(&guide.carl, &format!("PUT {invite}"), Value::Null)
        .await
        .refuses(400, &refusal);
    guide
        .ask(
            &guide.ann,
            &format!("DELETE {DEVS}/members/carl"),
            Value::Null,
        )
        .await
        .says(204, "");
    guide
        .ask(&guide.ann, &line("carl"), Value::Null)
        .await
        .is(200, &member("carl", false, true));
    let invite = format!("/teaminvite/{}", code().await);
    guide.removes(&guide.carl, &invite).await;

    of_addresses(guide).await;
}

async fn of_addresses(guide: &Guide) {
    let by_address = format!("{DEVS}/invite/newuser@example.com");
    let view = json!({
        "email": "newuser@example.com",
        "kind": "invite",
        "avatar": avatar("newuser@example.com", "user"),
        "invited": true,
    });
    guide
        .ask(&guide.ann, &format!("PUT {by_address}"), Value::Null)
        .await
        .is(200, &view);
    let pending = format!("{DEVS}/members?includePending=true");
    let list =
        json!({"name": "devs", "members": [member("bob", false, false), view], "can_edit": true});
    guide.get(&guide.ann, &pending).await.is(200, &list);
    guide.removes_once(&guide.ann, &by_address).await;
}

/// quay-api section 15.
#[tokio::test]
async fn the_doors_of_default_permissions_answer_as_documented() {
    let guide = Guide::new().await;
    let user = |name: &str, is_member: bool| {
        json!({
            "name": name,
            "is_robot": false,
            "kind": "user",
            "is_org_member": is_member,
            "avatar": avatar(name, "user"),
        })
    };
    let view = |role: &str| {
        json!({
            "activating_user": user("bob", true),
            "delegate": {"name": "devs", "kind": "team", "avatar": avatar("devs", "team")},
            "role": role,
            "id": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        })
    };
    let all = "/organization/acme/prototypes";
    let line = format!("POST {all}");
    let body = json!({
        "role": "read",
        "delegate": {"name": "devs", "kind": "team"},
        "activating_user": {"name": "bob"},
    });
    let made = guide.ask(&guide.ann, &line, body).await;
    let made = made.is(200, &view("read")).json();
    let list = json!({"prototypes": [view("read")]});
    guide.get(&guide.ann, all).await.is(200, &list);
    let one = format!("{all}/{}", made["id"].as_str().unwrap());
    guide
        .ask(&guide.ann, &format!("PUT {one}"), json!({"role": "write"}))
        .await
        .is(200, &view("write"));
    guide.removes_once(&guide.ann, &one).await;
    let general = json!({"role": "admin", "delegate": {"name": "carl", "kind": "user"}});
    let expected = json!({
        "activating_user": null,
        "delegate": user("carl", false),
        "role": "admin",
        "id": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
    });
    guide
        .ask(&guide.ann, &format!("POST {all}"), general)
        .await
        .is(200, &expected);
    all_are_shown(&[&guide], &["prototype"], &[]);
}
