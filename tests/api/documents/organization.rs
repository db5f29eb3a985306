//! Organisations, who is in them, what they cache, and their applications with their tokens.

use entrepot::model::{Grantee, Role, Visibility};
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, forbidden, invalid, not_found};
use crate::harness::origin::Origin;

/// quay-api section 13.1, SEED: the view in the order of the documents, for who administers it.
fn organization_view() -> Value {
    let team = |name: &str, description: &str, role: &str| {
        json!({
            "name": name,
            "description": description,
            "role": role,
            "avatar": avatar(name, "team"),
            "can_view": true,
            "repo_count": 0,
            "member_count": 1,
            "is_synced": false,
        })
    };
    json!({
        "name": "acme",
        "email": "",
        "avatar": avatar("acme", "user"),
        "is_admin": true,
        "is_member": true,
        "teams": {
            "owners": team("owners", "", "admin"),
            "devs": team("devs", "", "member"),
        },
        "ordered_teams": ["owners", "devs"],
        "invoice_email": false,
        "invoice_email_address": null,
        "tag_expiration_s": 1_209_600,
        "is_free_account": true,
        "quotas": [],
        "quota_report": {
            "quota_bytes": 0,
            "configured_quota": null,
            "running_backfill": "complete",
            "backfill_status": "complete",
        },
    })
}

/// quay-api sections 13, 14 and 28, SEED.
#[tokio::test]
async fn the_doors_of_an_organization_answer_as_documented() {
    let guide = Guide::new().await;
    of_itself(&guide).await;
    of_its_people(&guide).await;
    of_its_applications(&guide).await;
    of_its_cache(&guide).await;
    let line = "DELETE /organization/acme";
    guide
        .ask(&guide.bob, line, Value::Null)
        .await
        .refuses(403, &forbidden(&guide.site));
    guide.ask(&guide.ann, line, Value::Null).await.says(204, "");
    let refusal = not_found(&guide.site);
    guide
        .get(&guide.ann, "/organization/acme")
        .await
        .refuses(404, &refusal);
    let headings = ["organization", "organization_application_tokens"];
    all_are_shown(&[&guide], &headings, &[]);
}

async fn of_itself(guide: &Guide) {
    let body = json!({"name": "neworg", "email": "neworg@example.org"});
    let line = "POST /organization/";
    guide
        .ask(&guide.ann, line, body.clone())
        .await
        .says(201, "\"Created\"");
    let taken = invalid(
        &guide.site,
        "A user or organization with this name already exists",
    );
    guide.ask(&guide.ann, line, body).await.refuses(400, &taken);
    let one = "/organization/acme";
    guide
        .get(&guide.ann, one)
        .await
        .is(200, &organization_view());
    let of_nobody = json!({
        "name": "acme",
        "email": "",
        "avatar": avatar("acme", "user"),
        "is_admin": false,
        "is_member": false,
    });
    guide.get("", one).await.is(200, &of_nobody);
    let body = json!({
        "email": "new-contact@test-org.com",
        "invoice_email": true,
        "invoice_email_address": "billing@test-org.com",
    });
    let mut changed = organization_view();
    for (field, value) in body.as_object().unwrap() {
        changed[field] = value.clone();
    }
    guide
        .ask(&guide.ann, "PUT /organization/acme", body)
        .await
        .is(200, &changed);
    let wrong = json!({"email": "nowhere"});
    guide
        .ask(&guide.ann, "PUT /organization/acme", wrong)
        .await
        .refuses(400, &invalid(&guide.site, "Invalid email address"));
}

async fn of_its_people(guide: &Guide) {
    let site = &guide.site;
    site.repository("acme/app", Visibility::Private).await;
    for name in ["bob", "carl"] {
        let (id, _) = site.accounts().user_by_name(name).await.unwrap().unwrap();
        site.grant("acme/app", Grantee::User(id), Role::Read).await;
    }
    let member = |name: &str, team: &str, repositories: Value| {
        json!({
            "name": name,
            "kind": "user",
            "avatar": avatar(name, "user"),
            "teams": [{"name": team, "avatar": avatar(team, "team")}],
            "repositories": repositories,
        })
    };
    let bob = member("bob", "devs", json!(["app"]));
    let members = json!({"members": [member("ann", "owners", json!([])), bob]});
    let all = "/organization/acme/members";
    guide.get(&guide.ann, all).await.is(200, &members);
    let one = format!("{all}/bob");
    guide.get(&guide.ann, &one).await.is(200, &bob);
    let refusal = not_found(site);
    let nobody = format!("{all}/carl");
    guide.get(&guide.ann, &nobody).await.refuses(404, &refusal);
    // The documents print a bare word in the list, which is no JSON.
    let collaborator = json!({
        "kind": "user",
        "name": "carl",
        "avatar": avatar("carl", "user"),
        "repositories": ["app"],
    });
    let collaborators = json!({"collaborators": [collaborator]});
    let path = "/organization/acme/collaborators";
    guide.get(&guide.ann, path).await.is(200, &collaborators);
    guide.removes(&guide.ann, &one).await;
    guide.get(&guide.ann, &one).await.refuses(404, &refusal);
}

