//! Takes jobs that are due off the queue and has them done, a few side by side.
//!
//! Started by `Jobs`. Each job is held while it is done, and what came of it decides when it is due again; one
//! that panics has failed. When the process ends in the middle, the next one begins the job again, where it had
//! last been held.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::lease::{Claim, LEASE, Outcome, Queue};
use crate::model::{Job, Lane};

/// How often a job that is being done is held.
const HEARTBEAT: Duration = Duration::from_secs(60);

const _: () = assert!(HEARTBEAT.as_secs() * 3 < LEASE.as_secs());

/// How fast work of a lane is taken off the queue.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) lane: Lane,
    /// Jobs done side by side.
    pub(super) side_by_side: usize,
    /// How often the queue is looked at.
    pub(super) poll: Duration,
    /// Most jobs begun in that time.
    pub(super) batch: usize,
    /// Something was put on the queue that is due now.
    pub(super) wake: Arc<Notify>,
}

/// How far a job has come, in its own words.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress(Arc<Mutex<String>>);

impl Progress {
    pub(super) fn at(cursor: String) -> Self {
        Self(Arc::new(Mutex::new(cursor)))
    }

    pub(super) fn cursor(&self) -> String {
        let cursor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursor.clone()
    }

    pub(super) fn set(&self, cursor: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = cursor.into();
    }
}

/// Has the jobs of a lane done by `work` until it is dropped, which cuts off those under way.
pub(super) async fn run<W, F>(queue: Queue, pace: Pace, work: W)
where
    W: Fn(Job, Progress) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let (mut tasks, mut running) = (JoinSet::new(), Vec::<Job>::new());
    // By the time that passes, not by the clock.
    let mut poll = tokio::time::interval_at(Instant::now() + pace.poll, pace.poll);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = pace.batch;
    loop {
        tokio::select! {
            _ = poll.tick() => left = pace.batch,
            () = pace.wake.notified() => left = left.max(1),
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                // A task that panics tells no job, but `carry` lets none.
                if let Ok(job) = ended {
                    running.retain(|other| *other != job);
                }
            }
        }
        let most = left.min(pace.side_by_side.saturating_sub(running.len()));
        if most == 0 || !queue.takes_writes().await {
            continue;
        }
        match queue.claim(pace.lane, &running, most).await {
            Ok(claims) => {
                for claim in claims {
                    left -= 1;
                    running.push(claim.job);
                    tasks.spawn(carry(queue.clone(), claim, work.clone()));
                }
            }
            Err(error) => tracing::warn!(%error, "the queue of jobs could not be read"),
        }
    }
}

/// Does one job, and says what came of it.
async fn carry<W, F>(queue: Queue, claim: Claim, work: W) -> Job
where
    W: Fn(Job, Progress) -> F,
    F: Future<Output = Outcome>,
{
    let Claim { job, cursor } = claim;
    let progress = Progress::at(cursor);
    let doing = AssertUnwindSafe(work(job, progress.clone())).catch_unwind();
    let mut doing = std::pin::pin!(doing);
    let outcome = loop {
        tokio::select! {
            outcome = &mut doing => {
                break outcome.unwrap_or_else(|_| Outcome::Failed("it panicked".to_owned()));
            }
            () = tokio::time::sleep(HEARTBEAT) => match queue.hold(job, progress.cursor()).await {
                Ok(true) => {}
                Ok(false) => {
                    tracing::warn!(?job, "a job is somebody else's by now");
                    return job;
                }
                // The lease is long enough for the next try.
                Err(error) => tracing::warn!(%error, ?job, "a job could not be held"),
            },
        }
    };
    if let Outcome::Failed(reason) = &outcome {
        tracing::warn!(?job, reason, "a job failed, and is tried again later");
    }
    if let Err(error) = queue.finish(job, outcome, progress.cursor()).await {
        // It is done once more when the lease lapses.
        tracing::warn!(%error, ?job, "what came of a job could not be noted");
    }
    job
}
