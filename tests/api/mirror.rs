//! Repositories as mirrors: made, changed, refused, of whom, and what is told of it. The sites are offline, so that
//! no run comes between.

use entrepot::model::{Grantee, LogKind, Performer, Role};
use reqwest::Method;
use serde_json::{Value, json};

use super::repository::Stage;
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::people::Who;
use crate::harness::site::Answer;
use crate::harness::soon;

const MIRROR: &str = "/repository/acme/app/mirror";

pub(super) async fn stage() -> Stage {
    let stage = Stage::with(|config| config.offline = true).await;
    stage.site.robot("acme+copier").await;
    stage
}

pub(super) fn wanted() -> Value {
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

/// SC-340: the repository is in the state MIRROR from then on, which refuses pushes of its owner, and the robot has
/// got the role write.
#[tokio::test]
async fn a_mirror_is_written_by_its_runs_only() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    let repository = stage.ann().get("/repository/acme/app").await.json();
    assert_eq!(
        (&repository["state"], &repository["can_write"]),
        (&json!("MIRROR"), &json!(false))
    );
    let image = Image::small(9);
    for who in [Who::user("ann"), stage.site.robot("acme+other").await.1] {
        let pushed = stage
            .site
            .push_blob_as(&who, "acme/app", &image.blobs()[0])
            .await;
        assert!(
            [401, 403, 405].contains(&pushed.status.as_u16()),
            "{}",
            pushed.text()
        );
    }
    let owner = Who::user("ann");
    let pushed = stage
        .site
        .push_blob_as(&owner, "acme/app", &image.blobs()[0])
        .await;
    assert_eq!(pushed.status, 405, "{}", pushed.text());
    let grants = "/repository/acme/app/permissions/user/acme+copier";
    assert_eq!(stage.ann().get(grants).await.json()["role"], "write");
    // What may be done there is said again as before.
    let state = json!({"state": "NORMAL"});
    let set = stage
        .ann()
        .put("/repository/acme/app/changestate", state)
        .await;
    assert_eq!(set.status, 200, "{}", set.text());
    stage.site.push_as(&owner, "acme/app", "v2", &image).await;
    assert_eq!(
        shown(&stage).await["sync_status"],
        "NEVER_RUN",
        "it is kept"
    );
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
    let expected = json!({"namespace": "acme", "repo": "app",
                          "changed": "external_reference", "to": "127.0.0.1:4/org/app"});
    assert_eq!(told, expected);
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

/// AZ-06, WB-04: of another tenant's mirror nothing is told, and it is not moved; its password is told to nobody.
#[tokio::test]
async fn a_mirror_is_its_owners() {
    let stage = stage().await;
    let account =
        json!({"external_registry_username": "zquser", "external_registry_password": "zqpass"});
    create(&stage, with(&account)).await;
    let before = shown(&stage).await;
    assert!(!before.to_string().contains("zqpass"));
    let missing = "/repository/acme/nosuch/mirror";
    for (method, path) in [
        (Method::GET, ""),
        (Method::POST, ""),
        (Method::PUT, ""),
        (Method::POST, "/sync-now"),
        (Method::POST, "/sync-cancel"),
        (Method::GET, "/tags"),
    ] {
        let body = (method != Method::GET).then(wanted);
        let there = stage
            .bob()
            .send(method.clone(), &format!("{MIRROR}{path}"), body.clone())
            .await;
        let not_there = stage
            .bob()
            .send(method, &format!("{missing}{path}"), body)
            .await;
        assert_eq!(there.status, 403, "{path}: {}", there.text());
        assert_eq!(there.json(), not_there.json(), "{path}");
    }
    assert_eq!(shown(&stage).await, before);
    let health = "/repository/mirror/health?namespace=";
    let there = stage.bob().get(&format!("{health}acme")).await;
    let not_there = stage.bob().get(&format!("{health}nosuch")).await;
    assert_eq!(
        (there.status.as_u16(), there.json()),
        (403, not_there.json())
    );
}

/// A deleted repository leaves nothing of its mirror, and neither does a deleted organisation.
#[tokio::test]
async fn what_is_deleted_leaves_no_mirror() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    let id = stage.site.repository_id("acme/app").await;
    let deleted = stage.ann().delete("/repository/acme/app").await;
    assert_eq!(deleted.status, 204);
    assert_eq!(stage.ann().get(MIRROR).await.status, 404);
    stage.site.registry().purge().await.unwrap();
    let left = stage.site.registry().store().read(|tx| {
        Ok::<_, entrepot::store::Error>((tx.mirrors().record(id)?, tx.mirrors().status(id)?))
    });
    assert_eq!(left.await.unwrap(), (None, None));
}

