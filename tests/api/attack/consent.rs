//! OAuth turned against who consents: tokens that make more than they are, offers that grow, codes and
//! redirects that go astray.

use entrepot::model::Performer;
use serde_json::{Value, json};

use super::EVERYTHING;
use crate::harness::browser::{Browser, parameter};
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site};

const REDIRECT: &str = "https://app.example/callback";

/// A site with an application of `acme`, which `ann` rules, and one of `umbra`, which is bob's.
struct Stage {
    site: Site,
    ann: String,
    acme: (String, String),
    umbra: (String, String),
}

async fn application(site: &Site, token: &str, organization: &str) -> (String, String) {
    let body = json!({"name": "portal", "redirect_uri": REDIRECT});
    let path = format!("/organization/{organization}/applications");
    let made = site.api(token).post(&path, body).await.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

impl Stage {
    async fn new() -> Self {
        let site = Site::start(|_| ()).await;
        let (ann_id, bob) = (site.user("ann").await, site.user("bob").await);
        site.organization("acme", Some(ann_id)).await;
        site.organization("umbra", Some(bob)).await;
        let ann = site.oauth_token(ann_id, EVERYTHING).await;
        let bob = site.oauth_token(bob, EVERYTHING).await;
        let acme = application(&site, &ann, "acme").await;
        let umbra = application(&site, &bob, "umbra").await;
        Self {
            site,
            ann,
            acme,
            umbra,
        }
    }

    fn question(&self, kind: &str, scope: &str) -> String {
        let client_id = &self.acme.0;
        format!(
            "/oauth/authorize?response_type={kind}&client_id={client_id}&redirect_uri={REDIRECT}\
             &scope={scope}"
        )
    }

    async fn consents(&self, browser: &Browser, kind: &str, scope: &str) -> Answer {
        self.takes(browser, kind, scope, "").await
    }

    async fn takes(&self, browser: &Browser, kind: &str, scope: &str, offer: &str) -> Answer {
        let mut fields = vec![
            ("response_type", kind),
            ("client_id", self.acme.0.as_str()),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
        ];
        if !offer.is_empty() {
            fields.push(("assignment_uuid", offer));
        }
        browser.form("/oauth/authorizeapp", &fields).await
    }

    /// A code that ann has consented to.
    async fn code(&self, scope: &str) -> String {
        let browser = Browser::signed_in(&self.site, "ann").await;
        let answer = self.consents(&browser, "code", scope).await;
        parameter(answer.header("location"), "code").expect("a code")
    }

    async fn exchanges(&self, client: &(String, String), code: &str, scope: &str) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("client_id", client.0.as_str()),
            ("client_secret", client.1.as_str()),
            ("redirect_uri", REDIRECT),
            ("code", code),
        ];
        if !scope.is_empty() {
            fields.push(("scope", scope));
        }
        Browser::new(&self.site)
            .form("/oauth/access_token", &fields)
            .await
    }
}

/// AZ-14, AZ-13: what was made for a program makes no token of an application, not even one that the person
/// has given before: neither another token, nor an app token, nor a robot's, nor an encrypted password.
#[tokio::test]
async fn what_is_no_password_consents_to_nothing() {
    let stage = Stage::new().await;
    let site = &stage.site;
    let browser = Browser::signed_in(site, "ann").await;
    let wide = stage
        .consents(&browser, "token", "user:admin super:user")
        .await;
    assert!(parameter(wide.header("location"), "access_token").is_some());
    let (ann, _) = site.accounts().user_by_name("ann").await.unwrap().unwrap();
    let narrow = site.oauth_token(ann, "org:admin").await;
    let api = site.api(&stage.ann);
    let app = api
        .post("/user/apptoken", json!({"title": "laptop"}))
        .await
        .json();
    let key = json!({"password": crate::harness::people::password("ann")});
    let key = api.post("/user/clientkey", key).await.json();
    let (_, robot) = site.robot("ann+ci").await;
    let basic = |user: &str, password: &Value| Who::Basic {
        user: user.to_owned(),
        password: password.as_str().unwrap().to_owned(),
    };
    let mut kinds = vec![
        basic("$oauthtoken", &json!(narrow)),
        basic("$oauthtoken", &json!(stage.ann)),
        basic("$app", &app["token"]["token_code"]),
        basic("ann", &key["key"]),
        Who::Bearer(narrow.clone()),
    ];
    kinds.push(robot);
    for who in &kinds {
        for scope in ["user:admin", "super:user"] {
            let answer = site.get_as(who, &stage.question("token", scope)).await;
            let text = format!("{who:?}: {} {}", answer.status, answer.text());
            assert_eq!(answer.status, 401, "{text}");
            assert_eq!(answer.header("location"), "", "{text}");
            // What was refused slows the next attempt down.
            site.clock.advance(std::time::Duration::from_secs(60));
        }
    }
    let question = stage.question("token", "repo:read");
    let answer = site.get_as(&Who::user("ann"), &question).await;
    assert_eq!(answer.status, 200, "the person, by the password, is asked");
}

