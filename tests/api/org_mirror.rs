//! Organisations as mirrors: made, refused, kept apart from everything else, let go. The sites are offline, so that
//! no look at a source comes between; those who verify ask a scripted one.

use entrepot::model::{
    DiscoveredRecord, LogKind, MirrorStatus, Performer, RepositoryState, SyncState, Visibility,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::repository::{SCOPES, Stage};
use crate::harness::people::Who;
use crate::harness::site::{Answer, Site};

const MIRROR: &str = "/organization/copies/mirror";

/// ann's organisation `copies`, which is empty, with a robot.
async fn stage_with(adjust: impl FnOnce(&mut entrepot::config::Config)) -> Stage {
    let stage = Stage::with(adjust).await;
    let ann = stage
        .site
        .accounts()
        .user_by_name("ann")
        .await
        .unwrap()
        .unwrap()
        .0;
    stage.site.organization("copies", Some(ann)).await;
    stage.site.robot("copies+copier").await;
    stage
}

async fn stage() -> Stage {
    stage_with(|config| config.offline = true).await
}

fn wanted() -> Value {
    json!({
        "external_registry_type": "quay",
        "external_registry_url": "https://127.0.0.1:4",
        "external_namespace": "upstream",
        "robot_username": "copies+copier",
        "visibility": "public",
        "sync_interval": 3600,
        "sync_start_date": "2045-01-15T12:00:00Z",
    })
}

fn with(more: &Value) -> Value {
    let mut body = wanted();
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

async fn create(stage: &Stage) {
    let made = stage.ann().post(MIRROR, wanted()).await;
    assert_eq!((made.status.as_u16(), made.text()), (201, "\"\"\n"));
}

fn detail(answer: &Answer) -> String {
    assert_eq!(answer.status, 400, "{}", answer.text());
    answer.json()["detail"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Makes what a look at the source would: a row, and a repository in the state `ORG_MIRROR`.
async fn discover(site: &Site, name: &str, state: SyncState) {
    let registry = site.registry();
    let found = registry
        .namespace(&"copies".parse().unwrap())
        .await
        .unwrap();
    let (namespace, _) = found.unwrap();
    let name: entrepot::oci::RepositoryName = name.parse().unwrap();
    let (visibility, by) = (Visibility::Public, Performer::SYSTEM);
    let made = registry.create_mirrored(namespace, &name, visibility, &by);
    let repository = made.await.unwrap().0.repository;
    let record = DiscoveredRecord {
        namespace,
        discovered: registry.clock().now(),
        repository: Some(repository),
        status: MirrorStatus {
            state,
            ..MirrorStatus::new(None)
        },
    };
    let put = move |tx: &mut entrepot::store::WriteTx<'_>| {
        tx.mirrors().put_discovered(namespace, &name, &record)
    };
    registry.store().write(put).await.unwrap();
}

/// Each refusal in Quay's words, and nothing is made.
#[tokio::test]
async fn what_cannot_be_a_mirror_is_refused() {
    let stage = stage().await;
    for (more, said) in [
        (
            json!({"external_registry_type": "docker"}),
            "'docker' is not one of ['harbor', 'quay']",
        ),
        (
            json!({"visibility": "secret"}),
            "'secret' is not one of ['public', 'private']",
        ),
        (
            json!({"robot_username": "acme+copier"}),
            "Robot account must belong to the organization",
        ),
        (
            json!({"robot_username": "copies+nobody"}),
            "Invalid robot account: copies+nobody",
        ),
        (
            json!({"robot_username": "ann"}),
            "Invalid robot account: ann",
        ),
        (
            json!({"sync_start_date": "soon"}),
            "Invalid sync_start_date format. Use ISO 8601: YYYY-MM-DDTHH:MM:SSZ",
        ),
        (
            json!({"sync_interval": 59}),
            "sync_interval must be at least 60 seconds",
        ),
        (
            json!({"skopeo_timeout": 29}),
            "skopeo_timeout must be between 30 and 3600 seconds",
        ),
        (
            json!({"skopeo_timeout": 3601}),
            "skopeo_timeout must be between 30 and 3600 seconds",
        ),
        (
            json!({"external_registry_url": "https://10.0.0.1"}),
            "The provided registry URL is not allowed",
        ),
        (
            json!({"external_registry_url": "https://169.254.169.254/"}),
            "The provided registry URL is not allowed",
        ),
        (
            json!({"external_registry_url": "file:///etc"}),
            "external_registry_url is an http",
        ),
        (
            json!({"external_registry_url": "https://me:zq@127.0.0.1"}),
            "external_registry_url is an http",
        ),
        (
            json!({"external_namespace": "n".repeat(256)}),
            "external_namespace has 1 to 255 characters",
        ),
        (
            json!({"repository_filters": [""]}),
            "repository_filters: a pattern is empty",
        ),
    ] {
        let text = detail(&stage.ann().post(MIRROR, with(&more)).await);
        assert!(text.starts_with(said), "{more}: {text}");
    }
    for field in wanted().as_object().unwrap().keys() {
        let mut body = wanted();
        body.as_object_mut().unwrap().remove(field);
        let text = detail(&stage.ann().post(MIRROR, body).await);
        assert_eq!(text, format!("'{field}' is a required property"));
    }
    assert_eq!(stage.ann().get(MIRROR).await.status, 404);
}

/// An organisation that holds something else cannot be one, nor hold it afterwards.
#[tokio::test]
async fn such_an_organisation_holds_nothing_else() {
    let stage = stage().await;
    let api = stage.ann();
    stage.site.robot("acme+copier").await;
    let of_acme = with(&json!({"robot_username": "acme+copier"}));
    let text = detail(&api.post("/organization/acme/mirror", of_acme).await);
    assert!(text.contains("already contains repositories"), "{text}");
    let policies = "/organization/copies/immutabilitypolicy/";
    let policy = api
        .post(policies, json!({"tagPattern": "v.*"}))
        .await
        .json();
    let text = detail(&api.post(MIRROR, wanted()).await);
    assert!(
        text.contains("has immutability policies configured"),
        "{text}"
    );
    let uuid = policy["uuid"].as_str().unwrap();
    assert!(
        api.delete(&format!("{policies}{uuid}"))
            .await
            .status
            .is_success()
    );
    let cache = "/organization/copies/proxycache";
    let upstream = json!({"upstream_registry": "127.0.0.1:4", "insecure": true});
    assert_eq!(api.post(cache, upstream.clone()).await.status, 201);
    let text = detail(&api.post(MIRROR, wanted()).await);
    assert!(text.contains("has a proxy cache configuration"), "{text}");
    assert_eq!(api.delete(cache).await.status, 201);

    create(&stage).await;
    let text = detail(&api.post(cache, upstream).await);
    assert!(text.contains("organization-level mirroring"), "{text}");
    let repository = json!({"namespace": "copies", "repository": "own", "visibility": "public", "description": ""});
    let text = detail(&api.post("/repository", repository).await);
    let expected =
        "Cannot create repository: organization is managed by organization-level mirroring";
    assert_eq!(text, expected);
    let owner = Who::user("ann");
    let pushed = stage
        .site
        .push_blob_as(&owner, "copies/own", stage.image.blobs().next().unwrap())
        .await;
    assert_eq!(pushed.status, 405, "{}", pushed.text());
    discover(&stage.site, "found", SyncState::Success).await;
    let pushed = stage
        .site
        .push_blob_as(&owner, "copies/found", stage.image.blobs().next().unwrap())
        .await;
    assert_eq!(pushed.status, 405, "{}", pushed.text());
    let state = api
        .put(
            "/repository/copies/found/changestate",
            json!({"state": "NORMAL"}),
        )
        .await;
    let text = detail(&state);
    assert!(text.contains("organization-level mirroring"), "{text}");
    let own = json!({
        "external_reference": "127.0.0.1:4/org/app",
        "sync_interval": 86400,
        "sync_start_date": "2045-01-15T12:00:00Z",
        "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["v*"]},
        "robot_username": "copies+copier",
    });
    let text = detail(&api.post("/repository/copies/found/mirror", own).await);
    assert!(text.contains("organization-level mirroring"), "{text}");
}

/// What was found is listed by name, counted by state, and is ordinary once the organisation is no mirror.
#[tokio::test]
async fn what_was_found_is_listed_and_kept() {
    let stage = stage().await;
    create(&stage).await;
    for (name, state) in [
        ("app", SyncState::Success),
        ("base/image", SyncState::Fail),
        ("old", SyncState::Skip),
    ] {
        discover(&stage.site, name, state).await;
    }
    let view = stage.ann().get(MIRROR).await.json();
    let counts = json!({"FAIL": 1, "SKIP": 1, "SUCCESS": 1});
    assert_eq!(view["repo_sync_status_counts"], counts);
    let list = |query: &'static str| {
        let stage = &stage;
        async move {
            let list = stage
                .ann()
                .get(&format!("{MIRROR}/repositories{query}"))
                .await
                .json();
            let names = list["repositories"].as_array().unwrap().iter();
            let names: Vec<String> = names
                .map(|it| it["name"].as_str().unwrap().to_owned())
                .collect();
            (names.join(","), list)
        }
    };
    let (names, page) = list("?limit=2").await;
    assert_eq!(names, "app,base/image");
    assert_eq!(
        (&page["total"], &page["has_next"]),
        (&json!(3), &json!(true))
    );
    assert_eq!(
        page["repositories"][1]["quay_repository"],
        "copies/base/image"
    );
    assert_eq!(page["repositories"][1]["sync_status"], "FAIL");
    let (names, page) = list("?limit=2&page=2").await;
    assert_eq!((names.as_str(), &page["has_next"]), ("old", &json!(false)));
    let (names, page) = list("?status=SKIP").await;
    assert_eq!((names.as_str(), &page["total"]), ("old", &json!(1)));
    assert_eq!(list("?limit=9999&page=0").await.1["limit"], 500);

    assert_eq!(
        stage.ann().delete("/repository/copies/old").await.status,
        204
    );
    assert_eq!(list("").await.0, "app,base/image");
    let deleted = stage.ann().delete(MIRROR).await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    let told = stage.told(LogKind::OrgMirrorDisabled).await;
    assert_eq!(told["external_reference"], "https://127.0.0.1:4/upstream");
    for name in ["app", "base/image"] {
        let id = stage.site.repository_id(&format!("copies/{name}")).await;
        let record = stage
            .site
            .registry()
            .repository_record(id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(record.state, RepositoryState::Normal, "{name}");
    }
    stage
        .site
        .push_as(&Who::user("ann"), "copies/app", "own", &stage.image)
        .await;
    assert_eq!(stage.ann().delete(MIRROR).await.status, 404);
}

/// What is wanted of an organisation is wanted of its repositories, but for those that vanished.
#[tokio::test]
async fn runs_are_wanted_and_ended_of_all_repositories() {
    let stage = stage().await;
    create(&stage).await;
    for (name, state) in [
        ("app", SyncState::Success),
        ("base", SyncState::Fail),
        ("old", SyncState::Skip),
    ] {
        discover(&stage.site, name, state).await;
    }
    let counts = || async {
        let view = stage.ann().get(MIRROR).await.json();
        view["repo_sync_status_counts"].clone()
    };
    for (act, expected) in [
        ("sync-now", json!({"SKIP": 1, "SYNC_NOW": 2})),
        ("sync-cancel", json!({"CANCEL": 2, "SKIP": 1})),
    ] {
        let done = stage
            .ann()
            .post(&format!("{MIRROR}/{act}"), Value::Null)
            .await;
        assert_eq!(done.status, 204, "{act}: {}", done.text());
        assert_eq!(counts().await, expected, "{act}");
    }
    let again = json!({"sync_start_date": "2045-02-15T12:00:00Z"});
    assert_eq!(stage.ann().put(MIRROR, again).await.status, 200);
    assert_eq!(counts().await, json!({"NEVER_RUN": 2, "SKIP": 1}));
}

/// The lines of the usage log.
#[tokio::test]
async fn each_act_has_its_line() {
    let stage = stage().await;
    create(&stage).await;
    let told = stage.told(LogKind::OrgMirrorEnabled).await;
    let expected = json!({
        "namespace": "copies",
        "external_registry_type": "quay",
        "external_registry_url": "https://127.0.0.1:4",
        "external_namespace": "upstream",
        "sync_interval": 3600,
        "robot_username": "copies+copier",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(told[key], *value, "{key}");
    }
    let body = json!({"external_namespace": "other", "is_enabled": true});
    assert_eq!(stage.ann().put(MIRROR, body).await.status, 200);
    let told = stage.told(LogKind::OrgMirrorConfigChanged).await;
    assert_eq!(
        told["updated_fields"],
        json!(["external_namespace", "is_enabled"])
    );
    assert_eq!(
        told["old_external_reference"],
        "https://127.0.0.1:4/upstream"
    );
    assert_eq!(told["external_reference"], "https://127.0.0.1:4/other");
    for (act, kind) in [
        ("sync-now", LogKind::OrgMirrorSyncNowRequested),
        ("sync-cancel", LogKind::OrgMirrorSyncCancelled),
    ] {
        let done = stage
            .ann()
            .post(&format!("{MIRROR}/{act}"), Value::Null)
            .await;
        assert_eq!((done.status.as_u16(), done.text()), (204, ""));
        let told = stage.told(kind).await;
        assert_eq!(told["external_reference"], "https://127.0.0.1:4/other");
    }
    let view = stage.ann().get(MIRROR).await.json();
    assert_eq!(
        (&view["sync_status"], &view["sync_start_date"]),
        (&json!("CANCEL"), &Value::Null)
    );
    assert_eq!(
        view["external_registry_type"], "quay",
        "it stays what it is"
    );
}

/// AZ-06: of another tenant's mirror nothing is told, and it is not moved.
#[tokio::test]
async fn a_mirror_is_its_organisations() {
    let stage = stage().await;
    create(&stage).await;
    let before = stage.ann().get(MIRROR).await.json();
    for (method, path) in [
        (Method::GET, ""),
        (Method::POST, ""),
        (Method::PUT, ""),
        (Method::DELETE, ""),
        (Method::GET, "/repositories"),
        (Method::POST, "/sync-now"),
        (Method::POST, "/sync-cancel"),
        (Method::POST, "/verify"),
    ] {
        let body = (method != Method::GET).then(wanted);
        let answer = stage
            .bob()
            .send(method, &format!("{MIRROR}{path}"), body)
            .await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    assert_eq!(stage.ann().get(MIRROR).await.json(), before);
}

/// The feature has a switch of its own.
#[tokio::test]
async fn without_the_feature_there_are_none() {
    let stage = stage_with(|config| config.features.org_mirror = false).await;
    assert_eq!(stage.ann().get(MIRROR).await.status, 404);
    assert_eq!(stage.ann().post(MIRROR, wanted()).await.status, 404);
}

/// A source is asked for the namespace, with the token; here it is another entrepot.
#[tokio::test]
async fn verifying_asks_the_source() {
    let source = Site::start(|_| {}).await;
    let owner = source.user("owner").await;
    source.organization("upstream", Some(owner)).await;
    let token = source.oauth_token(owner, SCOPES).await;
    let stage = stage_with(|_| {}).await;
    let url = source.url("");
    let body = with(
        &json!({"external_registry_url": url, "external_registry_username": "t",
                            "external_registry_password": token}),
    );
    let made = stage.ann().post(MIRROR, body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let verify = format!("{MIRROR}/verify");
    let verified = stage.ann().post(&verify, Value::Null).await;
    let expected = json!({"success": true, "message": "Connection successful"});
    assert_eq!(verified.json(), expected);
    let put = stage
        .ann()
        .put(MIRROR, json!({"external_namespace": "nosuch"}))
        .await;
    assert_eq!(put.status, 200);
    let verified = stage.ann().post(&verify, Value::Null).await.json();
    assert_eq!(
        (&verified["success"], &verified["message"]),
        (&json!(false), &json!("Namespace 'nosuch' not found"))
    );
    let put = stage
        .ann()
        .put(
            MIRROR,
            json!({"external_registry_url": "http://127.0.0.1:4"}),
        )
        .await;
    assert_eq!(put.status, 200);
    let verified = stage.ann().post(&verify, Value::Null).await.json();
    assert_eq!(verified["success"], false);
}
