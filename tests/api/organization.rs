//! Organisations through the API.

use std::time::Duration;

use entrepot::model::{Grantee, LogKind, Member, Role, TeamRole, Visibility};
use serde_json::json;

use super::people::{lines, stage};
use crate::harness::api::fields;
use crate::harness::people::Who;
use crate::harness::site::Site;

/// SC-051, SC-052, SC-417: made with a name alone, by who is then in the team `owners`.
#[tokio::test]
async fn an_organization_is_made_with_its_owners() {
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let token = site.oauth_token(ann, "user:admin org:admin").await;
    let api = site.api(&token);
    let made = api.post("/organization/", json!({"name": "acme"})).await;
    assert_eq!((made.status.as_u16(), made.text()), (201, "\"Created\"\n"));

    let shown = api.get("/organization/acme").await;
    assert_eq!(shown.status, 200);
    let view = shown.json();
    let expected = [
        "name",
        "email",
        "avatar",
        "is_admin",
        "is_member",
        "teams",
        "ordered_teams",
        "invoice_email",
        "invoice_email_address",
        "tag_expiration_s",
        "is_free_account",
        "quotas",
        "quota_report",
    ];
    assert_eq!(fields(&view), expected);
    assert_eq!(view["email"], "");
    assert_eq!(view["avatar"]["kind"], "user");
    assert_eq!(view["ordered_teams"], json!(["owners"]));
    let owners = &view["teams"]["owners"];
    let expected = [
        "name",
        "description",
        "role",
        "avatar",
        "can_view",
        "repo_count",
        "member_count",
        "is_synced",
    ];
    assert_eq!(fields(owners), expected);
    assert_eq!(owners["role"], "admin");
    assert_eq!(owners["member_count"], 1);
    assert_eq!(owners["avatar"]["color"], "#c7c7c7");
    assert_eq!(view["tag_expiration_s"], 1_209_600);
    assert_eq!(view["is_free_account"], true);
    let report = [
        "quota_bytes",
        "configured_quota",
        "running_backfill",
        "backfill_status",
    ];
    assert_eq!(fields(&view["quota_report"]), report);

    let lines = lines(&site, "acme").await;
    let (kind, metadata) = lines.last().expect("the first line tells of the making");
    assert_eq!(*kind, LogKind::OrgCreate);
    assert_eq!(*metadata, json!({"email": null, "namespace": "acme"}));
}

/// SC-049: an organisation's address is no user's.
#[tokio::test]
async fn a_name_or_address_that_is_not_free_is_refused() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let taken = "A user or organization with this name already exists";
    let rule = "Namespace must match expression ^([a-z0-9]+(?:[._-][a-z0-9]+)*)$";
    for (body, detail) in [
        (json!({"name": "acme"}), taken.to_owned()),
        (json!({"name": "bob"}), taken.to_owned()),
        (
            json!({"name": "Big"}),
            format!("Invalid namespace Big: {rule}"),
        ),
        (
            json!({"name": "a"}),
            "Invalid namespace a: Namespace must be between 2 and 255 characters in length"
                .to_owned(),
        ),
        (
            json!({"name": "other", "email": "Bob@example.org"}),
            "Email has already been used: Bob@example.org".to_owned(),
        ),
        (
            json!({"name": "other", "email": "nowhere"}),
            "Invalid email address".to_owned(),
        ),
        (json!({}), "'name' is a required property".to_owned()),
    ] {
        let refused = api.post("/organization/", body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        let view = refused.json();
        assert_eq!(view["detail"], json!(detail));
        assert_eq!(view["error_type"], "invalid_request");
    }
    let fresh = json!({"name": "other", "email": "other@example.org"});
    assert_eq!(api.post("/organization/", fresh).await.status, 201);
}

