//! Doors of the web beside `/api/v1`.

use serde_json::json;

use crate::harness::api::fields;
use crate::harness::site::Site;

#[tokio::test]
async fn a_page_learns_what_it_must_know_of_the_site() {
    let site = Site::start(|config| config.web.title = "Our <site>".to_owned()).await;
    let answer = site.get("/config").await;
    assert_eq!(answer.status, 200);
    let config = answer.json();
    assert_eq!(
        fields(&config),
        [
            "config",
            "features",
            "oauth",
            "external_login",
            "registry_state",
            "account_recovery_mode",
            "version_number"
        ]
    );
    assert_eq!(config["config"]["REGISTRY_TITLE"], "Our <site>");
    assert_eq!(
        config["config"]["SERVER_HOSTNAME"],
        site.address().to_string()
    );
    assert_eq!(config["features"]["PROXY_CACHE"], true);
    assert_eq!(config["features"]["MAILING"], false);
    assert_eq!(config["registry_state"], "normal");
    let search = site.get("/opensearch.xml").await;
    assert_eq!(search.header("content-type"), "application/xml");
    assert!(
        search
            .text()
            .contains("<ShortName>Our &lt;site&gt;</ShortName>")
    );
}

#[tokio::test]
async fn programs_find_what_they_ask_every_site_for() {
    let site = Site::start(|_| {}).await;
    let capabilities = site.get("/api/v1/registry/capabilities").await.json();
    assert_eq!(
        capabilities,
        json!({
            "sparse_manifests": {
                "supported": true,
                "required_architectures": [],
                "optional_architectures_allowed": true,
            },
            "mirror_architectures": ["amd64", "arm64", "ppc64le", "s390x"],
        })
    );
    let known = site.get("/.well-known/app-capabilities").await.json();
    assert_eq!(known["appName"], "io.quay");
    let template = &known["capabilities"]["io.quay.view-image"]["url-template"];
    assert_eq!(*template, json!(site.url("/{namespace}/{reponame}:{tag}")));
    let robots = site.get("/robots.txt").await;
    assert!(robots.header("content-type").starts_with("text/plain"));
    let ping = site.get("/v1/_ping").await;
    assert_eq!(
        (ping.status.as_u16(), ping.text().trim_end()),
        (200, "true")
    );
    assert_eq!(ping.header("x-docker-registry-version"), "0.6.0");
    assert_eq!(site.get("/.well-known/change-password").await.status, 401);
}
