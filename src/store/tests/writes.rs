//! Batches: neighbours, hooks, answers and the end of the writer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use futures_util::FutureExt as _;
use tokio::task::{JoinSet, yield_now};

use super::*;
use crate::store::writer::QUEUE;

/// What a caller of the store returns from its closures.
#[derive(Debug, PartialEq)]
enum Outcome {
    Refused,
    Panicked,
    Store(String),
}

impl From<Error> for Outcome {
    fn from(error: Error) -> Self {
        match error {
            Error::Panicked => Self::Panicked,
            error => Self::Store(error.to_string()),
        }
    }
}

/// Occupies the writer until the returned end is dropped, so that what follows waits together.
fn hold_writer(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let (entered, inside) = mpsc::channel();
    let write = store.write(move |_| {
        let _ = entered.send(());
        let _ = held.lock().unwrap().recv();
        Ok::<_, Error>(())
    });
    // Polled once it is queued; dropped, it still runs.
    assert!(write.now_or_never().is_none());
    inside.recv().unwrap();
    release
}

async fn until_queued(site: &Site, writes: u64) {
    while site.metric("entrepot_store_queue_depth_writes") < writes {
        yield_now().await;
    }
}

/// CR-01: what was refused left nothing, what was answered is there after opening again.
#[tokio::test]
async fn writes_that_fail_or_panic_do_not_disturb_their_batch() {
    let site = Site::new();
    let hooks = Arc::new(AtomicUsize::new(0));
    let release = hold_writer(&site.store);
    let mut writes = JoinSet::new();
    for n in 0..400_u64 {
        let (store, hooks) = (site.store.clone(), Arc::clone(&hooks));
        writes.spawn(async move {
            let write = move |tx: &mut WriteTx<'_>| {
                let hooks = Arc::clone(&hooks);
                tx.after_commit(move || _ = hooks.fetch_add(1, Ordering::Relaxed));
                tx.settings().put_number(&format!("write {n}"), n)?;
                tx.settings().put_number("shared", n)?;
                match n % 50 {
                    7 => Err(Outcome::Refused),
                    8 => panic!("a defect of the caller"),
                    _ => Ok(n),
                }
            };
            (n, store.write(write).await)
        });
    }
    until_queued(&site, 400).await;
    drop(release);
    for (n, outcome) in writes.join_all().await {
        let expected = match n % 50 {
            7 => Err(Outcome::Refused),
            8 => Err(Outcome::Panicked),
            _ => Ok(n),
        };
        assert_eq!(outcome, expected);
    }
    assert_eq!(hooks.load(Ordering::Relaxed), 384);
    assert_eq!(site.metric("entrepot_store_panics_total"), 8);
    let batches = site.metric("entrepot_store_batch_size_writes");
    assert_eq!(batches, 3, "the held one, 256 and 144");
    let site = site.reopened();
    for n in 0..400 {
        let kept = !matches!(n % 50, 7 | 8);
        let value = value(&site.store, &format!("write {n}")).await;
        assert_eq!(value, kept.then_some(n), "write {n}");
    }
    assert!(!matches!(
        value(&site.store, "shared").await.unwrap() % 50,
        7 | 8
    ));
}

#[tokio::test]
async fn a_write_sees_those_before_it_in_its_batch() {
    let site = Site::new();
    let release = hold_writer(&site.store);
    let mut writes = JoinSet::new();
    for _ in 0..100 {
        let store = site.store.clone();
        writes.spawn(async move {
            let write = |tx: &mut WriteTx<'_>| {
                let count = tx.settings().number("count")?.unwrap_or(0);
                tx.settings().put_number("count", count + 1)
            };
            store.write(write).await
        });
    }
    until_queued(&site, 100).await;
    drop(release);
    for outcome in writes.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(value(&site.store, "count").await, Some(100));
}

#[tokio::test]
async fn hooks_run_once_when_their_write_is_durable_and_before_its_answer() {
    let site = Site::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (store, log) = (site.store.clone(), Arc::clone(&seen));
    let write = move |tx: &mut WriteTx<'_>| {
        let (store, log) = (store.clone(), Arc::clone(&log));
        tx.after_commit(move || {
            let value = value(&store, "fact").now_or_never().unwrap();
            log.lock().unwrap().push(value);
        });
        tx.settings().put_number("fact", 1)
    };
    site.store.write(write).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [Some(1)]);
}

