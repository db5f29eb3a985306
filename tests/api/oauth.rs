//! Consent, codes, tokens and assignments at the web doors.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::api::fields;
use crate::harness::browser::{Browser, parameter};
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site};

const REDIRECT: &str = "https://app.example/callback";

/// A site with an application of `acme`, which `ann` administers.
struct Stage {
    site: Site,
    ann: String,
    client_id: String,
    client_secret: String,
}

impl Stage {
    async fn new() -> Self {
        let site = Site::start(|_| ()).await;
        let ann = site.user("ann").await;
        site.user("bob").await;
        site.organization("acme", Some(ann)).await;
        let ann = site.oauth_token(ann, "org:admin user:admin").await;
        let body = json!({"name": "<portal>", "redirect_uri": REDIRECT});
        let made = site
            .api(&ann)
            .post("/organization/acme/applications", body)
            .await
            .json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self {
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            site,
            ann,
        }
    }

    fn question(&self, kind: &str, scope: &str) -> String {
        let client_id = &self.client_id;
        format!(
            "/oauth/authorize?response_type={kind}&client_id={client_id}&redirect_uri={REDIRECT}\
             &scope={scope}&state=a%26b"
        )
    }

    async fn consents(&self, browser: &Browser, kind: &str, scope: &str) -> Answer {
        let fields = [
            ("response_type", kind),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "a&b"),
        ];
        browser.form("/oauth/authorizeapp", &fields).await
    }

    async fn exchanges(&self, code: &str, fields: &[(&str, &str)]) -> Answer {
        let own = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.as_str()),
            ("redirect_uri", REDIRECT),
            ("code", code),
        ];
        let given = |name: &str| fields.iter().find(|(key, _)| *key == name);
        let fields = own.map(|(name, value)| (name, given(name).map_or(value, |(_, it)| it)));
        Browser::new(&self.site)
            .form("/oauth/access_token", &fields)
            .await
    }
}

fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 302, "{}", answer.text());
    answer.header("location")
}

/// SC-313, SC-346, SC-348: asked, answered, given once.
#[tokio::test]
async fn a_token_is_given_by_consent() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    let page = browser
        .get(&stage.question("token", "repo:read+user:read"))
        .await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("View all visible repositories"));
    assert!(
        page.text().contains("&lt;portal&gt;") && !page.text().contains("<portal>"),
        "WB-01"
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'")
            && policy.contains("form-action 'self' https://app.example;"),
        "{policy}"
    );
    let answer = stage
        .consents(&browser, "token", "repo:read user:read")
        .await;
    let place = location(&answer);
    assert!(
        place.starts_with(
            "https://app.example/callback?scope=repo%3Aread%20user%3Aread&state=a%26b#"
        ),
        "{place}"
    );
    assert_eq!(parameter(place, "expires_in").as_deref(), Some("315576000"));
    assert_eq!(parameter(place, "token_type").as_deref(), Some("Bearer"));
    let token = parameter(place, "access_token").unwrap();
    let me = stage.site.api(&token).get("/user/").await.json();
    assert_eq!(me["username"], "ann");
    // Who has consented to as much is not asked again.
    let again = browser.get(&stage.question("token", "repo:read")).await;
    assert!(parameter(location(&again), "access_token").is_some());
    let more = browser.get(&stage.question("token", "repo:write")).await;
    assert_eq!(more.status, 200);
}

#[tokio::test]
async fn the_question_is_asked_as_json_too() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    let path = format!("{}&format=json", stage.question("code", "org:admin"));
    let body = browser.get(&path).await.json();
    let expected = [
        "scopes",
        "has_dangerous_scopes",
        "application",
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "csrf_token_val",
        "state",
        "assignment_uuid",
    ];
    assert_eq!(fields(&body), expected);
    assert_eq!(body["has_dangerous_scopes"], true);
    let scope = &body["scopes"][0];
    assert_eq!(
        fields(scope),
        ["title", "scope", "description", "icon", "dangerous"]
    );
    assert_eq!(
        (&scope["scope"], &scope["icon"]),
        (&json!("org:admin"), &json!("fa-gear"))
    );
    assert_eq!(body["csrf_token_val"], browser.csrf());
    assert!(body["application"]["avatar"].is_string());
}

