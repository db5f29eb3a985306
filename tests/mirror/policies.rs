//! Which tags and platforms are copied, and what becomes of tags that are chosen no more.

use std::time::Duration;

use entrepot::model::{BandwidthWindow, Deletion, LimitKind, SyncState};
use entrepot::oci::Tag;

use super::{HERE, SOURCE, Stage};
use crate::harness::content::{Image, index};

async fn with_tags(tags: &[&str]) -> Stage {
    let stage = Stage::new().await;
    for (seed, tag) in (1..).zip(tags) {
        stage.origin.push_image(SOURCE, tag, &Image::small(seed));
    }
    stage
}

#[tokio::test]
async fn globs_exclusions_ranges_and_the_newest_choose() {
    let stage = with_tags(&["v1.0.0", "v1.1.0", "v2.0.0", "v2.0.0-rc1", "latest", "dev"]).await;
    stage
        .decide(|record| {
            record.tags.globs = vec!["v*".to_owned()];
            record.tags.exclude = vec!["*-rc*".to_owned()];
        })
        .await;
    stage.run_well().await;
    assert_eq!(stage.names().await, ["v1.0.0", "v1.1.0", "v2.0.0"]);
    stage.decide(|record| record.tags.newest = Some(1)).await;
    stage.run_well().await;
    assert_eq!(stage.names().await, ["v2.0.0"]);
    stage
        .decide(|record| {
            record.tags.newest = None;
            record.tags.semver = Some("^1".to_owned());
        })
        .await;
    stage.run_well().await;
    assert_eq!(stage.names().await, ["v1.0.0", "v1.1.0"]);
    stage
        .decide(|record| record.tags.semver = Some("about 1".to_owned()))
        .await;
    let status = stage.run().await;
    assert_eq!(status.state, SyncState::Fail);
    assert!(
        status.report.message.contains("no range"),
        "{:?}",
        status.report
    );
    assert_eq!(stage.names().await, ["v1.0.0", "v1.1.0"]);
}

#[tokio::test]
async fn tags_that_vanish_end_are_archived_or_stay() {
    let stage = with_tags(&["a", "b", "c"]).await;
    stage.run_well().await;
    stage.origin.untag(SOURCE, "a");
    stage
        .decide(|record| record.options.deletion = Deletion::Keep)
        .await;
    assert_eq!(stage.run_well().await.report.ended_tags, 0);
    assert_eq!(stage.names().await, ["a", "b", "c"]);
    stage
        .decide(|record| record.options.deletion = Deletion::Archive)
        .await;
    assert_eq!(stage.run_well().await.report.ended_tags, 1);
    assert_eq!(stage.names().await, ["archived-20260101-a", "b", "c"]);
    stage.site.pull(HERE, "archived-20260101-a").await;
    stage.origin.untag(SOURCE, "b");
    stage
        .decide(|record| record.options.deletion = Deletion::Delete)
        .await;
    assert_eq!(stage.run_well().await.report.ended_tags, 1);
    assert_eq!(stage.names().await, ["archived-20260101-a", "c"]);
    let tag: Tag = "b".parse().unwrap();
    let history = stage
        .site
        .registry()
        .history_of_tag(stage.repository, &tag, None, 9);
    assert_eq!(history.await.unwrap().len(), 1, "it can be restored");
}

#[tokio::test]
async fn no_more_tags_end_in_one_run_than_may() {
    let stage = with_tags(&["a", "b", "c", "d"]).await;
    stage.run_well().await;
    stage
        .decide(|record| record.options.deletion_cap_percent = 25)
        .await;
    stage.origin.untag(SOURCE, "a");
    stage.origin.untag(SOURCE, "b");
    let status = stage.run().await;
    assert_eq!(status.state, SyncState::Fail);
    assert!(
        status.report.message.contains("25 %"),
        "{:?}",
        status.report
    );
    assert_eq!(stage.names().await, ["a", "b", "c", "d"]);
    stage.origin.push_image(SOURCE, "a", &Image::small(1));
    assert_eq!(stage.run_well().await.report.ended_tags, 1);
    assert_eq!(stage.names().await, ["a", "c", "d"]);
}

/// AZ-08: an immutable tag is neither moved nor ended.
#[tokio::test]
async fn immutable_tags_stay_as_they_are() {
    let stage = with_tags(&["a", "b"]).await;
    stage.run_well().await;
    let before = stage.tags().await;
    for (tag, _) in &before {
        let set = stage
            .site
            .registry()
            .set_tag_immutable(stage.repository, tag, true);
        assert!(set.await.unwrap());
    }
    stage.origin.untag(SOURCE, "a");
    stage.origin.push_image(SOURCE, "b", &Image::small(9));
    let blobs = stage.fetched("blobs");
    let status = stage.run().await;
    assert_eq!((status.state, status.report.failed), (SyncState::Fail, 1));
    assert_eq!(
        stage.fetched("blobs"),
        blobs,
        "nothing comes for what may not move"
    );
    let digests = |tags: Vec<(Tag, entrepot::model::TagRecord)>| {
        let digests = tags.into_iter().map(|(tag, record)| (tag, record.digest));
        digests.collect::<Vec<_>>()
    };
    assert_eq!(digests(stage.tags().await), digests(before));
}

