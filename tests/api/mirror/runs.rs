//! Runs of mirrors, as the doors want and end them, and what is told of them.

use serde_json::{Value, json};

use super::{MIRROR, create, shown, stage, wanted, with};
use crate::api::repository::Stage;
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::people::Who;
use crate::harness::soon;

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
            .push_blob_as(&who, "acme/app", image.blobs().next().unwrap())
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
        .push_blob_as(&owner, "acme/app", image.blobs().next().unwrap())
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