/// RFC 6749 section 4.1.3: once, and bound to everything it was given for.
#[tokio::test]
async fn a_code_is_changed_for_a_token_once() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "bob").await;
    let code = async || {
        let answer = stage.consents(&browser, "code", "user:read").await;
        let place = location(&answer).to_owned();
        assert_eq!(parameter(&place, "state").as_deref(), Some("a&b"));
        parameter(&place, "code").unwrap()
    };
    let first = code().await;
    assert_eq!(first.len(), 40);
    let answer = stage.exchanges(&first, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(
        fields(&body),
        ["access_token", "token_type", "expires_in", "refresh_token"]
    );
    assert_eq!(
        (&body["expires_in"], &body["refresh_token"]),
        (&json!(315_576_000), &Value::Null)
    );
    // SC-343: acts as who consented.
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(
        stage.site.api(token).get("/user/").await.json()["username"],
        "bob"
    );
    let again = stage.exchanges(&first, &[]).await;
    assert_eq!(
        (again.status.as_u16(), again.json()),
        (400, json!({"error": "invalid_grant"}))
    );
    for (field, error) in [
        (("grant_type", "password"), "unsupported_grant_type"),
        (("client_id", "NOBODY"), "invalid_client"),
        (("client_secret", "WRONG"), "invalid_client"),
        (
            ("redirect_uri", "https://app.example/other"),
            "invalid_grant",
        ),
    ] {
        let answer = stage.exchanges(&code().await, &[field]).await;
        assert_eq!(answer.json()["error"], error, "{field:?}");
    }
}

/// AU-11, AU-12: nobody is sent where the application did not register.
#[tokio::test]
async fn nobody_is_sent_elsewhere() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    for evil in [
        "https://evil.example/callback",
        "https://app.example.evil/callback",
        "https://app.example@evil.example/callback",
        "//evil.example",
        "javascript:alert(1)",
    ] {
        let fields = [
            ("response_type", "token"),
            ("client_id", stage.client_id.as_str()),
            ("redirect_uri", evil),
            ("scope", "repo:read"),
        ];
        for path in ["/oauth/authorizeapp", "/oauth/denyapp"] {
            let answer = browser.form(path, &fields).await;
            assert_eq!(answer.status, 400, "{evil}");
            assert_eq!(answer.json(), json!({"error": "invalid_request"}), "{evil}");
        }
        let client_id = &stage.client_id;
        let path = format!(
            "/oauth/authorize?response_type=token&client_id={client_id}&redirect_uri={}&scope=repo:read",
            evil.replace(':', "%3A")
        );
        let answer = browser.get(&path).await;
        let expected = format!("{REDIRECT}?error=redirect_uri_mismatch");
        assert_eq!(location(&answer), expected, "{evil}");
    }
    let fields = [
        ("client_id", stage.client_id.as_str()),
        ("redirect_uri", REDIRECT),
        ("scope", "repo:read"),
    ];
    let answer = browser.form("/oauth/denyapp", &fields).await;
    assert_eq!(
        location(&answer),
        format!("{REDIRECT}?error=authorization_denied")
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let stage = Stage::new().await;
    let nobody = Browser::new(&stage.site);
    let question = stage.question("token", "repo:read");
    assert_eq!(nobody.get(&question).await.status, 401);
    let ann = Browser::signed_in(&stage.site, "ann").await;
    let missing = ann
        .get("/oauth/authorize?client_id=x&scope=repo:read")
        .await;
    let expected = json!({"error": "Required param: redirect_uri"});
    assert_eq!((missing.status.as_u16(), missing.json()), (400, expected));
    let unknown = question.replace(&stage.client_id, "NOBODY");
    assert_eq!(ann.get(&unknown).await.status, 404);
    assert_eq!(
        ann.get(&stage.question("token", "repo:fly")).await.status,
        404
    );
    let bob = Browser::signed_in(&stage.site, "bob").await;
    assert_eq!(
        bob.get(&question).await.status,
        403,
        "who does not administer the organisation"
    );
    let invalid = stage.consents(&ann, "token", "repo:fly").await;
    assert_eq!(
        parameter(location(&invalid), "error").as_deref(),
        Some("invalid_scope")
    );
    let kind = stage.consents(&ann, "password", "repo:read").await;
    let error = parameter(location(&kind), "error");
    assert_eq!(error.as_deref(), Some("unsupported_response_type"));
}

