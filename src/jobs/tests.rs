//! The queue, over a real store and a clock that is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::lease::{Claim, LEASE, Outcome, Queue};
use super::run::{Pace, Progress, run};
use crate::model::{Clock, Job, JobRecord, Lane, NamespaceId, RepositoryId, Timestamp};
use crate::store::{Error, Options, ReadTx, Store};

const HOUR: Duration = Duration::from_secs(3_600);
const DECADE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A store in a folder of its own, and a clock.
struct Site {
    store: Store,
    clock: Clock,
    _folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let options = Options {
            cache_bytes: 1 << 20,
        };
        let metrics = prometheus::Registry::new();
        let store = Store::open(&folder.path().join("store.redb"), &options, &metrics);
        Self {
            store: store.unwrap(),
            clock: Clock::manual(Timestamp::from_millis(1_767_225_600_000)),
            _folder: folder,
        }
    }

    /// The queue of a process that begins now.
    async fn queue(&self) -> Queue {
        let opened = Queue::open(self.store.clone(), self.clock.clone());
        opened.await.unwrap()
    }

    async fn record(&self, job: Job) -> Option<JobRecord> {
        let read = |tx: &ReadTx| tx.jobs().record(job);
        let read: Result<_, Error> = self.store.read(read).await;
        read.unwrap()
    }

    /// Sets the clock, forward or back.
    fn set(&self, by: i64) {
        let Clock::Manual(now) = &self.clock else {
            panic!("the clock of a test is moved");
        };
        now.fetch_add(by * 1_000, Ordering::Relaxed);
    }
}

fn job(id: u64) -> Job {
    Job::Prune(NamespaceId(id))
}

async fn claimed(queue: &Queue, running: &[Job], most: usize) -> Vec<Job> {
    let claims = queue.claim(Lane::Upkeep, running, most).await.unwrap();
    claims.into_iter().map(|claim| claim.job).collect()
}

#[tokio::test]
async fn a_job_is_done_once_however_often_it_is_wanted() {
    let site = Site::new();
    let queue = site.queue().await;
    for wait in [HOUR, Duration::ZERO, HOUR] {
        queue.enqueue(job(1), wait).await.unwrap();
    }
    assert!(claimed(&queue, &[], 9).await.is_empty(), "it is not due");
    site.clock.advance(HOUR);
    assert_eq!(claimed(&queue, &[], 9).await, [job(1)]);
    assert!(claimed(&queue, &[], 9).await.is_empty(), "it is held");
    queue
        .finish(job(1), Outcome::Done, String::new())
        .await
        .unwrap();
    assert_eq!(site.record(job(1)).await, None);
}

/// What is wanted while it is being done may have come too late for it.
#[tokio::test]
async fn what_is_wanted_meanwhile_is_done_once_more() {
    let site = Site::new();
    let queue = site.queue().await;
    for outcome in [Outcome::Done, Outcome::Again(HOUR)] {
        queue.enqueue(job(1), Duration::ZERO).await.unwrap();
        assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
        queue.enqueue(job(1), HOUR).await.unwrap();
        queue.finish(job(1), outcome, String::new()).await.unwrap();
        assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
        queue
            .finish(job(1), Outcome::Done, String::new())
            .await
            .unwrap();
    }
}

/// One whose end has been written, and has not yet come to the loop that began it, is not taken for one that is being
/// done: nobody would do it until its lease lapses.
#[tokio::test]
async fn a_job_that_is_due_again_waits_for_its_end_to_be_seen() {
    let site = Site::new();
    let queue = site.queue().await;
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    let done = queue.finish(job(1), Outcome::Done, String::new());
    done.await.unwrap();
    assert!(claimed(&queue, &[job(1)], 1).await.is_empty());
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
}

/// What has changed is looked at at once, and from the beginning: of a job that waits, that failed half way, that
/// fails while it is wanted, and that a process left which died.
#[tokio::test]
async fn a_job_whose_matter_has_changed_begins_anew() {
    let site = Site::new();
    let hasten = async || {
        let due = site.clock.now();
        let hasten = move |tx: &mut crate::store::WriteTx<'_>| tx.jobs().hasten(job(1), due);
        let hastened: Result<(), Error> = site.store.write(hasten).await;
        hastened.unwrap();
    };
    let (half, failed) = ("half".to_owned(), Outcome::Failed("no".to_owned()));
    let anew = [Claim {
        job: job(1),
        cursor: String::new(),
    }];
    let queue = site.queue().await;
    hasten().await;
    assert_eq!(
        queue.claim(Lane::Upkeep, &[], 9).await.unwrap(),
        anew,
        "it was not queued"
    );
    let again = Outcome::Again(HOUR);
    queue.finish(job(1), again, String::new()).await.unwrap();
    assert!(claimed(&queue, &[], 9).await.is_empty());
    hasten().await;
    assert_eq!(
        queue.claim(Lane::Upkeep, &[], 9).await.unwrap(),
        anew,
        "it waited"
    );
    queue
        .finish(job(1), failed.clone(), half.clone())
        .await
        .unwrap();
    hasten().await;
    let record = site.record(job(1)).await.unwrap();
    assert_eq!((record.failures, record.cursor.as_str()), (1, ""));
    assert_eq!(
        queue.claim(Lane::Upkeep, &[], 9).await.unwrap(),
        anew,
        "it had failed"
    );
    hasten().await;
    assert!(
        claimed(&queue, &[], 9).await.is_empty(),
        "never twice at a time"
    );
    queue.finish(job(1), failed, half.clone()).await.unwrap();
    assert_eq!(site.record(job(1)).await.unwrap().cursor, "");
    site.clock.advance(HOUR);
    assert_eq!(
        queue.claim(Lane::Upkeep, &[], 9).await.unwrap(),
        anew,
        "it failed meanwhile"
    );
    assert!(queue.hold(job(1), half).await.unwrap());
    hasten().await;
    let next = site.queue().await;
    assert_eq!(
        next.claim(Lane::Upkeep, &[], 9).await.unwrap(),
        anew,
        "its process died"
    );
}

