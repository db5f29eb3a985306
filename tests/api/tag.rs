//! `/api/v1/repository/{repository}/tag`: the history, and what is done to one.

use std::time::Duration;

use entrepot::model::{LogKind, RepositoryState};
use entrepot::oci::Digest;
use entrepot::registry::Budget;
use serde_json::{Value, json};

use super::repository::Stage;
use crate::harness::api::fields;
use crate::harness::content::{Image, index};
use crate::harness::people::Who;
use crate::harness::site::Answer;

const TAGS: &str = "/repository/acme/app/tag/";

fn path(tag: &str) -> String {
    format!("{TAGS}{tag}")
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// For how long what was deleted is kept.
const TIME_MACHINE: Duration = Duration::from_secs(14 * DAY.as_secs());

/// What ann is answered who pulls a manifest.
async fn manifest(stage: &Stage, reference: &str) -> Answer {
    let path = format!("/v2/acme/app/manifests/{reference}");
    stage.site.get_as(&Who::user("ann"), &path).await
}

/// The digest of what comes by a tag.
async fn pulled(stage: &Stage, tag: &str) -> Digest {
    let answer = manifest(stage, tag).await;
    assert_eq!(answer.status, 200, "{tag}: {}", answer.text());
    Digest::of(&answer.body)
}

/// The tags that the API and the registry protocol agree to be there, the newest first.
async fn live(stage: &Stage) -> Vec<String> {
    let listed = lines(stage, "onlyActiveTags=true").await;
    let tags = listed["tags"].as_array().unwrap().iter();
    let tags: Vec<String> = tags
        .map(|tag| tag["name"].as_str().unwrap().to_owned())
        .collect();
    let mut sorted = tags.clone();
    sorted.sort();
    let who = Who::user("ann");
    let answer = stage.site.get_as(&who, "/v2/acme/app/tags/list").await;
    assert_eq!(answer.json()["tags"], json!(sorted));
    tags
}

async fn collect(stage: &Stage) {
    let collected = stage.site.registry().collect(Budget::UNBOUNDED).await;
    collected.unwrap();
}

async fn lines(stage: &Stage, query: &str) -> Value {
    let answer = stage.ann().get(&format!("{TAGS}?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// SC-075, SC-490: fields as the guide shows them.
#[tokio::test]
async fn the_history_has_the_fields_of_the_guide() {
    let stage = Stage::new().await;
    let other = Image::with_layers(2, &[50]);
    let who = Who::user("ann");
    stage.site.push_as(&who, "acme/app", "v1", &other).await;
    let list = index(&[(&other, "linux/amd64"), (&Image::small(9), "linux/arm64")]);
    let pushed = stage
        .site
        .put_manifest_as(&who, "acme/app", "list", &list)
        .await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let page = lines(&stage, "limit=10&page=1").await;
    assert_eq!(
        (&page["page"], &page["has_additional"]),
        (&json!(1), &json!(false))
    );
    let tags = page["tags"].as_array().unwrap();
    let names: Vec<_> = tags
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["list", "v1", "v1"]);
    let sorted = |value: &Value| {
        let mut names: Vec<_> = fields(value).into_iter().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    let live = [
        "immutable",
        "is_manifest_list",
        "last_modified",
        "manifest_digest",
        "name",
        "reversion",
        "size",
        "start_ts",
    ];
    assert_eq!(sorted(&tags[1]), live);
    assert_eq!(tags[1]["size"], 50);
    assert!(
        tags[1]["last_modified"]
            .as_str()
            .unwrap()
            .ends_with(" -0000")
    );
    let dead = sorted(&tags[2]);
    assert!(dead.contains(&"end_ts".to_owned()) && dead.contains(&"expiration".to_owned()));
    assert_eq!(tags[0]["is_manifest_list"], true);
    assert_eq!(
        (
            &tags[0]["child_manifest_count"],
            &tags[0]["present_child_count"]
        ),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        tags[0]["child_manifests_presence"][other.digest().to_string()],
        true
    );
    let one = lines(&stage, "specificTag=v1&onlyActiveTags=true").await;
    assert_eq!(one["tags"].as_array().unwrap().len(), 1);
    assert_eq!(
        one["tags"][0]["manifest_digest"],
        other.digest().to_string()
    );
    let like = lines(&stage, "filter_tag_name=like:is").await;
    assert_eq!(like["tags"][0]["name"], "list");
    assert_eq!(
        lines(&stage, "filter_tag_name=eq:nothing").await["tags"],
        json!([])
    );
    let first = lines(&stage, "limit=1").await;
    assert_eq!(
        (&first["tags"][0]["name"], &first["has_additional"]),
        (&json!("list"), &json!(true))
    );
    let bad = stage.ann().get(&format!("{TAGS}?filter_tag_name=v1")).await;
    assert_eq!(bad.status, 400);
    assert!(bad.json()["message"].is_string());
    assert_eq!(stage.bob().get(TAGS).await.status, 403);
}

/// SC-069, SC-071, SC-074, SC-488, SC-489, SC-491.
#[tokio::test]
async fn a_tag_is_made_moved_and_deleted() {
    let stage = Stage::new().await;
    let other = Image::with_layers(2, &[50]);
    stage
        .site
        .push_as(&Who::user("ann"), "acme/app", "v2", &other)
        .await;
    let point = |digest: String| json!({ "manifest_digest": digest });
    let made = stage
        .ann()
        .put(&path("new"), point(stage.image.digest().to_string()))
        .await;
    assert_eq!((made.status.as_u16(), made.json()), (201, json!("Updated")));
    let told = stage.told(LogKind::CreateTag).await;
    let expected = json!({
        "username": "ann", "repo": "app", "namespace": "acme", "tag": "new",
        "manifest_digest": stage.image.digest(), "original_manifest_digest": null,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    let moved = stage
        .ann()
        .put(&path("new"), point(other.digest().to_string()))
        .await;
    assert_eq!(moved.status, 201);
    let told = stage.told(LogKind::MoveTag).await;
    assert_eq!(
        told["original_manifest_digest"],
        stage.image.digest().to_string()
    );
    let missing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        stage.ann().put(&path("new"), point(missing)).await.status,
        404
    );
    let bad = stage
        .ann()
        .put(&path(".bad"), point(other.digest().to_string()))
        .await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.json()["message"]
            .as_str()
            .unwrap()
            .starts_with("Invalid tag: must match")
    );
    assert_eq!(stage.bob().delete(&path("new")).await.status, 403);
    let deleted = stage.ann().delete(&path("new")).await;
    assert_eq!((deleted.status.as_u16(), deleted.text()), (204, ""));
    let told = stage.told(LogKind::DeleteTag).await;
    assert_eq!(
        (&told["tag"], &told["username"]),
        (&json!("new"), &json!("ann"))
    );
    assert_eq!(stage.ann().delete(&path("new")).await.status, 404);
    let back = stage
        .ann()
        .post(
            &format!("{}/restore", path("new")),
            point(other.digest().to_string()),
        )
        .await;
    assert_eq!((back.status.as_u16(), back.json()), (200, json!({})));
    assert_eq!(pulled(&stage, "new").await, other.digest());
    assert_eq!(stage.told(LogKind::RevertTag).await["tag"], "new");
    assert_eq!(
        lines(&stage, "specificTag=new").await["tags"][0]["reversion"],
        true
    );
    let empty = stage
        .ann()
        .post(&format!("{}/restore", path("new")), json!({}))
        .await;
    assert_eq!(empty.json()["detail"], "Missing manifest_digest");
}

/// SC-077: what the tag pointed to before is found in its history, which goes on.
#[tokio::test]
async fn a_moved_tag_is_reverted_to_its_earlier_image() {
    let stage = Stage::new().await;
    let other = Image::with_layers(2, &[50]);
    let minute = Duration::from_secs(60);
    stage.site.clock.advance(minute);
    let who = Who::user("ann");
    stage.site.push_as(&who, "acme/app", "v1", &other).await;
    assert_eq!(pulled(&stage, "v1").await, other.digest());
    stage.site.clock.advance(minute);
    let body = json!({"manifest_digest": stage.image.digest()});
    let restore = format!("{}/restore", path("v1"));
    let reverted = stage.ann().post(&restore, body).await;
    assert_eq!(
        (reverted.status.as_u16(), reverted.json()),
        (200, json!({}))
    );
    assert_eq!(pulled(&stage, "v1").await, stage.image.digest());
    let history = lines(&stage, "specificTag=v1").await;
    let history = history["tags"].as_array().unwrap();
    let told = |line: &Value| (line["manifest_digest"].clone(), line["reversion"].clone());
    let (old, new) = (json!(stage.image.digest()), json!(other.digest()));
    let expected = [
        (old.clone(), json!(true)),
        (new, json!(false)),
        (old, json!(false)),
    ];
    assert_eq!(history.iter().map(told).collect::<Vec<_>>(), expected);
}

/// SC-081, SC-082: a tag ends at its time, alone; its image, of which it was the last, when the time machine
/// ends.
#[tokio::test]
async fn a_tag_expires_alone_and_its_image_follows() {
    let mut stage = Stage::new().await;
    let other = Image::with_layers(2, &[50]);
    let who = Who::user("ann");
    stage.site.push_as(&who, "acme/app", "v2", &other).await;
    // Before an hour is over nothing can be said to end.
    stage.advance(2 * HOUR).await;
    let soon = (stage.site.clock.now() + Duration::from_secs(5)).as_secs();
    let set = stage
        .ann()
        .put(&path("v1"), json!({"expiration": soon}))
        .await;
    assert_eq!((set.status.as_u16(), set.json()), (201, json!("Updated")));
    assert_eq!(live(&stage).await, ["v2", "v1"]);
    stage.site.clock.advance(Duration::from_secs(4));
    assert_eq!(pulled(&stage, "v1").await, stage.image.digest());
    stage.site.clock.advance(Duration::from_secs(1));
    assert_eq!(live(&stage).await, ["v2"]);
    let gone = manifest(&stage, "v1").await;
    assert_eq!(gone.status, 404);
    collect(&stage).await;
    let digest = stage.image.digest().to_string();
    assert_eq!(manifest(&stage, &digest).await.status, 200);
    stage.advance(TIME_MACHINE).await;
    collect(&stage).await;
    assert_eq!(manifest(&stage, &digest).await.status, 404);
    assert_eq!(live(&stage).await, ["v2"]);
    assert_eq!(pulled(&stage, "v2").await, other.digest());
}

/// Deletes `v1`, lets some time pass, and asks for it to be restored.
async fn restored_after(stage: &mut Stage, wait: Duration) -> u16 {
    assert_eq!(stage.ann().delete(&path("v1")).await.status, 204);
    stage.advance(wait).await;
    collect(stage).await;
    let body = json!({"manifest_digest": stage.image.digest()});
    let restore = format!("{}/restore", path("v1"));
    let restored = stage.ann().post(&restore, body).await;
    restored.status.as_u16()
}

/// SC-083: two weeks unless the organisation says otherwise; what was deleted can be restored for so long.
#[tokio::test]
async fn the_time_machine_is_as_long_as_the_organization_says() {
    let mut stage = Stage::new().await;
    let of_acme = "/organization/acme";
    let shown = stage.ann().get(of_acme).await.json();
    assert_eq!(shown["tag_expiration_s"], TIME_MACHINE.as_secs());
    assert_eq!(restored_after(&mut stage, TIME_MACHINE - HOUR).await, 200);
    assert_eq!(pulled(&stage, "v1").await, stage.image.digest());
    let body = json!({"tag_expiration_s": 86_400});
    assert_eq!(stage.ann().put(of_acme, body).await.status, 200);
    let shown = stage.ann().get(of_acme).await.json();
    assert_eq!(shown["tag_expiration_s"], 86_400);
    assert_eq!(restored_after(&mut stage, DAY - HOUR).await, 200);
    assert_eq!(pulled(&stage, "v1").await, stage.image.digest());
    assert_eq!(restored_after(&mut stage, DAY + HOUR).await, 404);
}

/// SC-086.
#[tokio::test]
async fn an_expiration_is_set_as_number_or_text_and_taken_back() {
    let stage = Stage::new().await;
    let now = stage.site.registry().clock().now();
    let later = (now + Duration::from_secs(7 * 86_400)).as_secs();
    for value in [json!(later), json!(later.to_string())] {
        let set = stage
            .ann()
            .put(&path("v1"), json!({ "expiration": value }))
            .await;
        assert_eq!((set.status.as_u16(), set.json()), (201, json!("Updated")));
        let shown = &lines(&stage, "specificTag=v1").await["tags"][0];
        assert_eq!(shown["end_ts"], later);
        assert_eq!(shown["expiration"], "Thu, 08 Jan 2026 00:00:00 -0000");
    }
    assert!(stage.told(LogKind::ChangeTagExpiration).await["expiration_date"].is_string());
    let past = stage.ann().put(&path("v1"), json!({"expiration": 5})).await;
    assert_eq!(past.status, 400);
    let taken = stage
        .ann()
        .put(&path("v1"), json!({"expiration": null}))
        .await;
    assert_eq!(taken.status, 201);
    assert!(
        lines(&stage, "specificTag=v1").await["tags"][0]
            .get("end_ts")
            .is_none()
    );
    let missing = stage
        .ann()
        .put(&path("none"), json!({"expiration": null}))
        .await;
    assert_eq!(missing.status, 404);
}

/// AZ-08; Quay: 409 with the kind `tag_immutable`, and only admins take the protection off.
#[tokio::test]
async fn an_immutable_tag_is_told_as_such() {
    let stage = Stage::new().await;
    let protect = stage
        .ann()
        .put(&path("v1"), json!({"immutable": true}))
        .await;
    assert_eq!(protect.status, 201, "{}", protect.text());
    let refused = stage.ann().delete(&path("v1")).await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json()["error_type"], "tag_immutable");
    assert_eq!(refused.json()["detail"], "Cannot delete immutable tag 'v1'");
    let (bob, _) = stage
        .site
        .accounts()
        .user_by_name("bob")
        .await
        .unwrap()
        .unwrap();
    let grantee = entrepot::model::Grantee::User(bob);
    stage
        .site
        .grant("acme/app", grantee, entrepot::model::Role::Write)
        .await;
    let writer = stage
        .bob()
        .put(&path("v1"), json!({"immutable": false}))
        .await;
    assert_eq!(writer.status, 403);
    let freed = stage
        .ann()
        .put(&path("v1"), json!({"immutable": false}))
        .await;
    assert_eq!(freed.status, 201);
    assert_eq!(stage.ann().delete(&path("v1")).await.status, 204);
}

/// Quay: also admins are refused, with the number of the state.
#[tokio::test]
async fn nothing_is_written_to_what_is_read_only() {
    let stage = Stage::new().await;
    let id = stage.site.repository_id("acme/app").await;
    let by = entrepot::model::Performer::SYSTEM;
    let frozen = stage
        .site
        .registry()
        .set_state(id, RepositoryState::ReadOnly, &by);
    frozen.await.unwrap();
    let body = json!({"manifest_digest": stage.image.digest()});
    for answer in [
        stage.ann().put(&path("new"), body.clone()).await,
        stage.ann().delete(&path("v1")).await,
        stage
            .ann()
            .post(&format!("{}/restore", path("v1")), body)
            .await,
    ] {
        assert_eq!(answer.status, 503);
        let text = "Repository is in read only or mirror mode: 1";
        assert_eq!(answer.json(), json!({ "message": text }));
    }
}

/// SC-218: `PERMANENTLY_DELETE_TAGS`, off unless the operator says so.
#[tokio::test]
async fn a_tag_is_deleted_for_good_where_that_is_allowed() {
    let off = Stage::new().await;
    let expire = format!("{}/expire", path("v1"));
    assert_eq!(
        off.ann()
            .post(&expire, json!({"is_alive": true}))
            .await
            .status,
        404
    );
    let stage = Stage::with(|config| config.retention.permanently_delete = true).await;
    let unclear = stage.ann().post(&expire, json!({"is_alive": false})).await;
    let text = "manifest_digest required when is_alive set to false";
    assert_eq!(
        (unclear.status.as_u16(), &unclear.json()["detail"]),
        (400, &json!(text))
    );
    let gone = stage.ann().post(&expire, json!({"is_alive": true})).await;
    assert_eq!((gone.status.as_u16(), gone.json()), (200, json!("")));
    assert_eq!(stage.told(LogKind::PermanentlyDeleteTag).await["tag"], "v1");
    assert_eq!(lines(&stage, "").await["tags"], json!([]));
}

#[tokio::test]
async fn pull_statistics_are_a_feature_that_is_off() {
    let stage = Stage::new().await;
    let digest = stage.image.digest();
    for path in [
        format!("{}/pull_statistics", path("v1")),
        format!("/repository/acme/app/manifest/{digest}/pull_statistics"),
    ] {
        assert_eq!(stage.ann().get(&path).await.status, 404);
    }
}
