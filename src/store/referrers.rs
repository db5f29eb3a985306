//! Referrers: descriptors of the artifacts of a repository, by the subject they refer to.
//!
//! A subject need not exist (distribution-spec v1.1, "Pushing Manifests with Subject").

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, codec};
use crate::model::RepositoryId;
use crate::oci::{Descriptor, Digest};

/// Referrers as a transaction sees them.
pub struct Referrers<S>(pub(super) S);

impl<S: Reads> Referrers<S> {
    /// Up to `limit` descriptors of what refers to `subject`, in the order of their digests.
    pub fn list(
        &self,
        repository: RepositoryId,
        subject: &Digest,
        limit: usize,
    ) -> Result<Vec<Descriptor>, Error> {
        let span = Span::under(keys::content(repository, subject));
        let table = Table::Referrers;
        self.0.tx().page(table, &span, limit, |_, value| {
            codec::decode_json(table, value)
        })
    }
}

impl<S: Reads> Referrers<S> {
    /// Up to `limit` artifacts that refer to `subject`, behind `after`, in the order of their digests.
    pub fn digests(
        &self,
        repository: RepositoryId,
        subject: &Digest,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, Error> {
        let after = after.map(|digest| keys::naming(repository, subject, digest));
        let span = Span::under(keys::content(repository, subject)).after(after);
        let (table, read) = (Table::Referrers, keys::read_naming);
        self.0.tx().keys(table, &span, limit, read)
    }
}

impl Referrers<&mut WriteTx<'_>> {
    /// Lists an artifact under its subject, in place of an older descriptor of the same digest.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        subject: &Digest,
        descriptor: &Descriptor,
    ) -> Result<(), Error> {
        let key = keys::naming(repository, subject, &descriptor.digest);
        let value = codec::encode_json(descriptor);
        self.0.put(Table::Referrers, key, value);
        Ok(())
    }

    /// Takes an artifact off its subject's list; nothing happens if it is not there.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<(), Error> {
        let key = keys::naming(repository, subject, digest);
        self.0.remove(Table::Referrers, key);
        Ok(())
    }
}
