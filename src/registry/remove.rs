//! What every removal of content shares: rows go in one transaction, accounts and hot entries after its
//! commit, files last.
//!
//! Called by `evict` (caches) and `gc` (local repositories).

use std::sync::{Mutex, PoisonError};

use super::hot::Touched;
use super::{Error, Registry, usage};
use crate::model::{ManifestRecord, NamespaceId, RepositoryId};
use crate::oci::Digest;
use crate::quota::Lingering;
use crate::store::{self, WriteTx};

/// A blob that no namespace holds any more, with the account that its open file burdens.
pub(super) struct Unnamed {
    digest: Digest,
    lingering: Lingering,
    bytes: u64,
}

/// What a transaction took out of one repository.
pub(super) struct Gone {
    pub(super) namespace: NamespaceId,
    pub(super) repository: RepositoryId,
    /// Bytes that the namespace no longer holds.
    pub(super) held: u64,
    /// Blobs that nobody holds any more, with their sizes.
    pub(super) blobs: Vec<(Digest, u64)>,
    pub(super) touched: Touched,
}

impl Gone {
    /// Nothing, as yet, of a repository.
    pub(super) fn of(namespace: NamespaceId, repository: RepositoryId) -> Self {
        Self {
            namespace,
            repository,
            held: 0,
            blobs: Vec::new(),
            touched: Touched::default(),
        }
    }
}

impl Registry {
    /// After the commit: bytes leave the account as held and stay in it as lingering until their
    /// files are closed, so that the cap holds in between.
    pub(super) fn account_for(&self, gone: Gone, found: &Mutex<Vec<Unnamed>>) {
        let ledger = &self.inner.ledger;
        let lingering = gone.blobs.into_iter().map(|(digest, bytes)| {
            let lingering = ledger.linger(gone.namespace, bytes);
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
        ledger.subtract_held(gone.namespace, gone.held);
        self.inner.hot.changed(gone.repository, &gone.touched);
    }

    /// Unlinks a file unless its digest has been named again; returns the bytes that went, or go when
    /// the hold on it ends.
    pub(super) async fn unlink(&self, blob: Unnamed) -> Result<u64, Error> {
        let (digest, bytes) = (blob.digest, blob.bytes);
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
        let Some(Unnamed { lingering, .. }) = self.inner.holds.defer(blob) else {
            return Ok(bytes);
        };
        self.inner
            .blobs
            .remove(&digest, move || drop(lingering))
            .await?;
        Ok(bytes)
    }
}

/// Removes a manifest with its place among the referrers; returns its record, if the repository held
/// it. What it names is the caller's to look at.
pub(super) fn remove_manifest(
    tx: &mut WriteTx<'_>,
    gone: &mut Gone,
    digest: &Digest,
) -> Result<Option<ManifestRecord>, store::Error> {
    gone.touched.digests.push(*digest);
    let Some(record) = tx.manifests().remove(gone.repository, digest)? else {
        return Ok(None);
    };
    tx.labels().clear(gone.repository, digest)?;
    let bytes = tx.manifests().counted(gone.repository, &record)?;
    usage::shrink(tx, gone.namespace, bytes)?;
    gone.held += bytes;
    if let Some(subject) = &record.subject {
        tx.referrers().remove(gone.repository, subject, digest)?;
    }
    Ok(Some(record))
}

/// Takes a blob out of the repository, the namespace and the whole store as far as nobody else
/// there names it; `false` if the repository did not have it.
pub(super) fn unlink_blob(
    tx: &mut WriteTx<'_>,
    gone: &mut Gone,
    blob: Digest,
) -> Result<bool, store::Error> {
    let (namespace, repository) = (gone.namespace, gone.repository);
    if tx.blobs().link_record(repository, &blob)?.is_none() {
        return Ok(false);
    }
    let size = tx
        .blobs()
        .record(&blob)?
        .map_or(0, |record| record.size_bytes);
    let change = tx.blobs().unlink(namespace, repository, &blob)?;
    gone.touched.digests.push(blob);
    if change.last_of_namespace {
        usage::shrink(tx, namespace, size)?;
        gone.held += size;
    }
    if change.last_of_all {
        tx.blobs().remove(&blob)?;
        gone.blobs.push((blob, size));
    }
    Ok(true)
}
