//! What superusers see of the whole site, and do for it.

use entrepot::config::AvatarKind;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, exception, forbidden, invalid, not_found};
use crate::harness::api::fields;
use crate::harness::form::differences;

/// quay-api section 35: a user in the documents' order, with the one field that came after them.
pub(super) fn user_view(name: &str, is_superuser: bool) -> Value {
    json!({
        "kind": "user",
        "name": name,
        "username": name,
        "email": format!("{name}@example.org"),
        "verified": true,
        "avatar": avatar(name, "user"),
        "super_user": is_superuser,
        "global_readonly_super_user": false,
        "enabled": true,
        "quotas": [],
        "quota_report": quota_report(),
    })
}

fn quota_report() -> Value {
    json!({
        "quota_bytes": 0,
        "configured_quota": null,
        "running_backfill": "complete",
        "backfill_status": "complete",
    })
}

fn organization_view(name: &str) -> Value {
    json!({
        "name": name,
        "email": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "avatar": avatar(name, "org"),
        "quotas": [],
        "quota_report": quota_report(),
    })
}

/// quay-api section 35 with 30 for the logs.
#[tokio::test]
async fn the_doors_of_superusers_answer_as_documented() {
    let guide = Guide::with(|config| {
        config.features.superuser_configdump = true;
        config.given = vec![("OFFLINE".to_owned(), json!(true))];
    })
    .await;
    of_users(&guide).await;
    of_organizations(&guide).await;
    of_logs(&guide).await;
    of_the_site(&guide).await;
    of_builds(&guide).await;
    super::keys::of_superusers(&guide).await;
    super::quota::of_superusers(&guide).await;
    super::mirror::of_superusers(&guide).await;
    let full = Guide::with(|config| {
        config.features.superusers_full_access = true;
        config.access.superusers_full_access = true;
    })
    .await;
    of_app_tokens(&guide, &full).await;
    let headings = ["superuser", "suconfig"];
    all_are_shown(&[&guide, &full], &headings, &[]);
}

async fn of_users(guide: &Guide) {
    let users = [
        user_view("ann", false),
        user_view("bob", false),
        user_view("carl", false),
        user_view("root", true),
    ];
    let list = json!({ "users": users });
    for path in ["/superuser/users/", "/superuser/users"] {
        guide.get(&guide.root, path).await.is(200, &list);
    }
    guide
        .get(&guide.root, "/superuser/users/?limit=101")
        .await
        .refuses(400, &invalid(&guide.site, "Page limit cannot be above 100"));
    let body = json!({"username": "newuser", "email": "newuser@example.org"});
    let made = json!({
        "username": "newuser",
        "email": "newuser@example.org",
        "password": "A0".repeat(16),
        "encrypted_password": "<text>",
    });
    guide
        .ask(&guide.root, "POST /superuser/users/", body)
        .await
        .is(200, &made);
    let one = "/superuser/users/newuser";
    let view = user_view("newuser", false);
    guide.get(&guide.root, one).await.is(200, &view);
    let mut changed = view;
    changed["email"] = json!("other@example.org");
    changed["encrypted_password"] = json!("<text>");
    let body = json!({"email": "other@example.org", "password": "another-horse"});
    guide
        .ask(&guide.root, &format!("PUT {one}"), body)
        .await
        .is(200, &changed);
    let delete = format!("DELETE {one}");
    guide
        .ask(&guide.root, &delete, Value::Null)
        .await
        .says(204, "");
    let refusal = not_found(&guide.site);
    guide.get(&guide.root, one).await.refuses(404, &refusal);
    let text = "Cannot delete a superuser";
    guide
        .ask(&guide.root, "DELETE /superuser/users/root", Value::Null)
        .await
        .refuses(400, &invalid(&guide.site, text));
}

/// The change has all that the documents send; what it answers is what was there.
async fn of_organizations(guide: &Guide) {
    let list = json!({"organizations": [organization_view("acme")]});
    let path = "/superuser/organizations/?name=acme";
    guide.get(&guide.root, path).await.is(200, &list);
    let body = json!({
        "email": "x@example.org",
        "invoice_email": true,
        "invoice_email_address": "bills@example.org",
        "tag_expiration_s": 0,
    });
    let put = "PUT /superuser/organizations/acme";
    let changed = guide.ask(&guide.root, put, body).await;
    let changed = changed.is(200, &organization_view("acme")).json();
    assert_ne!(changed["email"], "x@example.org");
    let path = "/superuser/takeownership/acme";
    guide
        .ask(&guide.root, &format!("POST {path}"), Value::Null)
        .await
        .says(200, "{\"namespace\":\"acme\"}");
    let delete = "DELETE /superuser/organizations/acme";
    guide
        .ask(&guide.root, delete, Value::Null)
        .await
        .says(204, "");
    let refusal = not_found(&guide.site);
    guide
        .ask(&guide.root, delete, Value::Null)
        .await
        .refuses(404, &refusal);
    let nothing = "POST /superuser/takeownership/nobody";
    guide
        .ask(&guide.root, nothing, Value::Null)
        .await
        .refuses(404, &refusal);
}