/// SC-417: who is no member sees that it is there.
#[tokio::test]
async fn an_outsider_sees_the_name_only() {
    let stage = stage().await;
    for api in [stage.site.api_of_nobody(), stage.site.api(&stage.outsider)] {
        let view = api.get("/organization/acme").await.json();
        let mut expected = vec!["name", "email", "avatar", "is_admin", "is_member"];
        assert_eq!(fields(&view), expected);
        assert_eq!(
            (&view["email"], &view["is_admin"]),
            (&json!(""), &json!(false))
        );
        expected.clear();
        assert_eq!(api.get("/organization/nobody").await.status, 404);
        assert_eq!(
            api.get("/organization/ann").await.status,
            404,
            "a user is none"
        );
    }
    // A member sees the teams, and can open its own.
    let view = stage
        .site
        .api(&stage.bob)
        .get("/organization/acme")
        .await
        .json();
    assert_eq!(view["ordered_teams"], json!(["owners", "devs"]));
    assert_eq!(view["teams"]["devs"]["can_view"], true);
    assert_eq!(view["teams"]["owners"]["can_view"], false);
    assert!(view.get("invoice_email").is_none());
    assert_eq!(view["email"], "");
}

/// SC-416: what the guide sends is stored and echoed.
#[tokio::test]
async fn what_is_told_of_an_organization_is_changed() {
    let stage = stage().await;
    let api = stage.site.api(&stage.ann);
    let body = json!({
        "email": "new-contact@test-org.com",
        "invoice_email": true,
        "invoice_email_address": "billing@test-org.com",
        "tag_expiration_s": "604800",
        "is_admin": false,
        "unknown": 1,
    });
    let changed = api.put("/organization/acme", body).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for view in [changed.json(), api.get("/organization/acme").await.json()] {
        assert_eq!(view["email"], "new-contact@test-org.com");
        assert_eq!(view["invoice_email"], true);
        assert_eq!(view["invoice_email_address"], "billing@test-org.com");
        assert_eq!(view["tag_expiration_s"], 604_800);
        assert_eq!(view["is_admin"], true);
        let hash = view["avatar"]["hash"].as_str().unwrap();
        assert!(hash.starts_with("a15d4790"), "{hash}");
        assert_eq!(view["avatar"]["color"], "#aec7e8");
    }
    let refused = api
        .put("/organization/acme", json!({"tag_expiration_s": 7}))
        .await;
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json(),
        json!({"message": "Invalid tag expiration option"})
    );
    let refused = api
        .put("/organization/acme", json!({"email": "bob@example.org"}))
        .await;
    assert_eq!(refused.json()["detail"], "E-mail address already used");
    let told = lines(&stage.site, "acme").await;
    let kinds: Vec<_> = told.iter().take(4).map(|(kind, _)| *kind).collect();
    let expected = [
        LogKind::OrgChangeTagExpiration,
        LogKind::OrgChangeEmail,
        LogKind::OrgChangeInvoicing,
        LogKind::OrgChangeInvoicing,
    ];
    assert_eq!(kinds, expected);
    let email = json!({
        "email": "new-contact@test-org.com",
        "old_email": null,
        "namespace": "acme",
    });
    assert_eq!(told[1].1, email);
}

/// SC-298: a year where `TAG_EXPIRATION_OPTIONS` has it, and only there.
#[tokio::test]
async fn a_time_machine_is_as_long_as_the_options_allow() {
    let year = Duration::from_secs(365 * 86_400);
    let body = json!({"tag_expiration_s": 31_536_000});
    for (options, status) in [(vec![], 400), (vec![year], 200)] {
        let site = Site::start(|config| config.retention.time_machines.extend(options)).await;
        let ann = site.user("ann").await;
        site.organization("acme", Some(ann)).await;
        let token = site.oauth_token(ann, "user:admin org:admin").await;
        let api = site.api(&token);
        let changed = api.put("/organization/acme", body.clone()).await;
        assert_eq!(changed.status, status, "{}", changed.text());
        let shown = api.get("/organization/acme").await.json();
        let expected = if status == 200 { 31_536_000 } else { 1_209_600 };
        assert_eq!(shown["tag_expiration_s"], expected);
    }
}

