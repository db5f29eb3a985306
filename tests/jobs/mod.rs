//! The loops, turning fast.

mod pruning;

use std::time::Duration;

use entrepot::jobs::Intervals;
use entrepot::model::{ByteSize, Job, LogFilter, Timestamp, Visibility};
use entrepot::oci::Digest;
use entrepot::store;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};
use crate::harness::soon;

/// Loops that never turn, to be overridden one by one.
fn still() -> Intervals {
    let never = Duration::from_secs(30 * 86_400);
    Intervals {
        flush: never,
        relief: never,
        gauges: never,
        first_sweep: never,
        sweep: never,
        collection: None,
        leftovers: never,
        scrub: Some(never),
        queue: never,
        mirrors: never,
        keys: never,
        files: never,
    }
}

const FAST: Duration = Duration::from_millis(2);

/// Waits until `holds` is true, turning with the loops.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// CR-07: a file that no row names goes, what is held stays.
#[tokio::test]
async fn the_sweep_removes_orphans_and_nothing_else() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("library/app", "v1", &image);
    let rules = vec![rule("docker.io", "docker.io", &origin)];
    let mut site = Site::start_turning(still(), |config| config.upstreams = rules.clone()).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    site.stop().await;
    let path = |bytes: &[u8]| {
        let hex = Digest::of(bytes).hex();
        site.config
            .data_dir
            .join(format!("blobs/sha256/{}/{hex}", &hex[..2]))
    };
    let orphan = path(b"orphan");
    std::fs::create_dir_all(orphan.parent().unwrap()).unwrap();
    std::fs::write(&orphan, b"orphan").unwrap();
    let layer = path(&image.layers[0]);
    site.intervals = Intervals {
        first_sweep: Duration::ZERO,
        ..still()
    };
    site.restart().await;
    until("the orphan to go", async || !orphan.exists()).await;
    assert!(layer.exists());
    site.pull("docker.io/library/app", "v1").await;
}

/// DK-04: a quota that was lowered is kept again soon, without anyone asking.
#[tokio::test]
async fn relief_brings_a_cache_under_its_quota() {
    let origin = Origin::start().await;
    for seed in 1..4 {
        let image = Image::with_layers(seed, &[100_000]);
        origin.push_image("library/app", &format!("v{seed}"), &image);
    }
    let mut rule = rule("docker.io", "docker.io", &origin);
    let rules = vec![rule.clone()];
    let intervals = Intervals {
        relief: FAST,
        ..still()
    };
    let site = Site::start_turning(intervals, |config| config.upstreams = rules).await;
    for seed in 1..4 {
        site.pull("docker.io/library/app", &format!("v{seed}"))
            .await;
        site.clock.advance(Duration::from_secs(60));
    }
    site.settled().await;
    let held = async || site.registry().holdings().await.unwrap()[0].held_bytes;
    assert!(held().await > 300_000);
    rule.quota = Some(ByteSize(250_000));
    let deadlines = site.config.deadlines.clone();
    site.proxy()
        .reconfigure(vec![rule], deadlines, false, true)
        .await
        .unwrap();
    until("the cache to shrink", async || held().await <= 250_000).await;
    // The image that was used last is the one that stays.
    let asked = origin.count("GET", "/v2/library/app/blobs/");
    site.pull("docker.io/library/app", "v3").await;
    assert_eq!(origin.count("GET", "/v2/library/app/blobs/"), asked);
}

/// CR-11: last-used times reach the store without a pull writing them.
#[tokio::test]
async fn a_crash_loses_little_of_what_was_noted() {
    let origin = Origin::start().await;
    origin.push_image("library/app", "v1", &Image::small(1));
    let rules = vec![rule("docker.io", "docker.io", &origin)];
    let intervals = Intervals {
        flush: FAST,
        ..still()
    };
    let site = Site::start_turning(intervals, |config| config.upstreams = rules).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    site.clock.advance(Duration::from_secs(3600));
    site.pull("docker.io/library/app", "v1").await;
    let now = site.clock.now();
    let (organization, _) = site
        .registry()
        .namespace(&"docker.io".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    until("the flush", async || {
        let store = site.registry().store();
        let oldest = store
            .scan(move |tx| tx.recency().oldest(organization, None, 10))
            .await
            .unwrap();
        oldest.iter().any(|(_, recency)| recency.last_used == now)
    })
    .await;
}

#[tokio::test]
async fn gauges_show_what_is_held_and_free() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("library/app", "v1", &image);
    let mut rule = rule("docker.io", "docker.io", &origin);
    rule.quota = Some(ByteSize::gib(1));
    let intervals = Intervals {
        gauges: FAST,
        ..still()
    };
    let site = Site::start_turning(intervals, |config| config.upstreams = vec![rule]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    let bytes: usize = image.blobs().map(bytes::Bytes::len).sum();
    let expected = (bytes + image.manifest.bytes.len()) as f64;
    let labels = [("organization", "docker.io")];
    until("the gauge", async || {
        site.metric("entrepot_quota_held_bytes", &labels).await == expected
    })
    .await;
    assert_eq!(
        site.metric("entrepot_quota_limit_bytes", &labels).await,
        f64::from(1 << 30)
    );
    assert!(site.metric("entrepot_jobs_disk_free_bytes", &[]).await > 0.0);
}

/// SC-098: lines that are older than they are kept go when the calendar has put that on the queue.
#[tokio::test]
async fn old_lines_of_the_log_go_by_the_queue() {
    let intervals = Intervals {
        queue: FAST,
        ..still()
    };
    let site = Site::start_turning(intervals, |_| {}).await;
    site.organization("acme", None).await;
    site.repository("acme/app", Visibility::Private).await;
    let store = site.registry().store();
    let lines = async || {
        let filter = LogFilter {
            scope: None,
            performer: None,
            since: Timestamp::default(),
            until: site.clock.now() + Duration::from_millis(1),
        };
        let list = store.scan(move |tx| tx.logs().list(&filter, None, 50));
        let list: Result<Vec<_>, store::Error> = list.await;
        list.unwrap().len()
    };
    assert!(lines().await > 0);
    site.clock.advance(Duration::from_secs(40 * 86_400));
    let rotate =
        |tx: &mut store::WriteTx<'_>| tx.jobs().enqueue(Job::RotateLogs, Timestamp::default());
    let queued: Result<(), store::Error> = store.write(rotate).await;
    queued.unwrap();
    until("the old lines to go", async || lines().await == 0).await;
}
