//! Tags: where they point, which of them point at a manifest, and where they pointed before.
//!
//! Invariant, kept by `put` and `remove`: a tag has exactly one row in the index by digest, the one of
//! its current manifest, and its places in the lists by beginning (`tag_places`). The history is the caller's
//! to write, behind the change: who moves a tag knows why.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{RepositoryId, TagLifetime, TagList, TagPlace, TagRecord};
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

    /// Up to `limit` ended lifetimes of the repository's tags with their sequence numbers, the one
    /// that ended last first, before the lifetime `before`.
    pub fn lifetimes(
        &self,
        repository: RepositoryId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, TagLifetime)>, Error> {
        let before = before.map(|sequence| keys::lifetime(repository, sequence));
        let span = Span::under(keys::repository(repository)).after(before);
        let (table, read) = (Table::TagLifetimes, keys::read_lifetime);
        self.0.tx().records(table, &span, limit, read)
    }

    /// The ended lifetime of that number, if it is still kept.
    pub fn lifetime(
        &self,
        repository: RepositoryId,
        sequence: u64,
    ) -> Result<Option<TagLifetime>, Error> {
        let key = keys::lifetime(repository, sequence);
        self.0.tx().record(Table::TagLifetimes, &key)
    }

    /// Up to `limit` numbers of ended lifetimes in which a tag pointed at the manifest, the one that
    /// ended last first.
    pub fn lifetimes_of_manifest(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let span = Span::under(keys::content(repository, digest));
        let (table, read) = (Table::LifetimeTargets, keys::read_lifetime_target);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` numbers of ended lifetimes of a tag, the one that ended last first, before the
    /// lifetime `before`.
    pub fn lifetimes_of_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<u64>, Error> {
        let before = before.map(|sequence| keys::lifetime_tag(repository, tag, sequence));
        let span = Span::under(keys::lifetimes_of_tag(repository, tag)).after(before);
        let (table, read) = (Table::LifetimeTags, keys::read_lifetime_tag);
        self.0.tx().keys(table, &span, limit, read)
    }
}

impl Tags<&mut WriteTx<'_>> {
    /// Points a tag at a manifest, wherever it pointed before. Its place in the history stays as long as it
    /// points there.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        tag: &Tag,
        record: &TagRecord,
    ) -> Result<(), Error> {
        let key = keys::tag(repository, tag);
        let current = self.current(repository, tag)?;
        if let Some(current) = &current
            && current.digest == record.digest
        {
            let place = current.place;
            let record = TagRecord {
                place,
                ..record.clone()
            };
            self.0.put_record(Table::Tags, key, &record);
            if record.since != current.since {
                let line = live(tag, &record);
                self.stand(repository, TagList::All, place, &line)?;
                self.stand(repository, TagList::Live, place, &line)?;
            }
            return Ok(());
        }
        let place = self.next_place(repository)?;
        if let Some(current) = current {
            self.unlist(repository, tag, &current)?;
        }
        let target = keys::target(repository, &record.digest, tag);
        self.0.mark(Table::TagTargets, target);
        let line = live(tag, record);
        self.stand(repository, TagList::All, place, &line)?;
        self.stand(repository, TagList::Live, place, &line)?;
        let record = TagRecord {
            place,
            ..record.clone()
        };
        self.0.put_record(Table::Tags, key, &record);
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
            self.unlist(repository, tag, current)?;
            self.0.remove(Table::Tags, keys::tag(repository, tag));
        }
        Ok(current)
    }

    fn unlist(
        &mut self,
        repository: RepositoryId,
        tag: &Tag,
        current: &TagRecord,
    ) -> Result<(), Error> {
        let key = keys::target(repository, &current.digest, tag);
        self.0.remove(Table::TagTargets, key);
        self.leave(repository, TagList::All, current.place)?;
        self.leave(repository, TagList::Live, current.place)
    }

    /// Adds an ended lifetime to the repository's history, at the place that its tag had, which is free;
    /// returns its number, which is never given twice.
    pub fn record_lifetime(
        &mut self,
        repository: RepositoryId,
        lifetime: &TagLifetime,
    ) -> Result<u64, Error> {
        let sequence = repositories::next_id(self.0, "last_lifetime")?;
        let place = match lifetime.place {
            0 => self.next_place(repository)?,
            place => place,
        };
        let line = TagPlace {
            tag: lifetime.tag.clone(),
            start: lifetime.start,
            lifetime: Some(sequence),
        };
        self.stand(repository, TagList::All, place, &line)?;
        let key = keys::lifetime(repository, sequence);
        let placed = TagLifetime {
            place,
            ..lifetime.clone()
        };
        self.0.put_record(Table::TagLifetimes, key, &placed);
        let key = keys::lifetime_target(repository, &lifetime.digest, sequence);
        self.0.mark(Table::LifetimeTargets, key);
        let key = keys::lifetime_tag(repository, &lifetime.tag, sequence);
        self.0.mark(Table::LifetimeTags, key);
        Ok(sequence)
    }

    /// Drops an ended lifetime; nothing happens if it is gone.
    pub fn drop_lifetime(&mut self, repository: RepositoryId, sequence: u64) -> Result<(), Error> {
        let Some(lifetime) = self.lifetime(repository, sequence)? else {
            return Ok(());
        };
        self.leave(repository, TagList::All, lifetime.place)?;
        let key = keys::lifetime_target(repository, &lifetime.digest, sequence);
        self.0.remove(Table::LifetimeTargets, key);
        let key = keys::lifetime_tag(repository, &lifetime.tag, sequence);
        self.0.remove(Table::LifetimeTags, key);
        self.0
            .remove(Table::TagLifetimes, keys::lifetime(repository, sequence));
        Ok(())
    }
}

/// The line of where a tag points now.
fn live(tag: &Tag, record: &TagRecord) -> TagPlace {
    TagPlace {
        tag: tag.clone(),
        start: record.since,
        lifetime: None,
    }
}