/// AU-15 and AZ-14: consent takes the person, in the session that was asked.
#[tokio::test]
async fn consent_needs_a_person_and_the_sessions_token() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    let other = Browser::new(&stage.site);
    other.set_cookie(browser.cookie());
    let answer = stage.consents(&other, "token", "repo:read").await;
    assert_eq!(answer.status, 403, "the cookie alone");
    let question = stage.question("token", "super:user");
    let bearer = format!("Bearer {}", stage.ann);
    let headers = [("authorization", bearer.as_str())];
    let answer = stage.site.get_with(&question, &headers).await;
    assert_eq!(answer.status, 401, "a token makes no other token");
    // With a password as in Quay, where the operator has named the client.
    let basic = Who::user("ann").header().unwrap();
    let headers = [("authorization", basic.as_str())];
    assert_eq!(stage.site.get_with(&question, &headers).await.status, 200);
}

/// SC-349, SC-351: offered, seen, taken once, or refused.
#[tokio::test]
async fn a_token_is_assigned_and_taken() {
    let stage = Stage::new().await;
    let ann = Browser::signed_in(&stage.site, "ann").await;
    let bob = Browser::signed_in(&stage.site, "bob").await;
    let client_id = &stage.client_id;
    let assign = format!(
        "/oauth/authorize/assignuser?client_id={client_id}&redirect_uri={REDIRECT}\
         &scope=user:read&username=bob&response_type=token"
    );
    assert_eq!(
        bob.form(&assign, &[]).await.status,
        403,
        "who does not administer it"
    );
    let unknown = assign.replace("username=bob", "username=nobody");
    assert_eq!(ann.form(&unknown, &[]).await.status, 404);
    let answer = ann.form(&format!("{assign}&format=json"), &[]).await;
    assert_eq!(
        answer.text(),
        "{\"message\":\"Token assigned successfully\"}\n"
    );
    assert!(
        ann.form(&assign, &[])
            .await
            .text()
            .contains("Token assigned successfully")
    );
    let metadata = &stage.site.lines("oauth_token_assigned").await[0]["metadata"];
    assert_eq!(
        (&metadata["assigning_user"], &metadata["assigned_user"]),
        (&json!("ann"), &json!("bob"))
    );

    let inbox = async || {
        let inbox = bob.get("/api/v1/user/notifications").await.json();
        inbox["notifications"].as_array().unwrap().clone()
    };
    let notices = inbox().await;
    assert_eq!(notices.len(), 2);
    assert_eq!(notices[0]["kind"], "assigned_authorization");
    assert_eq!(notices[0]["metadata"], json!({"username": "bob"}));
    let path = "/api/v1/user/assignedauthorization";
    let listed = bob.get(path).await.json();
    assert!(inbox().await.is_empty(), "the list has been seen");
    let offers = listed["authorizations"].as_array().unwrap();
    assert_eq!(offers.len(), 2);
    let expected = [
        "application",
        "uuid",
        "redirectUri",
        "scopes",
        "responseType",
    ];
    assert_eq!(fields(&offers[0]), expected);
    assert_eq!(offers[0]["application"]["clientId"], *client_id);
    let uuid = offers[0]["uuid"].as_str().unwrap();
    let question = format!(
        "{}&assignment_uuid={uuid}",
        stage.question("token", "user:read")
    );
    assert_eq!(ann.get(&question).await.status, 403, "AZ-06");
    assert_eq!(bob.get(&question).await.status, 200);
    let consent = [
        ("response_type", "token"),
        ("client_id", client_id.as_str()),
        ("redirect_uri", REDIRECT),
        ("scope", "user:read"),
        ("assignment_uuid", uuid),
    ];
    let answer = bob.form("/oauth/authorizeapp", &consent).await;
    let token = parameter(location(&answer), "access_token").unwrap();
    assert_eq!(
        stage.site.api(&token).get("/user/").await.json()["username"],
        "bob"
    );
    let again = bob.form("/oauth/authorizeapp", &consent).await;
    assert_eq!(
        parameter(location(&again), "error").as_deref(),
        Some("access_denied")
    );

    let other = format!("{path}/{}", offers[1]["uuid"].as_str().unwrap());
    let delete = Method::DELETE;
    assert_eq!(
        ann.change(delete.clone(), &other, Value::Null).await.status,
        404,
        "AZ-06"
    );
    assert_eq!(bob.change(delete, &other, Value::Null).await.status, 204);
    assert_eq!(bob.get(path).await.json(), json!({"authorizations": []}));
}

