//! Tags, manifests and their labels.

use serde_json::{Value, json};

use super::guide::{Guide, all_are_shown};
use super::{invalid, not_found};
use crate::harness::content::{Image, index};
use crate::harness::people::Who;

const APP: &str = "/repository/acme/app";

async fn push(guide: &Guide, seed: u64, tag: &str) -> Image {
    let image = Image::with_layers(seed, &[100]);
    let who = Who::user("ann");
    guide.site.push_as(&who, "acme/app", tag, &image).await;
    image
}

/// quay-api section 20, SEED: a line in the order of the documents, which know no immutable tags.
fn line(name: &str, image: &Image) -> Value {
    json!({
        "name": name,
        "reversion": false,
        "start_ts": 1_767_225_600,
        "manifest_digest": image.digest(),
        "is_manifest_list": false,
        "size": 100,
        "last_modified": "Thu, 01 Jan 2026 00:00:00 -0000",
    })
}

/// Counting pulls by tag and by manifest is a feature that is off and not built.
const NOT_BUILT: [&str; 2] = ["getTagPullStatistics", "getManifestPullStatistics"];

#[tokio::test]
async fn the_doors_of_tags_answer_as_documented() {
    let guide = Guide::with(|config| {
        config.features.immutable_tags = false;
        config.retention.permanently_delete = true;
    })
    .await;
    let image = push(&guide, 1, "v1").await;
    let page = |tags: Value| json!({"tags": tags, "page": 1, "has_additional": false});
    let all = format!("{APP}/tag/");
    let tags = page(json!([line("v1", &image)]));
    guide.get(&guide.ann, &all).await.is(200, &tags);
    of_changes(&guide, &image).await;

    guide.site.clock.advance(std::time::Duration::from_secs(60));
    let other = push(&guide, 2, "v1").await;
    let path = format!("{all}?limit=10&page=1&onlyActiveTags=false&specificTag=v1");
    let mut live = line("v1", &other);
    live["start_ts"] = json!(1_767_225_660);
    let dead = json!({
        "name": "v1",
        "reversion": false,
        "start_ts": 1_767_225_600,
        "end_ts": 1_767_225_660,
        "manifest_digest": image.digest(),
        "is_manifest_list": false,
        "size": 100,
        "last_modified": "Thu, 01 Jan 2026 00:00:00 -0000",
        "expiration": "Thu, 01 Jan 2026 00:01:00 -0000",
    });
    let tags = page(json!([live, dead]));
    guide.get(&guide.ann, &path).await.is(200, &tags);

    let list = index(&[(&other, "linux/amd64"), (&Image::small(9), "linux/arm64")]);
    let put = guide
        .site
        .put_manifest_as(&Who::user("ann"), "acme/app", "list", &list)
        .await;
    assert_eq!(put.status, 201, "{}", put.text());
    let path = format!("{all}?specificTag=list");
    let shown = guide.get(&guide.ann, &path).await.succeeds(200).json();
    let fields = crate::harness::api::fields(&shown["tags"][0]);
    let more = [
        "is_sparse",
        "child_manifest_count",
        "present_child_count",
        "child_manifests_presence",
    ];
    assert_eq!(fields[fields.len() - 4..], more);
    all_are_shown(&[&guide], &["tag"], &NOT_BUILT);
}

/// The documents' requests: made, deleted, restored, and ended for good.
async fn of_changes(guide: &Guide, image: &Image) {
    let body = json!({"manifest_digest": image.digest()});
    let tag = format!("{APP}/tag/example");
    let put = format!("PUT {tag}");
    guide
        .ask(&guide.ann, &put, body.clone())
        .await
        .says(201, "\"Updated\"");
    let delete = format!("DELETE {tag}");
    guide
        .ask(&guide.ann, &delete, Value::Null)
        .await
        .says(204, "");
    let refusal = not_found(&guide.site);
    guide
        .ask(&guide.ann, &delete, Value::Null)
        .await
        .refuses(404, &refusal);
    guide
        .ask(&guide.ann, &format!("POST {tag}/restore"), body)
        .await
        .says(200, "{}");
    let missing = invalid(&guide.site, "Missing manifest_digest");
    guide
        .ask(&guide.ann, &format!("POST {tag}/restore"), json!({}))
        .await
        .refuses(400, &missing);
    let body = json!({"is_alive": true, "include_submanifests": true});
    guide
        .ask(&guide.ann, &format!("POST {tag}/expire"), body)
        .await
        .says(200, "\"\"");
}

/// quay-api section 21.
#[tokio::test]
async fn the_doors_of_manifests_answer_as_documented() {
    let guide = Guide::new().await;
    let image = push(&guide, 1, "v1").await;
    let path = format!("{APP}/manifest/{}", image.digest());
    let layer = json!({
        "index": 0,
        "compressed_size": 100,
        "is_remote": false,
        "urls": null,
        "command": null,
        "comment": null,
        "author": null,
        "blob_digest": image.digest(),
        "created_datetime": null,
    });
    let view = json!({
        "digest": image.digest(),
        "is_manifest_list": false,
        "manifest_data": std::str::from_utf8(&image.manifest.bytes).unwrap(),
        "config_media_type": "application/vnd.oci.image.config.v1+json",
        "layers_compressed_size": 100,
        "layers": [layer],
    });
    guide.get(&guide.ann, &path).await.is(200, &view);
    let absent = format!("{APP}/manifest/sha256:{}", "0".repeat(64));
    let refusal = not_found(&guide.site);
    guide.get(&guide.ann, &absent).await.refuses(404, &refusal);

    let all = format!("{path}/labels");
    let label = json!({
        "id": "0f84f9d5-a4b5-4ef2-b7b7-8c2e1e1c7d2a",
        "key": "team",
        "value": "blue",
        "source_type": "api",
        "media_type": "text/plain",
    });
    let body = json!({"key": "team", "value": "blue", "media_type": "text/plain"});
    let made = guide.ask(&guide.ann, &format!("POST {all}"), body).await;
    let made = made.is(201, &json!({ "label": label })).json();
    let list = json!({"labels": [label]});
    guide.get(&guide.ann, &all).await.is(200, &list);
    let one = format!("{all}/{}", made["label"]["id"].as_str().unwrap());
    guide.get(&guide.ann, &one).await.is(200, &label);
    guide.removes_once(&guide.ann, &one).await;
    all_are_shown(&[&guide], &["manifest"], &NOT_BUILT);
}
