//! Last-used times and validations, collected in memory and written once per interval.
//!
//! A pull never writes to the store. What a crash loses is at most one interval of them: eviction then
//! orders a little older, and a tag is validated once more than needed.
//!
//! Uses are ordered by a time that never goes back, whatever the clock does (GC-04, RS-05).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Error, Registry};
use crate::model::{ForwardTime, RepositoryId, Timestamp, Unit};
use crate::oci::Tag;
use crate::quota;
use crate::store;

/// Most keys written in one commit, so that a flush does not stall pushes.
const FLUSH_KEYS: usize = 10_000;

/// Keys held before the oldest interval is written early.
const FLUSH_EARLY: usize = 8_000;

/// The setting that holds the latest time of a use, in milliseconds, for the next start.
const LATEST_USE: &str = "registry.latest_use";

#[derive(Default)]
pub(super) struct Recency {
    pending: Mutex<Pending>,
    early: tokio::sync::Notify,
}

type Used = (Unit, Timestamp);
type Validated = ((RepositoryId, Tag), Timestamp);

#[derive(Default)]
struct Pending {
    used: HashMap<Unit, Timestamp>,
    validated: HashMap<(RepositoryId, Tag), Timestamp>,
    time: ForwardTime,
}

impl Recency {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Maps of plain values: a panic elsewhere leaves them whole.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn used_at(&self, unit: &Unit) -> Option<Timestamp> {
        self.lock().used.get(unit).copied()
    }

    pub(super) fn validated_at(&self, tag: &(RepositoryId, Tag)) -> Option<Timestamp> {
        self.lock().validated.get(tag).copied()
    }

    pub(super) fn forget(&self, unit: &Unit) {
        self.lock().used.remove(unit);
    }

    fn note_early(&self, pending: &Pending) {
        if pending.used.len() + pending.validated.len() >= FLUSH_EARLY {
            self.early.notify_one();
        }
    }

    fn take(&self) -> (Vec<Used>, Vec<Validated>) {
        let mut pending = self.lock();
        let used = drain(&mut pending.used, FLUSH_KEYS);
        let validated = drain(&mut pending.validated, FLUSH_KEYS - used.len());
        (used, validated)
    }
}

/// Takes up to `most` entries, sorted, so that neighbours in the store are written together.
fn drain<K: Clone + Eq + std::hash::Hash + Ord>(
    map: &mut HashMap<K, Timestamp>,
    most: usize,
) -> Vec<(K, Timestamp)> {
    let keys: Vec<K> = map.keys().take(most).cloned().collect();
    let mut taken: Vec<_> = keys
        .into_iter()
        .filter_map(|key| map.remove_entry(&key))
        .collect();
    taken.sort_unstable();
    taken
}

impl Registry {
    /// The time of a use that happens now.
    pub(super) fn use_time(&self) -> Timestamp {
        let now = self.inner.clock.now();
        self.inner.recency.lock().time.at(now)
    }

    /// Has uses from here on count as later than all that were written before; for the start.
    ///
    /// # Errors
    /// The store's.
    pub async fn recall_uses(&self) -> Result<(), Error> {
        let blobs = self.inner.store.read(|tx| tx.blobs().list(None, 1));
        if blobs.await?.is_empty() {
            self.inner.touches.forget_start();
        }
        let latest = self.inner.store.read(|tx| tx.settings().number(LATEST_USE));
        if let Some(latest) = latest.await? {
            let latest = Timestamp::from_millis(i64::try_from(latest).unwrap_or(i64::MAX));
            self.inner.recency.lock().time = ForwardTime::behind(Some(latest));
        }
        Ok(())
    }

    /// Notes that a unit is used now.
    pub fn touch(&self, unit: Unit) {
        let now = self.inner.clock.now();
        let mut pending = self.inner.recency.lock();
        let time = pending.time.at(now);
        pending.used.insert(unit, time);
        self.inner.recency.note_early(&pending);
    }

    /// Notes that upstream confirmed a tag now.
    pub fn renew(&self, repository: RepositoryId, tag: &Tag) {
        let now = self.inner.clock.now();
        let key = (repository, tag.clone());
        if let Some(hot) = self.inner.hot.tag(&key) {
            hot.renew(now);
        }
        let mut pending = self.inner.recency.lock();
        pending.validated.insert(key, now);
        self.inner.recency.note_early(&pending);
    }

    /// Resolves when so much has been noted that it should be written before the interval ends.
    pub async fn flush_wanted(&self) {
        self.inner.recency.early.notified().await;
    }

    /// Writes what has been noted, at most 10,000 keys a commit; returns how many were written.
    ///
    /// # Errors
    /// The store's; what was taken for the failed commit is lost, which costs order, not content.
    pub async fn flush_recency(&self) -> Result<usize, Error> {
        let mut written = 0;
        loop {
            let (used, validated) = self.inner.recency.take();
            let keys = used.len() + validated.len();
            if keys == 0 {
                return Ok(written);
            }
            self.inner
                .store
                .write(move |tx| write_noted(tx, &used, &validated))
                .await?;
            written += keys;
        }
    }
}

/// Has the next start know of a use at `time`.
pub(super) fn note_latest(
    tx: &mut store::WriteTx<'_>,
    time: Timestamp,
) -> Result<(), store::Error> {
    let millis = u64::try_from(time.as_millis()).unwrap_or(0);
    if tx.settings().number(LATEST_USE)?.unwrap_or(0) < millis {
        tx.settings().put_number(LATEST_USE, millis)?;
    }
    Ok(())
}

fn write_noted(
    tx: &mut store::WriteTx<'_>,
    used: &[Used],
    validated: &[Validated],
) -> Result<(), store::Error> {
    if let Some(latest) = used.iter().map(|(_, time)| *time).max() {
        note_latest(tx, latest)?;
    }
    for (unit, now) in used {
        // A unit that went in the meantime must not come back as a row.
        if !is_held(tx, unit)? {
            continue;
        }
        let before = tx.recency().record(unit)?;
        tx.recency().put(unit, &quota::used(before, *now))?;
    }
    for ((repository, tag), now) in validated {
        if let Some(mut record) = tx.tags().current(*repository, tag)?
            && *now > record.validated
        {
            record.validated = *now;
            // A 404 that came after it stands.
            record.missing_since = record.missing_since.filter(|first| first >= now);
            tx.tags().put(*repository, tag, &record)?;
        }
    }
    Ok(())
}

fn is_held(tx: &mut store::WriteTx<'_>, unit: &Unit) -> Result<bool, store::Error> {
    Ok(tx
        .manifests()
        .record(unit.repository, &unit.digest)?
        .is_some()
        || tx.blobs().is_linked(unit.repository, &unit.digest)?)
}
