//! The transaction that lets one unit go, and the removal of the files nobody names afterwards.

use std::sync::{Arc, Mutex, PoisonError};

use super::pointing::Change;
use super::remove::{Gone, Unnamed, remove_manifest, unlink_blob};
use super::{Error, Registry};
use crate::model::{Actor, ManifestRecord, Unit};
use crate::store::{self, WriteTx};

/// What became free when a unit went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freed {
    /// Bytes that the namespace no longer holds.
    pub(super) held: u64,
    /// Bytes of files that are gone from the directory.
    pub(super) on_disk: u64,
}

impl Registry {
    /// Removes a unit: its tags, its manifest, the links of blobs that no other manifest of the
    /// repository names; then the files that no repository names.
    pub(super) async fn evict(&self, unit: Unit) -> Result<Freed, Error> {
        let change = self.change(Actor::System);
        let unnamed: Arc<Mutex<Vec<Unnamed>>> = Arc::default();
        let (registry, found) = (self.clone(), unnamed.clone());
        let held = self
            .inner
            .store
            .write(move |tx| {
                let _timer = registry
                    .inner
                    .metrics
                    .evict_transaction_seconds
                    .start_timer();
                let gone = remove_unit(tx, &unit, &change)?;
                let held = gone.held;
                let (registry, found) = (registry.clone(), found.clone());
                tx.after_commit(move || registry.account_for(gone, &found));
                Ok::<_, store::Error>(held)
            })
            .await?;
        self.inner.recency.forget(&unit);
        let unnamed = std::mem::take(&mut *unnamed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut freed = Freed { held, on_disk: 0 };
        for blob in unnamed {
            freed.on_disk += self.unlink(blob).await?;
        }
        self.inner.metrics.evictions.inc();
        self.inner.metrics.freed_bytes.inc_by(freed.on_disk);
        Ok(freed)
    }

    /// Lets go of a manifest whose bytes are damaged, so that it is fetched again.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn discard_damaged(&self, unit: Unit) -> Result<(), Error> {
        self.inner.metrics.damaged.inc();
        self.evict(unit).await.map(drop)
    }
}

fn remove_unit(tx: &mut WriteTx<'_>, unit: &Unit, change: &Change) -> Result<Gone, store::Error> {
    let Unit {
        namespace,
        repository,
        digest,
    } = *unit;
    let mut gone = Gone::of(namespace, repository);
    for tag in tx.tags().of_manifest(repository, &digest, usize::MAX)? {
        change.end(tx, repository, &tag)?;
        gone.touched.tags.push(tag);
    }
    match remove_manifest(tx, &mut gone, &digest)? {
        Some(record) => remove_parts(tx, &record, &mut gone)?,
        None => _ = unlink_blob(tx, &mut gone, digest)?,
    }
    tx.recency().remove(unit)?;
    Ok(gone)
}

fn remove_parts(
    tx: &mut WriteTx<'_>,
    record: &ManifestRecord,
    gone: &mut Gone,
) -> Result<(), store::Error> {
    for (blob, _) in &record.blobs {
        if tx
            .manifests()
            .naming_blob(gone.repository, blob, 1)?
            .is_empty()
        {
            unlink_blob(tx, gone, *blob)?;
        } else {
            // It may have become the only image of some other manifest.
            gone.touched.digests.push(*blob);
        }
    }
    Ok(())
}
