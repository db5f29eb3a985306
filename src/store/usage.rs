//! Usage: bytes that namespaces hold, counted in the transaction that changes them.

use super::keys;
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{NamespaceId, RepositoryId};

/// Under which the bytes of all blobs stand: no namespace has this number.
const EVERYTHING: NamespaceId = NamespaceId(0);

/// Counters of bytes as a transaction sees them.
pub struct Usage<S>(pub(super) S);

impl<S: Reads> Usage<S> {
    /// Bytes that the namespace holds.
    pub fn held(&self, namespace: NamespaceId) -> Result<u64, Error> {
        let key = keys::namespace(namespace);
        let held = self.0.tx().record(Table::Usage, &key)?;
        Ok(held.unwrap_or(0))
    }

    /// Bytes of all blobs, each once, whoever has it.
    pub fn of_all(&self) -> Result<u64, Error> {
        self.held(EVERYTHING)
    }

    /// Bytes of the repository's blobs, those included that others have as well, and of its manifests
    /// where those count.
    pub fn of_repository(&self, repository: RepositoryId) -> Result<u64, Error> {
        let key = keys::repository(repository);
        let bytes = self.0.tx().record(Table::RepositoryUsage, &key)?;
        Ok(bytes.unwrap_or(0))
    }
}

impl Usage<&mut WriteTx<'_>> {
    /// Counts bytes that the namespace holds from now on.
    pub fn add(&mut self, namespace: NamespaceId, bytes: u64) -> Result<(), Error> {
        let held = self.held(namespace)?;
        self.put(namespace, held.saturating_add(bytes))
    }

    /// Counts bytes that the namespace no longer holds.
    ///
    /// Taking away more than is held is a defect of the caller: it stops debug builds, and is logged
    /// and counted as nothing left in others.
    pub fn subtract(&mut self, namespace: NamespaceId, bytes: u64) -> Result<(), Error> {
        let held = self.held(namespace)?;
        if bytes > held {
            tracing::error!(%namespace, held, bytes, "usage would fall below zero");
        }
        debug_assert!(bytes <= held, "namespace {namespace}: {held} - {bytes}");
        self.put(namespace, held.saturating_sub(bytes))
    }

    /// Replaces the count of all blobs, when they were counted anew.
    pub fn put_all(&mut self, bytes: u64) -> Result<(), Error> {
        self.put(EVERYTHING, bytes)
    }

    /// Replaces the count, when it was counted anew.
    pub fn put(&mut self, namespace: NamespaceId, bytes: u64) -> Result<(), Error> {
        let key = keys::namespace(namespace);
        self.0.put_record(Table::Usage, key, &bytes);
        Ok(())
    }
}

/// Counts the bytes of a blob that is there from now on, whoever has it.
pub(super) fn appear(tx: &mut WriteTx<'_>, bytes: u64) -> Result<(), Error> {
    tx.usage().add(EVERYTHING, bytes)
}

/// Counts the bytes of a blob that is no longer there.
pub(super) fn vanish(tx: &mut WriteTx<'_>, bytes: u64) -> Result<(), Error> {
    tx.usage().subtract(EVERYTHING, bytes)
}

/// The key of the row that [`appear`] and [`vanish`] keep, for the audit and for older stores.
pub(super) fn of_everything() -> keys::Key {
    keys::namespace(EVERYTHING)
}

/// Counts bytes that a repository has from now on.
pub(super) fn grow(tx: &mut WriteTx<'_>, id: RepositoryId, bytes: u64) -> Result<(), Error> {
    let counted = tx.usage().of_repository(id)?.saturating_add(bytes);
    put_repository(tx, id, counted);
    Ok(())
}

/// Counts bytes that a repository no longer has.
pub(super) fn shrink(tx: &mut WriteTx<'_>, id: RepositoryId, bytes: u64) -> Result<(), Error> {
    let counted = tx.usage().of_repository(id)?.saturating_sub(bytes);
    put_repository(tx, id, counted);
    Ok(())
}

fn put_repository(tx: &mut WriteTx<'_>, id: RepositoryId, bytes: u64) {
    let key = keys::repository(id);
    match bytes {
        0 => tx.remove(Table::RepositoryUsage, key),
        bytes => tx.put_record(Table::RepositoryUsage, key, &bytes),
    }
}
