//! Many who want the same at the same time.

use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;
use futures_util::future::join_all;
use reqwest::Method;

use super::{BLOBS, BY_TAG, LARGE, MANIFESTS, blob, fresh_for_a_minute, patient, stage, way};
use super::{LATER, manifest, stage_with};
use crate::harness::content::{Image, bytes};
use crate::harness::origin::{Fault, Origin};
use crate::harness::site::{Answer, Site, rule};
use crate::harness::{pass_time, soon};

const MANY: usize = 64;

async fn all(site: &Site, path: &str) -> Vec<Answer> {
    join_all((0..MANY).map(|_| site.get(path))).await
}

/// CA-03: one upstream GET; every one of 64 gets all the bytes, while they arrive.
#[tokio::test]
async fn any_number_of_askers_share_one_fetch_of_a_blob() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::StallAt(600_000));
    let path = blob(layer);
    let asked = join_all((0..MANY).map(|_| site.begin(&path, &[]))).await;
    // Everybody has an answer that is on its way before upstream has sent the blob.
    assert_eq!(origin.count("GET", BLOBS), 1);
    origin.release();
    let bodies = join_all(asked.into_iter().map(reqwest::Response::bytes));
    for body in soon("all bodies", bodies).await {
        assert_eq!(Digest::of(&body.unwrap()), Digest::of(layer));
    }
    assert_eq!(origin.count("GET", BLOBS), 1);
    let outcomes = [
        ("organization", "docker.io"),
        ("kind", "blob"),
        ("outcome", "joined"),
    ];
    let joined = site
        .metric("entrepot_proxy_requests_total", &outcomes)
        .await;
    assert_eq!(joined, (MANY - 1) as f64);
}

/// CA-03: with an upstream that answers at once, some ask before, some while and some after.
#[tokio::test]
async fn askers_who_come_as_a_fetch_ends_do_not_begin_another() {
    let (origin, site, _) = stage(&[10]).await;
    for seed in 0..20 {
        let content = bytes(100 + seed, 2_000);
        let digest = origin.push_blob("library/app", &content);
        for answer in all(&site, &blob(&content)).await {
            assert_eq!(answer.body, content);
        }
        assert_eq!(
            origin.count("GET", &format!("{BLOBS}{digest}")),
            1,
            "round {seed}"
        );
        let image = Image::small(100 + seed);
        let tag = format!("t{seed}");
        origin.push_manifest("library/app", Some(&tag), &image.manifest);
        for answer in all(&site, &manifest(&tag)).await {
            assert_eq!(answer.body, image.manifest.bytes);
        }
        assert_eq!(
            origin.count("GET", &format!("{MANIFESTS}{tag}")),
            1,
            "round {seed}"
        );
    }
}

/// CA-03: who asked first may leave; the fetch goes on for the others.
#[tokio::test]
async fn the_first_asker_may_leave() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::StallAt(300_000));
    let path = blob(layer);
    let mut leader = site.begin(&path, &[]).await;
    soon("a piece", leader.chunk()).await.unwrap().unwrap();
    let followers = join_all((0..5).map(|_| site.begin(&path, &[]))).await;
    origin.wait_stalled(1).await;
    drop(leader);
    origin.release();
    let bodies = join_all(followers.into_iter().map(reqwest::Response::bytes));
    for body in soon("the followers' bodies", bodies).await {
        assert!(body.unwrap() == layer);
    }
    assert_eq!(origin.count("GET", BLOBS), 1);
}

/// A fetch is finished, and held, even if all who asked have left.
#[tokio::test]
async fn what_was_begun_for_one_who_left_is_there_for_the_next() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::StallAt(300_000));
    drop(site.begin(&blob(layer), &[]).await);
    origin.wait_stalled(1).await;
    origin.release();
    assert!(site.get(&blob(layer)).await.body == layer);
    assert_eq!(origin.count("GET", BLOBS), 1);
}

