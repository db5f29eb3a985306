//! Tags: where they point, which of them point at a manifest, and where they pointed before.
//!
//! Invariant, kept by `put` and `remove`: a tag has exactly one row in the index by digest, the one of
//! its current manifest. The history is the caller's to write: who moves a tag knows why.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{RepositoryId, TagEvent, TagRecord};
use crate::oci::{Digest, Tag};

/// Tags as a transaction sees them.
pub struct Tags<S>(pub(super) S);

impl<S: Reads> Tags<S> {
    /// Where a tag points now, if there is such a tag.
    pub fn current(&self, repository: RepositoryId, tag: &Tag) -> Result<Option<TagRecord>, Error> {
        let key = keys::tag(repository, tag);
        self.0.tx().record(Table::Tags, &key)
    }

    /// Up to `limit` tags of the repository behind `after`, in byte order.
    pub fn list(
        &self,
        repository: RepositoryId,
        after: Option<&Tag>,
        limit: usize,
    ) -> Result<Vec<(Tag, TagRecord)>, Error> {
        let after = after.map(|tag| keys::tag(repository, tag));
        let span = Span::under(keys::repository(repository)).after(after);
        self.0
            .tx()
            .records(Table::Tags, &span, limit, keys::read_tag)
    }

    /// Up to `limit` tags of the repository that point at a manifest, in byte order.
    pub fn of_manifest(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<Tag>, Error> {
        let span = Span::under(keys::content(repository, digest));
        let (table, read) = (Table::TagTargets, keys::read_target);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` events of the repository with their sequence numbers, newest first, older than
    /// the event `before`.
    pub fn history(
        &self,
        repository: RepositoryId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, TagEvent)>, Error> {
        let before = before.map(|sequence| keys::event(repository, sequence));
        let span = Span::under(keys::repository(repository)).after(before);
        let (table, read) = (Table::TagHistory, keys::read_event);
        self.0.tx().records(table, &span, limit, read)
    }
}

impl Tags<&mut WriteTx<'_>> {
    /// Points a tag at a manifest, wherever it pointed before.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        tag: &Tag,
        record: &TagRecord,
    ) -> Result<(), Error> {
        let moved = match self.current(repository, tag)? {
            Some(current) if current.digest == record.digest => false,
            Some(current) => {
                let key = keys::target(repository, &current.digest, tag);
                self.0.remove(Table::TagTargets, key);
                true
            }
            None => true,
        };
        if moved {
            let key = keys::target(repository, &record.digest, tag);
            self.0.mark(Table::TagTargets, key);
        }
        let key = keys::tag(repository, tag);
        self.0.put_record(Table::Tags, key, record);
        Ok(())
    }

    /// Removes a tag; returns where it pointed, if there was one.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, Error> {
        let current = self.current(repository, tag)?;
        if let Some(current) = &current {
            let key = keys::target(repository, &current.digest, tag);
            self.0.remove(Table::TagTargets, key);
            self.0.remove(Table::Tags, keys::tag(repository, tag));
        }
        Ok(current)
    }

    /// Adds an event to the repository's history, under the next sequence number.
    ///
    /// Numbers continue from the newest event, so whoever shortens a history leaves that one.
    pub fn record_event(
        &mut self,
        repository: RepositoryId,
        event: &TagEvent,
    ) -> Result<(), Error> {
        let span = Span::under(keys::repository(repository));
        let (table, read) = (Table::TagHistory, keys::read_event);
        let newest = self.0.keys(table, &span, 1, read)?;
        let sequence = newest.first().map_or(0, |newest| newest + 1);
        let key = keys::event(repository, sequence);
        self.0.put_record(table, key, event);
        Ok(())
    }
}
