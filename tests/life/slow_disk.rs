//! A disk that makes nothing durable for a while.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use entrepot::oci::Digest;
use entrepot::store::{Error, Store};
use futures_util::FutureExt as _;

use crate::bounds::{REPOSITORY, pull, push_images};
use crate::harness::content;
use crate::harness::local::Way;
use crate::harness::origin::Origin;
use crate::harness::pass_time;
use crate::harness::site::{Site, rule};

/// More than the store lets wait.
const MANY: usize = 2000;

/// Has a commit take until the returned end is dropped.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (held, (entered, inside)) = (Mutex::new(held), mpsc::channel());
    let write = store.write(move |_| {
        let _ = entered.send(());
        let _ = held.lock().unwrap().recv();
        Ok::<_, Error>(())
    });
    assert!(write.now_or_never().is_none());
    inside.recv().unwrap();
    release
}

/// DK-11: while commits do not end, what is held is pulled; what is pushed waits, and is told to come again
/// once so much waits that it cannot be had in time. Afterwards everything is as before.
#[tokio::test]
async fn on_a_disk_far_behind_pulls_go_on_and_pushes_are_told_to_come_again() {
    let origin = Origin::start().await;
    push_images(&origin, 1, 100_000);
    let rules = vec![rule("docker.io", "docker.io", &origin)];
    let site = Site::caching_with(rules, |config| {
        config.pushes.anonymous = vec!["local".parse().unwrap()];
    })
    .await;
    pull(&site, "v0").await;
    site.push_blob("local/app", &content::bytes(1, 1000)).await;

    let store = site.registry().store();
    let release = hold(store);
    for _ in 0..MANY {
        let nothing = store.write(|_| Ok::<_, Error>(()));
        assert!(nothing.now_or_never().is_none(), "it waits");
    }
    let blob = content::bytes(2, 1000);
    let digest = Digest::of(&blob);
    let push = site.push_blob_by(Way::Post, "local/app", &blob, &digest);
    tokio::pin!(push);
    for _ in 0..20 {
        assert!(push.as_mut().now_or_never().is_none(), "it waits too");
        site.pull(REPOSITORY, "v0").await;
    }
    let (answer, ()) = tokio::join!(push, pass_time(Duration::from_secs(11)));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(answer.code(), "UNAVAILABLE");
    assert_eq!(answer.header("retry-after"), "10");
    site.pull(REPOSITORY, "v0").await;

    drop(release);
    site.push_blob("local/app", &blob).await;
    assert!(!site.registry().store().failed());
}
