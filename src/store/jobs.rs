//! Jobs: what is to be done by the clock, each once, and in which order it is due.
//!
//! Invariant, kept by `put` and `remove`: a job has exactly one row in the order of its lane, the one of when it is
//! due.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{Job, JobRecord, Lane, Timestamp};

/// Jobs as a transaction sees them.
pub struct Jobs<S>(pub(super) S);

impl<S: Reads> Jobs<S> {
    /// How it stands with a job, if it is queued or being done.
    pub fn record(&self, job: Job) -> Result<Option<JobRecord>, Error> {
        self.0.tx().record(Table::Jobs, &keys::job(job))
    }

    /// Up to `limit` jobs of a lane that are due at `now`, the earliest first.
    pub fn due(
        &self,
        lane: Lane,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, Job)>, Error> {
        let (table, span) = (order(lane), Span::up_to(&keys::due(now)));
        self.0.tx().keys(table, &span, limit, keys::read_due_job)
    }

    /// Up to `limit` jobs behind `after`, in the order of their kinds and ids.
    pub fn list(&self, after: Option<Job>, limit: usize) -> Result<Vec<(Job, JobRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::job));
        self.0
            .tx()
            .records(Table::Jobs, &span, limit, keys::read_job)
    }
}

impl Jobs<&mut WriteTx<'_>> {
    /// Has a job done at `due`. One that is queued is done when it is due already; one that is being done is
    /// done once more behind that.
    pub fn enqueue(&mut self, job: Job, due: Timestamp) -> Result<(), Error> {
        match self.record(job)? {
            None => self.put(job, &JobRecord::new(due)),
            Some(record) if record.holder.is_some() && !record.again => {
                let again = true;
                self.put(job, &JobRecord { again, ..record })
            }
            Some(_) => Ok(()),
        }
    }

    /// Has a job done anew, at `due` at the latest: what it is about has changed. One that is queued begins at its
    /// beginning, wherever it had come; one that is being done is done once more behind that.
    pub fn hasten(&mut self, job: Job, due: Timestamp) -> Result<(), Error> {
        match self.record(job)? {
            Some(record) if record.holder.is_none() => {
                let due = record.due.min(due);
                let cursor = String::new();
                self.put(
                    job,
                    &JobRecord {
                        due,
                        cursor,
                        ..record
                    },
                )
            }
            _ => self.enqueue(job, due),
        }
    }

    /// Says how it stands with a job.
    pub fn put(&mut self, job: Job, record: &JobRecord) -> Result<(), Error> {
        self.remove(job)?;
        self.0
            .mark(order(job.lane()), keys::due_job(record.due, job));
        self.0.put_record(Table::Jobs, keys::job(job), record);
        Ok(())
    }

    /// Takes a job off; nothing happens if it is not there.
    pub fn remove(&mut self, job: Job) -> Result<(), Error> {
        if let Some(record) = self.record(job)? {
            let key = keys::due_job(record.due, job);
            self.0.remove(order(job.lane()), key);
            self.0.remove(Table::Jobs, keys::job(job));
        }
        Ok(())
    }
}

/// The order in which the jobs of a lane are due.
const fn order(lane: Lane) -> Table {
    match lane {
        Lane::Upkeep => Table::JobOrder,
        Lane::Mirrors => Table::MirrorJobOrder,
    }
}
