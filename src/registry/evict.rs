//! The transaction that lets one unit go, and the removal of the files nobody names afterwards.

use std::sync::{Arc, Mutex, PoisonError};

use super::hot::Touched;
use super::pointing::Change;
use super::{Error, Registry};
use crate::model::{Actor, ManifestRecord, Unit};
use crate::oci::Digest;
use crate::quota::Lingering;
use crate::store::{self, WriteTx};

/// What became free when a unit went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Freed {
    /// Bytes that the namespace no longer holds.
    pub(super) held: u64,
    /// Bytes of files that are gone from the directory.
    pub(super) on_disk: u64,
}

/// A blob that no namespace holds any more, with the account that its open file burdens.
struct Unnamed {
    digest: Digest,
    lingering: Lingering,
    bytes: u64,
}

/// What a transaction found to be gone.
#[derive(Default)]
struct Gone {
    held: u64,
    blobs: Vec<(Digest, u64)>,
    touched: Touched,
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
                let gone = remove_unit(tx, &unit, &change)?;
                let held = gone.held;
                let (registry, found) = (registry.clone(), found.clone());
                tx.after_commit(move || registry.account_for(&unit, gone, &found));
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

    /// After the commit: bytes leave the account as held and stay in it as lingering until their
    /// files are closed, so that the cap holds in between.
    fn account_for(&self, unit: &Unit, gone: Gone, found: &Mutex<Vec<Unnamed>>) {
        let ledger = &self.inner.ledger;
        let lingering = gone.blobs.into_iter().map(|(digest, bytes)| {
            let lingering = ledger.linger(unit.namespace, bytes);
            Unnamed {
                digest,
                lingering,
                bytes,
            }
        });
        found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(lingering);
        ledger.subtract_held(unit.namespace, gone.held);
        self.inner.hot.changed(unit.repository, &gone.touched);
    }

    /// Unlinks a file unless its digest has been named again; returns the bytes that went.
    async fn unlink(&self, blob: Unnamed) -> Result<u64, Error> {
        let Unnamed {
            digest,
            lingering,
            bytes,
        } = blob;
        let _guard = self.content_lock(&digest).await;
        let named = self
            .inner
            .store
            .read(|tx| tx.blobs().record(&digest))
            .await?
            .is_some();
        if named {
            return Ok(0);
        }
        self.inner
            .blobs
            .remove(&digest, move || drop(lingering))
            .await?;
        Ok(bytes)
    }
}

fn remove_unit(tx: &mut WriteTx<'_>, unit: &Unit, change: &Change) -> Result<Gone, store::Error> {
    let Unit {
        repository, digest, ..
    } = *unit;
    let mut gone = Gone::default();
    gone.touched.digests.push(digest);
    for tag in tx.tags().of_manifest(repository, &digest, usize::MAX)? {
        change.end(tx, repository, &tag)?;
        gone.touched.tags.push(tag);
    }
    match tx.manifests().remove(repository, &digest)? {
        Some(record) => remove_parts(tx, unit, &record, &mut gone)?,
        None => unlink_blob(tx, unit, digest, &mut gone)?,
    }
    tx.recency().remove(unit)?;
    Ok(gone)
}

fn remove_parts(
    tx: &mut WriteTx<'_>,
    unit: &Unit,
    record: &ManifestRecord,
    gone: &mut Gone,
) -> Result<(), store::Error> {
    tx.usage().subtract(unit.namespace, record.size_bytes)?;
    gone.held += record.size_bytes;
    if let Some(subject) = &record.subject {
        tx.referrers()
            .remove(unit.repository, subject, &unit.digest)?;
    }
    for (blob, _) in &record.blobs {
        if tx
            .manifests()
            .naming_blob(unit.repository, blob, 1)?
            .is_empty()
        {
            unlink_blob(tx, unit, *blob, gone)?;
        } else {
            // It may have become the only image of some other manifest.
            gone.touched.digests.push(*blob);
        }
    }
    Ok(())
}

/// Takes a blob out of the repository, the namespace and the whole store as far as nobody else
/// there names it.
fn unlink_blob(
    tx: &mut WriteTx<'_>,
    unit: &Unit,
    blob: Digest,
    gone: &mut Gone,
) -> Result<(), store::Error> {
    if !tx.blobs().is_linked(unit.repository, &blob)? {
        return Ok(());
    }
    let size = tx
        .blobs()
        .record(&blob)?
        .map_or(0, |record| record.size_bytes);
    let change = tx.blobs().unlink(unit.namespace, unit.repository, &blob)?;
    gone.touched.digests.push(blob);
    if change.last_of_namespace {
        tx.usage().subtract(unit.namespace, size)?;
        gone.held += size;
    }
    if change.last_of_all {
        tx.blobs().remove(&blob)?;
        gone.blobs.push((blob, size));
    }
    Ok(())
}
