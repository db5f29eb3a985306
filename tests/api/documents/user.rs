//! The current user, its stars, notices, authorizations and app tokens.

use entrepot::accounts::{ApplicationFields, NewAssignment};
use entrepot::model::{Performer, Visibility};
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, exception, invalid, not_found};
use crate::api::notifications;
use crate::harness::browser::Browser;
use crate::harness::people::password;

/// quay-api section 10.1, SEED: the view of the user itself, in the order of the documents.
fn user_view(name: &str) -> Value {
    json!({
        "anonymous": false,
        "username": name,
        "avatar": avatar(name, "user"),
        "can_create_repo": true,
        "is_me": true,
        "verified": true,
        "email": format!("{name}@example.org"),
        "logins": [],
        "invoice_email": false,
        "invoice_email_address": null,
        "preferred_namespace": false,
        "tag_expiration_s": 1_209_600,
        "prompts": [],
        "company": null,
        "family_name": null,
        "given_name": null,
        "location": null,
        "is_free_account": true,
        "has_password_set": (["ann", "newuser"].contains(&name)),
        "quotas": [],
        "quota_report": {
            "quota_bytes": 0,
            "configured_quota": null,
            "running_backfill": "complete",
            "backfill_status": "complete",
        },
        "organizations": [],
    })
}

/// quay-api sections 10 and 12, SEED.
#[tokio::test]
async fn the_doors_of_a_user_answer_as_documented() {
    let guide = Guide::with(|config| {
        config.features.user_creation = true;
        config.features.user_metadata = true;
    })
    .await;
    of_the_user_itself(&guide).await;
    of_stars(&guide).await;
    of_notices(&guide).await;
    of_authorizations(&guide).await;
    of_offers(&guide).await;
    of_app_tokens(&guide).await;
    of_accounts(&guide).await;
    of_sessions(&guide).await;
    let mailing = Guide::with(|config| config.features.mailing = true).await;
    let refusal = json!({"message": "This installation sends no mail"});
    let browser = Browser::new(&mailing.site);
    browser.fetch_csrf().await;
    let path = "/api/v1/recovery";
    let answer = browser
        .post(path, json!({"email": "ann@example.org"}))
        .await;
    mailing
        .answered(&format!("POST {path}"), answer)
        .only_refuses(400, &refusal);
    all_are_shown(&[&guide, &mailing], &["user", "appspecifictokens"], &[]);
}

async fn of_the_user_itself(guide: &Guide) {
    let mut of_ann = user_view("ann");
    of_ann["organizations"] = json!([{
        "name": "acme",
        "avatar": avatar("acme", "org"),
        "can_create_repo": true,
        "public": false,
        "is_org_admin": true,
        "preferred_namespace": false,
    }]);
    guide.get(&guide.ann, "/user/").await.is(200, &of_ann);
    let mut of_root = user_view("root");
    of_root["super_user"] = json!(true);
    guide.get(&guide.root, "/user/").await.is(200, &of_root);
    let mut refusal = json!({"session_required": false});
    let exception = exception(&guide.site, 401, "invalid_token", "Requires authentication");
    let fields = exception.as_object().unwrap().clone();
    refusal.as_object_mut().unwrap().extend(fields);
    guide.get("", "/user/").await.refuses(401, &refusal);
    let of_others = json!({
        "anonymous": false, "username": "ann", "avatar": avatar("ann", "user"), "super_user": false,
    });
    guide
        .get(&guide.root, "/users/ann")
        .await
        .is(200, &of_others);

    let mut changed = user_view("carl");
    for (field, value) in [
        ("invoice_email", json!(true)),
        ("invoice_email_address", json!("bills@example.org")),
        ("tag_expiration_s", json!(86_400)),
        ("given_name", json!("Carl")),
        ("family_name", json!("C")),
        ("company", json!("Acme")),
        ("location", json!("here")),
    ] {
        changed[field] = value;
    }
    let body = changed.clone();
    guide
        .ask(&guide.carl, "PUT /user/", body)
        .await
        .is(200, &changed);
    let wrong = json!({"email": "bob@example.org"});
    let refusal = invalid(&guide.site, "E-mail address already used");
    guide
        .ask(&guide.carl, "PUT /user/", wrong)
        .await
        .refuses(400, &refusal);
}

