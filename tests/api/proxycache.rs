//! `/api/v1/organization/{orgname}/proxycache`, with a scripted registry as upstream whose requests count.

use entrepot::model::{LogKind, Member, TeamRole};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::content::Image;
use crate::harness::origin::{Auth, Origin};
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site, rule};

const CONFIGURATION: &str = "/organization/acme/proxycache";
const VALIDATION: &str = "/organization/acme/validateproxycache";

/// An upstream, and an organisation with the owner `ann`, the member `mia`, and without `max`.
async fn stage() -> (Origin, Site) {
    let origin = Origin::start().await;
    origin.push_image("app", "v1", &Image::small(1));
    let site = Site::start(|_| {}).await;
    let ann = site.user("ann").await;
    let mia = site.user("mia").await;
    site.user("max").await;
    let acme = site.organization("acme", Some(ann)).await;
    site.team(acme, "readers", TeamRole::Member, &[Member::User(mia)])
        .await;
    (origin, site)
}

async fn scoped(site: &Site, name: &str, scope: &str) -> String {
    let (id, _) = site.accounts().user_by_name(name).await.unwrap().unwrap();
    site.oauth_token(id, scope).await
}

/// For everything that the user may do.
async fn token(site: &Site, name: &str) -> String {
    scoped(site, name, "org:admin repo:admin user:admin super:user").await
}

fn body(origin: &Origin) -> Value {
    json!({"upstream_registry": origin.address().to_string(), "insecure": true})
}

fn detail(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    answer.json()["detail"].as_str().unwrap().to_owned()
}

/// SC-429, SC-431, SC-432, SC-255: made, shown, used, deleted and made again, each answer as the guide has it.
#[tokio::test]
async fn an_organisation_becomes_a_cache_and_is_one_no_more() {
    let (origin, site) = stage().await;
    let (ann, mia) = (token(&site, "ann").await, token(&site, "mia").await);
    let none = site.api(&mia).get(CONFIGURATION).await;
    assert_eq!(none.status, 200);
    assert_eq!(
        none.text().trim_end(),
        r#"{"upstream_registry": "", "expiration_s": "", "insecure": ""}"#
    );

    let created = site.api(&ann).post(CONFIGURATION, body(&origin)).await;
    assert_eq!(
        (created.status.as_u16(), created.text()),
        (201, "\"Created\"\n")
    );
    let shown = site.api(&mia).get(CONFIGURATION).await;
    let expected = format!(
        r#"{{"upstream_registry": "{}", "expiration_s": 86400, "insecure": true}}"#,
        origin.address()
    );
    assert_eq!(shown.text().trim_end(), expected);
    let (kind, told) = site.last_line().await;
    assert_eq!(kind, LogKind::CreateProxyCacheConfig);
    assert_eq!(
        told["upstream_registry"],
        json!(origin.address().to_string())
    );

    for _ in 0..2 {
        let pulled = site
            .get_as(&Who::user("mia"), "/v2/acme/app/manifests/v1")
            .await;
        assert_eq!(pulled.status, 200, "{}", pulled.text());
    }
    assert_eq!(origin.count("GET", "/v2/app/manifests/"), 1, "fetched once");
    assert_eq!(
        origin.count("HEAD", "/v2/app/manifests/"),
        1,
        "validated once"
    );

    let again = site.api(&ann).post(CONFIGURATION, body(&origin)).await;
    assert_eq!(detail(&again), "Proxy Cache Configuration already exists");
    let deleted = site.api(&ann).delete(CONFIGURATION).await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.text()),
        (201, "\"Deleted\"\n")
    );
    assert_eq!(site.last_line().await.0, LogKind::DeleteProxyCacheConfig);
    let asked = origin.requests().len();
    let kept = site
        .get_as(&Who::user("mia"), "/v2/acme/app/manifests/v1")
        .await;
    assert_eq!(kept.status, 200, "what was fetched stays");
    assert_eq!(origin.requests().len(), asked);
    assert_eq!(site.api(&ann).delete(CONFIGURATION).await.status, 404);
    let anew = site.api(&ann).post(CONFIGURATION, body(&origin)).await;
    assert_eq!(anew.status, 201);
}

/// SC-430: the words of a trial, and the reason when there is none.
#[tokio::test]
async fn a_configuration_is_tried_before_it_is_made() {
    let (origin, site) = stage().await;
    let ann = token(&site, "ann").await;
    let attempt = async |body: Value| site.api(&ann).post(VALIDATION, body).await;
    let valid = attempt(body(&origin)).await;
    assert_eq!((valid.status.as_u16(), valid.text()), (202, "\"Valid\"\n"));

    origin.require(Auth::Basic {
        user: "us",
        password: "right",
    });
    let anonymous = attempt(body(&origin)).await;
    assert_eq!(
        (anonymous.status.as_u16(), anonymous.text()),
        (202, "\"Anonymous\"\n")
    );
    let with = |password: &str| {
        let mut body = body(&origin);
        body["upstream_registry_username"] = json!("us");
        body["upstream_registry_password"] = json!(password);
        body
    };
    let valid = attempt(with("right")).await;
    assert_eq!((valid.status.as_u16(), valid.text()), (202, "\"Valid\"\n"));
    let refused = attempt(with("wrong")).await;
    assert_eq!(
        detail(&refused),
        "Failed login to remote registry. Please verify entered details and try again."
    );
    origin.stop().await;
    let text = detail(&attempt(body(&origin)).await);
    let reason = text.strip_prefix("Failed to validate Proxy cache configuration: ");
    assert!(reason.is_some_and(|reason| !reason.is_empty()), "{text}");
    assert!(!text.contains("right"));
}

