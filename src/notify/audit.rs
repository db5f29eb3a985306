//! The usage log as the doors and the clock use it.

use std::sync::Arc;
use std::time::Duration;

use super::noted::{Act, Line, Noted};
use super::pull::{Pull, Pulled};
use super::{Error, Metrics};
use crate::config::AuditConfig;
use crate::model::{Clock, LogEntry, Timestamp};
use crate::store::{self, Store, WriteTx, day};

/// Lines written or removed in one transaction, so that none holds the writer for long.
const STEP: usize = 500;

/// How long counts by day are kept at least: what popularity and statistics look back to, and a bit.
const COUNTS_KEPT: Duration = Duration::from_secs(100 * 24 * 60 * 60);

/// The usage log; cheap to clone.
#[derive(Clone)]
pub struct Audit(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) clock: Clock,
    config: AuditConfig,
    noted: Noted,
    /// One writes at a time, so that who waits for what was noted waits for all of it.
    writing: tokio::sync::Mutex<()>,
    metrics: Metrics,
}

/// What the log is made from.
pub struct Parts {
    pub store: Store,
    pub clock: Clock,
    pub config: AuditConfig,
    pub metrics: Metrics,
}

impl Audit {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            clock,
            config,
            metrics,
        } = parts;
        Self(Arc::new(Inner {
            store,
            clock,
            config,
            noted: Noted::new(),
            writing: tokio::sync::Mutex::default(),
            metrics,
        }))
    }

    /// What the operator wants to be told.
    pub fn config(&self) -> &AuditConfig {
        &self.0.config
    }

    /// Notes a pull (SC-240). Never waits, and allocates little: the hot path of manifests calls it.
    pub fn pulled(&self, pull: &Pull<'_>) {
        let now = self.0.clock.now();
        let (namespace, repository) = (pull.namespace.0, pull.repository.0);
        let act = Act::pull(namespace, repository, pull.reference, pull.actor);
        let line = |in_detail| Line::Pulled(Box::new(Pulled::new(pull, now, in_detail)));
        self.note_act(act, now, line);
    }

    /// Notes what happened outside of any transaction: logins, failures. Never waits.
    pub fn note(&self, entry: LogEntry) {
        let (act, at) = (Act::of(&entry), entry.at);
        self.note_act(act, at, |_| Line::Entry(entry.clone()));
    }

    fn note_act(&self, act: Act, at: Timestamp, line: impl Fn(bool) -> Line) {
        if !self.0.noted.note(act, at, line) {
            self.0.metrics.lost.inc();
        }
    }

    /// Resolves when so much has been noted that it should be written before the interval ends.
    pub async fn flush_wanted(&self) {
        self.0.noted.wanted.notified().await;
    }

    /// Writes what has been noted; returns how many lines that were.
    ///
    /// # Errors
    /// The store's; what could not be written is lost, and counted as such.
    ///
    /// # Cancel safety
    /// What has been begun is finished, whether anybody waits for it or not.
    pub async fn flush(&self) -> Result<usize, Error> {
        let inner = Arc::clone(&self.0);
        let writing = tokio::spawn(async move { inner.write_noted().await });
        match writing.await {
            Ok(written) => written,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(store::Error::Closed.into()),
            },
        }
    }

    /// Removes what is older than it is to be kept (`ACTION_LOG_ROTATION_THRESHOLD`), in short
    /// transactions; returns how many lines went. Quay moves old lines to an archive instead, if it is
    /// told to; here they go, and what would grow for ever does not (SC-098).
    ///
    /// # Errors
    /// The store's.
    pub async fn rotate(&self) -> Result<usize, Error> {
        let Some(keep) = self.0.config.keep else {
            return Ok(0);
        };
        let now = self.0.clock.now();
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        let before = |span| Timestamp::from_millis(now.as_millis().saturating_sub(millis(span)));
        let oldest = before(keep);
        let lines = move |tx: &mut WriteTx<'_>| tx.logs().remove_lines(oldest, STEP);
        let removed = self.0.remove_all(lines).await?;
        let first_day = day(before(keep.max(COUNTS_KEPT)));
        let counts = move |tx: &mut WriteTx<'_>| tx.logs().remove_counts(first_day, STEP);
        self.0.remove_all(counts).await?;
        self.0.metrics.removed.inc_by(removed as u64);
        Ok(removed)
    }
}

impl Inner {
    async fn write_noted(&self) -> Result<usize, Error> {
        let _turn = self.writing.lock().await;
        let lines = self.noted.take(self.clock.now());
        let written = lines.len();
        let mut outcome = Ok(written);
        for step in lines.chunks(STEP) {
            let entries: Vec<LogEntry> = step.iter().map(Line::entry).collect();
            let append = move |tx: &mut WriteTx<'_>| {
                let mut logs = tx.logs();
                entries.iter().try_for_each(|entry| logs.append(entry))
            };
            match self.store.write(append).await {
                Ok(()) => self.metrics.written.inc_by(step.len() as u64),
                Err(error) => {
                    let acts = step.iter().map(|line| u64::from(line.count()));
                    self.metrics.lost.inc_by(acts.sum());
                    outcome = Err(Error::Store(error));
                }
            }
        }
        outcome
    }

    /// Runs a step again until it does less than it could.
    async fn remove_all(
        &self,
        step: impl Fn(&mut WriteTx<'_>) -> Result<usize, store::Error> + Clone + Send + 'static,
    ) -> Result<usize, Error> {
        let mut removed = 0;
        loop {
            let went = self.store.write(step.clone()).await?;
            removed += went;
            if went < STEP {
                return Ok(removed);
            }
        }
    }
}
