//! The doors of quotas: made, shown, changed and removed, and by whom.

use super::*;

/// SC-221, SC-223, SC-224, SC-225, SC-226, SC-405, SC-406, SC-407, SC-408, SC-409: the walk of the product
/// documents.
#[tokio::test]
async fn a_quota_is_made_shown_changed_and_removed() {
    let stage = Stage::new().await;
    assert_eq!(stage.ann().get(ALL).await.json(), json!([]));
    let wanted = json!({"limit_bytes": 10_485_760});
    let made = stage.root().post(ALL, wanted.clone()).await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!("Created")));
    let shown = stage.ann().get(ALL).await.json();
    let quota = &shown[0];
    assert_eq!(fields(quota), QUOTA);
    let expected = json!([{"id": quota["id"], "limit_bytes": 10_485_760, "limit": "10.0 MiB",
        "default_config": false, "limits": [], "default_config_exists": false}]);
    assert_eq!(shown, expected);
    let one = format!("{ALL}/{}", quota["id"]);
    assert_eq!(stage.ann().get(&one).await.json(), *quota);
    let again = stage.root().post(ALL, wanted.clone()).await;
    let text = "Organization quota for 'acme' already exists";
    assert_eq!(
        (again.status.as_u16(), &again.json()["detail"]),
        (400, &json!(text))
    );
    let changed = stage
        .root()
        .put(&one, json!({"limit_bytes": 104_857_600}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["limit"], "100.0 MiB");
    let told = stage.last(LogKind::OrgChangeQuota).await;
    assert_eq!(
        (&told["previous_limit_bytes"], &told["limit"]),
        (&json!(10_485_760), &json!("100.0 MiB"))
    );
    let same = stage.root().put(&one, json!({})).await;
    assert_eq!(same.json()["limit_bytes"], 104_857_600);
    let further = json!({"limit_bytes": 1, "more": 1});
    assert_eq!(stage.root().put(&one, further).await.status, 400);
    for (who, status) in [(&stage.ann, 403), (&stage.bob, 403)] {
        let api = stage.site.api(who);
        assert_eq!(api.post(ALL, wanted.clone()).await.status, status);
        assert_eq!(
            api.put(&one, json!({"limit_bytes": 1})).await.status,
            status
        );
        assert_eq!(api.delete(&one).await.status, status);
    }
    assert_eq!(stage.site.api(&stage.bob).get(ALL).await.status, 403);
    let gone = stage.root().delete(&one).await;
    assert_eq!((gone.status.as_u16(), gone.text()), (204, ""));
    assert_eq!(stage.ann().get(ALL).await.json(), json!([]));
    for path in [&one, &format!("{ALL}/nonsense")] {
        assert_eq!(stage.ann().get(path).await.status, 404);
        assert_eq!(stage.root().delete(path).await.status, 404);
    }
}

/// SC-213, SC-405: sizes in every form, and up to what a signed number holds.
#[tokio::test]
async fn a_quota_is_given_as_number_or_text() {
    let stage = Stage::new().await;
    let most = 8_388_608_000_000_000_000_u64;
    for (body, bytes) in [
        (json!({"limit_bytes": most}), most),
        (json!({"limit_bytes": "10737418240"}), 10_737_418_240),
        (json!({"limit": "10 Gi"}), 10_737_418_240),
        (
            json!({"limit_bytes": 10_737_418_240_u64, "limits": "10 Gi"}),
            10_737_418_240,
        ),
    ] {
        let made = stage.root().post(ALL, body).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let quota = stage.quota().await;
        assert_eq!(quota["limit_bytes"], bytes);
        assert_eq!(stage.configured().await, bytes);
        let one = format!("{ALL}/{}", quota["id"]);
        assert_eq!(stage.root().delete(&one).await.status, 204);
    }
    let format = "Invalid limit format, use a number followed by a unit (e.g. 1GiB)";
    for (body, text) in [
        (json!({"limit": "much"}), format),
        (
            json!({"limit_bytes": 0}),
            "Invalid quota size limit value: '0'",
        ),
        (
            json!({"limit_bytes": u64::MAX}),
            "Invalid quota size limit value: '18446744073709551615'",
        ),
    ] {
        let refused = stage.root().post(ALL, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(text))
        );
    }
    for body in [
        json!({}),
        json!({"limit_bytes": 1, "limit": "1 GiB"}),
        json!({"limit_bytes": -1}),
    ] {
        assert_eq!(stage.root().post(ALL, body).await.status, 400);
    }
    let one = json!({"limit_bytes": 1});
    let missing = stage
        .root()
        .post("/organization/none/quota", one.clone())
        .await;
    assert_eq!(missing.status, 404);
    let person = stage.root().post("/organization/ann/quota", one).await;
    assert_eq!(person.status, 404, "that is no organization");
}

