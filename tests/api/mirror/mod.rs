//! Repositories as mirrors: made, changed, refused, of whom, and what is told of it. The sites are offline, so that
//! no run comes between.

mod owners;
mod runs;

use entrepot::model::{Grantee, LogKind, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::repository::Stage;
use crate::harness::site::Answer;

const MIRROR: &str = "/repository/acme/app/mirror";

async fn stage() -> Stage {
    let stage = Stage::with(|config| config.offline = true).await;
    stage.site.robot("acme+copier").await;
    stage
}

fn wanted() -> Value {
    json!({
        "external_reference": "127.0.0.1:4/org/app",
        "sync_interval": 86400,
        "sync_start_date": "2045-01-15T12:00:00Z",
        "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["v*"]},
        "robot_username": "acme+copier",
    })
}

fn with(more: &Value) -> Value {
    let mut body = wanted();
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

async fn create(stage: &Stage, body: Value) {
    let made = stage.ann().post(MIRROR, body).await;
    assert_eq!((made.status.as_u16(), made.text()), (201, "\"\"\n"));
}

async fn shown(stage: &Stage) -> Value {
    let shown = stage.ann().get(MIRROR).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    shown.json()
}

/// Status, and what is said in the form that the refusal has.
fn refusal(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    let said = body.get("detail").or_else(|| body.get("message"));
    let said = said.and_then(Value::as_str).unwrap_or_default().to_owned();
    (answer.status.as_u16(), said)
}

/// A robot that may do more keeps it.
#[tokio::test]
async fn a_robot_gets_no_less_than_it_had() {
    let stage = stage().await;
    let (id, _) = stage.site.robot("acme+chief").await;
    stage
        .site
        .grant("acme/app", Grantee::Robot(id), Role::Admin)
        .await;
    create(&stage, with(&json!({"robot_username": "acme+chief"}))).await;
    let grants = "/repository/acme/app/permissions/user/acme+chief";
    assert_eq!(stage.ann().get(grants).await.json()["role"], "admin");
    // Once it is gone, the mirror is without.
    let deleted = stage.ann().delete("/organization/acme/robots/chief").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(shown(&stage).await["robot_username"], Value::Null);
    let body = json!({"robot_username": "acme+copier"});
    assert_eq!(stage.ann().put(MIRROR, body).await.status, 201);
    assert_eq!(shown(&stage).await["robot_username"], "acme+copier");
}

/// Each refusal in Quay's words and form, and nothing is made.
#[tokio::test]
async fn what_cannot_be_a_mirror_is_refused() {
    let stage = stage().await;
    let robots = [
        "Could not find robot with specified username",
        "Invalid robot",
    ];
    let location = "The provided registry location is not allowed";
    for (more, said) in [
        (
            json!({"sync_start_date": "tomorrow"}),
            "Incorrect DateTime format for sync_start_date.",
        ),
        (
            json!({"sync_start_date": "2045-01-15"}),
            "Incorrect DateTime format for sync_start_date.",
        ),
        (
            json!({"external_reference": ""}),
            "Empty string is an invalid repository location.",
        ),
        (json!({"external_reference": "alpine"}), "host/path"),
        (
            json!({"external_reference": "127.0.0.1:4/org/app:v1"}),
            "leave the tag or digest out",
        ),
        (
            json!({"external_reference": "169.254.169.254/org/app"}),
            location,
        ),
        (
            json!({"external_reference": "http://10.0.0.1/org/app"}),
            location,
        ),
        (
            json!({"external_registry_config": {"proxy": {"https_proxy": "http://10.0.0.1:3128"}}}),
            location,
        ),
        (
            json!({"external_registry_config": {"proxy": {"http_proxy": "squid"}}}),
            "http_proxy: it is no http://",
        ),
        (json!({"robot_username": "acme+nobody"}), robots[0]),
        (json!({"robot_username": "ann"}), robots[0]),
        (json!({"robot_username": "umbra+copier"}), robots[1]),
        (
            json!({"skopeo_timeout_interval": 299}),
            "skopeo_timeout_interval is 300 to",
        ),
        (json!({"sync_interval": 0}), "sync_interval is 1 to"),
        (json!({"sync_interval": -1}), "is not of type 'integer'"),
        (
            json!({"architecture_filter": ["mips"]}),
            "'mips' is not one of amd64",
        ),
        (
            json!({"external_registry_password": "p"}),
            "Unable to set a new password without also",
        ),
        (
            json!({"external_registry_username": null, "external_registry_password": "p"}),
            "Unable to delete username while setting a password.",
        ),
        (
            json!({"root_rule": {"rule_kind": "tag_glob_csv", "rule_value": []}}),
            "at least one pattern",
        ),
        (
            json!({"root_rule": {"rule_kind": "regex", "rule_value": ["a"]}}),
            "rule_kind must be",
        ),
        (
            json!({"root_rule": {"rule_kind": "tag_glob_csv", "rule_value": [7]}}),
            "is a list of patterns",
        ),
        (
            json!({"entrepot": {"semver": "about 2"}}),
            "entrepot.semver:",
        ),
        (json!({"entrepot": {"cron": "* * *"}}), "entrepot.cron:"),
        (json!({"entrepot": {"newest": 0}}), "entrepot.newest:"),
        (
            json!({"entrepot": {"deletion": "hide"}}),
            "entrepot.deletion:",
        ),
        (
            json!({"entrepot": {"deletion_cap_percent": 101}}),
            "entrepot.deletion_cap_percent:",
        ),
        (
            json!({"entrepot": {"platforms": ["linux"]}}),
            "entrepot.platforms:",
        ),
        (json!({"entrepot": {"exclude": [""]}}), "entrepot.exclude:"),
        (
            json!({"entrepot": {"excluded": []}}),
            "unknown field `excluded`",
        ),
        (
            json!({"entrepot": {"bandwidth": [{"from": "22", "until": "06:00", "bytes_per_second": 1}]}}),
            "entrepot.bandwidth: from:",
        ),
        (
            json!({"entrepot": {"bandwidth": [{"from": "22:00", "until": "06:00", "bytes_per_second": "fast"}]}}),
            "entrepot.bandwidth: bytes_per_second:",
        ),
    ] {
        let refused = stage.ann().post(MIRROR, with(&more)).await;
        let (status, text) = refusal(&refused);
        assert_eq!(status, 400, "{more}: {}", refused.text());
        assert!(text.contains(said), "{more}: {text}");
    }
    for field in [
        "external_reference",
        "sync_interval",
        "sync_start_date",
        "root_rule",
        "robot_username",
    ] {
        let mut body = wanted();
        body.as_object_mut().unwrap().remove(field);
        let refused = stage.ann().post(MIRROR, body).await;
        let expected = (400, format!("'{field}' is a required property"));
        assert_eq!(refusal(&refused), expected);
    }
    assert_eq!(stage.ann().get(MIRROR).await.status, 404);
    let repository = stage.ann().get("/repository/acme/app").await.json();
    assert_eq!(repository["state"], "NORMAL");
}

/// SC-404: a part changes what it names and nothing else; each field has its line of the usage log.
#[tokio::test]
async fn a_change_is_told_field_by_field() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    let told = stage.told(LogKind::RepoMirrorConfigChanged).await;
    for (key, value) in [
        ("namespace", "acme"),
        ("repo", "app"),
        ("changed", "external_reference"),
        ("to", "127.0.0.1:4/org/app"),
    ] {
        assert_eq!(told[key], value, "{told}");
    }
    for (body, changed, to) in [
        (json!({"is_enabled": false}), "is_enabled", json!(false)),
        (
            json!({"external_reference": "127.0.0.1:4/o"}),
            "external_reference",
            json!("127.0.0.1:4/o"),
        ),
        (
            json!({"robot_username": "acme+copier"}),
            "robot_username",
            json!("acme+copier"),
        ),
        (
            json!({"sync_start_date": "2045-02-15T12:00:00Z"}),
            "sync_start_date",
            json!("Wed, 15 Feb 2045 12:00:00 GMT"),
        ),
        (json!({"sync_interval": "60"}), "sync_interval", json!(60)),
        (
            json!({"skopeo_timeout_interval": 600}),
            "skopeo_timeout_interval",
            json!(600),
        ),
        (
            json!({"architecture_filter": ["arm64"]}),
            "architecture_filter",
            json!(["arm64"]),
        ),
        (
            json!({"external_registry_username": "u"}),
            "external_registry_username",
            json!("u"),
        ),
        (
            json!({"external_registry_username": "u", "external_registry_password": "zqpass"}),
            "external_registry_password",
            json!("********"),
        ),
        (
            json!({"external_registry_username": null, "external_registry_password": null}),
            "external_registry_password",
            json!(null),
        ),
        (
            json!({"external_registry_config": {"verify_tls": false}}),
            "verify_tls",
            json!(false),
        ),
        (
            json!({"external_registry_config": {"unsigned_images": true}}),
            "unsigned_images",
            json!(true),
        ),
        (
            json!({"external_registry_config": {"proxy": {"http_proxy": "http://127.0.0.1:1"}}}),
            "http_proxy",
            json!("http://127.0.0.1:1"),
        ),
        (
            json!({"external_registry_config": {"proxy": {"https_proxy": null}}}),
            "https_proxy",
            json!(null),
        ),
        (
            json!({"external_registry_config": {"proxy": {"no_proxy": "x"}}}),
            "no_proxy",
            json!("x"),
        ),
        (
            json!({"root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["a", "b"]}}),
            "mirror_rule",
            json!(["a", "b"]),
        ),
        (
            json!({"entrepot": {"deletion": "archive"}}),
            "deletion",
            json!("archive"),
        ),
    ] {
        let answer = stage.ann().put(MIRROR, body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (201, "\"\"\n"),
            "{body}"
        );
        let told = stage.told(LogKind::RepoMirrorConfigChanged).await;
        assert_eq!(
            (&told["changed"], &told["to"]),
            (&json!(changed), &to),
            "{body}"
        );
        assert!(!told.to_string().contains("zqpass"));
    }
    let view = shown(&stage).await;
    assert_eq!(view["sync_interval"], 60);
    assert_eq!(view["external_registry_username"], Value::Null);
    assert_eq!(
        view["external_registry_config"]["proxy"]["http_proxy"],
        "http://127.0.0.1:1"
    );
    assert_eq!(view["sync_start_date"], "2045-02-15T12:00:00Z");
    stage
        .ann()
        .post(&format!("{MIRROR}/sync-now"), Value::Null)
        .await;
    let told = stage.told(LogKind::RepoMirrorConfigChanged).await;
    assert_eq!(
        (&told["changed"], &told["to"]),
        (&json!("sync_status"), &json!("SYNC_NOW"))
    );
    stage
        .ann()
        .post(&format!("{MIRROR}/sync-cancel"), Value::Null)
        .await;
    let told = stage.told(LogKind::RepoMirrorConfigChanged).await;
    assert_eq!(told["to"], "SYNC_CANCEL");
    // A new start takes it out of its rest.
    let body = json!({"sync_start_date": "2045-03-15T12:00:00Z"});
    assert_eq!(stage.ann().put(MIRROR, body).await.status, 201);
    let view = shown(&stage).await;
    assert_eq!(
        (&view["sync_status"], &view["sync_retries_remaining"]),
        (&json!("NEVER_RUN"), &json!(3))
    );
}

/// What Quay's mirrors do not have is shown where it differs from the defaults, and only there.
#[tokio::test]
async fn what_quay_does_not_have_stands_in_an_object_of_its_own() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    assert!(shown(&stage).await.get("entrepot").is_none());
    let ours = json!({
        "exclude": ["*-rc*"],
        "semver": ">=1.2, <2",
        "newest": "5",
        "cron": "30 2 * * *",
        "deletion": "archive",
        "deletion_cap_percent": 20,
        "bandwidth": [{"from": "22:00", "until": "06:00", "bytes_per_second": "10 MiB"}],
        "platforms": ["linux/amd64", "linux/arm/v7"],
        "referrers": false,
    });
    let put = stage.ann().put(MIRROR, json!({"entrepot": ours})).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let mut expected = ours;
    expected["newest"] = 5.into();
    expected["bandwidth"][0]["bytes_per_second"] = (10 << 20).into();
    let view = shown(&stage).await;
    assert_eq!(view["entrepot"], expected);
    assert_eq!(
        view["sync_start_date"], "2045-01-16T02:30:00Z",
        "by the calendar behind the start"
    );
    let back = json!({"entrepot": {
        "exclude": [], "semver": null, "newest": null, "cron": null, "deletion": "delete",
        "deletion_cap_percent": 100, "bandwidth": [], "platforms": [], "referrers": true,
    }});
    assert_eq!(stage.ann().put(MIRROR, back).await.status, 201);
    assert!(shown(&stage).await.get("entrepot").is_none());
}

/// SC-397: the doors are there while the feature is on.
#[tokio::test]
async fn without_the_feature_there_are_no_mirrors() {
    let stage = Stage::with(|config| config.features.repo_mirror = false).await;
    for (method, path) in [
        (Method::GET, MIRROR.to_owned()),
        (Method::POST, MIRROR.to_owned()),
        (Method::POST, format!("{MIRROR}/sync-now")),
        (Method::GET, format!("{MIRROR}/tags")),
        (
            Method::GET,
            "/repository/mirror/health?namespace=acme".to_owned(),
        ),
    ] {
        let body = (method == Method::POST).then(wanted);
        let answer = stage.ann().send(method, &path, body).await;
        assert_eq!(answer.status, 404, "{path}");
    }
}