/// Waits until everybody has a connection, and has had time to be heard on it.
async fn everyone_has_asked(site: &Site) {
    soon("all connections", async {
        while site.metric("entrepot_http_connections", &[]).await < MANY as f64 {}
    })
    .await;
    for _ in 0..10 {
        site.metric("entrepot_http_connections", &[]).await;
    }
}

/// CA-04: a long fill that nobody reads any more is put aside, and gone on with when somebody asks.
#[tokio::test]
async fn a_long_fill_for_nobody_waits_for_the_next_asker() {
    let (origin, site, _) = stage_with(&[10], |_| {}, patient).await;
    let content = bytes(7, 80 << 20);
    origin.push_blob("library/app", &content);
    origin.once("GET", BLOBS, Fault::StallAt(1 << 20));
    drop(site.begin(&blob(&content), &[]).await);
    origin.wait_stalled(1).await;
    soon("the end of the client's connection", async {
        // What remains is the one that this is asked by.
        while site.metric("entrepot_http_connections", &[]).await > 1.0 {}
    })
    .await;
    pass_time(Duration::from_secs(31)).await;
    origin.release();
    site.settled().await;
    assert!(!site.proxy().is_filling(&Digest::of(&content)));
    assert_eq!(site.registry().blobs().partials().await.unwrap().len(), 1);
    assert!(site.get(&blob(&content)).await.body == content);
    let asked = origin.last("GET", BLOBS).header("range").cloned().unwrap();
    let from = asked
        .strip_prefix("bytes=")
        .unwrap()
        .strip_suffix('-')
        .unwrap();
    let from: usize = from.parse().unwrap();
    assert!((1 << 20..16 << 20).contains(&from), "{from}");
}

/// The same for manifests by tag and by digest, and for HEAD.
#[tokio::test]
async fn any_number_of_askers_share_one_fetch_of_a_manifest() {
    let (origin, site, image) = stage_with(&[10], |_| {}, patient).await;
    for (method, path) in [
        (Method::HEAD, BY_TAG.to_owned()),
        (Method::GET, manifest(image.digest())),
    ] {
        origin.once(
            if method == Method::HEAD {
                "HEAD"
            } else {
                "GET"
            },
            MANIFESTS,
            Fault::StallBeforeHeaders,
        );
        let url = site.url(&path);
        let before = origin.requests().len();
        let asking = join_all((0..MANY).map(|_| site.ask(method.clone(), &url, &[])));
        let letting_go = async {
            origin.wait_for(1, method.as_str(), MANIFESTS).await;
            everyone_has_asked(&site).await;
            origin.release();
        };
        let (answers, ()) = tokio::join!(asking, letting_go);
        for answer in answers {
            assert_eq!(
                answer.header("docker-content-digest"),
                image.digest().to_string()
            );
        }
        assert_eq!(origin.requests().len(), before + 1, "{method}");
    }
}

/// A validation is one HEAD for all who wait, and so is what follows from it.
#[tokio::test]
async fn any_number_of_askers_share_one_validation() {
    let (origin, site, _) = stage_with(&[10], fresh_for_a_minute, |_| {}).await;
    site.get(BY_TAG).await;
    let moved = Image::small(2);
    origin.push_image("library/app", "v1", &moved);
    site.clock.advance(LATER);
    for answer in all(&site, BY_TAG).await {
        assert_eq!(answer.body, moved.manifest.bytes);
    }
    assert_eq!(
        (
            origin.count("HEAD", MANIFESTS),
            origin.count("GET", MANIFESTS)
        ),
        (1, 2)
    );
}

/// One failed fetch is one failure, told to all: not as many tries as askers.
#[tokio::test]
async fn askers_share_a_failure_too() {
    let (origin, site, image) = stage(&[10]).await;
    origin.always("GET", BLOBS, Fault::Status(404, vec![], ""));
    let answers = all(&site, &blob(&image.layers[0])).await;
    answers
        .iter()
        .for_each(|answer| super::assert_is(answer, 404, "BLOB_UNKNOWN"));
    assert_eq!(origin.count("GET", BLOBS), 1);
}