/// WB-04: credentials are taken and never shown; numbers and switches are taken as text too.
#[tokio::test]
async fn an_account_is_never_shown() {
    let (origin, site) = stage().await;
    let ann = token(&site, "ann").await;
    let body = json!({
        "upstream_registry": origin.address().to_string(),
        "upstream_registry_username": "us-canary",
        "upstream_registry_password": "password-canary",
        "expiration_s": "60",
        "insecure": "true",
        "superuser": true,
        "org_name": "other",
    });
    assert_eq!(site.api(&ann).post(CONFIGURATION, body).await.status, 201);
    let shown = site.api(&ann).get(CONFIGURATION).await;
    assert_eq!(shown.json()["expiration_s"], 60);
    assert_eq!(shown.json()["insecure"], true);
    assert!(!shown.text().contains("canary"));
    let (_, told) = site.last_line().await;
    assert!(!told.to_string().contains("canary"), "{told}");
}

/// Members read, administrators change, others do neither.
#[tokio::test]
async fn only_administrators_change_what_an_organisation_caches() {
    let (origin, site) = stage().await;
    let (mia, max) = (token(&site, "mia").await, token(&site, "max").await);
    let changes = [
        (Method::POST, CONFIGURATION),
        (Method::POST, VALIDATION),
        (Method::DELETE, CONFIGURATION),
    ];
    for (method, path) in changes {
        for token in [&mia, &max] {
            let api = site.api(token);
            let answer = api.send(method.clone(), path, Some(body(&origin))).await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert_eq!(answer.json()["error_type"], "insufficient_scope");
        }
    }
    assert_eq!(site.api(&max).get(CONFIGURATION).await.status, 403);
    assert_eq!(site.api_of_nobody().get(CONFIGURATION).await.status, 401);
    let narrow = scoped(&site, "ann", "repo:admin").await;
    let answer = site.api(&narrow).post(CONFIGURATION, body(&origin)).await;
    assert_eq!(answer.status, 403, "the token is not for organisations");
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_told() {
    let (origin, site) = stage().await;
    let ann = token(&site, "ann").await;
    let api = site.api(&ann);
    let missing = api.post(CONFIGURATION, json!({})).await;
    assert_eq!(
        detail(&missing),
        "'upstream_registry' is a required property"
    );
    let mut negative = body(&origin);
    negative["expiration_s"] = json!(-1);
    assert_eq!(
        detail(&api.post(CONFIGURATION, negative).await),
        "-1 is not of type 'integer'"
    );
    let url = json!({"upstream_registry": "https://quay.io"});
    assert!(detail(&api.post(CONFIGURATION, url).await).contains("leave the scheme out"));
    let inside = json!({"upstream_registry": "10.0.0.1", "insecure": true});
    for path in [CONFIGURATION, VALIDATION] {
        let answer = api.post(path, inside.clone()).await;
        assert_eq!(detail(&answer), "The provided registry URL is not allowed");
    }
    let user = api
        .post("/organization/ann/proxycache", body(&origin))
        .await;
    assert_eq!(user.status, 404, "a user is no organisation");
}

/// DESIGN, section 3: a cache of the configuration is shown, and refuses to be changed, naming the file.
#[tokio::test]
async fn a_configured_cache_refuses_changes_and_names_the_file() {
    let origin = Origin::start().await;
    let site = Site::caching(vec![rule("docker.io", "docker.io", &origin)]).await;
    site.superuser("root").await;
    let root = token(&site, "root").await;
    let api = site.api(&root);
    let shown = api.get("/organization/docker.io/proxycache").await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    assert_eq!(shown.json()["upstream_registry"], "docker.io");
    for (method, path) in [
        (Method::POST, "/organization/docker.io/proxycache"),
        (Method::DELETE, "/organization/docker.io/proxycache"),
        (Method::POST, "/organization/docker.io/validateproxycache"),
    ] {
        let answer = api.send(method, path, Some(body(&origin))).await;
        let text = detail(&answer);
        assert!(
            text.contains("PROXY_CACHES in the built-in configuration"),
            "{text}"
        );
    }
}

/// The switch of the feature takes the doors away.
#[tokio::test]
async fn without_the_feature_there_is_no_such_door() {
    let site = Site::start(|config| config.features.proxy_cache = false).await;
    let ann = site.user("ann").await;
    site.organization("acme", Some(ann)).await;
    let ann = token(&site, "ann").await;
    assert_eq!(site.api(&ann).get(CONFIGURATION).await.status, 404);
}
