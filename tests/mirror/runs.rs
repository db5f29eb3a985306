//! What a run copies, what it costs, and when it comes.

use std::collections::BTreeSet;
use std::time::Duration;

use entrepot::jobs::Intervals;
use entrepot::model::{Actor, LogKind, SyncState, Visibility};
use entrepot::oci::Digest;

use super::{HERE, SOURCE, Stage, still};
use crate::harness::content::{Image, index};
use crate::harness::soon;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_mirror_copies_what_tags_lead_to_in_the_name_of_its_robot() {
    let stage = Stage::new().await;
    let (amd, arm) = (Image::small(1), Image::small(2));
    stage.origin.push_untagged(SOURCE, &amd);
    stage.origin.push_untagged(SOURCE, &arm);
    let both = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    stage.origin.push_manifest(SOURCE, Some("v1"), &both);
    stage.origin.push_image(SOURCE, "v2", &Image::docker(3));
    let status = stage.run_well().await;
    assert_eq!(
        (status.run, status.report.copied, status.report.failed),
        (1, 2, 0)
    );
    assert_eq!(status.report.chosen, 2);
    assert_eq!(stage.names().await, ["v1", "v2"]);
    stage.site.pull(HERE, "v2").await;
    for image in [&amd, &arm] {
        stage.site.pull(HERE, &image.digest().to_string()).await;
    }
    let held = stage.site.get(&format!("/v2/{HERE}/manifests/v1")).await;
    assert_eq!(held.body, both.bytes);
    for (_, tag) in stage.tags().await {
        assert!(matches!(&tag.by, Actor::Robot { name, .. } if name.short() == "mirror"));
    }
    let log = stage.log().await;
    let kinds: BTreeSet<LogKind> = log.iter().map(|line| line.kind).collect();
    for kind in [
        LogKind::RepoMirrorSyncStarted,
        LogKind::RepoMirrorSyncTagSuccess,
        LogKind::PushRepo,
        LogKind::RepoMirrorSyncSuccess,
    ] {
        assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
    }
    let done = log
        .iter()
        .find(|line| line.kind == LogKind::RepoMirrorSyncTagSuccess);
    let told = done.unwrap().metadata();
    let keys: BTreeSet<&str> = told.keys().map(String::as_str).collect();
    let expected = [
        "verb",
        "namespace",
        "repo",
        "message",
        "tag",
        "tags",
        "stdout",
        "stderr",
    ];
    assert_eq!(keys, BTreeSet::from(expected));
    assert_eq!(told["verb"], "finish");
}

/// What did not change costs a HEAD a tag, and no write of content or tags.
#[tokio::test]
async fn a_thousand_tags_that_did_not_change_cost_a_thousand_heads() {
    let stage = Stage::new().await;
    stage.origin.without_referrers_api();
    let images: Vec<Image> = (0..10).map(Image::small).collect();
    for number in 0..1_000 {
        let image = &images[number % images.len()];
        stage
            .origin
            .push_image(SOURCE, &format!("v{number}"), image);
    }
    let first = stage.run_well().await;
    assert_eq!(first.report.copied, 1_000);
    assert_eq!(stage.fetched("blobs"), 20, "each blob once");
    assert_eq!(stage.fetched("manifests"), 10, "each manifest once");
    let before = (stage.tags().await, stage.told("v7").await);
    let requests = stage.origin.requests().len();
    let log = stage.log().await.len();
    stage.site.clock.advance(DAY);
    let second = stage.run_well().await;
    assert_eq!((second.report.unchanged, second.report.copied), (1_000, 0));
    assert_eq!(second.report.bytes, 0);
    let asked: Vec<_> = stage.origin.requests().split_off(requests);
    let heads = asked
        .iter()
        .filter(|request| request.method == "HEAD")
        .count();
    assert_eq!(heads, 1_000);
    assert!(
        asked.len() <= 1_002,
        "{} requests: a list, and one look for the API",
        asked.len()
    );
    assert_eq!((stage.tags().await, stage.told("v7").await), before);
    assert_eq!(stage.log().await.len(), log + 2, "begun, ended");
}