/// A layer that two repositories share comes once, and is in both afterwards.
#[tokio::test]
async fn a_layer_of_two_repositories_comes_once() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    origin.push_image("library/other", "v1", &image);
    let layer = &image.layers[0];
    for repository in ["app", "other"] {
        site.get(&format!("/v2/docker.io/library/{repository}/manifests/v1"))
            .await;
    }
    origin.once("GET", BLOBS, Fault::StallAt(300_000));
    let there = format!("/v2/docker.io/library/other/blobs/{}", Digest::of(layer));
    let both = [
        site.begin(&blob(layer), &[]).await,
        site.begin(&there, &[]).await,
    ];
    origin.release();
    for response in both {
        assert!(soon("a body", response.bytes()).await.unwrap() == layer);
    }
    assert_eq!(origin.count("GET", "/v2/library/other/blobs/"), 0);
    assert_eq!(origin.count("GET", BLOBS), 1);
    origin.stop().await;
    assert!(site.get(&there).await.body == layer);
}

/// CA-17: a fetch that fails for one repository says nothing about another.
#[tokio::test]
async fn a_fetch_that_fails_elsewhere_does_not_fail_here() {
    let (poor, rich) = (Origin::start().await, Origin::start().await);
    let image = Image::with_layers(1, &[LARGE]);
    rich.push_image("app", "v1", &image);
    poor.push_image("app", "v1", &Image::small(2));
    let rules = vec![
        rule("poor", "poor.example", &poor),
        rule("rich", "rich.example", &rich),
    ];
    let site = Site::caching_with(rules, patient).await;
    site.get("/v2/rich/app/manifests/v1").await;
    let digest = Digest::of(&image.layers[0]);
    poor.once("GET", "/v2/app/blobs/", Fault::StallBeforeHeaders);
    let (at_poor, at_rich) = (
        format!("/v2/poor/app/blobs/{digest}"),
        format!("/v2/rich/app/blobs/{digest}"),
    );
    let both = async { tokio::join!(site.get(&at_poor), site.get(&at_rich)) };
    let letting_go = async {
        poor.wait_for(1, "GET", "/v2/app/blobs/").await;
        poor.release();
    };
    let ((at_poor, at_rich), ()) = tokio::join!(both, letting_go);
    super::assert_is(&at_poor, 404, "BLOB_UNKNOWN");
    assert_eq!(at_rich.status, 200, "{}", way(&at_rich));
    assert!(at_rich.body == image.layers[0]);
}

/// A client that does not read holds nobody up.
#[tokio::test]
async fn a_slow_reader_does_not_slow_the_others() {
    let (origin, site, _) = stage(&[10]).await;
    // More than sockets buffer.
    let content: Bytes = bytes(7, 24 << 20);
    origin.push_blob("library/app", &content);
    let slow = site.begin(&blob(&content), &[]).await;
    assert!(site.get(&blob(&content)).await.body == content);
    assert!(soon("the slow one's body", slow.bytes()).await.unwrap() == content);
    assert_eq!(origin.count("GET", BLOBS), 1);
}

/// Whoever asks again the moment an answer has ended asks upstream nothing, not even for a right that
/// the repository's own fill has just proved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_again_as_a_fill_ends_costs_nothing() {
    let origin = Origin::start().await;
    let site = Site::cache_of(&origin).await;
    for seed in 0..60 {
        let content = bytes(seed, 20_000);
        let digest = origin.push_blob("library/app", &content);
        let path = format!("/v2/docker.io/library/app/blobs/{digest}");
        for _ in 0..4 {
            assert!(site.get(&path).await.body == content);
        }
        let asked = origin.count("GET", &format!("/v2/library/app/blobs/{digest}"));
        assert_eq!(asked, 1, "blob {seed}");
    }
}