/// AZ-14: an offer is taken as it was made or for less, and as a token: it is used up by that.
#[tokio::test]
async fn an_offer_does_not_grow() {
    let stage = Stage::new().await;
    let site = &stage.site;
    let ann = Browser::signed_in(site, "ann").await;
    let bob = Browser::signed_in(site, "bob").await;
    let client_id = &stage.acme.0;
    let assign = format!(
        "/oauth/authorize/assignuser?client_id={client_id}&redirect_uri={REDIRECT}\
         &scope=repo:write&username=bob&response_type=token&format=json"
    );
    assert_eq!(ann.form(&assign, &[]).await.status, 200);
    let offers = bob.get("/api/v1/user/assignedauthorization").await.json();
    let offer = offers["authorizations"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = |kind: &str, scope: &str| {
        format!("{}&assignment_uuid={offer}", stage.question(kind, scope))
    };
    for scope in ["user:admin", "repo:write+super:user", "repo:admin"] {
        assert_eq!(bob.get(&asked("token", scope)).await.status, 403, "{scope}");
        let written = scope.replace('+', " ");
        let taken = stage.takes(&bob, "token", &written, &offer).await;
        let error = parameter(taken.header("location"), "error");
        assert_eq!(error.as_deref(), Some("access_denied"), "{scope}");
    }
    assert_eq!(bob.get(&asked("code", "repo:write")).await.status, 400);
    let taken = stage.takes(&bob, "code", "repo:write", &offer).await;
    let error = parameter(taken.header("location"), "error");
    assert_eq!(
        error.as_deref(),
        Some("access_denied"),
        "a code uses up nothing"
    );
    // For less than was offered, once.
    let taken = stage.takes(&bob, "token", "repo:read", &offer).await;
    let token = parameter(taken.header("location"), "access_token").unwrap();
    assert_eq!(
        site.api(&token).get("/user/").await.status,
        401,
        "repo:read it is"
    );
    let again = stage.takes(&bob, "token", "repo:read", &offer).await;
    let error = parameter(again.header("location"), "error");
    assert_eq!(error.as_deref(), Some("access_denied"));
}

/// AU-11: a code is of one application, one person who still is somebody, and one scope; who guesses wrong
/// with it has used it up.
#[tokio::test]
async fn a_code_is_good_for_what_was_consented_to() {
    let stage = Stage::new().await;
    let refused = |answer: &Answer, error: &str| {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.json(), json!({ "error": error }));
    };
    let code = stage.code("user:read").await;
    refused(
        &stage.exchanges(&stage.umbra, &code, "").await,
        "invalid_grant",
    );
    refused(
        &stage.exchanges(&stage.acme, &code, "").await,
        "invalid_grant",
    );
    let mixed = (stage.acme.0.clone(), stage.umbra.1.clone());
    let code = stage.code("user:read").await;
    refused(&stage.exchanges(&mixed, &code, "").await, "invalid_client");
    for scope in ["user:read user:admin", "super:user", "repo:fly"] {
        let code = stage.code("user:read").await;
        refused(
            &stage.exchanges(&stage.acme, &code, scope).await,
            "invalid_scope",
        );
    }
    let code = stage.code("user:read").await;
    stage
        .site
        .clock
        .advance(std::time::Duration::from_secs(600));
    refused(
        &stage.exchanges(&stage.acme, &code, "").await,
        "invalid_grant",
    );
    let code = stage.code("user:read").await;
    let (accounts, by) = (stage.site.accounts(), &Performer::SYSTEM);
    let (ann, _) = accounts.user_by_name("ann").await.unwrap().unwrap();
    accounts.set_enabled(ann, false, by).await.unwrap();
    refused(
        &stage.exchanges(&stage.acme, &code, "").await,
        "invalid_grant",
    );
    accounts.set_enabled(ann, true, by).await.unwrap();
    let code = stage.code("user:read").await;
    let path = format!("/organization/acme/applications/{}", stage.acme.0);
    assert_eq!(stage.site.api(&stage.ann).delete(&path).await.status, 204);
    refused(
        &stage.exchanges(&stage.acme, &code, "").await,
        "invalid_client",
    );
}

/// AU-12: who shares the host of an application, or the beginning of its path, is sent nobody.
#[tokio::test]
async fn a_neighbour_of_the_registered_address_is_sent_nobody() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    let many: Vec<String> = [
        "evil",
        "-evil",
        ".evil",
        "%2e%2e/evil",
        "/../evil",
        "/..",
        "//../evil",
        "@evil",
        "\\evil",
        "/%2e%2e/evil",
        "/..%2fevil",
        "/.%2e/evil",
        "#x",
        "%0d%0aLocation:x",
        "\t",
        " ",
        "%",
        "%zz",
    ]
    .iter()
    .map(|end| format!("{REDIRECT}{end}"))
    .chain(
        [
            "https:app.example/callback",
            "https:/app.example/callback",
            "//app.example/callback",
            "///app.example/callback",
            "\\\\app.example\\callback",
            "/\\app.example/callback",
            "http://app.example/callback",
            "ftp://app.example/callback",
            "HTTPS://evil/callback",
            "https://app.example:444/callback",
            "https://app.example./callback",
            "https://app.examplé/callback",
            "https://a@app.example/callback",
            "",
            " ",
            "https://app.example/Callback",
            "https://app.example/",
            "https://app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "about:blank",
        ]
        .map(str::to_owned),
    )
    .collect();
    assert!(many.len() > 35);
    for evil in &many {
        let fields = [
            ("response_type", "token"),
            ("client_id", stage.acme.0.as_str()),
            ("redirect_uri", evil.as_str()),
            ("scope", "repo:read"),
        ];
        let answer = browser.form("/oauth/authorizeapp", &fields).await;
        assert_eq!(
            answer.status,
            400,
            "{evil:?}: {}",
            answer.header("location")
        );
    }
}

/// AU-12: the page that names itself leads to this site only.
#[tokio::test]
async fn the_site_redirects_to_itself_alone() {
    let stage = Stage::new().await;
    let browser = Browser::signed_in(&stage.site, "ann").await;
    for query in [
        "",
        "?next=//evil",
        "?redirect_uri=https://evil",
        "?next=/%5Cevil",
    ] {
        let answer = browser
            .get(&format!("/.well-known/change-password{query}"))
            .await;
        assert_eq!(
            answer.header("location"),
            "/user/ann?tab=settings",
            "{query}"
        );
    }
}
