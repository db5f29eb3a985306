//! Search, the messages to everyone, and what the kinds of errors mean.

use entrepot::model::Visibility;
use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{avatar, forbidden, invalid, not_found};

/// quay-api section 31, SEED.
#[tokio::test]
async fn the_doors_of_search_answer_as_documented() {
    let guide = Guide::new().await;
    of_hits(&guide).await;
    of_pages(&guide).await;
    of_entities(&guide).await;
    all_are_shown(&[&guide], &["search"], &[]);
}

fn owner() -> Value {
    json!({
        "title": "user",
        "kind": "user",
        "avatar": avatar("ann", "user"),
        "name": "ann",
        "score": 1,
        "href": "/user/ann",
    })
}

fn hit(score: Value) -> Value {
    json!({
        "kind": "repository",
        "title": "repo",
        "namespace": owner(),
        "name": "busybox",
        "description": null,
        "is_public": true,
        "score": score,
        "href": "/repository/ann/busybox",
    })
}

async fn of_hits(guide: &Guide) {
    guide
        .site
        .repository("ann/busybox", Visibility::Public)
        .await;
    let found = json!({"results": [hit(json!(4.0))]});
    let path = "/find/all?query=busybox";
    guide.get(&guide.ann, path).await.is(200, &found);
    let none = json!({"results": []});
    guide.get("", "/find/all?query=").await.is(200, &none);
    guide.site.robot("acme+builder").await;
    let robot = json!({
        "title": "robot",
        "kind": "robot",
        "avatar": null,
        "name": "acme+builder",
        "score": 1.0,
        "href": "/organization/acme?tab=robots&showRobot=acme+builder",
        "short_name": "builder",
    });
    let path = "/find/all?query=builder";
    let found = json!({"results": [robot]});
    guide.get(&guide.ann, path).await.is(200, &found);
    let organization = |score: Value| {
        json!({
            "title": "org",
            "kind": "organization",
            "avatar": avatar("acme", "org"),
            "name": "acme",
            "score": score,
            "href": "/organization/acme",
        })
    };
    let path = "/find/all?query=acme";
    let found = json!({"results": [organization(json!(1.0))]});
    guide.get("", path).await.is(200, &found);
    let team = json!({
        "kind": "team",
        "name": "devs",
        "organization": organization(json!(1)),
        "avatar": avatar("devs", "team"),
        "score": 2.0,
        "href": "/organization/acme/teams/devs",
    });
    let path = "/find/all?query=devs";
    let found = json!({"results": [team]});
    guide.get(&guide.ann, path).await.is(200, &found);
}

/// The documents print page 2 for a request of page 1, and no row: a slip of the writer's.
async fn of_pages(guide: &Guide) {
    let page = |results: Value| {
        json!({
            "results": results,
            "has_additional": false,
            "page": 1,
            "page_size": 10,
            "start_index": 0,
        })
    };
    let plain = hit(json!(4));
    let mut with_usage = plain.clone();
    with_usage["last_modified"] = Value::Null;
    with_usage["stars"] = json!(0);
    with_usage["popularity"] = json!(1.0);
    for (path, results) in [
        (
            "query=busybox&page=1&includeUsage=true",
            json!([with_usage]),
        ),
        ("query=busybox&page=1&includeUsage=false", json!([plain])),
        ("query=nothing&page=1&includeUsage=true", json!([])),
    ] {
        let path = format!("/find/repositories?{path}");
        guide.get("", &path).await.is(200, &page(results));
    }
}

async fn of_entities(guide: &Guide) {
    let mut user = json!({
        "name": "bob", "kind": "user", "is_robot": false, "avatar": avatar("bob", "user"),
    });
    let found = |one: &Value| json!({"results": [one]});
    let path = "/entities/bob?includeOrgs=false&includeTeams=false";
    guide.get("", path).await.is(200, &found(&user));
    user["is_org_member"] = json!(true);
    let path = "/entities/bob?includeOrgs=true&includeTeams=true&namespace=acme";
    guide.get(&guide.ann, path).await.is(200, &found(&user));
    for (prefix, kind) in [("dev", "team"), ("acm", "org")] {
        let name = if kind == "team" { "devs" } else { "acme" };
        let group = json!({
            "name": name, "kind": kind, "is_org_member": true, "avatar": avatar(name, kind),
        });
        let path = format!("/entities/{prefix}?includeOrgs=true&includeTeams=true&namespace=acme");
        guide.get(&guide.ann, &path).await.is(200, &found(&group));
    }
    guide
        .ask(&guide.ann, "POST /entities/link/somebody", Value::Null)
        .await
        .only_refuses(404, &not_found(&guide.site));
}

/// quay-api section 32, SEED: also at the path that the documents print once, without the last letter.
#[tokio::test]
async fn the_doors_of_messages_answer_as_documented() {
    let guide = Guide::new().await;
    let body = json!({
        "message": {"content": "Hi", "media_type": "text/plain", "severity": "info"},
    });
    for line in ["POST /messages", "POST /message"] {
        guide
            .ask(&guide.root, line, body.clone())
            .await
            .says(201, "");
        guide
            .ask(&guide.ann, line, body.clone())
            .await
            .refuses(403, &forbidden(&guide.site));
    }
    let message = json!({
        "uuid": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "content": "Hi",
        "severity": "info",
        "media_type": "text/plain",
    });
    let list = json!({"messages": [message, message]});
    let told = guide.get("", "/messages").await.is(200, &list).json();
    let uuid = told["messages"][0]["uuid"].as_str().unwrap();
    guide
        .removes(&guide.root, &format!("/message/{uuid}"))
        .await;
    let list = json!({"messages": [message]});
    guide.get("", "/messages").await.is(200, &list);
    let missing = invalid(&guide.site, "'message' is a required property");
    guide
        .ask(&guide.root, "POST /messages", json!({}))
        .await
        .refuses(400, &missing);
    all_are_shown(&[&guide], &["globalmessages"], &[]);
}

/// quay-api section 2.1.
#[tokio::test]
async fn the_door_of_errors_answers_as_documented() {
    let guide = Guide::new().await;
    let view = json!({
        "type": guide.site.url("/api/v1/error/not_found"),
        "title": "not_found",
        "description": "<text>",
    });
    guide.get("", "/error/not_found").await.is(200, &view);
    guide
        .get("", "/error/404")
        .await
        .refuses(404, &not_found(&guide.site));
    all_are_shown(&[&guide], &["error"], &[]);
}
