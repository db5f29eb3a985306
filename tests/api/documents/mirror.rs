//! Mirrors, as the guides walk through them. The site is offline: runs are wanted and ended, and none begins.

use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{exception, not_found};
use crate::harness::content::Image;
use crate::harness::origin::Origin;

const MIRROR: &str = "/repository/acme/app/mirror";

/// A site with acme/app, and the robot acme+copier.
async fn guide() -> Guide {
    guide_with(|config| config.offline = true).await
}

async fn guide_with(adjust: impl FnOnce(&mut entrepot::config::Config)) -> Guide {
    let guide = Guide::with(adjust).await;
    let body = json!({"namespace": "acme", "repository": "app", "visibility": "private", "description": ""});
    let made = guide.site.api(&guide.ann).post("/repository", body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    guide.site.robot("acme+copier").await;
    guide
}

/// As S001 prints it, with what was added since.
fn view() -> Value {
    json!({
        "is_enabled": true,
        "mirror_type": "PULL",
        "external_reference": "https://127.0.0.1:4/repository/argoproj/argocd",
        "external_registry_username": "",
        "external_registry_config": {},
        "sync_interval": 86400,
        "sync_start_date": "2045-01-15T12:00:00Z",
        "sync_expiration_date": null,
        "sync_retries_remaining": 3,
        "sync_status": "NEVER_RUN",
        "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["*.latest*"]},
        "robot_username": "acme+copier",
        "skopeo_timeout_interval": 300,
        "architecture_filter": [],
    })
}

/// S000's request with the least fields.
fn least() -> Value {
    json!({
        "external_reference": "https://127.0.0.1:4/repository/argoproj/argocd",
        "external_registry_username": "",
        "sync_interval": 86400,
        "sync_start_date": "2045-01-15T12:00:00Z",
        "root_rule": {"rule_kind": "tag_glob_csv", "rule_value": ["*.latest*"]},
        "robot_username": "acme+copier",
    })
}

/// quay-api section 23; SC-338, SC-399, SC-400, SC-402, SC-403, SC-404.
#[tokio::test]
async fn mirrors_answer_as_documented() {
    let guide = guide().await;
    let ann = guide.ann.as_str();
    let missing = not_found(&guide.site);
    for line in ["GET", "PUT"] {
        let body = (line == "PUT").then(|| json!({"is_enabled": false}));
        let line = format!("{line} {MIRROR}");
        let asked = guide.ask(ann, &line, body.unwrap_or_default());
        asked.await.refuses(404, &missing);
    }
    let create = format!("POST {MIRROR}");
    guide.ask(ann, &create, least()).await.says(201, "\"\"");
    guide.get(ann, MIRROR).await.is(200, &view());
    let exists = json!({"detail": "Mirror configuration already exits for repository acme/app"});
    guide.ask(ann, &create, least()).await.refuses(409, &exists);

    let cancel = format!("POST {MIRROR}/sync-cancel");
    guide
        .ask(ann, &cancel, Value::Null)
        .await
        .refuses(404, &missing);
    let now = format!("POST {MIRROR}/sync-now");
    guide.ask(ann, &now, Value::Null).await.says(204, "");
    let status = |state: &str, more: Value| {
        let mut view = view();
        view["sync_status"] = state.into();
        view.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        view
    };
    guide
        .get(ann, MIRROR)
        .await
        .is(200, &status("SYNC_NOW", json!({})));
    guide.ask(ann, &cancel, Value::Null).await.says(204, "");
    let rests = json!({"sync_start_date": null, "sync_retries_remaining": 0});
    guide
        .get(ann, MIRROR)
        .await
        .is(200, &status("CANCEL", rests.clone()));

    let change = format!("PUT {MIRROR}");
    let body = json!({"is_enabled": false});
    guide.ask(ann, &change, body).await.says(201, "\"\"");
    let mut off = status("CANCEL", rests);
    off["is_enabled"] = false.into();
    guide.get(ann, MIRROR).await.is(200, &off);

    let run = json!({
        "sync_status": "CANCEL",
        "last_success": null,
        "run": {
            "number": 0, "started": null, "ended": null, "chosen": 0, "unchanged": 0, "copied": 0,
            "failed": 0, "ended_tags": 0, "bytes": 0, "message": "",
        },
        "tags": [],
    });
    guide
        .get(ann, &format!("{MIRROR}/tags"))
        .await
        .is(200, &run);
    let online = plan().await;
    all_are_shown(&[&guide, &online], &["mirror"], &[]);
}

/// What a run would do, of a source that answers.
async fn plan() -> Guide {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("org/app", "1.latest-2", &image);
    origin.push_image("org/app", "other", &Image::small(2));
    let guide = guide_with(|_| {}).await;
    let mut body = least();
    body["external_reference"] = format!("http://{}/org/app", origin.address()).into();
    let created = guide.ask(&guide.ann, &format!("POST {MIRROR}"), body).await;
    created.says(201, "\"\"");
    let plan = json!({
        "tags": [{
            "name": "1.latest-2",
            "action": "copy",
            "manifest_digest": image.digest().to_string(),
            "bytes": "<number>",
            "message": null,
        }],
        "complete": true,
        "copied": 1,
        "failed": 0,
        "unchanged": 0,
        "ends": [],
        "refused": null,
        "bytes": "<number>",
        "requests": "<number>",
    });
    let path = format!("{MIRROR}/plan");
    guide.get(&guide.ann, &path).await.is(200, &plan);
    guide
}

/// SC-339: everything that can be said of a mirror, and told again but for the password.
#[tokio::test]
async fn a_mirror_is_made_with_everything() {
    let guide = guide().await;
    let ann = guide.ann.as_str();
    let mut body = least();
    let more = json!({
        "is_enabled": false,
        "external_reference": "127.0.0.1:4/argoproj/argocd",
        "external_registry_username": "quayuser",
        "external_registry_password": "zqpass",
        "external_registry_config": {
            "verify_tls": true,
            "unsigned_images": true,
            "proxy": {
                "http_proxy": "http://127.0.0.1:3128",
                "https_proxy": "http://127.0.0.1:3128",
                "no_proxy": "localhost",
            },
        },
        "sync_interval": "3600",
        "skopeo_timeout_interval": 600,
        "architecture_filter": ["amd64", "arm64"],
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let created = guide.ask(ann, &format!("POST {MIRROR}"), body).await;
    created.says(201, "\"\"");
    let mut expected = view();
    let shown = expected.as_object_mut().unwrap();
    shown.extend(more.as_object().unwrap().clone());
    shown.remove("external_registry_password");
    shown["sync_interval"] = 3600.into();
    let answer = guide.get(ann, MIRROR).await.is(200, &expected);
    assert!(!answer.text().contains("zqpass"));
}

/// quay-api section 41, SC-398: both names of the kind and of the patterns.
#[tokio::test]
async fn the_rule_is_read_under_both_names() {
    let guide = guide().await;
    let ann = guide.ann.as_str();
    let mut body = least();
    body["skopeo_timeout_interval"] = 600.into();
    body["root_rule"] = json!({"rule": "latest, 1.*", "rule_type": "tag_glob_csv"});
    guide
        .ask(ann, &format!("POST {MIRROR}"), body)
        .await
        .says(201, "\"\"");
    let mut expected = view();
    expected["skopeo_timeout_interval"] = 600.into();
    expected["root_rule"]["rule_value"] = json!(["latest", "1.*"]);
    guide.get(ann, MIRROR).await.is(200, &expected);
    let body = json!({"root_rule": {"rule": "<rule>", "rule_type": "<rule_type>"}});
    let told = "validation failed: rule_kind must be \"tag_glob_csv\"";
    let refused = exception(&guide.site, 400, "invalid_request", told);
    guide
        .ask(ann, &format!("PUT {MIRROR}"), body)
        .await
        .refuses(400, &refused);
}

fn healthy(more: &Value) -> Value {
    json!({
        "healthy": true,
        "workers": {"active": 4, "configured": 4, "status": "healthy"},
        "repositories": more,
        "tags_pending": 0,
        "last_check": "2025-01-15T12:00:00Z",
        "issues": [],
    })
}

/// quay-api section 23: health, of a namespace and of all.
#[tokio::test]
async fn health_answers_as_documented() {
    let guide = Guide::new().await;
    let (ann, root) = (guide.ann.as_str(), guide.root.as_str());
    let none = json!({"total": 0, "syncing": 0, "completed": 0, "failed": 0, "never_run": 0});
    let path = "/repository/mirror/health";
    let shown = guide.get(ann, &format!("{path}?namespace=acme")).await;
    let shown = shown.is(200, &healthy(&none));
    let kept = shown.header("cache-control");
    assert_eq!(kept, "no-cache, no-store, must-revalidate");
    guide.get(root, path).await.is(200, &healthy(&none));
    guide
        .get(ann, path)
        .await
        .refuses(403, &super::forbidden(&guide.site));
    let body = json!({"namespace": "acme", "repository": "app", "visibility": "private", "description": ""});
    guide.site.api(ann).post("/repository", body).await;
    guide.site.robot("acme+copier").await;
    let made = guide.site.api(ann).post(MIRROR, least()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let one = json!({
        "total": 1, "syncing": 0, "completed": 0, "failed": 0, "never_run": 1,
        "details": [{
            "namespace": "acme",
            "repository": "app",
            "sync_status": "NEVER_RUN",
            "is_enabled": true,
            "last_sync": null,
            "retries_remaining": 3,
        }],
        "pagination": {"limit": 100, "offset": 0, "has_more": false},
    });
    let path = format!("{path}?namespace=acme&detailed=true");
    guide.get(ann, &path).await.is(200, &healthy(&one));
    all_are_shown(&[&guide], &["mirrorhealth"], &[]);
}

/// The superusers' own door, where nothing is a mirror.
pub(super) async fn of_superusers(guide: &Guide) {
    let none = json!({"total": 0, "syncing": 0, "completed": 0, "failed": 0, "never_run": 0});
    let path = "/superuser/mirror/health";
    guide.get(&guide.root, path).await.is(200, &healthy(&none));
}
