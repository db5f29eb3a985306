//! Blobs: one record whatever number of repositories link it, and the links, which decide who may
//! read it.
//!
//! Invariant, kept by `link` and `unlink`: the number under (digest, namespace) is that of the
//! namespace's repositories that link the blob, shown or deleted; there is no row for none.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, codec, usage};
use crate::model::{BlobRecord, LinkRecord, NamespaceId, RepositoryId, Timestamp};
use crate::oci::Digest;

/// Blobs as a transaction sees them.
pub struct Blobs<S>(pub(super) S);

/// What linking or unlinking a blob changed. All `false` if it changed nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LinkChange {
    /// No repository of the namespace linked it before: its bytes count from now on.
    pub first_of_namespace: bool,
    /// No repository of the namespace links it any more: its bytes no longer count.
    pub last_of_namespace: bool,
    /// No repository at all links it any more.
    pub last_of_all: bool,
}

impl<S: Reads> Blobs<S> {
    /// The record of a blob, if its bytes are held.
    pub fn record(&self, digest: &Digest) -> Result<Option<BlobRecord>, Error> {
        let key = keys::digest(digest);
        self.0.tx().record(Table::Blobs, &key)
    }

    /// Whether the repository shows the blob: whoever may read the one may read the other.
    pub fn is_linked(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let link = self.link_record(repository, digest)?;
        Ok(link.is_some_and(|link| !link.deleted))
    }

    /// How the repository has the blob, if it does, deleted or not.
    pub fn link_record(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<LinkRecord>, Error> {
        let key = keys::content(repository, digest);
        self.0.tx().row(Table::BlobLinks, &key, decode_link)
    }

    /// Whether any repository links the blob.
    pub fn is_linked_at_all(&self, digest: &Digest) -> Result<bool, Error> {
        let owners = Span::under(keys::digest(digest));
        self.0.tx().has_any(Table::BlobNamespaces, &owners)
    }

    /// Whether any repository of the namespace links the blob: its bytes count already.
    pub fn is_held_by(&self, namespace: NamespaceId, digest: &Digest) -> Result<bool, Error> {
        Ok(self.links_of(namespace, digest)? > 0)
    }

    /// How many repositories of the namespace link the blob, deleted ones included.
    pub fn links_of(&self, namespace: NamespaceId, digest: &Digest) -> Result<u64, Error> {
        let key = keys::owner(digest, namespace);
        let count = self.0.tx().record(Table::BlobNamespaces, &key)?;
        Ok(count.unwrap_or(0))
    }

    /// Up to `limit` namespaces with a repository that links the blob.
    pub fn namespaces(&self, digest: &Digest, limit: usize) -> Result<Vec<NamespaceId>, Error> {
        let owners = Span::under(keys::digest(digest));
        let (table, read) = (Table::BlobNamespaces, keys::read_owner);
        self.0.tx().keys(table, &owners, limit, read)
    }

    /// Up to `limit` repositories that a blob was pushed or mounted to; some may have deleted it.
    pub fn holders(&self, digest: &Digest, limit: usize) -> Result<Vec<RepositoryId>, Error> {
        let span = Span::under(keys::digest(digest));
        let (table, read) = (Table::BlobHolders, keys::read_holder);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` blobs that the repository has, deleted ones included, behind `after`, in the
    /// order of their digests.
    pub fn linked(
        &self,
        repository: RepositoryId,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<Digest>, Error> {
        let after = after.map(|digest| keys::content(repository, digest));
        let span = Span::under(keys::repository(repository)).after(after);
        let (table, read) = (Table::BlobLinks, keys::read_content);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` blobs behind `after`, in the order of their digests.
    pub fn list(
        &self,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<Vec<(Digest, BlobRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::digest));
        let read = keys::read_digest;
        self.0.tx().records(Table::Blobs, &span, limit, read)
    }
}

impl Blobs<&mut WriteTx<'_>> {
    /// Records that the bytes of a blob are durable.
    pub fn put(&mut self, digest: &Digest, record: &BlobRecord) -> Result<(), Error> {
        let before = self.record(digest)?.map_or(0, |before| before.size_bytes);
        if before != record.size_bytes {
            usage::vanish(self.0, before)?;
            usage::appear(self.0, record.size_bytes)?;
        }
        let key = keys::digest(digest);
        self.0.put_record(Table::Blobs, key, record);
        Ok(())
    }

