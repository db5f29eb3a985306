//! The queue as one process works on it: jobs are claimed, held while they are done, and finished.
//!
//! Used by `run`, and by what puts jobs on by the clock. A claim is a lease: it lapses unless it is held, so that
//! what a process that died was doing is begun again; at the start of a process, which owns the store alone, all
//! older ones lapse at once (CR-01). Time only goes forward here ([`ForwardTime`]): a clock that is set back
//! keeps nothing waiting, and one that jumps ahead makes jobs due, which are still done a few at a time (RS-05).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::schedule::{back_off, spread};
use crate::model::{Clock, ForwardTime, Job, JobRecord, Lane, Timestamp};
use crate::store::{Error, ReadTx, Store, WriteTx};

/// For how long a job that nobody holds is believed to be done.
pub(super) const LEASE: Duration = Duration::from_secs(300);

/// The setting that holds the latest time of a claim, in milliseconds, for the next start.
const LATEST: &str = "jobs.latest";

/// Jobs read in one go when a process begins.
const PAGE: usize = 500;

/// What came of a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// There is no more to do.
    Done,
    /// It is done again after about so long.
    Again(Duration),
    /// It is tried again, later each time.
    Failed(String),
}

/// A job that is this process's to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    pub(super) job: Job,
    /// Where it goes on.
    pub(super) cursor: String,
}

/// The queue; cheap to clone.
#[derive(Clone)]
pub(super) struct Queue(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    time: Mutex<ForwardTime>,
    /// This process, among those that worked on the store before.
    holder: u64,
}

impl Queue {
    /// Opens the queue, in which whatever an earlier process was doing is due now.
    pub(super) async fn open(store: Store, clock: Clock) -> Result<Self, Error> {
        let latest = store.read(|tx| tx.settings().number(LATEST)).await?;
        let latest = latest.map(|millis| i64::try_from(millis).unwrap_or(i64::MAX));
        let time = ForwardTime::behind(latest.map(Timestamp::from_millis));
        let queue = Self(Arc::new(Inner {
            store,
            clock,
            time: Mutex::new(time),
            holder: random(),
        }));
        queue.recall().await?;
        Ok(queue)
    }

    /// Whether a job could be claimed, and what comes of it noted (DK-10).
    pub(super) async fn takes_writes(&self) -> bool {
        self.0.store.takes_writes().await
    }