/// A mirror that was cancelled while its repository was no mirror begins again as it was.
#[tokio::test]
async fn a_repository_that_is_no_mirror_any_more_ends_its_run() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    stage
        .ann()
        .post(&format!("{MIRROR}/sync-now"), Value::Null)
        .await;
    let state = json!({"state": "READ_ONLY"});
    let set = stage
        .ann()
        .put("/repository/acme/app/changestate", state)
        .await;
    assert_eq!(set.status, 200);
    let view = shown(&stage).await;
    assert_eq!(
        (&view["sync_status"], &view["sync_start_date"]),
        (&json!("FAIL"), &json!("2045-01-15T12:00:00Z"))
    );
    let cancel = stage
        .ann()
        .post(&format!("{MIRROR}/sync-cancel"), Value::Null)
        .await;
    assert_eq!(cancel.status, 404, "there is nothing to be ended");
}

/// SC-340, SC-401, SC-402: made, wanted and filled, by the doors only; what a run came to is told tag by tag.
#[tokio::test]
async fn a_run_that_is_wanted_fills_the_mirror() {
    let origin = Origin::start().await;
    let image = Image::small(7);
    origin.push_image("org/app", "v1.latest-3", &image);
    origin.push_image("org/app", "nightly", &Image::small(8));
    let stage = Stage::new().await;
    stage.site.robot("acme+copier").await;
    let made = json!({"namespace": "acme", "repository": "copy", "visibility": "private", "description": ""});
    assert_eq!(stage.ann().post("/repository", made).await.status, 201);
    let path = "/repository/acme/copy/mirror";
    let body = with(&json!({
        "external_reference": format!("http://{}/org/app", origin.address()),
        "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["*.latest*"]},
    }));
    assert_eq!(stage.ann().post(path, body).await.status, 201);
    let wanted = stage
        .ann()
        .post(&format!("{path}/sync-now"), Value::Null)
        .await;
    assert_eq!((wanted.status.as_u16(), wanted.text()), (204, ""));
    let id = stage.site.repository_id("acme/copy").await;
    // The server's own loop may be quicker.
    let _ = stage.site.app().mirror().run(id).await;
    soon("the end of the run", async {
        while stage.ann().get(path).await.json()["sync_status"] != "SUCCESS" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let view = stage.ann().get(path).await.json();
    assert_eq!(
        (
            &view["sync_retries_remaining"],
            &view["sync_expiration_date"]
        ),
        (&json!(3), &Value::Null)
    );
    assert_eq!(
        view["sync_start_date"], "2045-01-15T12:00:00Z",
        "the schedule stays"
    );
    let results = stage.ann().get(&format!("{path}/tags")).await.json();
    assert_eq!(results["run"]["copied"], 1, "{results}");
    assert_eq!(results["tags"][0]["name"], "v1.latest-3");
    assert_eq!(results["tags"][0]["status"], "copied");
    assert_eq!(
        results["tags"][0]["manifest_digest"],
        image.digest().to_string()
    );
    let tags = stage.ann().get("/repository/acme/copy/tag/").await.json();
    assert_eq!(tags["tags"].as_array().unwrap().len(), 1);
    assert_eq!(tags["tags"][0]["name"], "v1.latest-3");
    let plan = stage.ann().get(&format!("{path}/plan")).await.json();
    assert_eq!(
        (&plan["unchanged"], &plan["copied"]),
        (&json!(1), &json!(0)),
        "{plan}"
    );
}

/// SC-067: where robots may not act, a run fails and names the setting.
#[tokio::test]
async fn a_run_without_robots_fails_by_the_name_of_the_setting() {
    let origin = Origin::start().await;
    origin.push_image("org/app", "v1", &Image::small(7));
    let stage = Stage::with(|config| {
        config.access.robots = entrepot::config::RobotAccess::Only(Default::default());
    })
    .await;
    stage.site.robot("acme+copier").await;
    create(
        &stage,
        with(&json!({"external_reference": format!("http://{}/org/app", origin.address())})),
    )
    .await;
    let id = stage.site.repository_id("acme/app").await;
    assert_eq!(
        stage
            .ann()
            .post(&format!("{MIRROR}/sync-now"), Value::Null)
            .await
            .status,
        204
    );
    let _ = stage.site.app().mirror().run(id).await;
    soon("the end of the run", async {
        while shown(&stage).await["sync_status"] != "FAIL" {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let results = stage.ann().get(&format!("{MIRROR}/tags")).await.json();
    let message = results["run"]["message"].as_str().unwrap();
    assert!(message.contains("ROBOTS_DISALLOW"), "{message}");
}

/// Tags are told in pages.
#[tokio::test]
async fn what_runs_came_to_is_told_in_pages() {
    let stage = stage().await;
    create(&stage, wanted()).await;
    let id = stage.site.repository_id("acme/app").await;
    let put = move |tx: &mut entrepot::store::WriteTx<'_>| {
        for number in 0..5 {
            let record = entrepot::model::MirrorTagRecord {
                run: 1,
                at: entrepot::model::Timestamp::default(),
                digest: None,
                failure: Some("the source does not answer".to_owned()),
            };
            let tag = format!("v{number}").parse().unwrap();
            tx.mirrors().put_tag(id, &tag, &record)?;
        }
        Ok::<_, entrepot::store::Error>(())
    };
    stage.site.registry().store().write(put).await.unwrap();
    let (mut names, mut next) = (Vec::new(), String::new());
    loop {
        let page = stage
            .ann()
            .get(&format!("{MIRROR}/tags?limit=2{next}"))
            .await
            .json();
        for tag in page["tags"].as_array().unwrap() {
            assert_eq!((&tag["status"], &tag["run"]), (&json!("failed"), &json!(1)));
            names.push(tag["name"].as_str().unwrap().to_owned());
        }
        match page["next_page"].as_str() {
            Some(token) => next = format!("&next_page={token}"),
            None => break,
        }
    }
    assert_eq!(names, ["v0", "v1", "v2", "v3", "v4"]);
    let bad = stage.ann().get(&format!("{MIRROR}/tags?limit=0")).await;
    assert_eq!(bad.status, 400);
}

/// Health is 503 where more than a fifth of those that ran fail, and names whom it may.
#[tokio::test]
async fn failing_mirrors_are_told_by_their_health() {
    let stage = Stage::new().await;
    stage.site.robot("acme+copier").await;
    create(&stage, wanted()).await;
    let id = stage.site.repository_id("acme/app").await;
    let fail = move |tx: &mut entrepot::store::WriteTx<'_>| {
        let mut status = tx.mirrors().status(id)?.expect("it is a mirror");
        status.state = entrepot::model::SyncState::Fail;
        tx.mirrors().put_status(id, &status)
    };
    stage.site.registry().store().write(fail).await.unwrap();
    let health = stage
        .ann()
        .get("/repository/mirror/health?namespace=acme")
        .await;
    assert_eq!(health.status, 503);
    let told = health.json();
    assert_eq!(
        (&told["healthy"], &told["workers"]["status"]),
        (&json!(false), &json!("healthy"))
    );
    let issues = told["issues"].as_array().unwrap();
    assert_eq!(issues[0]["severity"], "critical");
    assert_eq!(
        issues[0]["message"],
        "100.0% of repositories are failing (threshold: 20.0%)"
    );
    assert_eq!(
        issues[1]["message"],
        "Repository acme/app has exhausted all retry attempts"
    );
    let root = stage.site.superuser("root").await;
    let root = stage.site.oauth_token(root, "super:user").await;
    let all = stage.site.api(&root).get("/superuser/mirror/health").await;
    assert_eq!(all.status, 503);
    assert!(!all.text().contains("acme"), "{}", all.text());
}

/// A mirror of the configuration is shown, and changed where it stands.
#[tokio::test]
async fn a_configured_mirror_is_made_shown_and_not_changed_by_the_api() {
    let mirrors = "MIRRORS:\n- repository: nightly/tools/jq\n  external_reference: 127.0.0.1:4/org/jq\n  \
                   root_rule: {rule_value: [\"1.*\"]}\n  external_registry_username: u\n  \
                   external_registry_password: zqpass\n  sync_start_date: 2045-01-15T12:00:00Z\n";
    let read = |text: &str| {
        let source = entrepot::config::ConfigSource::Text {
            name: "config.yaml".to_owned(),
            text: text.to_owned(),
        };
        let loaded =
            entrepot::config::Config::load(source, &Default::default(), &Default::default());
        loaded.unwrap().0.mirrors
    };
    let configured = read(mirrors);
    let stage = Stage::with(|config| {
        config.offline = true;
        config.mirrors.clone_from(&configured);
    })
    .await;
    let id = stage.site.repository_id("nightly/tools/jq").await;
    let grants = stage
        .site
        .accounts()
        .list_grants(id, None, 10)
        .await
        .unwrap();
    assert_eq!(grants.len(), 1, "the robot's");
    let (id, _) = stage
        .site
        .registry()
        .namespace(&"nightly".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let ann = stage
        .site
        .accounts()
        .user_by_name("ann")
        .await
        .unwrap()
        .unwrap()
        .0;
    let team = stage
        .site
        .team(id, "keepers", entrepot::model::TeamRole::Admin, &[])
        .await;
    let by = Performer::SYSTEM;
    let member = entrepot::model::Member::User(ann);
    stage
        .site
        .accounts()
        .add_member(team, member, &by)
        .await
        .unwrap();
    let path = "/repository/nightly/tools/jq/mirror";
    let view = stage.ann().get(path).await.json();
    assert_eq!(view["external_reference"], "127.0.0.1:4/org/jq", "{view}");
    assert_eq!(view["robot_username"], "nightly+mirror");
    assert_eq!(view["sync_start_date"], "2045-01-15T12:00:00Z");
    assert!(!view.to_string().contains("zqpass"));
    let refused = stage.ann().put(path, json!({"is_enabled": false})).await;
    let (status, said) = refusal(&refused);
    assert_eq!(status, 400);
    assert!(
        said.contains("nightly/tools/jq") && said.contains("MIRRORS"),
        "{said}"
    );
    let now = stage
        .ann()
        .post(&format!("{path}/sync-now"), Value::Null)
        .await;
    assert_eq!(now.status, 204, "runs are wanted as of any mirror");
    let mirror = stage.site.app().mirror();
    let same = mirror.configure(&configured).await.unwrap();
    assert!(
        same.changed.is_empty() && same.removed.is_empty(),
        "{same:?}"
    );
    let done = mirror.configure(&[]).await.unwrap();
    assert_eq!(done.removed, ["nightly/tools/jq"]);
    let view = stage.ann().get(path).await.json();
    assert_eq!(view["is_enabled"], false);
    let changed = stage.ann().put(path, json!({"sync_interval": 60})).await;
    assert_eq!(changed.status, 201, "{}", changed.text());
    let again = mirror.configure(&configured).await.unwrap();
    assert_eq!(again.changed, ["nightly/tools/jq"]);
    assert_eq!(stage.ann().get(path).await.json()["sync_interval"], 86400);
}