async fn of_stars(guide: &Guide) {
    guide
        .site
        .repository("ann/busybox", Visibility::Private)
        .await;
    let star = json!({"namespace": "ann", "repository": "busybox"});
    guide
        .ask(&guide.ann, "POST /user/starred", star.clone())
        .await
        .is(201, &star);
    let repository =
        json!({"namespace": "ann", "name": "busybox", "description": null, "is_public": false});
    let list = json!({"repositories": [repository]});
    guide.get(&guide.ann, "/user/starred").await.is(200, &list);
    guide.removes(&guide.ann, "/user/starred/ann/busybox").await;
}

async fn of_notices(guide: &Guide) {
    let registry = guide.site.registry();
    let (own, _) = registry
        .namespace(&"ann".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    notifications::put(&guide.site, "first", own).await;
    let notice = |dismissed: bool| {
        json!({
            "id": "first",
            "organization": null,
            "kind": "org_team_invite",
            "created": "Thu, 01 Jan 2026 00:00:00 -0000",
            "metadata": {"code": "abc", "inviter": "root", "org": "acme", "team": "ci"},
            "dismissed": dismissed,
        })
    };
    let page = json!({"notifications": [notice(false)], "additional": false});
    let all = "/user/notifications";
    guide.get(&guide.ann, all).await.is(200, &page);
    let one = "/user/notifications/first";
    guide.get(&guide.ann, one).await.is(200, &notice(false));
    guide
        .ask(
            &guide.ann,
            &format!("PUT {one}"),
            json!({"dismissed": true}),
        )
        .await
        .is(200, &notice(true));
    let refusal = not_found(&guide.site);
    guide.get(&guide.bob, one).await.refuses(404, &refusal);
}

/// An application as those see it who gave it a right, of ann's namespace.
fn application(name: &str, more: Option<(&str, &str)>) -> Value {
    let mut view = json!({
        "name": name,
        "description": "",
        "url": "",
        "avatar": avatar(name, "app"),
        "organization": {"name": "ann", "avatar": avatar("ann", "org")},
    });
    if let Some((field, value)) = more {
        view[field] = value.into();
    }
    view
}

fn scope() -> Value {
    json!({
        "title": "<text>",
        "scope": "<text>",
        "description": "<text>",
        "icon": "<text>",
        "dangerous": "<truth>",
    })
}

async fn of_authorizations(guide: &Guide) {
    let uuid = "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a";
    let given = json!({
        "application": application("tests", None),
        "scopes": [scope()],
        "uuid": uuid,
    });
    let list = json!({"authorizations": [given]});
    let all = "/user/authorizations";
    let listed = guide.get(&guide.ann, all).await.is(200, &list).json();
    let uuid = listed["authorizations"][0]["uuid"].as_str().unwrap();
    let one = format!("{all}/{uuid}");
    let shown = guide.get(&guide.ann, &one).await.is(200, &given).json();
    assert_eq!(shown, listed["authorizations"][0]);
    let refusal = not_found(&guide.site);
    guide.get(&guide.bob, &one).await.refuses(404, &refusal);
    let of_bob = guide.get(&guide.bob, "/user/authorizations").await;
    let of_bob = of_bob.succeeds(200).json();
    let uuid = of_bob["authorizations"][0]["uuid"].as_str().unwrap();
    guide
        .removes(&guide.bob, &format!("/user/authorizations/{uuid}"))
        .await;
}

async fn of_offers(guide: &Guide) {
    let accounts = guide.site.accounts();
    let (ann, record) = accounts.user_by_name("ann").await.unwrap().unwrap();
    let fields = ApplicationFields {
        name: "ci".to_owned(),
        ..ApplicationFields::default()
    };
    let by = &Performer::SYSTEM;
    let made = accounts
        .create_application(record.namespace, &fields, by)
        .await;
    let new = NewAssignment {
        application: made.unwrap().0,
        user: ann,
        redirect_uri: "https://app.example/cb".to_owned(),
        scope: "repo:read".to_owned(),
        response_type: "token".to_owned(),
    };
    accounts.assign_token(new, by).await.unwrap();
    let client_id = "ABCDEFGHIJKLMNOPQRST";
    let offer = json!({
        "application": application("ci", Some(("clientId", client_id))),
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "redirectUri": "https://app.example/cb",
        "scopes": [{
            "title": "View all visible repositories",
            "scope": "repo:read",
            "description": "<text>",
            "icon": "fa-hdd-o",
            "dangerous": false,
        }],
        "responseType": "token",
    });
    let list = json!({"authorizations": [offer]});
    let all = "/user/assignedauthorization";
    let listed = guide.get(&guide.ann, all).await.is(200, &list).json();
    let uuid = listed["authorizations"][0]["uuid"].as_str().unwrap();
    guide
        .removes_once(&guide.ann, &format!("{all}/{uuid}"))
        .await;
}

async fn of_app_tokens(guide: &Guide) {
    let without_code = json!({
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "title": "MyAppToken",
        "last_accessed": null,
        "created": "Fri, 10 May 2024 17:46:02 -0000",
        "expiration": null,
    });
    let mut with_code = without_code.clone();
    with_code["token_code"] = "A".repeat(120).into();
    let one = json!({ "token": with_code });
    let all = "/user/apptoken";
    let body = json!({"title": "MyAppToken"});
    let made = guide.ask(&guide.ann, "POST /user/apptoken", body).await;
    let made = made.is(200, &one).json();
    let list = json!({"tokens": [without_code], "only_expiring": null});
    guide.get(&guide.ann, all).await.is(200, &list);
    let path = format!("{all}/{}", made["token"]["uuid"].as_str().unwrap());
    guide.get(&guide.ann, &path).await.is(200, &one);
    guide.removes(&guide.ann, &path).await;
    let refusal = not_found(&guide.site);
    guide.get(&guide.ann, &path).await.refuses(404, &refusal);
}

/// Accounts that are made, get a key, become an organisation, and go.
async fn of_accounts(guide: &Guide) {
    let browser = Browser::new(&guide.site);
    browser.fetch_csrf().await;
    let body = json!({
        "username": "newuser", "password": "quaypass12345678", "email": "newuser@example.org",
    });
    let answer = browser.post("/api/v1/user/", body).await;
    // Where people may tell of themselves, who is new is asked to.
    let mut made = user_view("newuser");
    made["prompts"] = json!(["enter_name", "enter_company"]);
    guide.answered("POST /api/v1/user/", answer).is(200, &made);
    let right = json!({"password": password("ann")});
    let key = guide.ask(&guide.ann, "POST /user/clientkey", right).await;
    key.is(200, &json!({"key": "<text>"}));
    let wrong = json!({"password": "wrong"});
    let refusal = invalid(&guide.site, "Invalid Username or Password");
    guide
        .ask(&guide.ann, "POST /user/clientkey", wrong)
        .await
        .refuses(400, &refusal);
    guide.site.clock.advance(std::time::Duration::from_secs(5));
    let body = json!({"adminUser": "ann", "adminPassword": password("ann")});
    guide
        .ask(&guide.carl, "POST /user/convert", body)
        .await
        .says(200, "{\"success\": true}");
    let dan = guide.site.user("dan").await;
    let dan = guide.site.oauth_token(dan, "user:admin").await;
    guide.removes(&dan, "/user/").await;
}

/// quay-api section 11.
async fn of_sessions(guide: &Guide) {
    let browser = Browser::new(&guide.site);
    browser.fetch_csrf().await;
    let done = "{\"success\": true}";
    let post = async |path: &str, body: Value| {
        let path = format!("/api/v1{path}");
        let answer = browser.post(&path, body).await;
        guide.answered(&format!("POST {path}"), answer)
    };
    let right = json!({"username": "ann", "password": password("ann")});
    post("/signin", right).await.says(200, done);
    let right = json!({"password": password("ann")});
    post("/signin/verify", right).await.says(200, done);
    let body = Value::Null;
    post("/detachexternal/github", body.clone())
        .await
        .says(200, done);
    let unknown = invalid(&guide.site, "Unknown external login service");
    let kind = json!({"kind": "login"});
    post("/externallogin/github", kind)
        .await
        .only_refuses(400, &unknown);
    post("/signout", body).await.says(200, done);
    browser.fetch_csrf().await;
    let wrong = json!({"username": "ann", "password": "wrong"});
    let refusal = json!({
        "needsEmailVerification": false,
        "invalidCredentials": true,
        "message": "Invalid Username or Password",
    });
    post("/signin", wrong).await.refuses(403, &refusal);
}