    /// The time of the queue.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.0.clock.now();
        let mut time = self.0.time.lock().unwrap_or_else(PoisonError::into_inner);
        time.at(now)
    }

    async fn recall(&self) -> Result<(), Error> {
        let (now, mut after) = (self.now(), None);
        loop {
            let recall = move |tx: &mut WriteTx<'_>| {
                let page = tx.jobs().list(after, PAGE)?;
                let last = page.last().map(|(job, _)| *job);
                for (job, record) in page.into_iter().filter(|(_, it)| it.holder.is_some()) {
                    let free = JobRecord {
                        due: now,
                        holder: None,
                        ..record
                    };
                    tx.jobs().put(job, &free)?;
                }
                Ok::<_, Error>(last)
            };
            match self.0.store.write(recall).await? {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Has a job done after `wait`, unless it is queued already.
    pub(super) async fn enqueue(&self, job: Job, wait: Duration) -> Result<(), Error> {
        let due = self.now() + wait;
        let enqueue = move |tx: &mut WriteTx<'_>| tx.jobs().enqueue(job, due);
        self.0.store.write(enqueue).await
    }

    /// Claims up to `most` jobs of a lane that are due. None of `running` is claimed, though its lease may have
    /// lapsed because the clock jumped: nothing is ever done twice side by side.
    pub(super) async fn claim(
        &self,
        lane: Lane,
        running: &[Job],
        most: usize,
    ) -> Result<Vec<Claim>, Error> {
        let (now, rows) = (self.now(), most.saturating_add(running.len()));
        let due = |tx: &ReadTx| tx.jobs().due(lane, now, 1);
        // A server with nothing to do writes nothing.
        if self.0.store.read(due).await?.is_empty() {
            return Ok(Vec::new());
        }
        let (holder, running) = (Some(self.0.holder), running.to_vec());
        let claim = move |tx: &mut WriteTx<'_>| {
            note_latest(tx, now)?;
            let mut claims = Vec::new();
            for (_, job) in tx.jobs().due(lane, now, rows)? {
                let Some(record) = tx.jobs().record(job)? else {
                    continue;
                };
                let runs = running.contains(&job);
                // One that has just been finished is due anew, while its end has not come to who asks: the next look
                // has it.
                let is_over = runs && record.holder != holder;
                if is_over || !runs && claims.len() == most {
                    continue;
                }
                // What wanted it before it begins is served by it, if it begins at its beginning.
                let cursor = match record.again && !runs {
                    true => String::new(),
                    false => record.cursor.clone(),
                };
                let held = JobRecord {
                    due: now + LEASE,
                    holder,
                    again: record.again && runs,
                    cursor: cursor.clone(),
                    ..record
                };
                if !runs {
                    claims.push(Claim { job, cursor });
                }
                tx.jobs().put(job, &held)?;
            }
            Ok::<_, Error>(claims)
        };
        self.0.store.write(claim).await
    }

    /// Goes on holding a job, and notes how far it has come; `false` if it is no longer this process's.
    pub(super) async fn hold(&self, job: Job, cursor: String) -> Result<bool, Error> {
        let (until, holder) = (self.now() + LEASE, Some(self.0.holder));
        let hold = move |tx: &mut WriteTx<'_>| {
            let record = tx.jobs().record(job)?;
            let Some(record) = record.filter(|record| record.holder == holder) else {
                return Ok::<_, Error>(false);
            };
            let held = JobRecord {
                due: until,
                cursor: cursor.clone(),
                ..record
            };
            tx.jobs().put(job, &held)?;
            Ok(true)
        };
        self.0.store.write(hold).await
    }

    /// Says what came of a job that is held; `cursor` is where one that failed goes on.
    pub(super) async fn finish(
        &self,
        job: Job,
        outcome: Outcome,
        cursor: String,
    ) -> Result<(), Error> {
        let (now, holder, chance) = (self.now(), Some(self.0.holder), random());
        let finish = move |tx: &mut WriteTx<'_>| {
            let record = tx.jobs().record(job)?;
            let Some(record) = record.filter(|record| record.holder == holder) else {
                return Ok::<_, Error>(());
            };
            let failures = record.failures.saturating_add(1);
            match &outcome {
                Outcome::Done | Outcome::Again(_) if record.again => {
                    tx.jobs().put(job, &JobRecord::new(now))
                }
                Outcome::Done => tx.jobs().remove(job),
                Outcome::Again(pause) => {
                    let due = now + spread(*pause, chance);
                    tx.jobs().put(job, &JobRecord::new(due))
                }
                Outcome::Failed(_) => {
                    let failed = JobRecord {
                        failures,
                        cursor: match record.again {
                            true => String::new(),
                            false => cursor.clone(),
                        },
                        ..JobRecord::new(now + spread(back_off(failures), chance))
                    };
                    tx.jobs().put(job, &failed)
                }
            }
        };
        self.0.store.write(finish).await
    }
}

/// Has the next start go on from this time, wherever the clock is by then.
fn note_latest(tx: &mut WriteTx<'_>, now: Timestamp) -> Result<(), Error> {
    let millis = u64::try_from(now.as_millis()).unwrap_or(0);
    if tx.settings().number(LATEST)?.unwrap_or(0) < millis {
        tx.settings().put_number(LATEST, millis)?;
    }
    Ok(())
}

/// Without randomness nothing is spread, which is no reason to do nothing.
pub(super) fn random() -> u64 {
    let mut bytes = [0; 8];
    let _ = getrandom::fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