/// The schedule moved by the clock: a run a day, keeping its phase, each by the loops alone.
#[tokio::test]
async fn two_hundred_tags_follow_their_source_by_the_clock() {
    let intervals = Intervals {
        mirrors: Duration::from_millis(5),
        ..still()
    };
    let stage = Stage::with(intervals, |_| {}).await;
    let run = async |number: u64| {
        soon("the run of the day", async {
            loop {
                let status = stage.status().await;
                if status.run == number && status.state == SyncState::Success {
                    break status;
                }
                assert_ne!(status.state, SyncState::Fail, "{:?}", status.report);
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    for number in 0..200 {
        let image = Image::small(number % 20);
        stage
            .origin
            .push_image(SOURCE, &format!("v{number}"), &image);
    }
    stage.begin_now().await;
    assert_eq!(run(1).await.report.copied, 200);
    stage.site.clock.advance(DAY);
    let second = run(2).await;
    assert_eq!((second.report.copied, second.report.unchanged), (0, 200));
    stage.origin.push_image(SOURCE, "v7", &Image::small(99));
    stage.site.clock.advance(DAY - Duration::from_secs(10));
    assert_eq!(stage.status().await.run, 2, "it is not time yet");
    stage.site.clock.advance(Duration::from_secs(20));
    let third = run(3).await;
    assert_eq!((third.report.copied, third.report.unchanged), (1, 199));
    let (second, third) = (second.next.unwrap(), third.next.unwrap());
    assert_eq!(third.since(second), DAY, "the phase is kept");
}

/// What lies here already is linked, if whoever made the mirror has a right to it.
#[tokio::test]
async fn blobs_that_are_here_are_not_fetched_again() {
    let stage = Stage::new().await;
    let image = Image::with_layers(5, &[70_000, 30_000]);
    stage.origin.push_image(SOURCE, "v1", &image);
    stage.run_well().await;
    assert_eq!(stage.fetched("blobs"), 3);
    stage.origin.push_image("team/copy", "v1", &image);
    let other = stage
        .mirror("acme/copy", "team/copy", |record| record.configured = true)
        .await;
    stage.run_of(other).await;
    assert_eq!(stage.origin.count("GET", "/v2/team/copy/blobs/"), 0);
    stage.site.pull("acme/copy", "v1").await;
}

/// AZ-02: a source that only names a digest gets nothing that its owner may not read; it has to send the bytes.
#[tokio::test]
async fn bytes_of_others_come_from_a_source_that_anybody_gave() {
    let allow = |config: &mut entrepot::config::Config| {
        config.outbound.ssrf_allowed_hosts = vec!["127.0.0.0/8".parse().unwrap()];
        config.pushes.anonymous = vec!["local".parse().unwrap()];
    };
    let stage = Stage::with(still(), allow).await;
    let image = Image::with_layers(6, &[50_000]);
    stage.site.push_image("local/secret", "v1", &image).await;
    stage
        .site
        .set_visibility("local/secret", Visibility::Private)
        .await;
    stage.origin.push_image(SOURCE, "v1", &image);
    stage.decide(|record| record.configured = false).await;
    stage.run_well().await;
    assert_eq!(stage.fetched("blobs"), 2, "both had to be shown");
    // A second mirror of the same host needs its word only.
    stage.site.set_visibility(HERE, Visibility::Private).await;
    stage.origin.push_image("team/copy", "v1", &image);
    let other = stage
        .mirror("acme/copy", "team/copy", |record| record.configured = false)
        .await;
    stage.run_of(other).await;
    assert_eq!(stage.origin.count("GET", "/v2/team/copy/blobs/"), 0);
    assert_eq!(stage.origin.count("HEAD", "/v2/team/copy/blobs/"), 2);
}

/// A tag that goes back to what it was takes nothing from the source but a HEAD.
#[tokio::test]
async fn a_manifest_that_is_here_is_not_fetched_again() {
    let stage = Stage::new().await;
    let (one, two) = (Image::small(1), Image::small(2));
    stage.origin.push_image(SOURCE, "v1", &one);
    stage.origin.push_image(SOURCE, "latest", &one);
    stage.run_well().await;
    stage.origin.push_image(SOURCE, "v2", &two);
    stage.origin.push_image(SOURCE, "latest", &two);
    stage.run_well().await;
    let fetched = (stage.fetched("manifests"), stage.fetched("blobs"));
    assert_eq!(fetched, (2, 4));
    stage.origin.push_image(SOURCE, "latest", &one);
    let status = stage.run_well().await;
    assert_eq!(status.report.copied, 1);
    assert_eq!(
        (stage.fetched("manifests"), stage.fetched("blobs")),
        fetched
    );
    let latest = stage
        .site
        .get(&format!("/v2/{HERE}/manifests/latest"))
        .await;
    assert_eq!(Digest::of(&latest.body), one.digest());
}
