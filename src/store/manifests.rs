//! Manifests: a record in each repository that holds one, the document once for all of them.
//!
//! Invariants, kept by `put` and `remove`: a document is kept as long as a repository holds its
//! manifest; every child and every blob of a record has its row in the index that answers who names
//! it in that repository.

use bytes::Bytes;

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, usage};
use crate::model::{ManifestRecord, RepositoryId, Timestamp};
use crate::oci::Digest;

/// Manifests as a transaction sees them.
pub struct Manifests<S>(pub(super) S);

impl<S: Reads> Manifests<S> {
    /// The record of a manifest, if the repository holds it.
    pub fn record(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Error> {
        let key = keys::content(repository, digest);
        self.0.tx().record(Table::Manifests, &key)
    }

    /// The document of a manifest that some repository holds. Which one is the caller's to check.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if its bytes no longer belong to the digest (DK-07).
    pub fn body(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let table = Table::ManifestBodies;
        self.0.tx().row(table, &keys::digest(digest), |bytes| {
            if Digest::with(digest.algorithm(), bytes) == *digest {
                return Ok(Bytes::copy_from_slice(bytes));
            }
            Err(Error::Corrupt {
                table: table.name(),
                reason: format!("the document is not the one of {digest}"),
            })
        })
    }

    /// Up to `limit` manifests of the repository behind `after`, in the order of their digests.
    pub fn list(
        &self,
        repository: RepositoryId,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, ManifestRecord)>, Error> {
        let after = after.map(|digest| keys::content(repository, digest));
        let span = Span::under(keys::repository(repository)).after(after);
        let read = keys::read_content;
        self.0.tx().records(Table::Manifests, &span, limit, read)
    }

    /// All indexes of the repository that name `child`.
    pub fn parents(&self, repository: RepositoryId, child: &Digest) -> Result<Vec<Digest>, Error> {
        let span = Span::under(keys::content(repository, child));
        let (table, read) = (Table::ManifestParents, keys::read_naming);
        self.0.tx().keys(table, &span, usize::MAX, read)
    }

    /// Up to `limit` indexes of the repository that name `child`.
    pub fn some_parents(
        &self,
        repository: RepositoryId,
        child: &Digest,
        limit: usize,
    ) -> Result<Vec<Digest>, Error> {
        let span = Span::under(keys::content(repository, child));
        let (table, read) = (Table::ManifestParents, keys::read_naming);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` manifests of the repository that name `blob`.
    pub fn naming_blob(
        &self,
        repository: RepositoryId,
        blob: &Digest,
        limit: usize,
    ) -> Result<Vec<Digest>, Error> {
        let span = Span::under(keys::content(repository, blob));
        let (table, read) = (Table::BlobNamers, keys::read_naming);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` repositories that hold the manifest.
    pub fn holders(&self, digest: &Digest, limit: usize) -> Result<Vec<RepositoryId>, Error> {
        let span = Span::under(keys::digest(digest));
        let (table, read) = (Table::ManifestHolders, keys::read_holder);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Bytes of the document that count as held by the repository and its namespace.
    pub fn counted(&self, repository: RepositoryId, record: &ManifestRecord) -> Result<u64, Error> {
        let counts = self.0.tx().repositories().counts_documents(repository)?;
        Ok(if counts { record.size_bytes } else { 0 })
    }

    /// Whether another repository than this one holds the manifest.
    pub fn is_shared(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let holders = self.holders(digest, 2)?;
        Ok(holders.iter().any(|holder| *holder != repository))
    }
}

impl Manifests<&mut WriteTx<'_>> {
    /// Has the repository hold a manifest, in place of an older record of the same digest.
    ///
    /// `body` is kept if no repository held the manifest before; its digest was checked by whoever
    /// took it in.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
        record: &ManifestRecord,
        body: &[u8],
    ) -> Result<(), Error> {
        match self.record(repository, digest)? {
            Some(held) if held == *record => return Ok(()),
            Some(held) => self.unmark(repository, digest, &held),
            None => {
                let bytes = self.counted(repository, record)?;
                usage::grow(self.0, repository, bytes)?;
            }
        }
        if !self.0.has(Table::ManifestBodies, &keys::digest(digest))? {
            let key = keys::digest(digest);
            self.0.put(Table::ManifestBodies, key, body.to_vec());
        }
        let key = keys::holder(digest, repository);
        self.0.mark(Table::ManifestHolders, key);
        for (table, key) in namings(repository, digest, record) {
            self.0.mark(table, key);
        }
        let key = keys::content(repository, digest);
        self.0.put_record(Table::Manifests, key, record);
        Ok(())
    }

    /// Changes the record of a manifest that the repository holds; what it names stays the same.
    pub fn replace(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<(), Error> {
        let key = keys::content(repository, digest);
        debug_assert!(
            self.record(repository, digest)?
                .is_some_and(|held| held.children == record.children && held.blobs == record.blobs),
            "only what does not name is changed"
        );
        self.0.put_record(Table::Manifests, key, record);
        Ok(())
    }

    /// Has the repository no longer hold a manifest; returns the record, if it did.
    ///
    /// The document goes with the last repository that held it. Tags and referrers are the caller's.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Error> {
        let Some(record) = self.record(repository, digest)? else {
            return Ok(None);
        };
        self.unmark(repository, digest, &record);
        let bytes = self.counted(repository, &record)?;
        usage::shrink(self.0, repository, bytes)?;
        let key = keys::content(repository, digest);
        self.0.remove(Table::Manifests, key);
        let key = keys::holder(digest, repository);
        self.0.remove(Table::ManifestHolders, key);
        let holders = Span::under(keys::digest(digest));
        if !self.0.has_any(Table::ManifestHolders, &holders)? {
            self.0.remove(Table::ManifestBodies, keys::digest(digest));
        }
        Ok(Some(record))
    }

    /// Takes up to `most` names out of the record of a manifest that goes in several writes, and has
    /// it be deleted at `at`; returns the children and blobs that it no longer names.
    pub fn dismantle(
        &mut self,
        repository: RepositoryId,
        digest: &Digest,
        at: Timestamp,
        most: usize,
    ) -> Result<(Vec<Digest>, Vec<Digest>), Error> {
        let Some(mut record) = self.record(repository, digest)? else {
            return Ok((Vec::new(), Vec::new()));
        };
        let kept = record.blobs.len().saturating_sub(most);
        let blobs = record.blobs.split_off(kept);
        let kept = (record.children.len() + blobs.len()).saturating_sub(most);
        let kept = kept.min(record.children.len());
        let children = record.children.split_off(kept);
        let taken = ManifestRecord {
            children,
            blobs,
            ..record.clone()
        };
        self.unmark(repository, digest, &taken);
        record.deleted = Some(at);
        let key = keys::content(repository, digest);
        self.0.put_record(Table::Manifests, key, &record);
        let blobs = taken.blobs.into_iter().map(|(blob, _)| blob);
        Ok((taken.children, blobs.collect()))
    }

    fn unmark(&mut self, repository: RepositoryId, digest: &Digest, record: &ManifestRecord) {
        for (table, key) in namings(repository, digest, record) {
            self.0.remove(table, key);
        }
    }
}

/// The rows that tell whom a manifest names.
fn namings(
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
) -> impl Iterator<Item = (Table, keys::Key)> {
    let children = record.children.iter();
    let blobs = record.blobs.iter().map(|(blob, _)| blob);
    let children = children.map(|child| (Table::ManifestParents, child));
    let named = children.chain(blobs.map(|blob| (Table::BlobNamers, blob)));
    named.map(move |(table, named)| (table, keys::naming(repository, named, digest)))
}
