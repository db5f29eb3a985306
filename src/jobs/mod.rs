//! What happens by the clock: loops that begin with the process and end with it.
//!
//! Started by `app`. Each loop does one thing, says in the log when that fails, and tries again at its
//! next turn; none of them is the reason that a request waits. A loop that is in the middle of its
//! work when the process ends is given up: everything it does is safe to be cut off.
//!
//! What must not be forgotten, or has much to do for many, goes through a queue that lies in the store
//! (`model::Job`):
//!
//! ```text
//!  a change (a policy is made) ─▶ the queue, in its transaction ─▶ run ─▶ done, again later, or tried again
//!  schedule (the calendar)     ─▶                                  held by lease while it is done
//! ```

mod lease;
mod metrics;
mod mirror;
mod prune;
mod rounds;
mod run;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::accounts::Accounts;
use crate::auth::Auth;
use crate::mirror::Mirror;
use crate::model::{Lane, MIRROR_LANES};
use crate::notify::Audit;
use crate::proxy::Proxy;
use crate::quota;
use crate::registry::{Pace, Registry};
use crate::store;

pub use metrics::Metrics;
pub use prune::PruneTimes;
pub use rounds::Rounds;

/// How often the loops turn.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// Last-used times and what the usage log has noted are written (CR-11: at most 60 s of them may be
    /// lost).
    pub flush: Duration,
    /// Disk and quotas are looked at (DK-04: before they are full).
    pub relief: Duration,
    pub gauges: Duration,
    /// The first sweep for files without rows after the start, and the pause between sweeps (CR-07).
    pub first_sweep: Duration,
    pub sweep: Duration,
    /// What is due is collected, and uploads that rest for too long are given up
    /// (`GARBAGE_COLLECTION_FREQUENCY`); `None`: never.
    pub collection: Option<Duration>,
    /// What nothing needs and the collector was not told of is looked for.
    pub leftovers: Duration,
    /// Everything is read back and compared with its digest (DK-07); `None`: never.
    pub scrub: Option<Duration>,
    /// The queue of jobs is looked at (`AUTO_PRUNING_POLL_PERIOD`).
    pub queue: Duration,
    /// It is looked at which mirrors are due (`REPO_MIRROR_INTERVAL`).
    pub mirrors: Duration,
    /// The keys that tokens are signed with are looked at.
    pub keys: Duration,
    /// Certificates are looked at for changes. Passwords need no loop: `upstream` looks at their
    /// files itself whenever it uses one.
    pub files: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            flush: Duration::from_secs(30),
            relief: Duration::from_secs(5),
            gauges: Duration::from_secs(10),
            first_sweep: Duration::from_secs(600),
            sweep: Duration::from_secs(24 * 3600),
            collection: Some(Duration::from_secs(30)),
            leftovers: Duration::from_secs(24 * 3600),
            scrub: Some(Duration::from_secs(30 * 24 * 3600)),
            queue: Duration::from_secs(30),
            mirrors: Duration::from_secs(30),
            keys: Duration::from_secs(3600),
            files: Duration::from_secs(30),
        }
    }
}

/// The shortest time between two collections.
const COLLECTION_REST: Duration = Duration::from_secs(1);

/// Jobs of a lane done side by side.
const UPKEEP_SIDE_BY_SIDE: usize = 2;

/// What the loops work on.
pub struct Parts {
    pub registry: Registry,
    pub accounts: Accounts,
    pub proxy: Proxy,
    pub mirror: Mirror,
    pub metrics: Metrics,
    pub quota_metrics: quota::Metrics,
    pub auth: Auth,
    pub audit: Audit,
    /// How fast content is read back.
    pub scrub_pace: Pace,
    pub prune_times: PruneTimes,
    /// Most jobs begun each time that the queue is looked at (`AUTO_PRUNING_BATCH_SIZE`).
    pub queue_batch: usize,
    pub intervals: Intervals,
    /// Looks at certificate files again; runs on the blocking pool.
    pub reread_files: Arc<dyn Fn() + Send + Sync>,
}

/// The running loops; dropped, they end where they are.
#[derive(Debug)]
pub struct Jobs(JoinSet<()>);

