//! Memory does not grow with readers, and warm pulls write nothing.

use std::time::Duration;

use entrepot::oci::Digest;

use super::{REPOSITORY, pull, push_images};
use crate::harness::content;
use crate::harness::origin::Origin;
use crate::harness::pass_time;
use crate::harness::process::{Place, Process};
use crate::harness::site::Site;
use crate::harness::soon;
use crate::life::{caching, get};

const READERS: usize = 100;

/// RS-01, in short: a bound on growth, not on time.
const GROWTH: u64 = 48 << 20;

/// Anonymous memory of the process: what the page cache has of mapped blobs is not its own.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib << 10
}

/// A hundred slow readers of one large blob, each in the middle of it at the same time.
#[tokio::test]
async fn slow_readers_of_a_large_blob_share_it() {
    let origin = Origin::start().await;
    let blob = content::bytes(3, 24 << 20);
    let digest = origin.push_blob("library/app", &blob);
    let place = Place::new(&caching(&origin, ""));
    let process = place.serve().await;
    let path = format!("blobs/{digest}");
    soon("a hit", async {
        while get(&process, &path).await.unwrap().cache_status != "entrepot; hit" {}
    })
    .await;
    let before = resident(&process);
    let url = process.url(&format!("/v2/docker.io/library/app/{path}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut response = soon("the head", client.get(&url).send()).await.unwrap();
        let first = soon("a piece", response.chunk()).await.unwrap();
        assert!(first.is_some_and(|piece| blob.starts_with(&piece)));
        readers.push(response);
    }
    let grown = resident(&process).saturating_sub(before);
    assert!(grown < GROWTH, "{} MiB for {READERS} readers", grown >> 20);
    assert!(resident(&process) < 2 * GROWTH, "{before} before");
    // They were in the middle of it indeed: the last of them reads on to the end.
    let rest = soon("the rest", readers.pop().unwrap().bytes())
        .await
        .unwrap();
    assert!(!rest.is_empty() && blob.ends_with(&rest));
}

/// CR-11: a pull of what is held writes nothing; what was noted goes to the disk in one commit.
#[tokio::test]
async fn warm_pulls_never_write_to_the_store() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 3, 10_000);
    let mut rule = crate::harness::site::rule("docker.io", "docker.io", &origin);
    rule.fresh = Duration::from_secs(3600);
    let site = Site::caching(vec![rule]).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    site.registry().flush_recency().await.unwrap();
    let commits = async || {
        site.metric("entrepot_store_commit_duration_seconds_count", &[])
            .await
    };
    let before = commits().await;
    assert!(before >= 3.0, "cold pulls commit");
    for round in 0..40 {
        site.pull(REPOSITORY, &format!("v{}", round % 3)).await;
        let digest = Digest::of(&images[round % 3].layers[0]);
        let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
        assert_eq!(site.head(&path).await.status, 200);
        site.clock.advance(Duration::from_secs(1));
    }
    // The loops turn: gauges, relief.
    pass_time(Duration::from_secs(11)).await;
    site.pull(REPOSITORY, "v0").await;
    assert_eq!(commits().await, before, "121 warm pulls commit nothing");
    assert!(site.registry().flush_recency().await.unwrap() >= 3);
    assert_eq!(commits().await, before + 1.0);
    // Tags that are validated at every pull write no more than that either.
    let mut config = site.config.clone();
    config.upstreams[0].fresh = Duration::ZERO;
    site.app().reload(Ok((config, Vec::new()))).await;
    let before = commits().await;
    for _ in 0..10 {
        site.pull(REPOSITORY, "v1").await;
    }
    assert_eq!(commits().await, before);
    assert!(origin.count("HEAD", "/v2/library/app/manifests/v1") >= 10);
}
