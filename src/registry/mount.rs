//! A blob of one repository given to another, without its bytes being sent again.
//!
//! Who may read the source is decided by the caller: here nothing is a secret (AZ-02).

use super::commit::{Origin, Room};
use super::metrics::Changed;
use super::{Error, Placed, Registry};
use crate::model::{BlobRecord, RepositoryId};
use crate::oci::Digest;
use crate::store::ReadTx;

/// Repositories looked at to find one that a caller may read, when he names none.
const HOLDERS: usize = 100;

impl Registry {
    /// Gives a repository the blob of another; `false` if `from` does not show it or its bytes are
    /// gone.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if the namespace has no room for it; the store's or the disk's.
    pub async fn mount_blob(
        &self,
        from: RepositoryId,
        to: &Placed,
        digest: Digest,
    ) -> Result<bool, Error> {
        let namespace = to.namespace;
        let found = self.inner.store.read(|tx| {
            if !tx.blobs().is_linked(from, &digest)? {
                return Ok(None);
            }
            let counts = tx.blobs().is_held_by(namespace, &digest)?;
            let record = tx.blobs().record(&digest)?;
            Ok::<_, Error>(record.map(|record| (record, counts)))
        });
        let Some((record, counts)) = found.await? else {
            return Ok(false);
        };
        let mounted = self.link_here(to, digest, (&record, counts)).await?;
        if mounted {
            self.inner.metrics.count(Changed::MountedBlob);
        }
        Ok(mounted)
    }

    /// Gives a repository a blob that is here, the right to which was looked at; `false` if its bytes are gone.
    ///
    /// What another repository of the namespace holds (`counts`) takes no more room.
    pub(super) async fn link_here(
        &self,
        to: &Placed,
        digest: Digest,
        (record, counts): (&BlobRecord, bool),
    ) -> Result<bool, Error> {
        let blobs = &self.inner.blobs;
        if blobs.open_blob(&digest, record.size_bytes).await?.is_none() {
            return Ok(false);
        }
        let more = if counts { 0 } else { record.size_bytes };
        let reservation = self.reserve(to.namespace, more, &[]).await?;
        self.link(to, digest, None, Room::new(reservation), Origin::Pushed)
            .await
    }

    /// Whether a repository shows a blob.
    ///
    /// # Errors
    /// The store's.
    pub async fn shows(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let look = |tx: &ReadTx| tx.blobs().is_linked(repository, digest);
        Ok(self.inner.store.read(look).await?)
    }

    /// Local repositories that show a blob, for a mount that names no source; at most 100.
    ///
    /// # Errors
    /// The store's.
    pub async fn repositories_showing(&self, digest: &Digest) -> Result<Vec<RepositoryId>, Error> {
        self.inner
            .store
            .read(|tx| {
                let mut showing = Vec::new();
                for holder in tx.blobs().holders(digest, HOLDERS)? {
                    if tx.blobs().is_linked(holder, digest)? {
                        showing.push(holder);
                    }
                }
                Ok(showing)
            })
            .await
    }
}