/// quay-api section 14, SEED: bodies with all that the documents send.
async fn of_its_applications(guide: &Guide) {
    let view = |name: &str| {
        json!({
            "name": name,
            "description": "<text>",
            "application_uri": "http://example.com",
            "client_id": "ABCDEFGHIJKLMNOPQRST",
            "client_secret": "A".repeat(40),
            "redirect_uri": "http://example.com/callback",
            "avatar_email": "avatar@example.com",
        })
    };
    let body = |name: &str| {
        json!({
            "name": name,
            "redirect_uri": "http://example.com/callback",
            "application_uri": "http://example.com",
            "description": "An application",
            "avatar_email": "avatar@example.com",
        })
    };
    let all = "/organization/acme/applications";
    let line = format!("POST {all}");
    let made = guide.ask(&guide.ann, &line, body("portal")).await;
    let made = made.is(200, &view("portal")).json();
    let client_id = made["client_id"].as_str().unwrap();
    let list = json!({"applications": [view("portal")]});
    guide.get(&guide.ann, all).await.is(200, &list);
    let one = format!("{all}/{client_id}");
    guide.get(&guide.ann, &one).await.is(200, &view("portal"));
    guide
        .ask(&guide.ann, &format!("PUT {one}"), body("site"))
        .await
        .is(200, &view("site"));
    let line = format!("POST {one}/resetclientsecret");
    let reset = guide.ask(&guide.ann, &line, Value::Null).await;
    let reset = reset.is(200, &view("site")).json();
    assert_ne!(reset["client_secret"], made["client_secret"]);
    let path = format!("/app/{client_id}");
    guide.get("", &path).await.is(200, &told_to_everyone());
    of_tokens(guide, &one).await;
    guide.removes(&guide.ann, &one).await;
    let refusal = not_found(&guide.site);
    guide.get(&guide.ann, &one).await.refuses(404, &refusal);
    guide.get("", &path).await.refuses(404, &refusal);
}

/// What everyone is told of the application.
fn told_to_everyone() -> Value {
    json!({
        "name": "site",
        "description": "An application",
        "uri": "http://example.com",
        "avatar": avatar("site", "app"),
        "organization": {
            "name": "acme",
            "email": "",
            "avatar": avatar("acme", "user"),
            "is_admin": false,
            "is_member": false,
            "teams": {},
            "ordered_teams": [],
        },
    })
}

/// quay-api section 14.4.
async fn of_tokens(guide: &Guide, application: &str) {
    let view = json!({
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "name": "ci",
        "scope": "repo:read",
        "expires_at": "2026-01-01T01:00:00Z",
        "created": "2026-01-01T00:00:00Z",
        "created_by": "ann",
        "last_accessed": null,
    });
    let mut with_secret = view.clone();
    with_secret["token"] = "A".repeat(40).into();
    let all = format!("{application}/tokens");
    let line = format!("POST {all}");
    let body = json!({"name": "ci", "scope": "repo:read", "expiration": 3600});
    let made = guide.ask(&guide.ann, &line, body).await;
    let made = made.is(200, &with_secret).json();
    let wrong = json!({"name": "ci", "scope": "repo:fly"});
    let refusal = json!({"message": "Invalid scope: repo:fly"});
    guide
        .ask(&guide.ann, &line, wrong)
        .await
        .refuses(400, &refusal);
    let list = json!({"tokens": [view]});
    guide.get(&guide.ann, &all).await.is(200, &list);
    guide
        .removes_once(
            &guide.ann,
            &format!("{all}/{}", made["uuid"].as_str().unwrap()),
        )
        .await;
}

/// quay-api section 28, SEED.
async fn of_its_cache(guide: &Guide) {
    let origin = Origin::start().await;
    let upstream = origin.address().to_string();
    let body = json!({"upstream_registry": upstream, "insecure": true});
    let line = "POST /organization/neworg/validateproxycache";
    guide
        .ask(&guide.ann, line, body.clone())
        .await
        .says(202, "\"Valid\"");
    let path = "/organization/neworg/proxycache";
    let line = format!("POST {path}");
    guide
        .ask(&guide.ann, &line, body.clone())
        .await
        .says(201, "\"Created\"");
    let exists = invalid(&guide.site, "Proxy Cache Configuration already exists");
    guide
        .ask(&guide.ann, &line, body)
        .await
        .refuses(400, &exists);
    let view = json!({"upstream_registry": upstream, "expiration_s": 86_400, "insecure": true});
    guide.get(&guide.ann, path).await.is(200, &view);
    guide
        .ask(&guide.ann, &format!("DELETE {path}"), Value::Null)
        .await
        .says(201, "\"Deleted\"");
    guide
        .ask(&guide.ann, &format!("DELETE {path}"), Value::Null)
        .await
        .refuses(404, &not_found(&guide.site));
}