/// SC-230, SC-231, SC-410, SC-411, SC-412, SC-413.
#[tokio::test]
async fn limits_are_made_listed_changed_and_removed() {
    let stage = Stage::new().await;
    let quota = stage
        .limited(1000, &[("Reject", 80), ("warning", 50)])
        .await;
    let limits = quota["limits"].clone();
    assert_eq!(fields(&limits[0]), ["id", "type", "limit_percent"]);
    let told = |limit: &Value| (limit["type"].clone(), limit["limit_percent"].clone());
    assert_eq!(told(&limits[0]), (json!("Warning"), json!(50)));
    assert_eq!(told(&limits[1]), (json!("Reject"), json!(80)));
    let all = format!("{ALL}/{}/limit", quota["id"]);
    assert_eq!(stage.ann().get(&all).await.json(), limits);
    let one = format!("{all}/{}", limits[1]["id"]);
    assert_eq!(stage.ann().get(&one).await.json(), limits[1]);
    for (body, text) in [
        (
            json!({"type": "Warning", "threshold_percent": 50}),
            "Quota limit already exists",
        ),
        (
            json!({"type": "Reject", "threshold_percent": 90}),
            "Only one quota limit of type 'Reject' allowed.",
        ),
        (
            json!({"type": "Block", "threshold_percent": 90}),
            "Quota type must be one of [Warning, Reject]",
        ),
        (
            json!({"type": "Warning", "threshold_percent": 101}),
            "Quota limit threshold must be between 1 and 100",
        ),
    ] {
        let refused = stage.root().post(&all, body).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["detail"]),
            (400, &json!(text))
        );
    }
    let changed = stage
        .root()
        .put(&one, json!({"threshold_percent": "90"}))
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(fields(&changed.json()), QUOTA, "the whole quota");
    assert_eq!(changed.json()["limits"][1]["limit_percent"], 90);
    let line = stage.last(LogKind::OrgChangeQuotaLimit).await;
    assert_eq!(line["previous_threshold_percent"], 80);
    assert_eq!(stage.ann().delete(&one).await.status, 403);
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.ann().get(&one).await.status, 404);
}

/// SC-480, SC-481, SC-414, SC-415: the superusers' own doors, and what a user sees of his own.
#[tokio::test]
async fn superusers_set_the_quota_of_anybody() {
    let stage = Stage::new().await;
    for base in [
        "/superuser/organization/acme/quota",
        "/superuser/users/ann/quota",
    ] {
        let made = stage
            .root()
            .post(base, json!({"limit_bytes": 2_199_023_255_552_u64}))
            .await;
        assert_eq!((made.status.as_u16(), made.json()), (201, json!("Created")));
        let again = stage.root().post(base, json!({"limit_bytes": 1})).await;
        assert_eq!(again.status, 400);
        let list = stage.root().get(base).await.json();
        assert_eq!(list[0]["limit"], "2.0 TiB");
        assert_eq!(fields(&list[0]), QUOTA);
        let one = format!("{base}/{}", list[0]["id"]);
        let changed = stage.root().put(&one, json!({"limit": "1 TiB"})).await;
        assert_eq!(
            (changed.status.as_u16(), &changed.json()["limit"]),
            (200, &json!("1.0 TiB"))
        );
        assert_eq!(stage.ann().get(base).await.status, 403);
    }
    let own = stage.ann().get("/user/quota").await.json();
    let id = &own[0]["id"];
    assert_eq!(own[0]["limit"], "1.0 TiB");
    assert_eq!(
        stage.ann().get(&format!("/user/quota/{id}")).await.json(),
        own[0]
    );
    assert_eq!(
        stage
            .ann()
            .get(&format!("/user/quota/{id}/limit"))
            .await
            .json(),
        json!([])
    );
    let foreign = stage.quota().await["id"].clone();
    let path = format!("/user/quota/{foreign}");
    assert_eq!(
        stage.ann().get(&path).await.status,
        404,
        "AZ-06: acme's is not hers"
    );
    let seen = stage.ann().get("/user/").await.json();
    assert_eq!(seen["quotas"], own);
    assert_eq!(
        seen["quota_report"]["configured_quota"],
        1_099_511_627_776_u64
    );
    let users = stage.root().get("/superuser/users/ann").await.json();
    assert_eq!(users["quotas"], own, "SC-205");
    let one = format!("/superuser/users/ann/quota/{id}");
    assert_eq!(stage.root().delete(&one).await.status, 204);
    assert_eq!(stage.ann().get("/user/quota").await.json(), json!([]));
    let organization = "/superuser/organization/ann/quota";
    assert_eq!(stage.root().get(organization).await.status, 404);
}

/// DESIGN 4: the quota of a cache is one setting, of the file or of the API.
#[tokio::test]
async fn the_quota_of_a_cache_is_its_cap() {
    let origin = Origin::start().await;
    let site = Site::caching(vec![{
        let mut rule = rule("hub", "up", &origin);
        rule.quota = Some(entrepot::model::ByteSize(50_000));
        rule
    }])
    .await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, "super:user org:admin").await;
    let all = "/superuser/organization/hub/quota";
    let shown = site.api(&token).get(all).await.json();
    assert_eq!(
        (&shown[0]["id"], &shown[0]["limit_bytes"]),
        (&Value::Null, &json!(50_000))
    );
    let refused = site.api(&token).post(all, json!({"limit_bytes": 1})).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("PROXY_CACHES"),
        "{}",
        refused.text()
    );
}