/// SC-357, SC-418, AZ-16: gone for every door at once, and nobody inherits from it.
#[tokio::test]
async fn a_deleted_organization_is_gone_for_every_door() {
    let stage = stage().await;
    let site = &stage.site;
    let (_, robot) = site.robot("acme+ci").await;
    site.repository("acme/app", Visibility::Public).await;
    let api = site.api(&stage.ann);
    assert_eq!(
        site.get_as(&robot, "/v2/auth?service=entrepot")
            .await
            .status,
        200
    );
    let listed = async || {
        let public = "/repository?public=true&namespace=acme";
        let everywhere = "/repository?public=true";
        let mut found = 0;
        for path in [public, everywhere] {
            let list = site.api_of_nobody().get(path).await.json();
            found += list["repositories"].as_array().map_or(0, Vec::len);
        }
        found
    };
    assert_eq!(listed().await, 2);
    let refused = site.api(&stage.bob).delete("/organization/acme").await;
    assert_eq!(refused.status, 403);
    let deleted = api.delete("/organization/acme").await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));

    assert_eq!(listed().await, 0, "before its rows are gone");
    let missing = api.get("/organization/acme").await;
    assert_eq!(missing.status, 404);
    let url = site.url("/api/v1/error/not_found");
    let expected = json!({
        "detail": "Not Found",
        "error_message": "Not Found",
        "error_type": "not_found",
        "title": "not_found",
        "type": url,
        "status": 404,
    });
    assert_eq!(missing.json(), expected);
    for path in [
        "/organization/acme/members",
        "/organization/acme/team/devs/members",
    ] {
        assert_eq!(api.get(path).await.status, 404, "{path}");
    }
    let login = site.get_as(&robot, "/v2/auth?service=entrepot").await;
    assert_eq!(login.status, 401);
    let pull = site
        .get_as(&Who::user("ann"), "/v2/acme/app/tags/list")
        .await;
    assert_ne!(pull.status, 200);
}

/// SC-057, SC-058: restricted people, and everyone but superusers if the operator says so, make none.
#[tokio::test]
async fn only_superusers_make_organizations_where_the_operator_says_so() {
    let site = Site::start(|config| {
        config.features.superusers_org_creation_only = true;
    })
    .await;
    let (ann, root) = (site.user("ann").await, site.superuser("root").await);
    let body = json!({"name": "acme"});
    let token = site.oauth_token(ann, "user:admin").await;
    let refused = site.api(&token).post("/organization/", body.clone()).await;
    assert_eq!(refused.status, 403);
    let token = site.oauth_token(root, "user:admin super:user").await;
    let made = site.api(&token).post("/organization/", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
}

/// AZ-14: a token that is for less than the door.
#[tokio::test]
async fn a_token_for_less_changes_nothing() {
    let stage = stage().await;
    let reader = stage.site.oauth_token(stage.ann_id, "repo:read").await;
    let api = stage.site.api(&reader);
    for refused in [
        api.put("/organization/acme", json!({})).await,
        api.delete("/organization/acme").await,
        api.post("/organization/", json!({"name": "other"})).await,
        api.get("/organization/acme/members").await,
    ] {
        assert_eq!(refused.status, 403, "{}", refused.text());
        assert_eq!(refused.json()["error_type"], "insufficient_scope");
    }
}

/// A grant and a team keep a user who is renamed; the robots bear the new name.
#[tokio::test]
async fn a_renamed_organization_keeps_its_people() {
    let stage = stage().await;
    let site = &stage.site;
    let repository = site.repository("acme/app", Visibility::Private).await;
    let (ci, robot) = site.robot("acme+ci").await;
    site.grant("acme/app", Grantee::Robot(ci), Role::Read).await;
    let name = "zenith".parse().unwrap();
    let by = entrepot::model::Performer::SYSTEM;
    let renamed = site.accounts().rename_namespace(stage.acme, &name, &by);
    renamed.await.unwrap();

    let api = site.api(&stage.ann);
    assert_eq!(api.get("/organization/acme").await.status, 404);
    let view = api.get("/organization/zenith").await.json();
    assert_eq!(view["ordered_teams"], json!(["owners", "devs"]));
    let robots = api.get("/organization/zenith/robots").await.json();
    assert_eq!(robots["robots"][0]["name"], "zenith+ci");
    let Who::Basic { password, .. } = robot else {
        panic!("robots show a password");
    };
    assert_eq!(robots["robots"][0]["token"], json!(password));
    let user = "zenith+ci".to_owned();
    let robot = Who::Basic { user, password };
    let login = site.get_as(&robot, "/v2/auth?service=entrepot").await;
    assert_eq!(login.status, 200, "{}", login.text());
    let listed = api
        .get("/repository/zenith/app/permissions/user/")
        .await
        .json();
    assert_eq!(fields(&listed["permissions"]), ["zenith+ci"]);
    assert_eq!(site.find_repository("zenith/app").await, Some(repository));
    site.team(stage.acme, "more", TeamRole::Member, &[Member::Robot(ci)])
        .await;
}