/// Quay's filter: the index keeps its digest, and lacks the others.
#[tokio::test]
async fn of_an_index_only_the_platforms_asked_for_are_copied() {
    let stage = Stage::new().await;
    let (amd, arm) = (Image::small(1), Image::small(2));
    stage.origin.push_untagged(SOURCE, &amd);
    stage.origin.push_untagged(SOURCE, &arm);
    let both = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    stage.origin.push_manifest(SOURCE, Some("v1"), &both);
    // An image of amd64, as its config says.
    stage.origin.push_image(SOURCE, "single", &Image::small(3));
    stage
        .decide(|record| record.architectures = vec!["arm64".to_owned()])
        .await;
    let status = stage.run_well().await;
    assert_eq!((status.report.copied, status.report.unchanged), (1, 1));
    assert_eq!(stage.names().await, ["v1"]);
    let path = |digest: &dyn std::fmt::Display| format!("/v2/{HERE}/manifests/{digest}");
    assert_eq!(stage.site.get(&path(&"v1")).await.body, both.bytes);
    assert_eq!(stage.site.head_status(&path(&arm.digest())).await, 200);
    assert_eq!(stage.site.head_status(&path(&amd.digest())).await, 404);
    // What is asked for later comes, though the tag has not moved.
    stage.decide(|record| record.architectures.clear()).await;
    let status = stage.run_well().await;
    assert_eq!(status.report.copied, 2);
    stage.site.pull(HERE, &amd.digest().to_string()).await;
    stage
        .decide(|record| record.options.platforms = vec!["linux/s390x".to_owned()])
        .await;
    stage
        .origin
        .push_manifest(SOURCE, Some("v2"), &index(&[(&amd, "amd64")]));
    let status = stage.run().await;
    assert_eq!(status.state, SyncState::Fail);
    assert!(
        status.report.message.contains("platforms"),
        "{:?}",
        status.report
    );
}

/// What does not fit fails its tag with the reason, and what fits comes.
#[tokio::test]
async fn a_mirror_stays_within_its_namespaces_quota() {
    let stage = Stage::new().await;
    stage
        .origin
        .push_image(SOURCE, "big", &Image::with_layers(1, &[300_000]));
    stage.origin.push_image(SOURCE, "small", &Image::small(2));
    let by = entrepot::registry::QuotaEditor::Silent;
    let registry = stage.site.registry();
    registry
        .make_quota(stage.namespace, 100_000, &by)
        .await
        .unwrap();
    let (quota, reject) = (registry_quota(&stage).await, LimitKind::Reject);
    registry
        .make_limit(stage.namespace, quota, reject, 100, &by)
        .await
        .unwrap();
    let status = stage.run().await;
    assert_eq!(
        (status.state, status.report.copied, status.report.failed),
        (SyncState::Fail, 1, 1)
    );
    let told = stage.told("big").await.unwrap();
    assert!(told.failure.unwrap().contains("Quota has been exceeded"));
    stage.site.pull(HERE, "small").await;
}

async fn registry_quota(stage: &Stage) -> u64 {
    let namespace = stage.namespace;
    let read = move |tx: &entrepot::store::ReadTx| tx.quotas().of(namespace);
    let read: Result<_, entrepot::store::Error> = stage.site.registry().store().read(read).await;
    read.unwrap().expect("it was made").id
}

/// A window in which nothing is taken holds a run back; the deadline of a tag does not count it.
#[tokio::test]
async fn nothing_comes_in_a_window_without_bandwidth() {
    let stage = with_tags(&["v1"]).await;
    let window = BandwidthWindow {
        from: 0,
        until: 60,
        bytes_per_second: 0,
    };
    stage
        .decide(move |record| record.options.bandwidth = vec![window.clone()])
        .await;
    stage.mirrors().want(stage.repository).await.unwrap();
    let mirror = stage.mirrors().clone();
    let run = mirror.run(stage.repository);
    let open = async {
        stage.origin.wait_for(1, "GET", "/v2/team/app/blobs/").await;
        assert!(stage.names().await.is_empty());
        stage.site.clock.advance(Duration::from_secs(3_600));
    };
    let (ended, ()) = tokio::join!(run, open);
    assert_eq!(ended.unwrap().unwrap().state, SyncState::Success);
    assert_eq!(stage.names().await, ["v1"]);
}