#[tokio::test]
async fn what_was_given_is_listed_and_taken_back() {
    let stage = Stage::new().await;
    let bob = Browser::signed_in(&stage.site, "bob").await;
    let answer = stage.consents(&bob, "token", "repo:write").await;
    let token = parameter(location(&answer), "access_token").unwrap();
    let path = "/api/v1/user/authorizations";
    let listed = bob.get(path).await.json();
    let one = &listed["authorizations"][0];
    assert_eq!(fields(one), ["application", "scopes", "uuid"]);
    let expected = ["name", "description", "url", "avatar", "organization"];
    assert_eq!(fields(&one["application"]), expected);
    assert_eq!(one["application"]["organization"]["name"], "acme");
    let scopes: Vec<_> = one["scopes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["scope"])
        .collect();
    assert_eq!(scopes, ["repo:read", "repo:write"]);
    let uuid = one["uuid"].as_str().unwrap();
    let path = format!("{path}/{uuid}");
    assert_eq!(bob.get(&path).await.json(), *one);
    let ann = stage.site.api(&stage.ann);
    let foreign = format!("/user/authorizations/{uuid}");
    assert_eq!(ann.delete(&foreign).await.status, 404, "AZ-06");
    let answer = bob.change(Method::DELETE, &path, Value::Null).await;
    assert_eq!(answer.status, 204);
    assert_eq!(stage.site.api(&token).get("/user/").await.status, 401);
}

#[tokio::test]
async fn the_page_that_shows_a_token_is_where_the_operator_wants_it() {
    let site = Site::start(|config| config.people.local_oauth_handler = "/token/page".to_owned());
    let site = site.await;
    site.user("ann").await;
    let browser = Browser::signed_in(&site, "ann").await;
    assert_eq!(browser.get("/token/page?scope=repo:read").await.status, 200);
    assert_eq!(
        browser.get("/oauth/localapp?scope=repo:read").await.status,
        404
    );
}

/// Quay: the page that shows a token which somebody has made for himself.
#[tokio::test]
async fn a_token_for_oneself_is_shown_by_this_site() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    let local = stage.site.url("/oauth/localapp");
    let fields = [
        ("response_type", "token"),
        ("client_id", stage.client_id.as_str()),
        ("redirect_uri", local.as_str()),
        ("scope", "repo:read"),
    ];
    let answer = browser.form("/oauth/authorizeapp", &fields).await;
    assert!(location(&answer).starts_with(&format!("{local}?scope=repo%3Aread#access_token=")));
    assert_eq!(
        Browser::new(&stage.site)
            .get("/oauth/localapp?scope=x")
            .await
            .status,
        401
    );
    let page = browser.get("/oauth/localapp?scope=repo:read").await;
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'sha256-"), "{policy}");
    assert!(
        browser
            .get("/oauth/localapp")
            .await
            .text()
            .contains("Authorization canceled")
    );
    let body = browser
        .get("/oauth/localapp?scope=x&format=json&access_token=abc")
        .await;
    assert_eq!(body.text(), "{\"access_token\":\"abc\"}\n");
}

/// quay-api 7: only a client that the operator has named gets consent by a password alone, as no page of
/// another site could have a browser give it.
#[tokio::test]
async fn a_password_consents_for_clients_that_the_operator_named() {
    let mut stage = Stage::new().await;
    let form = format!(
        "response_type=token&client_id={}&redirect_uri={REDIRECT}&scope=repo:read&state=x",
        stage.client_id
    );
    let stays = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(stays).no_proxy();
    let client = client.build().unwrap();
    let ask = async |site: &Site, who: &Who| {
        let request = client
            .post(site.url("/oauth/authorizeapp"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", who.header().unwrap())
            .body(form.clone());
        let answer = crate::harness::soon("the consent", request.send())
            .await
            .unwrap();
        let place = answer.headers().get("location").cloned();
        let place = place.map(|place| place.to_str().unwrap().to_owned());
        (answer.status().as_u16(), place.unwrap_or_default())
    };
    assert_eq!(ask(&stage.site, &Who::user("ann")).await.0, 403);
    let named = stage.client_id.clone();
    stage.site.config.people.direct_oauth_clients.push(named);
    stage.site.restart().await;
    let (status, place) = ask(&stage.site, &Who::user("ann")).await;
    assert_eq!(status, 302, "{place}");
    let is_given = place.starts_with(REDIRECT) && place.contains("#access_token=");
    assert!(is_given, "{place}");
    let wrong = Who::Basic {
        user: "ann".to_owned(),
        password: "wrong".to_owned(),
    };
    assert_eq!(ask(&stage.site, &wrong).await.0, 401);
}
