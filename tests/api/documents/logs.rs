//! The usage log, and its counts.

use serde_json::{Value, json};

use super::avatar;
use super::guide::{Guide, all_are_shown};

/// quay-api section 30: an entry where the namespace goes without saying.
fn entry() -> Value {
    json!({
        "kind": "create_repo",
        "metadata": {
            "oauth_token_id": "<number>",
            "oauth_token_application_id": "<text>",
            "oauth_token_application": "tests",
            "repo": "app",
            "namespace": "acme",
        },
        "ip": "127.0.0.1",
        "datetime": "Thu, 01 Jan 2026 00:00:00 -0000",
        "performer": {
            "kind": "user", "name": "ann", "is_robot": false, "avatar": avatar("ann", "user"),
        },
    })
}

/// quay-api section 30.
#[tokio::test]
async fn the_doors_of_logs_answer_as_documented() {
    let guide = Guide::new().await;
    for body in [
        json!({"namespace": "acme", "repository": "app", "visibility": "private", "description": ""}),
        json!({"repository": "app", "visibility": "private", "description": ""}),
    ] {
        let _ = guide
            .ask(&guide.ann, "POST /repository", body)
            .await
            .succeeds(201);
    }
    let window = "starttime=01/01/2026&endtime=01/01/2026";
    let mut own = entry();
    own["metadata"]["namespace"] = json!("ann");
    for (base, entry) in [
        ("/repository/acme/app", entry()),
        ("/organization/acme", entry()),
        ("/user", own),
    ] {
        // Only what ann did by her token: the stage is made by the services.
        let path = format!("{base}/logs?performer=ann&{window}");
        let logs = json!({
            "start_time": "Thu, 01 Jan 2026 00:00:00 -0000",
            "end_time": "Fri, 02 Jan 2026 00:00:00 -0000",
            "logs": [entry],
        });
        guide.get(&guide.ann, &path).await.is(200, &logs);
        let path = format!("{base}/aggregatelogs?performer=ann&{window}");
        let count = json!({
            "kind": "create_repo",
            "count": 1,
            "datetime": "Thu, 01 Jan 2026 00:00:00 -0000",
        });
        let counts = json!({"aggregated": [count]});
        guide.get(&guide.ann, &path).await.is(200, &counts);
        let turned = "starttime=01/02/2026&endtime=01/01/2025";
        let refusal = json!({"message": "Invalid date range for logs"});
        for door in ["logs", "aggregatelogs"] {
            let path = format!("{base}/{door}?{turned}");
            guide.get(&guide.ann, &path).await.refuses(400, &refusal);
        }
    }
    all_are_shown(&[&guide], &["logs"], &[]);
}
