//! The doors beside the resources: the description of the API, what a page must know, the first user, and
//! what programs ask every site for.

use serde_json::{Value, json};

use super::exception;
use super::guide::{Guide, all_are_shown};
use crate::harness::api::fields;
use crate::harness::browser::Browser;

/// quay-api section 9.2, SEED: a key that nobody knows is no reason to refuse.
#[tokio::test]
async fn the_description_is_in_the_form_of_the_documents() {
    let guide = Guide::new().await;
    let path = "/discovery?query=true";
    let shown = guide.get("", path).await.succeeds(200).json();
    let parts = [
        "swagger",
        "host",
        "basePath",
        "schemes",
        "info",
        "securityDefinitions",
        "paths",
        "definitions",
        "tags",
    ];
    assert_eq!(fields(&shown), parts);
    assert_eq!(shown["swagger"], "2.0");
    assert_eq!(shown["host"], guide.site.address().to_string());
    assert_eq!(
        (&shown["basePath"], &shown["schemes"]),
        (&json!("/"), &json!(["http"]))
    );
    let info = [
        "version",
        "title",
        "description",
        "termsOfService",
        "contact",
    ];
    assert_eq!(fields(&shown["info"]), info);
    let oauth = &shown["securityDefinitions"]["oauth2_implicit"];
    assert_eq!(
        fields(oauth),
        ["type", "flow", "authorizationUrl", "scopes"]
    );
    assert_eq!(
        oauth["authorizationUrl"],
        guide.site.url("/oauth/authorize")
    );
    assert_eq!(oauth["scopes"].as_object().unwrap().len(), 8);
    headings_and_doors(&shown);
    let all = guide.get("", "/discovery?internal=true").await;
    let all = all.succeeds(200).json();
    let count = |of: &Value| of["paths"].as_object().unwrap().len();
    assert!(count(&all) > count(&shown));
    assert!(
        shown["paths"]
            .get("/api/v1/superuser/takeownership/{namespace}")
            .is_none()
    );
    let operation = &all["paths"]["/api/v1/user/apptoken"]["post"];
    assert_eq!(operation["x-requires-fresh-login"], true);
    let openapi = guide.get("", "/openapi.json").await.succeeds(200).json();
    assert_eq!(openapi["openapi"], "3.1.0");
    all_are_shown(&[&guide], &["discovery"], &[]);
}

fn headings_and_doors(shown: &Value) {
    let tags = shown["tags"].as_array().unwrap();
    let names: Vec<&str> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    let (last, others) = names.split_last().unwrap();
    assert!(others.is_sorted() && *last == "userfiles", "{names:?}");
    assert_eq!(fields(&tags[0]), ["name", "description"]);
    let paths = shown["paths"].as_object().unwrap();
    let headings: Vec<&str> = paths
        .values()
        .map(|it| it["x-tag"].as_str().unwrap())
        .collect();
    assert!(headings.is_sorted(), "{headings:?}");
    let item = &paths["/api/v1/repository/{repository}/tag/"];
    assert_eq!(
        fields(item),
        ["x-name", "x-path", "x-tag", "parameters", "get"]
    );
    let expected = json!({
        "name": "repository",
        "in": "path",
        "required": true,
        "description": "The full path of the repository. e.g. namespace/name",
        "type": "string",
    });
    assert_eq!(item["parameters"], json!([expected]));
    let operation = &item["get"];
    let parts = [
        "operationId",
        "parameters",
        "description",
        "tags",
        "security",
        "responses",
    ];
    assert_eq!(fields(operation), parts);
    assert_eq!(operation["operationId"], "listRepoTags");
    assert_eq!(
        operation["security"],
        json!([{"oauth2_implicit": ["repo:read"]}])
    );
    declared_answers(shown);
}

/// The statuses that a description declares, whatever the door answers (section 41).
fn declared_answers(shown: &Value) {
    let paths = &shown["paths"];
    for (path, method, status, meaning) in [
        (
            "/api/v1/user/apptoken",
            "post",
            "201",
            "Successful creation",
        ),
        (
            "/api/v1/user/apptoken",
            "get",
            "200",
            "Successful invocation",
        ),
        (
            "/api/v1/user/apptoken/{token_uuid}",
            "delete",
            "204",
            "Deleted",
        ),
    ] {
        let responses = &paths[path][method]["responses"];
        let declared = ["400", "401", "403", "404", status];
        let mut found = fields(responses);
        found.sort_unstable();
        let mut declared: Vec<_> = declared.into();
        declared.sort_unstable();
        assert_eq!(found, declared, "{path}");
        assert_eq!(responses[status]["description"], meaning);
        let reference = json!({"$ref": "#/definitions/ApiError"});
        assert_eq!(responses["400"]["schema"], reference);
    }
    let error = &shown["definitions"]["ApiError"];
    assert_eq!(error["required"], json!(["status", "type", "title"]));
    let told = [
        "status",
        "type",
        "detail",
        "title",
        "error_message",
        "error_type",
    ];
    assert_eq!(fields(&error["properties"]), told);
}

