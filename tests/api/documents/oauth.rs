//! Consent, codes and tokens at the web doors.

use serde_json::{Value, json};

use super::avatar;
use super::guide::{Guide, all_are_shown};
use crate::harness::browser::{Browser, parameter};
use crate::harness::site::Answer;

const REDIRECT: &str = "https://app.example/callback";

/// Where an answer leads.
fn place(answer: &Answer) -> String {
    answer.header("location").to_owned()
}

struct Stage {
    guide: Guide,
    browser: Browser,
    client_id: String,
    client_secret: String,
}

impl Stage {
    async fn new() -> Self {
        let guide = Guide::new().await;
        let line = "POST /organization/acme/applications";
        let body = json!({"name": "portal", "redirect_uri": REDIRECT, "description": "x"});
        let made = guide.ask(&guide.ann, line, body).await.succeeds(200).json();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self {
            browser: Browser::signed_in(&guide.site, "ann").await,
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            guide,
        }
    }

    fn question(&self) -> String {
        let client_id = &self.client_id;
        format!(
            "/oauth/authorize?response_type=code&client_id={client_id}&redirect_uri={REDIRECT}\
             &scope=repo:read&state=x"
        )
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> super::guide::Shown<'_> {
        let own = [
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", REDIRECT),
            ("scope", "repo:read"),
        ];
        let fields: Vec<_> = own.into_iter().chain(fields.iter().copied()).collect();
        let answer = self.browser.form(path, &fields).await;
        self.guide.answered(&format!("POST {path}"), answer)
    }
}

/// quay-api section 7.
#[tokio::test]
async fn the_doors_of_consent_answer_as_documented() {
    let stage = Stage::new().await;
    of_the_question(&stage).await;
    of_the_answer(&stage).await;
    let denied = stage.form("/oauth/denyapp", &[]).await.says(302, "");
    let expected = format!("{REDIRECT}?error=authorization_denied");
    assert_eq!(place(&denied), expected);
    let path = "/oauth/localapp?scope=repo:read&format=json&access_token=abc";
    let shown = stage.browser.get(path).await;
    stage
        .guide
        .answered(&format!("GET {path}"), shown)
        .is(200, &json!({"access_token": "abc"}));
    let assign = format!(
        "/oauth/authorize/assignuser?client_id={}&redirect_uri={REDIRECT}&scope=repo:read\
         &username=bob&response_type=token&format=json",
        stage.client_id
    );
    let done = json!({"message": "Token assigned successfully"});
    stage.form(&assign, &[]).await.is(200, &done);
    all_are_shown(&[&stage.guide], &["oauth"], &[]);
}

async fn of_the_question(stage: &Stage) {
    let text = |of: &str, kind: &str| avatar(of, kind).to_string();
    let question = json!({
        "scopes": [{
            "title": "View all visible repositories",
            "scope": "repo:read",
            "description": "<text>",
            "icon": "fa-hdd-o",
            "dangerous": false,
        }],
        "has_dangerous_scopes": false,
        "application": {
            "name": "portal",
            "description": "x",
            "url": "",
            "avatar": "<text>",
            "organization": {"name": "acme", "avatar": "<text>"},
        },
        "response_type": "code",
        "client_id": stage.client_id,
        "redirect_uri": REDIRECT,
        "scope": "repo:read",
        "csrf_token_val": "<text>",
        "state": "x",
        "assignment_uuid": null,
    });
    let path = format!("{}&format=json", stage.question());
    let answer = stage.browser.get(&path).await;
    let shown = stage
        .guide
        .answered(&format!("GET {path}"), answer)
        .is(200, &question)
        .json();
    // Avatars are JSON within the text.
    for (found, expected) in [
        (&shown["application"]["avatar"], text("portal", "app")),
        (
            &shown["application"]["organization"]["avatar"],
            text("acme", "org"),
        ),
    ] {
        let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        let (found, expected) = (parse(found.as_str().unwrap()), parse(&expected));
        let differences = crate::harness::form::differences(&found, &expected);
        assert!(differences.is_empty(), "{differences:?}");
    }
    let path = "/oauth/authorize?client_id=x&scope=repo:read";
    let missing = stage.browser.get(path).await;
    stage
        .guide
        .answered(&format!("GET {path}"), missing)
        .refuses(400, &json!({"error": "Required param: redirect_uri"}));
}

async fn of_the_answer(stage: &Stage) {
    let consent = [("response_type", "code"), ("state", "x")];
    let answer = stage.form("/oauth/authorizeapp", &consent).await;
    let back = place(&answer.says(302, ""));
    assert!(back.starts_with(&format!("{REDIRECT}?")), "{back}");
    assert_eq!(parameter(&back, "state").as_deref(), Some("x"));
    let code = parameter(&back, "code").unwrap();
    assert_eq!(code.len(), 40);
    let exchange = [
        ("grant_type", "authorization_code"),
        ("client_secret", stage.client_secret.as_str()),
        ("code", code.as_str()),
    ];
    let token = json!({
        "access_token": "A".repeat(40),
        "token_type": "Bearer",
        "expires_in": 315_576_000,
        "refresh_token": null,
    });
    let path = "/oauth/access_token";
    stage.form(path, &exchange).await.is(200, &token);
    stage
        .form(path, &exchange)
        .await
        .refuses(400, &json!({"error": "invalid_grant"}));
    let direct = [("response_type", "token"), ("state", "x")];
    let answer = stage.form("/oauth/authorizeapp", &direct).await;
    let back = place(&answer.says(302, ""));
    let (before, behind) = back.split_once('#').expect("a fragment");
    assert_eq!(before, format!("{REDIRECT}?scope=repo%3Aread&state=x"));
    let ends = "&token_type=Bearer&expires_in=315576000";
    let token = behind.strip_prefix("access_token=").unwrap();
    assert_eq!(token.strip_suffix(ends).unwrap().len(), 40);
}