#[tokio::test]
async fn what_is_done_again_waits_and_what_failed_waits_longer_each_time() {
    let site = Site::new();
    let queue = site.queue().await;
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..4 {
        assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
        let failed = Outcome::Failed("no".to_owned());
        queue
            .finish(job(1), failed, "half".to_owned())
            .await
            .unwrap();
        let record = site.record(job(1)).await.unwrap();
        assert_eq!((record.cursor.as_str(), record.holder), ("half", None));
        let wait = record.due.since(queue.now());
        site.clock.advance(wait);
        waits.push(wait.as_secs());
    }
    for (wait, least) in waits.iter().zip([30, 60, 120, 240]) {
        assert!((least..=least + least / 10).contains(wait), "{waits:?}");
    }
    let claims = queue.claim(Lane::Upkeep, &[], 1).await.unwrap();
    let cursor = "half".to_owned();
    assert_eq!(
        claims,
        [Claim {
            job: job(1),
            cursor
        }]
    );
    queue
        .finish(job(1), Outcome::Again(HOUR), "half".to_owned())
        .await
        .unwrap();
    let record = site.record(job(1)).await.unwrap();
    assert_eq!((record.cursor.as_str(), record.failures), ("", 0));
    let wait = record.due.since(queue.now());
    assert!(wait >= HOUR && wait <= HOUR + HOUR / 10, "{wait:?}");
}

/// CR-01: a process that died leaves nothing undone; it is begun where it was last held.
#[tokio::test]
async fn what_a_dead_process_did_is_begun_again_where_it_was() {
    let site = Site::new();
    let dead = site.queue().await;
    dead.enqueue(job(1), Duration::ZERO).await.unwrap();
    assert_eq!(claimed(&dead, &[], 1).await, [job(1)]);
    assert!(dead.hold(job(1), "acme/app".to_owned()).await.unwrap());
    let next = site.queue().await;
    let claims = next.claim(Lane::Upkeep, &[], 1).await.unwrap();
    let cursor = "acme/app".to_owned();
    assert_eq!(
        claims,
        [Claim {
            job: job(1),
            cursor
        }]
    );
    // Were it alive after all, it would find that the job is another's.
    assert!(!dead.hold(job(1), String::new()).await.unwrap());
    dead.finish(job(1), Outcome::Done, String::new())
        .await
        .unwrap();
    assert!(site.record(job(1)).await.is_some());
    assert!(next.hold(job(1), String::new()).await.unwrap());
}

#[tokio::test]
async fn a_lease_that_nobody_holds_lapses() {
    let site = Site::new();
    let queue = site.queue().await;
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
    site.clock.advance(LEASE - Duration::from_secs(1));
    assert!(claimed(&queue, &[], 1).await.is_empty());
    assert!(queue.hold(job(1), String::new()).await.unwrap());
    site.clock.advance(LEASE - Duration::from_secs(1));
    assert!(claimed(&queue, &[], 1).await.is_empty());
    site.clock.advance(Duration::from_secs(1));
    assert!(
        claimed(&queue, &[job(1)], 1).await.is_empty(),
        "it runs here"
    );
    site.clock.advance(LEASE);
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
}

/// RS-05: set back by ten years, the queue goes on as if nothing had happened, also through a restart.
#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let site = Site::new();
    let queue = site.queue().await;
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
    queue
        .finish(job(1), Outcome::Again(HOUR), String::new())
        .await
        .unwrap();
    site.set(-i64::try_from(DECADE.as_secs()).unwrap());
    let queue = site.queue().await;
    assert!(
        claimed(&queue, &[], 1).await.is_empty(),
        "it is not due yet"
    );
    site.clock.advance(HOUR + HOUR / 10);
    assert_eq!(claimed(&queue, &[], 1).await, [job(1)]);
    queue
        .finish(job(1), Outcome::Again(HOUR), String::new())
        .await
        .unwrap();
    // What is queued by the clock as it stands is due at once, not in ten years.
    let due = site.clock.now();
    let late = move |tx: &mut crate::store::WriteTx<'_>| tx.jobs().enqueue(job(2), due);
    let queued: Result<(), Error> = site.store.write(late).await;
    queued.unwrap();
    assert_eq!(claimed(&queue, &[], 9).await, [job(2)]);
}