async fn of_logs(guide: &Guide) {
    let body = json!({"repository": "app", "visibility": "private", "description": ""});
    let _ = guide
        .ask(&guide.ann, "POST /repository", body)
        .await
        .succeeds(201);
    let window = "performer=ann&starttime=01/01/2026&endtime=01/01/2026";
    let entry = json!({
        "kind": "create_repo",
        "metadata": {
            "oauth_token_id": "<number>",
            "oauth_token_application_id": "<text>",
            "oauth_token_application": "tests",
            "repo": "app",
            "namespace": "ann",
        },
        "ip": "127.0.0.1",
        "datetime": "Thu, 01 Jan 2026 00:00:00 -0000",
        "performer": {
            "kind": "user", "name": "ann", "is_robot": false, "avatar": avatar("ann", "user"),
        },
        "namespace": {"kind": "user", "name": "ann", "avatar": avatar("ann", "user")},
    });
    // All that happens on a site is here: the newest row is ann's.
    let path = "/superuser/logs?starttime=01/01/2026&endtime=01/01/2026";
    let shown = guide.get(&guide.root, path).await.succeeds(200).json();
    assert_eq!(fields(&shown), ["start_time", "end_time", "logs"]);
    assert_eq!(shown["end_time"], "Fri, 02 Jan 2026 00:00:00 -0000");
    let differences = differences(&shown["logs"][0], &entry);
    assert!(differences.is_empty(), "{differences:#?}");
    let count = json!({
        "kind": "create_repo", "count": 1, "datetime": "Thu, 01 Jan 2026 00:00:00 -0000",
    });
    let counts = json!({"aggregated": [count]});
    let path = format!("/superuser/aggregatelogs?{window}");
    guide.get(&guide.root, &path).await.is(200, &counts);
}

async fn of_the_site(guide: &Guide) {
    let path = "/superuser/registrysize/";
    let size = json!({"size_bytes": 0, "last_ran": null, "queued": false, "running": false});
    guide.get(&guide.root, path).await.is(200, &size);
    let body = json!({"namespace": "acme", "last_ran": 0, "queued": true, "running": false});
    guide
        .ask(&guide.root, &format!("POST {path}"), body)
        .await
        .says(201, "\"\"");
    let path = "/superuser/changelog/";
    let log = json!({"log": "<text>"});
    guide.get(&guide.root, path).await.is(200, &log);
    let dump = json!({"config": {"OFFLINE": true}, "warning": {}, "env": {}, "schema": {}});
    let path = "/superuser/config";
    guide.get(&guide.root, path).await.is(200, &dump);
    let status = json!({"provider_id": "file", "status": "ready"});
    let path = "/superuser/registrystatus";
    guide.get("", path).await.is(200, &status);
    let end = "POST /superuser/shutdown";
    guide
        .ask(&guide.root, end, json!({}))
        .await
        .is(200, &json!({}));
}

/// Nothing builds here yet: an unknown build is what every build is.
async fn of_builds(guide: &Guide) {
    let path = "/superuser/0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a";
    guide
        .get(&guide.root, &format!("{path}/build"))
        .await
        .only_refuses(404, &not_found(&guide.site));
    let text = "Build not found: 0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a";
    let refusal = exception(&guide.site, 400, "invalid_response", text);
    for part in ["status", "logs", "logs/archive"] {
        guide
            .get(&guide.root, &format!("{path}/{part}"))
            .await
            .only_refuses(400, &refusal);
    }
}

/// For superusers who act for others.
async fn of_app_tokens(guide: &Guide, full: &Guide) {
    let path = "/superuser/apptokens";
    guide
        .get(&guide.root, path)
        .await
        .refuses(403, &forbidden(&guide.site));
    let body = json!({"title": "MyAppToken"});
    let _ = full
        .ask(&full.ann, "POST /user/apptoken", body)
        .await
        .succeeds(200);
    let token = json!({
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "title": "MyAppToken",
        "last_accessed": null,
        "created": "Fri, 10 May 2024 17:46:02 -0000",
        "expiration": null,
    });
    let list = json!({"tokens": [token], "only_expiring": null});
    full.get(&full.root, path).await.is(200, &list);
}

/// quay-api section 41: hashes of 32 digits, as the older documents print them in these lists, are those of
/// the other kind of avatar.
#[tokio::test]
async fn avatars_of_the_older_documents_are_those_of_the_other_kind() {
    let guide = Guide::with(|config| config.web.avatars = AvatarKind::Gravatar).await;
    let short = |mut view: Value| {
        view["avatar"]["hash"] = "0".repeat(32).into();
        view
    };
    let list = json!({"organizations": [short(organization_view("acme"))]});
    let path = "/superuser/organizations/";
    guide.get(&guide.root, path).await.is(200, &list);
    let path = "/superuser/users/ann";
    let view = short(user_view("ann", false));
    guide.get(&guide.root, path).await.is(200, &view);
}
