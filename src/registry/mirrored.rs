//! What a mirror brings into a local repository, as if its robot had pushed it.
//!
//! Called by `mirror`, which has verified what it brings. The same transactions as those of a client's push make
//! it, so that quota, immutability, history and the usage log are the same.

use std::sync::Arc;

use super::commit::{Origin, Room};
use super::session::Owner;
use super::{Error, Placed, Registry};
use crate::blob::PartialWriter;
use crate::model::{Actor, NamespaceId, RepositoryId, Visibility};
use crate::oci::Digest;
use crate::quota::Reservation;
use crate::store::{ReadTx, WriteTx};

/// What is to be written in the transaction of a push: it may run more than once, and its error undoes the push.
pub type Note = Arc<dyn Fn(&mut WriteTx<'_>) -> Result<(), Error> + Send + Sync>;

/// Repositories looked at to find one that somebody may read.
const HOLDERS: usize = 100;

/// Who has a blob that is here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holders {
    /// Everyone may read it somewhere.
    pub is_open: bool,
    /// Some of the local repositories that have it.
    pub repositories: Vec<RepositoryId>,
}

impl Registry {
    /// Whether a repository has a blob whose bytes are here; one who is about to name it is promised that it
    /// stays for the grace period.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn keep_blob(
        &self,
        placed: &Placed,
        digest: &Digest,
        by: &Actor,
    ) -> Result<bool, Error> {
        let blob = (placed.repository, *digest);
        let now = self.inner.clock.now();
        self.inner.touches.touch(blob, Owner::of(by), now).await;
        let held = self.lookup_blob(placed.namespace, placed.repository, digest);
        Ok(held.await?.is_some())
    }

    /// Who has a blob; `None` if it is not here.
    ///
    /// # Errors
    /// The store's.
    pub async fn holders(
        &self,
        namespace: NamespaceId,
        digest: &Digest,
    ) -> Result<Option<Holders>, Error> {
        let look = |tx: &ReadTx| {
            if tx.blobs().record(digest)?.is_none() {
                return Ok(None);
            }
            // What nobody has any more waits for the collector, and is nobody's.
            if tx.blobs().namespaces(digest, 1)?.is_empty() {
                return Ok(None);
            }
            let mut holders = Holders::default();
            for repository in tx.blobs().holders(digest, HOLDERS)? {
                if !tx.blobs().is_linked(repository, digest)? {
                    continue;
                }
                let record = tx.repositories().record(repository)?;
                holders.is_open |=
                    record.is_some_and(|record| record.visibility == Visibility::Public);
                holders.repositories.push(repository);
            }
            Ok::<_, Error>(Some(holders))
        };
        let Some(holders) = self.inner.store.read(look).await? else {
            return Ok(None);
        };
        let is_open = holders.is_open || !self.is_private_elsewhere(namespace, digest).await?;
        Ok(Some(Holders { is_open, ..holders }))
    }

    /// Gives a repository a blob that is here, for one who has a right to its bytes; `false` if they are gone.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`], [`Error::NoRoom`]; the store's or the disk's.
    pub async fn adopt_blob(
        &self,
        placed: &Placed,
        digest: Digest,
        by: &Actor,
    ) -> Result<bool, Error> {
        let namespace = placed.namespace;
        let found = self.inner.store.read(|tx| {
            let counts = tx.blobs().is_held_by(namespace, &digest)?;
            let record = tx.blobs().record(&digest)?;
            Ok::<_, Error>(record.map(|record| (record, counts)))
        });
        let Some((record, counts)) = found.await? else {
            return Ok(false);
        };
        let blob = (placed.repository, digest);
        let now = self.inner.clock.now();
        self.inner.touches.touch(blob, Owner::of(by), now).await;
        self.link_here(placed, digest, (&record, counts)).await
    }

    /// Publishes the bytes of a blob, verified against its digest, and gives it to a repository.
    ///
    /// # Errors
    /// The blob's (wrong digest, disk), then nothing is kept; the store's.
    pub async fn land_blob(
        &self,
        placed: &Placed,
        writer: PartialWriter,
        (digest, by): (Digest, &Actor),
        reservation: Reservation,
    ) -> Result<(), Error> {
        let blob = (placed.repository, digest);
        let now = self.inner.clock.now();
        self.inner.touches.touch(blob, Owner::of(by), now).await;
        let _guard = self.content_lock(&digest).await;
        let file = writer.finish().await?;
        let room = Room::new(reservation);
        let size = Some(file.len());
        self.link(placed, digest, size, room, Origin::Pushed)
            .await?;
        Ok(())
    }
}