    /// Forgets a blob, before its bytes are unlinked; nothing happens if it is not known.
    pub fn remove(&mut self, digest: &Digest) -> Result<(), Error> {
        let before = self.record(digest)?.map_or(0, |before| before.size_bytes);
        usage::vanish(self.0, before)?;
        self.0.remove(Table::Blobs, keys::digest(digest));
        Ok(())
    }

    /// Gives the repository, which is one of the namespace's, a blob that came from upstream.
    pub fn link(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<LinkChange, Error> {
        self.put_link(namespace, repository, digest, Timestamp::default())
    }

    /// Gives the repository a blob that was pushed or mounted at `since`; a deleted one is back, and
    /// one that is there is as new.
    pub fn link_since(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
        since: Timestamp,
    ) -> Result<LinkChange, Error> {
        self.0
            .mark(Table::BlobHolders, keys::holder(digest, repository));
        self.put_link(namespace, repository, digest, since)
    }

    fn put_link(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
        since: Timestamp,
    ) -> Result<LinkChange, Error> {
        let before = self.link_record(repository, digest)?;
        let since = before.map_or(since, |before| before.since.max(since));
        let link = LinkRecord {
            since,
            deleted: false,
        };
        if before == Some(link) {
            return Ok(LinkChange::default());
        }
        let key = keys::content(repository, digest);
        self.0.put_record(Table::BlobLinks, key, &link);
        if before.is_some() {
            return Ok(LinkChange::default());
        }
        let bytes = self.record(digest)?.map_or(0, |record| record.size_bytes);
        usage::grow(self.0, repository, bytes)?;
        let count = self.links_of(namespace, digest)?;
        let key = keys::owner(digest, namespace);
        self.0.put_record(Table::BlobNamespaces, key, &(count + 1));
        Ok(LinkChange {
            first_of_namespace: count == 0,
            ..LinkChange::default()
        })
    }

    /// Has the repository keep a blob without showing it; `false` if it did not show it before.
    pub fn hide(&mut self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let link = self.link_record(repository, digest)?;
        let Some(link) = link.filter(|link| !link.deleted) else {
            return Ok(false);
        };
        let link = LinkRecord {
            deleted: true,
            ..link
        };
        let key = keys::content(repository, digest);
        self.0.put_record(Table::BlobLinks, key, &link);
        Ok(true)
    }

    /// Shows a blob again that was hidden; nothing happens if it was not.
    pub fn show(&mut self, repository: RepositoryId, digest: &Digest) -> Result<(), Error> {
        let link = self.link_record(repository, digest)?;
        if let Some(link) = link.filter(|link| link.deleted) {
            let link = LinkRecord {
                deleted: false,
                ..link
            };
            let key = keys::content(repository, digest);
            self.0.put_record(Table::BlobLinks, key, &link);
        }
        Ok(())
    }

    /// Ends what [`Blobs::link`] began.
    pub fn unlink(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<LinkChange, Error> {
        if self.link_record(repository, digest)?.is_none() {
            return Ok(LinkChange::default());
        }
        let bytes = self.record(digest)?.map_or(0, |record| record.size_bytes);
        usage::shrink(self.0, repository, bytes)?;
        let count = self.links_of(namespace, digest)?;
        let key = keys::content(repository, digest);
        self.0.remove(Table::BlobLinks, key);
        let key = keys::holder(digest, repository);
        self.0.remove(Table::BlobHolders, key);
        let key = keys::owner(digest, namespace);
        if count > 1 {
            self.0.put_record(Table::BlobNamespaces, key, &(count - 1));
            return Ok(LinkChange::default());
        }
        self.0.remove(Table::BlobNamespaces, key);
        Ok(LinkChange {
            last_of_namespace: true,
            last_of_all: !self.is_linked_at_all(digest)?,
            ..LinkChange::default()
        })
    }
}

/// The record of a link in the bytes of its row.
pub(super) fn decode_link(bytes: &[u8]) -> Result<LinkRecord, Error> {
    match bytes {
        // What an upstream gave: kept by its use, not by its age.
        [] => Ok(LinkRecord::default()),
        _ => codec::decode(Table::BlobLinks, bytes),
    }
}
