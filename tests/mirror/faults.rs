//! Sources that lie, limit, break off and vanish (CA-10): the set that is here stays whole, and nothing is lost by a
//! list that is none.

use std::fs;
use std::time::Duration;

use entrepot::model::{LogKind, SyncState};
use entrepot::oci::Digest;

use super::{HERE, SOURCE, Stage};
use crate::harness::chance::Chance;
use crate::harness::clients::variable;
use crate::harness::content::Image;
use crate::harness::origin::Fault;
use crate::harness::{files, soon};

const LIST: &str = "/v2/team/app/tags/list";
const HOUR: Duration = Duration::from_secs(3_600);

async fn with_tags(count: u64) -> Stage {
    let stage = Stage::new().await;
    for number in 0..count {
        let image = Image::with_layers(number, &[20_000, 3_000]);
        stage
            .origin
            .push_image(SOURCE, &format!("v{number}"), &image);
    }
    stage
}

fn status(code: u16) -> Fault {
    Fault::Status(code, Vec::new(), "{}")
}

/// CA-10: no list, half a list and an empty list end no tag.
#[tokio::test]
async fn a_list_that_is_none_ends_no_tag() {
    let stage = with_tags(6).await;
    stage.run_well().await;
    let before = stage.tags().await;
    stage.origin.page_by(2);
    for fault in [
        status(500),
        status(404),
        Fault::Html,
        Fault::CutAt(10),
        Fault::Content("application/json", r#"{"tags": ["v1"#.into()),
    ] {
        stage.origin.heal();
        // The second page: half of the list has come.
        stage.origin.once("GET", LIST, Fault::Headers(Vec::new()));
        stage.origin.always("GET", LIST, fault.clone());
        let ended = stage.run().await;
        assert_eq!(ended.state, SyncState::Fail, "{fault:?}");
        assert_eq!(stage.tags().await, before, "{fault:?}");
        stage.site.clock.advance(24 * HOUR);
    }
    stage.origin.heal();
    for empty in [r#"{"tags": []}"#, r#"{"tags": null}"#] {
        stage.origin.once(
            "GET",
            LIST,
            Fault::Content("application/json", empty.into()),
        );
        let ended = stage.run().await;
        assert_eq!(ended.state, SyncState::Success);
        assert_eq!(ended.report.message, "No tags matched");
        assert_eq!(stage.tags().await, before);
    }
}

/// CA-10: a wrong byte fails its tag, which stays where it was; the others are copied.
#[tokio::test]
async fn wrong_bytes_fail_their_tag_and_no_other() {
    let stage = with_tags(3).await;
    stage.run_well().await;
    let old = stage.told("v1").await.unwrap().digest;
    let (wrong, right) = (
        Image::with_layers(11, &[5_000]),
        Image::with_layers(12, &[5_000]),
    );
    stage.origin.push_image(SOURCE, "v1", &wrong);
    stage.origin.push_image(SOURCE, "v2", &right);
    let layer = Digest::of(&wrong.layers[0]);
    stage.origin.always(
        "GET",
        &format!("/v2/{SOURCE}/blobs/{layer}"),
        Fault::WrongBytes,
    );
    let status = stage.run().await;
    assert_eq!((status.state, status.retries_left), (SyncState::Fail, 2));
    assert_eq!((status.report.copied, status.report.failed), (1, 1));
    let told = stage.told("v1").await.unwrap();
    assert!(
        told.failure
            .as_deref()
            .is_some_and(|it| it.contains("sha256:")),
        "{told:?}"
    );
    let tags = stage.tags().await;
    let held = |name: &str| {
        tags.iter()
            .find(|(tag, _)| tag.as_str() == name)
            .unwrap()
            .1
            .digest
    };
    assert_eq!((Some(held("v1")), held("v2")), (old, right.digest()));
    let log = stage.log().await;
    assert!(
        log.iter()
            .any(|line| line.kind == LogKind::RepoMirrorSyncTagFailed)
    );
    let last = log.last().unwrap();
    assert_eq!(last.kind, LogKind::RepoMirrorSyncFailed);
    assert!(
        last.metadata()["message"]
            .as_str()
            .unwrap()
            .starts_with("PARTIAL SYNC")
    );
    stage.origin.heal();
    stage.run_well().await;
    stage.site.pull(HERE, "v1").await;
    // A digest that the HEAD tells wrongly is found out too.
    let lie = (
        "docker-content-digest",
        Some(Digest::of(b"no such thing").to_string()),
    );
    stage.origin.always(
        "HEAD",
        "/v2/team/app/manifests/v0",
        Fault::Headers(vec![lie]),
    );
    let status = stage.run().await;
    assert_eq!((status.state, status.report.failed), (SyncState::Fail, 1));
    stage.site.pull(HERE, "v0").await;
}

/// UP-08: a short wait is waited for, and nothing fails.
#[tokio::test]
async fn a_limit_that_ends_soon_is_waited_for() {
    let stage = with_tags(12).await;
    let wait = vec![("retry-after", "1".to_owned())];
    stage.origin.once(
        "GET",
        "/v2/team/app/manifests/",
        Fault::Status(429, wait, "{}"),
    );
    let status = stage.run_well().await;
    assert_eq!((status.report.copied, status.report.failed), (12, 0));
}

/// UP-08: a long one ends the run: the source is left alone, and what came stays.
#[tokio::test]
async fn a_limit_that_lasts_leaves_the_rest_for_later() {
    let stage = with_tags(40).await;
    stage.origin.times(
        25,
        "GET",
        "/v2/team/app/manifests/",
        Fault::Headers(Vec::new()),
    );
    let wait = vec![("retry-after", "1800".to_owned())];
    stage.origin.always(
        "GET",
        "/v2/team/app/manifests/",
        Fault::Status(429, wait, "{}"),
    );
    let status = stage.run().await;
    assert_eq!(status.state, SyncState::Fail);
    assert!(
        (10..=25).contains(&status.report.copied),
        "{:?}",
        status.report
    );
    assert!(
        status.report.message.contains("wait for another try"),
        "{:?}",
        status.report
    );
    let until = status.not_before.unwrap();
    assert!(
        until.since(stage.site.clock.now()) >= Duration::from_secs(1_790),
        "{until}"
    );
    let asked = stage.fetched("manifests");
    assert!(asked <= 25 + 9, "{asked}");
    assert_eq!(stage.mirrors().queue_due().await.unwrap(), 0, "it rests");
    let before = stage.names().await;
    assert_eq!(before.len() as u64, status.report.copied);
    for name in before {
        stage.site.pull(HERE, &name).await;
    }
}

/// Cancelled in the middle of a blob: the tag is not there, and what came of the blob is gone on with.
#[tokio::test]
async fn a_run_ends_in_the_middle_of_a_blob_when_it_is_cancelled() {
    let stage = Stage::new().await;
    let image = Image::with_layers(1, &[400_000]);
    stage.origin.push_image(SOURCE, "v1", &image);
    let layer = Digest::of(&image.layers[0]);
    let blob = format!("/v2/{SOURCE}/blobs/{layer}");
    stage.origin.once("GET", &blob, Fault::StallAt(200_000));
    stage.mirrors().want(stage.repository).await.unwrap();
    let mirror = stage.mirrors().clone();
    let run = mirror.run(stage.repository);
    let cancel = async {
        stage.origin.wait_stalled(1).await;
        let partial = files::partial(&stage.site.config.data_dir, &layer);
        soon("some bytes of it", async {
            while !fs::metadata(&partial).is_ok_and(|file| file.len() > 50_000) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stage.cancel().await;
    };
    let (ended, ()) = tokio::join!(run, cancel);
    let status = ended.unwrap().unwrap();
    assert_eq!(
        (status.state, status.next, status.retries_left),
        (SyncState::Cancel, None, 0)
    );
    assert!(status.report.ended.is_some());
    assert!(stage.names().await.is_empty());
    let last = stage.log().await.pop().unwrap();
    assert_eq!(last.kind, LogKind::RepoMirrorSyncFailed);
    assert_eq!(last.metadata()["verb"], "Cancelled");
    stage.origin.release();
    stage.site.clock.advance(1_000 * HOUR);
    assert_eq!(
        stage.mirrors().queue_due().await.unwrap(),
        0,
        "nobody wants it"
    );
    let status = stage.run_well().await;
    assert_eq!(status.run, 2);
    stage.site.pull(HERE, "v1").await;
    let resumed = stage.origin.last("GET", &blob);
    assert!(
        resumed
            .header("range")
            .is_some_and(|range| range != "bytes=0-"),
        "{resumed:?}"
    );
}

#[tokio::test]
async fn a_tag_that_vanishes_between_list_and_look_fails_alone_and_ends_with_the_next_list() {
    let stage = with_tags(3).await;
    stage.run_well().await;
    stage
        .origin
        .always("HEAD", "/v2/team/app/manifests/v1", status(404));
    let ended = stage.run().await;
    assert_eq!(
        (ended.state, ended.report.unchanged, ended.report.failed),
        (SyncState::Fail, 2, 1)
    );
    assert_eq!(stage.names().await, ["v0", "v1", "v2"]);
    stage.origin.heal();
    stage.origin.untag(SOURCE, "v1");
    let ended = stage.run_well().await;
    assert_eq!(ended.report.ended_tags, 1);
    assert_eq!(stage.names().await, ["v0", "v2"]);
}

/// Three tries with growing pauses, then the next interval.
#[tokio::test]
async fn a_source_that_is_down_is_tried_three_times() {
    let stage = with_tags(1).await;
    stage.begin_now().await;
    stage.origin.stop().await;
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let run = stage.mirrors().run(stage.repository).await.unwrap();
        let status = run.unwrap();
        assert_eq!(status.state, SyncState::Fail);
        assert_eq!(
            stage.mirrors().run(stage.repository).await.unwrap(),
            None,
            "it waits"
        );
        let now = stage.site.clock.now();
        let until = status.not_before.max(status.next).unwrap();
        pauses.push(until.since(now).as_secs());
        stage.site.clock.advance(until.since(now));
    }
    assert!(
        (60..=76).contains(&pauses[0]) && (300..=376).contains(&pauses[1]),
        "{pauses:?}"
    );
    assert!(pauses[2] > 3_600, "{pauses:?}");
    stage.origin.restart().await;
    let status = stage
        .mirrors()
        .run(stage.repository)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((status.state, status.run), (SyncState::Success, 4));
}

/// CA-10: cut at random, over and over: whatever is here is whole, and nothing that was here is lost.
/// `ENTREPOT_LONG=1` cuts 200 times.
#[tokio::test]
async fn runs_that_are_cut_at_random_leave_no_half_image() {
    let cuts = if variable("ENTREPOT_LONG").is_some() {
        200
    } else {
        12
    };
    let stage = with_tags(8).await;
    stage.run_well().await;
    let mut chance = Chance::new(7);
    for round in 0..cuts {
        let number = chance.of(0..8);
        let image = Image::with_layers(100 + round, &[30_000, 9_000]);
        stage
            .origin
            .push_image(SOURCE, &format!("v{number}"), &image);
        let (method, prefix) = [
            ("GET", "/v2/team/app/blobs/"),
            ("GET", "/v2/team/app/manifests/"),
            ("HEAD", "/v2/team/app/manifests/"),
            ("GET", LIST),
        ][chance.of(0..4)];
        let fault = match chance.of(0..4) {
            0 => Fault::HangUp,
            1 => Fault::CutAt(chance.of(0..20_000)),
            2 => status(503),
            _ => Fault::WrongBytes,
        };
        stage.origin.times(6, method, prefix, fault);
        let ended = stage.run().await;
        assert!(matches!(ended.state, SyncState::Success | SyncState::Fail));
        stage.origin.heal();
        let names = stage.names().await;
        assert_eq!(names.len(), 8, "round {round}: {names:?}");
        stage.site.pull(HERE, &format!("v{number}")).await;
        stage.site.clock.advance(24 * HOUR);
    }
    stage.run_well().await;
    for (tag, _) in stage.tags().await {
        stage.site.pull(HERE, tag.as_str()).await;
    }
}