/// RS-05: ten years ahead everything is due, and still done a few at a time, each once; and what is queued then
/// does not wait for ten years when the clock is put right.
#[tokio::test]
async fn a_clock_that_jumps_ahead_does_not_run_everything_at_once() {
    let site = Site::new();
    let queue = site.queue().await;
    for id in 0..20 {
        queue.enqueue(job(id), HOUR).await.unwrap();
    }
    let ahead = i64::try_from(DECADE.as_secs()).unwrap();
    site.set(ahead);
    let mut done = Vec::new();
    while done.len() < 20 {
        let some = claimed(&queue, &[], 2).await;
        assert_eq!(some.len(), 2);
        for job in some {
            queue
                .finish(job, Outcome::Again(HOUR), String::new())
                .await
                .unwrap();
            done.push(job);
        }
    }
    assert!(claimed(&queue, &[], 9).await.is_empty());
    done.sort();
    done.dedup();
    assert_eq!(done.len(), 20);
    site.set(-ahead);
    assert!(claimed(&queue, &[], 9).await.is_empty());
    site.clock.advance(HOUR + HOUR / 10);
    assert_eq!(claimed(&queue, &[], 99).await.len(), 20);
}

fn pace() -> Pace {
    Pace {
        lane: Lane::Upkeep,
        side_by_side: 2,
        poll: Duration::from_millis(2),
        batch: 3,
        wake: Arc::default(),
    }
}

/// What takes hours in one lane keeps nothing waiting in another.
#[tokio::test]
async fn lanes_do_not_wait_for_each_other() {
    let site = Site::new();
    let queue = site.queue().await;
    let mirror = Job::Mirror(RepositoryId(1));
    queue.enqueue(mirror, Duration::ZERO).await.unwrap();
    queue.enqueue(job(1), HOUR).await.unwrap();
    assert!(claimed(&queue, &[], 9).await.is_empty());
    site.clock.advance(HOUR);
    assert_eq!(claimed(&queue, &[], 9).await, [job(1)]);
    let claims = queue.claim(Lane::Mirrors, &[], 9).await.unwrap();
    let claims: Vec<Job> = claims.into_iter().map(|claim| claim.job).collect();
    assert_eq!(claims, [mirror]);
    queue
        .finish(mirror, Outcome::Done, String::new())
        .await
        .unwrap();
    assert_eq!(site.record(mirror).await, None);
}

/// Waits until `holds` is true, turning with what runs beside it.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

/// No more than two at a time, none twice at a time, and all of them.
#[tokio::test]
async fn jobs_run_a_few_side_by_side_and_never_beside_themselves() {
    let site = Site::new();
    let queue = site.queue().await;
    for id in 0..12 {
        queue.enqueue(job(id), Duration::ZERO).await.unwrap();
    }
    let (beside, most, done) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (beside_now, most_seen, done_so_far) = (beside, Arc::clone(&most), Arc::clone(&done));
    let work = move |_: Job, _: Progress| {
        let (beside, most, done) = (
            Arc::clone(&beside_now),
            Arc::clone(&most_seen),
            Arc::clone(&done_so_far),
        );
        async move {
            most.fetch_max(beside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            beside.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
            Outcome::Done
        }
    };
    let running = tokio::spawn(run(queue, pace(), work));
    until("all to be done", async || done.load(Ordering::SeqCst) == 12).await;
    until("the queue to be empty", async || {
        let list = |tx: &ReadTx| tx.jobs().list(None, 1);
        let left: Result<Vec<_>, Error> = site.store.read(list).await;
        left.unwrap().is_empty()
    })
    .await;
    running.abort();
    assert!(most.load(Ordering::SeqCst) <= 2);
    assert_eq!(done.load(Ordering::SeqCst), 12);
}

/// A panic is a failure like any other, and stops nothing.
#[tokio::test]
async fn a_job_that_panics_is_tried_again_later_and_others_go_on() {
    let site = Site::new();
    let queue = site.queue().await;
    queue.enqueue(job(1), Duration::ZERO).await.unwrap();
    queue.enqueue(job(2), Duration::ZERO).await.unwrap();
    let work = |of: Job, progress: Progress| async move {
        progress.set("so far");
        assert_ne!(of, job(1), "this one panics");
        Outcome::Done
    };
    let running = tokio::spawn(run(queue, pace(), work));
    until("the other to be done", async || {
        site.record(job(2)).await.is_none()
    })
    .await;
    until("the failure to be noted", async || {
        let record = site.record(job(1)).await.unwrap();
        (record.failures, record.cursor.as_str()) == (1, "so far")
    })
    .await;
    running.abort();
}