impl Jobs {
    /// Starts every loop. Must be called within a tokio runtime.
    pub fn start(parts: Parts) -> Self {
        let Parts {
            registry,
            accounts,
            proxy,
            mirror,
            metrics,
            quota_metrics,
            auth,
            audit,
            scrub_pace,
            prune_times,
            queue_batch,
            intervals,
            reread_files,
        } = parts;
        let rounds = Rounds {
            registry,
            accounts,
            proxy,
            mirror,
            metrics,
            quota_metrics,
            auth,
            audit,
            scrub_pace,
            prune_times,
        };
        let mut loops = JoinSet::new();
        loops.spawn(flush(rounds.clone(), intervals.flush));
        loops.spawn(write_noted(rounds.clone(), intervals.flush));
        let upkeep = run::Pace {
            lane: Lane::Upkeep,
            side_by_side: UPKEEP_SIDE_BY_SIDE,
            poll: intervals.queue,
            batch: queue_batch,
            wake: Arc::default(),
        };
        let mirrors = run::Pace {
            lane: Lane::Mirrors,
            side_by_side: MIRROR_LANES,
            poll: intervals.mirrors,
            batch: usize::MAX,
            wake: Arc::default(),
        };
        loops.spawn(work(rounds.clone(), upkeep, mirrors));
        loops.spawn(relieve(rounds.clone(), intervals.relief));
        loops.spawn(every(
            Duration::ZERO,
            intervals.gauges,
            rounds.clone(),
            Rounds::refresh_gauges,
        ));
        if let Some(pause) = intervals.collection {
            loops.spawn(collect(rounds.clone(), pause));
            loops.spawn(every(
                intervals.leftovers,
                intervals.leftovers,
                rounds.clone(),
                Rounds::recall_forgotten,
            ));
        }
        // An unfinished one goes on soon after the start.
        if let Some(pause) = intervals.scrub {
            let first = intervals.first_sweep;
            loops.spawn(every(first, pause, rounds.clone(), Rounds::scrub));
        }
        loops.spawn(every(
            Duration::ZERO,
            intervals.keys,
            rounds.clone(),
            Rounds::rotate_keys,
        ));
        loops.spawn(every(
            intervals.first_sweep,
            intervals.sweep,
            rounds,
            Rounds::sweep,
        ));
        loops.spawn(async move {
            every(
                intervals.files,
                intervals.files,
                reread_files,
                |reread| async move {
                    // Nothing comes of a panic in there but a certificate that is not exchanged.
                    let _ = tokio::task::spawn_blocking(move || reread()).await;
                },
            )
            .await;
        });
        Self(loops)
    }

    /// Ends every loop where it is.
    pub async fn stop(mut self) {
        self.0.shutdown().await;
    }
}

/// Does `work` after `first`, and then after every `pause`.
async fn every<T, F>(first: Duration, pause: Duration, with: T, work: impl Fn(T) -> F)
where
    T: Clone,
    F: Future<Output = ()>,
{
    tokio::time::sleep(first).await;
    loop {
        work(with.clone()).await;
        tokio::time::sleep(pause).await;
    }
}

/// Makes room at every interval, and before its end where it gets scarce; not before it where nothing
/// more may go.
async fn relieve(rounds: Rounds, pause: Duration) {
    let mut is_of_use = true;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = rounds.registry.room_wanted(), if is_of_use => {}
        }
        is_of_use = rounds.relieve().await > 0;
    }
}

/// Collects at every interval, and soon after something was deleted.
async fn collect(rounds: Rounds, pause: Duration) {
    let rest = pause.min(COLLECTION_REST);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause - rest) => {}
            () = rounds.registry.collection_wanted() => {}
        }
        rounds.clone().collect().await;
        tokio::time::sleep(rest).await;
    }
}

/// Writes last-used times at every interval, and before its end when much has been noted.
async fn flush(rounds: Rounds, pause: Duration) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = rounds.registry.flush_wanted() => {}
        }
        rounds.flush().await;
    }
}

/// Writes what the usage log has noted, as [`flush`] does with last-used times.
async fn write_noted(rounds: Rounds, pause: Duration) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = rounds.audit.flush_wanted() => {}
        }
        rounds.write_noted().await;
    }
}

/// Opens the queue, keeps the calendar, and has done what is due.
async fn work(rounds: Rounds, upkeep: run::Pace, mirrors: run::Pace) {
    let registry = &rounds.registry;
    let (store, clock) = (registry.store().clone(), registry.clock().clone());
    let queue = loop {
        match lease::Queue::open(store.clone(), clock.clone()).await {
            Ok(queue) => break queue,
            // Told of already.
            Err(store::Error::ReadOnly) => {}
            Err(error) => tracing::warn!(%error, "the queue of jobs could not be opened"),
        }
        tokio::time::sleep(upkeep.poll).await;
    };
    rounds.queue_prunes().await;
    let (poll, wake) = (mirrors.poll, Arc::clone(&mirrors.wake));
    let carry_out = {
        let rounds = rounds.clone();
        move |job, progress| rounds.clone().carry_out(job, progress)
    };
    tokio::join!(
        schedule::keep(schedule::CALENDAR, queue.clone()),
        run::run(queue.clone(), upkeep, carry_out.clone()),
        run::run(queue, mirrors, carry_out),
        queue_mirrors(rounds, poll, wake),
    );
}

/// Puts mirrors that are due on the queue, at every interval and when somebody wants it.
async fn queue_mirrors(rounds: Rounds, poll: Duration, wake: Arc<Notify>) {
    loop {
        rounds.queue_mirrors(&wake).await;
        tokio::select! {
            () = tokio::time::sleep(poll) => {}
            () = rounds.mirror.woken() => {}
        }
    }
}
