//! Organisations that are mirrors as a whole, as their doors are described.

use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{invalid, not_found};

const MIRROR: &str = "/organization/acme/mirror";

fn wanted() -> Value {
    json!({
        "external_registry_type": "harbor",
        "external_registry_url": "https://127.0.0.1:4",
        "external_namespace": "library",
        "robot_username": "acme+copier",
        "visibility": "private",
        "sync_interval": 3600,
        "sync_start_date": "2045-01-15T12:00:00Z",
    })
}

fn view() -> Value {
    json!({
        "is_enabled": true,
        "external_registry_type": "harbor",
        "external_registry_url": "https://127.0.0.1:4",
        "external_namespace": "library",
        "external_registry_username": null,
        "has_external_registry_password": false,
        "external_registry_config": {},
        "repository_filters": [],
        "robot_username": "acme+copier",
        "visibility": "private",
        "sync_interval": 3600,
        "sync_start_date": "2045-01-15T12:00:00Z",
        "sync_expiration_date": null,
        "sync_status": "NEVER_RUN",
        "sync_retries_remaining": 3,
        "repo_sync_status_counts": {},
        "skopeo_timeout": 300,
        "creation_date": "2025-01-15T12:00:00Z",
    })
}

/// quay-api section 24. The site is offline: looks are wanted and ended, and none begins.
#[tokio::test]
async fn organisations_that_are_mirrors_answer_as_documented() {
    let guide = Guide::with(|config| config.offline = true).await;
    let (ann, site) = (guide.ann.as_str(), &guide.site);
    site.robot("acme+copier").await;
    guide.get(ann, MIRROR).await.refuses(404, &not_found(site));
    let create = format!("POST {MIRROR}");
    guide.ask(ann, &create, wanted()).await.says(201, "\"\"");
    guide.get(ann, MIRROR).await.is(200, &view());
    let exists = "Mirror configuration already exists for this organization";
    let again = guide.ask(ann, &create, wanted()).await;
    again.refuses(400, &invalid(site, exists));

    let list = json!({"repositories": [], "page": 1, "limit": 100, "total": 0, "has_next": false});
    let path = format!("{MIRROR}/repositories");
    guide.get(ann, &path).await.is(200, &list);
    let bad = guide.get(ann, &format!("{path}?status=ODD")).await;
    bad.refuses(400, &invalid(site, "Invalid status: ODD"));

    let now = format!("POST {MIRROR}/sync-now");
    guide.ask(ann, &now, Value::Null).await.says(204, "");
    let cancel = format!("POST {MIRROR}/sync-cancel");
    guide.ask(ann, &cancel, Value::Null).await.says(204, "");
    let again = guide.ask(ann, &cancel, Value::Null).await;
    again.refuses(
        400,
        &invalid(site, "Cannot cancel: mirror is already cancelled"),
    );

    let line = format!("POST {MIRROR}/verify");
    let verified = guide.ask(ann, &line, Value::Null);
    let offline = json!({"success": false, "message": "no upstream is asked (OFFLINE)"});
    verified.await.is(200, &offline);

    let body = json!({
        "is_enabled": false,
        "external_registry_username": "reader",
        "external_registry_password": "zqpass",
        "repository_filters": ["team-*"],
        "sync_start_date": "2046-01-15T12:00:00Z",
        "skopeo_timeout": "600",
    });
    let change = format!("PUT {MIRROR}");
    guide.ask(ann, &change, body).await.says(200, "\"\"");
    let mut changed = view();
    let more = json!({
        "is_enabled": false,
        "external_registry_username": "reader",
        "has_external_registry_password": true,
        "repository_filters": ["team-*"],
        "sync_start_date": "2046-01-15T12:00:00Z",
        "skopeo_timeout": 600,
    });
    changed
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let shown = guide.get(ann, MIRROR).await.is(200, &changed);
    assert!(!shown.text().contains("zqpass"));

    let delete = format!("DELETE {MIRROR}");
    guide.ask(ann, &delete, Value::Null).await.says(204, "");
    guide.get(ann, MIRROR).await.refuses(404, &not_found(site));
    all_are_shown(&[&guide], &["org_mirror"], &[]);
}
