//! Counts of the usage log by kind and day.

use entrepot::model::{LogEntry, LogKind, NamespaceId, UserId, Visibility};
use serde_json::{Value, json};

use super::logs::{tell, user};
use crate::harness::api::fields;
use crate::harness::site::Site;

const EVERYTHING: &str = "repo:admin org:admin user:admin super:user";

/// A site where root and ann have each pushed to `acme/app`: root twice, ann once.
async fn site() -> (Site, String) {
    let site = Site::start(|_| {}).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    let acme = site.organization("acme", Some(root)).await;
    let app = site.repository("acme/app", Visibility::Private).await;
    let ann = site.user("ann").await;
    let push = |id: UserId, name: &str, namespace: NamespaceId| {
        LogEntry::new(LogKind::PushRepo, site.clock.now(), &user(id, name))
            .of_repository(namespace, app)
            .with(json!({"repo": "app", "namespace": "acme"}))
    };
    let told = vec![
        push(root, "root", acme),
        push(root, "root", acme),
        push(ann, "ann", acme),
    ];
    tell(&site, told).await;
    (site, token)
}

/// The rows that count pushes.
async fn pushes(site: &Site, token: &str, path: &str) -> Vec<Value> {
    let answer = site.api(token).get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(fields(&answer.json()), ["aggregated"]);
    let mut rows = answer.json()["aggregated"].as_array().unwrap().clone();
    rows.retain(|row| row["kind"] == "push_repo");
    rows
}

/// SC-381, SC-383: one row a kind and day, at the beginning of the day.
#[tokio::test]
async fn a_count_tells_kind_number_and_day() {
    let (site, token) = site().await;
    for path in [
        "/repository/acme/app/aggregatelogs",
        "/organization/acme/aggregatelogs",
        "/superuser/aggregatelogs",
    ] {
        let counted = pushes(&site, &token, path).await;
        let expected = json!({
            "kind": "push_repo",
            "count": 3,
            "datetime": "Thu, 01 Jan 2026 00:00:00 -0000",
        });
        assert_eq!(counted, [expected], "{path}");
    }
    let of_root = pushes(&site, &token, "/user/aggregatelogs").await;
    assert!(of_root.is_empty(), "root's own namespace saw no push");
}

/// SC-382: with a performer only what that one did.
#[tokio::test]
async fn only_what_the_performer_did_is_counted() {
    let (site, token) = site().await;
    for (performer, count) in [("root", Some(2)), ("ann", Some(1)), ("an", None)] {
        for path in ["/organization/acme", "/repository/acme/app", "/superuser"] {
            let path = format!("{path}/aggregatelogs?performer={performer}");
            let counted = pushes(&site, &token, &path).await;
            let found = counted.first().and_then(|row| row["count"].as_u64());
            assert_eq!(found, count, "{path}");
        }
    }
}

/// SC-384: the documents' own request, half a year in ISO form; in Quay's form a month is the most.
#[tokio::test]
async fn a_window_that_is_too_long_is_refused() {
    let (site, token) = site().await;
    let path = |window: &str| format!("/repository/acme/app/aggregatelogs?{window}");
    let counted = path("starttime=2025-08-01&endtime=2026-01-17");
    assert_eq!(pushes(&site, &token, &counted).await.len(), 1);
    let counted = path("starttime=12/15/2025&endtime=01/15/2026");
    assert_eq!(pushes(&site, &token, &counted).await.len(), 1);
    let before = path("starttime=11/01/2025&endtime=11/30/2025");
    assert!(pushes(&site, &token, &before).await.is_empty());
    for window in [
        "starttime=12/01/2025&endtime=01/15/2026",
        "starttime=01/02/2026&endtime=01/01/2026",
    ] {
        let refused = site.api(&token).get(&path(window)).await;
        assert_eq!(refused.status, 400, "{window}");
        let message = json!({"message": "Invalid date range for logs"});
        assert_eq!(refused.json(), message);
    }
    let refused = "/superuser/aggregatelogs?starttime=12/01/2025&endtime=01/15/2026";
    assert_eq!(site.api(&token).get(refused).await.status, 400);
}

#[tokio::test]
async fn counts_can_be_switched_off() {
    let site = Site::start(|config| config.features.aggregated_log_count_retrieval = false).await;
    let root = site.superuser("root").await;
    let token = site.oauth_token(root, EVERYTHING).await;
    assert_eq!(
        site.api(&token).get("/user/aggregatelogs").await.status,
        404
    );
    let kept = site.api(&token).get("/superuser/aggregatelogs").await;
    assert_eq!(kept.status, 200, "superusers keep theirs");
}
