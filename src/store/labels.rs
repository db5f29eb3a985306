//! Labels of manifests, in each repository by itself.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{LabelRecord, RepositoryId, Uuid};
use crate::oci::Digest;

/// Labels as a transaction sees them.
pub struct Labels<S>(pub(super) S);

impl<S: Reads> Labels<S> {
    /// The label of that id on the manifest, if there is one.
    pub fn record(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        id: Uuid,
    ) -> Result<Option<LabelRecord>, Error> {
        let key = keys::label(repository, digest, id);
        self.0.tx().record(Table::Labels, &key)
    }

    /// Up to `limit` labels of the manifest, in the order of their ids.
    pub fn list(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<(Uuid, LabelRecord)>, Error> {
        let span = Span::under(keys::content(repository, digest));
        let read = keys::read_last_uuid;
        self.0.tx().records(Table::Labels, &span, limit, read)
    }
}

impl Labels<&mut WriteTx<'_>> {
    /// Gives a manifest a label, in place of an older one of that id.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
        id: Uuid,
        record: &LabelRecord,
    ) -> Result<(), Error> {
        let key = keys::label(repository, digest, id);
        self.0.put_record(Table::Labels, key, record);
        Ok(())
    }

    /// Takes a label off; nothing happens if it is not there.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
        id: Uuid,
    ) -> Result<(), Error> {
        let key = keys::label(repository, digest, id);
        self.0.remove(Table::Labels, key);
        Ok(())
    }

    /// Takes every label off a manifest that goes. Those are bounded by whoever gives them.
    pub fn clear(&mut self, repository: RepositoryId, digest: &Digest) -> Result<(), Error> {
        for (id, _) in self.list(repository, digest, usize::MAX)? {
            self.remove(repository, digest, id)?;
        }
        Ok(())
    }
}
