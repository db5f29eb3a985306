//! Quotas of organisations and users, as the guide walks through them.

use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};

fn quota(id: &Value, bytes: u64, text: &str, limits: &Value) -> Value {
    json!({
        "id": id,
        "limit_bytes": bytes,
        "limit": text,
        "default_config": false,
        "limits": limits,
        "default_config_exists": false,
    })
}

/// The id of what a list holds.
async fn id(guide: &Guide, path: &str) -> Value {
    let list = guide.site.api(&guide.root).get(path).await.json();
    list[0]["id"].clone()
}

/// quay-api section 25; SC-405, SC-406, SC-407, SC-408, SC-409, SC-410, SC-411, SC-412, SC-413, SC-414, SC-415:
/// in the guide's order and with its further keys.
#[tokio::test]
async fn quotas_and_limits_answer_as_documented() {
    let guide = Guide::new().await;
    let (root, ann) = (guide.root.as_str(), guide.ann.as_str());
    let all = "/organization/acme/quota";
    guide.get(ann, all).await.is(200, &json!([]));
    let body = json!({"limit_bytes": 10_737_418_240_u64, "limits": "10 Gi"});
    let made = guide.ask(root, &format!("POST {all}"), body).await;
    made.is(201, &json!("Created"));
    let number = guide.site.api(ann).get(all).await.json()[0]["id"].clone();
    let first = quota(&number, 10_737_418_240, "10.0 GiB", &json!([]));
    guide.get(ann, all).await.is(200, &json!([first]));
    let one = format!("{all}/{number}");
    guide.get(ann, &one).await.is(200, &first);
    let body = json!({"limit_bytes": 21_474_836_480_u64});
    let changed = quota(&number, 21_474_836_480, "20.0 GiB", &json!([]));
    let put = guide.ask(root, &format!("PUT {one}"), body).await;
    put.is(200, &changed);

    let limits = format!("{one}/limit");
    let body =
        json!({"limit_bytes": 21_474_836_480_u64, "type": "Reject", "threshold_percent": 90});
    let made = guide.ask(root, &format!("POST {limits}"), body).await;
    made.is(201, &json!("Created"));
    let of_limit = guide.site.api(ann).get(&limits).await.json()[0]["id"].clone();
    let limit = |percent: u64| json!({"id": of_limit, "type": "Reject", "limit_percent": percent});
    guide.get(ann, &limits).await.is(200, &json!([limit(90)]));
    let one_limit = format!("{limits}/{of_limit}");
    guide.get(ann, &one_limit).await.is(200, &limit(90));
    let body = json!({"type": "Reject", "threshold_percent": 80});
    let whole = quota(&number, 21_474_836_480, "20.0 GiB", &json!([limit(80)]));
    let put = guide.ask(root, &format!("PUT {one_limit}"), body).await;
    put.is(200, &whole);
    guide.removes(root, &one_limit).await;
    guide.removes(root, &one).await;
    of_users(&guide).await;
    all_are_shown(&[&guide], &["namespacequota"], &[]);
}

async fn of_users(guide: &Guide) {
    let (root, ann) = (guide.root.as_str(), guide.ann.as_str());
    guide.get(ann, "/user/quota").await.is(200, &json!([]));
    let body = json!({"limit": "2 TiB"});
    let made = guide.ask(root, "POST /superuser/users/ann/quota", body);
    made.await.is(201, &json!("Created"));
    let number = id(guide, "/superuser/users/ann/quota").await;
    let whole = quota(&number, 2_199_023_255_552, "2.0 TiB", &json!([]));
    guide.get(ann, "/user/quota").await.is(200, &json!([whole]));
    let one = format!("/user/quota/{number}");
    guide.get(ann, &one).await.is(200, &whole);
    let limits = format!("{one}/limit");
    guide.get(ann, &limits).await.is(200, &json!([]));
    // The guide shows a limit of a user, and no door makes one: the service does.
    let by = entrepot::registry::QuotaEditor::Silent;
    let (namespace, _) = guide
        .site
        .registry()
        .namespace(&"ann".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let kind = entrepot::model::LimitKind::Reject;
    let registry = guide.site.registry();
    let made = registry.make_limit(namespace, number.as_u64().unwrap(), kind, 100, &by);
    made.await.unwrap();
    let list = guide.site.api(ann).get(&limits).await.json();
    let of_limit = &list[0]["id"];
    let limit = json!({"id": of_limit, "type": "Reject", "limit_percent": 100});
    guide.get(ann, &limits).await.is(200, &json!([limit]));
    let whole = quota(&number, 2_199_023_255_552, "2.0 TiB", &json!([limit]));
    guide
        .get(ann, &format!("{limits}/{of_limit}"))
        .await
        .is(200, &whole);
}

/// SC-480, SC-481: the superusers' own doors.
pub(super) async fn of_superusers(guide: &Guide) {
    let root = guide.root.as_str();
    guide.site.organization("limited", None).await;
    for all in [
        "/superuser/organization/limited/quota",
        "/superuser/users/bob/quota",
    ] {
        guide.get(root, all).await.is(200, &json!([]));
        let body = json!({"limit_bytes": 10_737_418_240_u64});
        let made = guide.ask(root, &format!("POST {all}"), body).await;
        made.is(201, &json!("Created"));
        let number = id(guide, all).await;
        let whole = quota(&number, 10_737_418_240, "10.0 GiB", &json!([]));
        guide.get(root, all).await.is(200, &json!([whole]));
        let one = format!("{all}/{number}");
        let body = json!({"limit_bytes": 21_474_836_480_u64});
        let whole = quota(&number, 21_474_836_480, "20.0 GiB", &json!([]));
        guide
            .ask(root, &format!("PUT {one}"), body)
            .await
            .is(200, &whole);
        guide.removes(root, &one).await;
    }
}
