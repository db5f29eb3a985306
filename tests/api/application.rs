//! OAuth applications of organisations and their tokens.

use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::site::Site;

const VIEW: [&str; 7] = [
    "name",
    "description",
    "application_uri",
    "client_id",
    "client_secret",
    "redirect_uri",
    "avatar_email",
];

/// A site with two organisations, and tokens of those who administer them.
async fn stage() -> (Site, String, String) {
    let site = Site::start(|_| ()).await;
    let (ann, bob) = (site.user("ann").await, site.user("bob").await);
    site.organization("acme", Some(ann)).await;
    site.organization("globex", Some(bob)).await;
    let scope = "org:admin repo:read user:admin";
    let ann = site.oauth_token(ann, scope).await;
    let bob = site.oauth_token(bob, scope).await;
    (site, ann, bob)
}

async fn create(site: &Site, token: &str, organization: &str) -> Value {
    let path = format!("/organization/{organization}/applications");
    let answer = site.api(token).post(&path, json!({"name": "portal"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test]
async fn an_application_is_made_changed_and_deleted() {
    let (site, ann, _) = stage().await;
    let api = site.api(&ann);
    let made = create(&site, &ann, "acme").await;
    assert_eq!(fields(&made), VIEW);
    let client_id = made["client_id"].as_str().unwrap();
    assert_eq!(
        (
            client_id.len(),
            made["client_secret"].as_str().unwrap().len()
        ),
        (20, 40)
    );
    assert_eq!(
        (&made["redirect_uri"], &made["avatar_email"]),
        (&json!(""), &Value::Null)
    );
    let path = format!("/organization/acme/applications/{client_id}");
    let body = json!({
        "name": "site",
        "redirect_uri": "https://app.example/cb",
        "application_uri": "https://app.example",
        "description": "x",
        "client_id": "MINE",
        "client_secret": "MINE",
    });
    let changed = api.put(&path, body).await.json();
    assert_eq!(
        (&changed["name"], &changed["client_secret"]),
        (&json!("site"), &made["client_secret"])
    );
    let incomplete = api.put(&path, json!({"name": "site"})).await;
    assert_eq!(
        incomplete.json()["detail"],
        "'redirect_uri' is a required property"
    );
    assert_eq!(api.get(&path).await.json(), changed);
    let list = api.get("/organization/acme/applications").await.json();
    assert_eq!(list, json!({ "applications": [changed] }));
    let reset = api
        .post(&format!("{path}/resetclientsecret"), json!({}))
        .await
        .json();
    assert_ne!(reset["client_secret"], made["client_secret"]);

    let public = site
        .api_of_nobody()
        .get(&format!("/app/{client_id}"))
        .await
        .json();
    assert_eq!(
        fields(&public),
        ["name", "description", "uri", "avatar", "organization"]
    );
    assert_eq!(public["avatar"]["kind"], "app");
    assert_eq!(public["organization"]["teams"], json!({}));
    assert_eq!(public["organization"]["email"], "");

    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
    let kinds = [
        "create_application",
        "update_application",
        "reset_application_client_secret",
        "delete_application",
    ];
    for kind in kinds {
        let lines = site.lines(kind).await;
        let of_ours = |line: &&Value| line["metadata"]["client_id"] == client_id;
        assert_eq!(lines.iter().filter(of_ours).count(), 1, "{kind}");
    }
}

/// AZ-06: an application of one organisation is none of another.
#[tokio::test]
async fn an_application_is_found_in_its_organisation_only() {
    let (site, ann, bob) = stage().await;
    let made = create(&site, &ann, "acme").await;
    let client_id = made["client_id"].as_str().unwrap();
    let token = json!({"name": "ci", "scope": "repo:read"});
    let own = format!("/organization/acme/applications/{client_id}/tokens");
    let minted = site.api(&ann).post(&own, token.clone()).await.json();
    let uuid = minted["uuid"].as_str().unwrap();
    let foreign = format!("/organization/globex/applications/{client_id}");
    let api = site.api(&bob);
    let full = json!({"name": "x", "redirect_uri": "", "application_uri": ""});
    let statuses = [
        api.get(&foreign).await.status,
        api.put(&foreign, full).await.status,
        api.delete(&foreign).await.status,
        api.post(&format!("{foreign}/resetclientsecret"), json!({}))
            .await
            .status,
        api.get(&format!("{foreign}/tokens")).await.status,
        api.post(&format!("{foreign}/tokens"), token).await.status,
        api.delete(&format!("{foreign}/tokens/{uuid}")).await.status,
    ];
    assert_eq!(statuses.map(|status| status.as_u16()), [404; 7]);
    let other = create(&site, &bob, "globex").await;
    let other = other["client_id"].as_str().unwrap();
    let path = format!("/organization/globex/applications/{other}/tokens/{uuid}");
    assert_eq!(api.delete(&path).await.status, 404);
    assert_eq!(api.get("/organization/acme/applications").await.status, 403);
    let path = format!("/organization/acme/applications/{client_id}");
    assert_eq!(
        site.api(&ann).get(&path).await.json(),
        made,
        "nothing has changed"
    );
}

/// SC-345: shown once. SC-342, SC-354: ends with its application.
#[tokio::test]
async fn tokens_are_made_by_name_listed_and_ended() {
    let (site, ann, _) = stage().await;
    let api = site.api(&ann);
    let made = create(&site, &ann, "acme").await;
    let client_id = made["client_id"].as_str().unwrap();
    let application = format!("/organization/acme/applications/{client_id}");
    let path = format!("{application}/tokens");
    let body = json!({"name": " ci ", "scope": "repo:read,org:admin", "expiration": "60"});
    let answer = api.post(&path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let minted = answer.json();
    let view = [
        "uuid",
        "name",
        "scope",
        "expires_at",
        "created",
        "created_by",
        "last_accessed",
    ];
    assert_eq!(fields(&minted)[..7], view);
    assert_eq!(
        (&minted["name"], &minted["scope"]),
        (&json!("ci"), &json!("repo:read org:admin"))
    );
    assert_eq!(
        (&minted["created_by"], &minted["last_accessed"]),
        (&json!("ann"), &Value::Null)
    );
    let token = minted["token"].as_str().unwrap().to_owned();
    assert_eq!(site.api(&token).get(&path).await.status, 200);
    let listed = api.get(&path).await.json();
    assert_eq!(fields(&listed), ["tokens"]);
    assert_eq!(fields(&listed["tokens"][0]), view);

    for (body, status, text) in [
        (
            json!({"name": " ", "scope": "repo:read"}),
            400,
            "'name' must not be empty",
        ),
        (
            json!({"name": "x", "scope": "repo:fly"}),
            400,
            "Invalid scope: repo:fly",
        ),
        (json!({"name": "x", "scope": ""}), 400, "Invalid scope: "),
    ] {
        let answer = api.post(&path, body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json(), json!({ "message": text }));
    }
    let more = json!({"name": "x", "scope": "super:user"});
    assert_eq!(api.post(&path, more).await.status, 403, "AZ-14");
    let line = &site.lines("create_oauth_api_token").await[0]["metadata"];
    assert_eq!(
        (&line["auth_method"], &line["token_display_name"]),
        (&json!("OAuth"), &json!("ci"))
    );

    let uuid = minted["uuid"].as_str().unwrap();
    assert_eq!(api.delete(&format!("{path}/{uuid}")).await.status, 204);
    assert_eq!(site.api(&token).get(&path).await.status, 401);
    let body = json!({"name": "other", "scope": "org:admin"});
    let minted = api.post(&path, body).await.json();
    let token = minted["token"].as_str().unwrap();
    assert_eq!(site.api(token).get(&path).await.status, 200);
    assert_eq!(api.delete(&application).await.status, 204);
    assert_eq!(
        site.api(token)
            .get("/organization/acme/applications")
            .await
            .status,
        401
    );
}

/// AZ-12, SC-342: a deleted organisation ends its applications and their tokens at once.
#[tokio::test]
async fn an_application_ends_with_its_organisation() {
    let (site, ann, _) = stage().await;
    let api = site.api(&ann);
    let made = create(&site, &ann, "acme").await;
    let client_id = made["client_id"].as_str().unwrap();
    let path = format!("/organization/acme/applications/{client_id}/tokens");
    let body = json!({"name": "ci", "scope": "user:admin"});
    let minted = api.post(&path, body).await.json();
    let token = minted["token"].as_str().unwrap();
    assert_eq!(site.api(token).get("/user/").await.status, 200);
    assert_eq!(api.delete("/organization/acme").await.status, 204);
    assert_eq!(site.api(token).get("/user/").await.status, 401);
    let information = format!("/app/{client_id}");
    assert_eq!(site.api_of_nobody().get(&information).await.status, 404);
}

#[tokio::test]
async fn tokens_of_an_application_come_in_pages_and_have_a_limit() {
    let site = Site::start(|config| config.people.application_tokens = Some(52)).await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let ann = site.oauth_token(ann, "org:admin repo:read").await;
    let api = site.api(&ann);
    let made = create(&site, &ann, "acme").await;
    let client_id = made["client_id"].as_str().unwrap();
    let path = format!("/organization/acme/applications/{client_id}/tokens");
    for number in 0..52 {
        let body = json!({"name": format!("t{number}"), "scope": "repo:read"});
        assert_eq!(api.post(&path, body).await.status, 200);
    }
    let body = json!({"name": "one more", "scope": "repo:read"});
    let answer = api.post(&path, body).await;
    let text = "Token limit reached: maximum 52 non-expired tokens per application";
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (400, json!({ "message": text }))
    );
    let first = api.get(&path).await.json();
    assert_eq!(first["tokens"].as_array().unwrap().len(), 50);
    assert_eq!(first["tokens"][0]["name"], "t51", "newest first");
    let next = first["next_page"].as_str().unwrap();
    let second = api.get(&format!("{path}?next_page={next}")).await.json();
    assert_eq!(second["tokens"].as_array().unwrap().len(), 2);
    assert_eq!(second.get("next_page"), None);
}

/// quay-api 13.1, 14.3: everybody sees the organisation from outside, its admins its settings as well.
#[tokio::test]
async fn an_applications_page_shows_its_organisation_as_far_as_one_may_see_it() {
    let (site, ann, bob) = stage().await;
    let made = create(&site, &ann, "acme").await;
    let path = format!("/app/{}", made["client_id"].as_str().unwrap());
    let outside = [
        "name",
        "email",
        "avatar",
        "is_admin",
        "is_member",
        "teams",
        "ordered_teams",
    ];
    for api in [site.api_of_nobody(), site.api(&bob)] {
        let told = api.get(&path).await.json();
        assert_eq!(fields(&told["organization"]), outside);
        assert_eq!(told["organization"]["is_admin"], false);
    }
    let told = site.api(&ann).get(&path).await.json();
    let settings = [
        "invoice_email",
        "invoice_email_address",
        "tag_expiration_s",
        "is_free_account",
    ];
    let all: Vec<_> = outside.into_iter().chain(settings).collect();
    assert_eq!(fields(&told["organization"]), all);
    assert_eq!(told["organization"]["teams"], json!({}));
    assert_eq!(told["organization"]["ordered_teams"], json!([]));
}