/// quay-api sections 8 and 9.
#[tokio::test]
async fn the_doors_of_the_web_answer_as_documented() {
    let guide = Guide::with(|config| {
        config.features.mailing = true;
        config.features.programmatic_bootstrap = true;
    })
    .await;
    let browser = Browser::new(&guide.site);
    let token = browser.get("/csrf_token").await;
    let token = guide.answered("GET /csrf_token", token);
    token.is(200, &json!({"csrf_token": "<text>"}));
    of_configuration(&guide).await;
    let robots = guide.read("/robots.txt").await.succeeds(200);
    assert!(robots.text().starts_with("User-agent: *"));
    let search = guide.read("/opensearch.xml").await.succeeds(200);
    assert_eq!(search.header("content-type"), "application/xml");
    for path in ["/v1/_ping", "/v1/_internal_ping", "/secscan/_internal_ping"] {
        guide.read(path).await.says(200, "true");
    }
    guide.read("/v1/").await.succeeds(200);
    let nothing = json!({
        "query": "zq", "num_results": 0, "num_pages": 1, "page": 1, "page_size": 25, "results": [],
    });
    guide.read("/v1/search?q=zq").await.is(200, &nothing);
    of_programs(&guide).await;
    // Nothing sends mail, so no code is ever right.
    let refusal = json!({"error": "Invalid confirmation code"});
    for path in ["/confirm", "/recovery", "/authrepoemail", "/confirminvite"] {
        let path = format!("{path}?code=x");
        guide.read(&path).await.only_refuses(403, &refusal);
    }
    let text = "Requires valid bootstrap bearer token";
    guide
        .ask("", "POST /bootstrap/renew", json!({}))
        .await
        .only_refuses(401, &exception(&guide.site, 401, "invalid_token", text));
    let first = of_the_first_user().await;
    let headings = [
        "web",
        "wellknown",
        "capabilities",
        "registry-v1-legacy",
        "secscan",
        "email-links",
        "bootstrap",
    ];
    all_are_shown(&[&guide, &first], &headings, &[]);
}

async fn of_configuration(guide: &Guide) {
    let shown = guide.read("/config").await.succeeds(200).json();
    let parts = [
        "config",
        "features",
        "oauth",
        "external_login",
        "registry_state",
        "account_recovery_mode",
        "version_number",
    ];
    assert_eq!(fields(&shown), parts);
    assert_eq!(
        (&shown["oauth"], &shown["external_login"]),
        (&json!({}), &json!([]))
    );
    assert_eq!(shown["registry_state"], "normal");
    assert_eq!(shown["account_recovery_mode"], false);
    let config = &shown["config"];
    assert_eq!(config["AUTHENTICATION_TYPE"], "Database");
    // A page sends people there with a new token, and offers them these.
    assert_eq!(config["LOCAL_OAUTH_HANDLER"], "/oauth/localapp");
    let spans = json!(["0s", "1d", "1w", "2w", "4w"]);
    assert_eq!(config["TAG_EXPIRATION_OPTIONS"], spans);
    let features = shown["features"].as_object().unwrap();
    assert!(features.values().all(Value::is_boolean));
    for name in ["SUPER_USERS", "BILLING", "UI_V2", "SPARSE_INDEX"] {
        assert!(features.contains_key(name), "{name}");
    }
}

async fn of_programs(guide: &Guide) {
    let capabilities = json!({
        "sparse_manifests": {
            "supported": true,
            "required_architectures": [],
            "optional_architectures_allowed": true,
        },
        "mirror_architectures": ["amd64", "arm64", "ppc64le", "s390x"],
    });
    guide
        .get("", "/registry/capabilities")
        .await
        .is(200, &capabilities);
    let app = guide.site.url("");
    let security = "api/v1/repository/{namespace}/{reponame}";
    let known = json!({
        "appName": "io.quay",
        "capabilities": {
            "io.quay.view-image": {
                "url-template": format!("{app}/{{namespace}}/{{reponame}}:{{tag}}"),
            },
            "io.quay.image-security": {
                "rest-api-template": format!("{app}/{security}/image/{{imageid}}/security"),
                "deprecated": true,
            },
            "io.quay.manifest-security": {
                "rest-api-template": format!("{app}/{security}/manifest/{{digest}}/security"),
            },
        },
    });
    let path = "/.well-known/app-capabilities";
    guide.read(path).await.is(200, &known);
    let path = "/.well-known/change-password";
    let browser = Browser::signed_in(&guide.site, "ann").await;
    let answer = guide.answered(&format!("GET {path}"), browser.get(path).await);
    let answer = answer.says(302, "");
    assert_eq!(answer.header("location"), "/user/ann?tab=settings");
    guide
        .read(path)
        .await
        .refuses(401, &json!({"error": "Requires authentication"}));
}

/// quay-api section 8.1: there is nobody yet, so the site is another one.
async fn of_the_first_user() -> Guide {
    let guide = Guide::empty(|config| config.features.user_initialize = true).await;
    let body = json!({
        "username": "quayadmin",
        "password": "quaypass12345678",
        "email": "quayadmin@example.com",
        "access_token": true,
    });
    let made = json!({
        "username": "quayadmin",
        "email": "quayadmin@example.com",
        "encrypted_password": "<text>",
        "access_token": "A".repeat(40),
    });
    let line = "POST /user/initialize";
    guide.ask("", line, body.clone()).await.is(200, &made);
    let refusal = json!({"message": "Cannot initialize user in a non-empty database"});
    guide.ask("", line, body).await.refuses(400, &refusal);
    guide
}