#[tokio::test]
async fn a_panicking_hook_harms_nobody() {
    let site = Site::new();
    let write = |tx: &mut WriteTx<'_>| {
        tx.after_commit(|| panic!("a defect of the caller"));
        tx.settings().put_number("fact", 1)
    };
    site.store.write(write).await.unwrap();
    set(&site.store, "next", 2).await.unwrap();
    assert_eq!(value(&site.store, "fact").await, Some(1));
    assert_eq!(site.metric("entrepot_store_panics_total"), 1);
}

#[tokio::test]
async fn a_write_that_changes_nothing_costs_no_commit() {
    let site = Site::new();
    let read = |tx: &mut WriteTx<'_>| tx.settings().number("fact");
    assert_eq!(site.store.write(read).await.unwrap(), None);
    let refused = |tx: &mut WriteTx<'_>| {
        tx.settings().put_number("fact", 1)?;
        Err::<(), _>(Outcome::Refused)
    };
    assert_eq!(site.store.write(refused).await, Err(Outcome::Refused));
    assert_eq!(site.metric("entrepot_store_commit_duration_seconds"), 0);
}

#[tokio::test]
async fn a_batch_that_grows_large_is_committed_early() {
    let site = Site::new();
    let release = hold_writer(&site.store);
    let mut writes = JoinSet::new();
    for bytes in [16 << 20, 1, 1] {
        let store = site.store.clone();
        writes.spawn(async move {
            let write = move |tx: &mut WriteTx<'_>| {
                let text = "x".repeat(bytes);
                tx.settings().put_text("text", &text)
            };
            store.write(write).await
        });
    }
    until_queued(&site, 3).await;
    drop(release);
    writes
        .join_all()
        .await
        .into_iter()
        .collect::<Result<(), Error>>()
        .unwrap();
    assert_eq!(site.metric("entrepot_store_commit_duration_seconds"), 2);
}

#[tokio::test]
async fn dropping_the_last_handle_finishes_what_is_queued() {
    let site = Site::new();
    let release = hold_writer(&site.store);
    for n in 0..50 {
        let write = set(&site.store, n.to_string(), n);
        assert!(write.now_or_never().is_none(), "the caller goes away");
    }
    drop(release);
    let site = site.reopened();
    for n in 0..50 {
        assert_eq!(value(&site.store, &n.to_string()).await, Some(n));
    }
}

/// DK-11: a bounded number of writes waits for a slow disk; one more is refused after a while, and nothing
/// of it is done.
#[tokio::test(start_paused = true)]
async fn a_write_for_which_there_is_no_place_in_time_is_refused() {
    let site = Site::new();
    let release = hold_writer(&site.store);
    for n in 0..QUEUE {
        let write = set(&site.store, "last", n as u64);
        assert!(write.now_or_never().is_none());
    }
    let refused = set(&site.store, "over", 1).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    // From here on the writer's own pace counts.
    tokio::time::resume();
    drop(release);
    set(&site.store, "again", 1).await.unwrap();
    assert_eq!(value(&site.store, "again").await, Some(1));
    assert_eq!(value(&site.store, "over").await, None);
}

#[tokio::test]
async fn a_hook_may_drop_the_last_handle() {
    let Site {
        store,
        directory,
        metrics,
    } = Site::new();
    let release = hold_writer(&store);
    let last = Mutex::new(Some(store.clone()));
    let (ended, end) = oneshot::channel::<()>();
    let ended = Mutex::new(Some(ended));
    let write = store.write(move |tx| {
        let (last, ended) = (last.lock().unwrap().take(), ended.lock().unwrap().take());
        tx.after_commit(move || {
            drop(last);
            drop(ended);
        });
        tx.settings().put_number("fact", 1)
    });
    assert!(write.now_or_never().is_none());
    drop(store);
    drop(release);
    assert!(end.await.is_err(), "the hook came to its end");
    drop((directory, metrics));
}

#[tokio::test]
async fn a_read_keeps_to_its_snapshot() {
    let site = Site::new();
    set(&site.store, "fact", 1).await.unwrap();
    let (store, begun) = (site.store.clone(), Arc::new(tokio::sync::Notify::new()));
    let (release, held) = mpsc::channel::<()>();
    let entered = Arc::clone(&begun);
    let scan = tokio::spawn(async move {
        let scan = move |tx: &ReadTx| {
            entered.notify_one();
            let _ = held.recv();
            tx.settings().number("fact")
        };
        store.scan(scan).await
    });
    begun.notified().await;
    set(&site.store, "fact", 2).await.unwrap();
    drop(release);
    let seen: Result<_, Error> = scan.await.unwrap();
    assert_eq!(seen.unwrap(), Some(1));
    assert_eq!(value(&site.store, "fact").await, Some(2));
}
