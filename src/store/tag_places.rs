//! The order in which the tags of a repository began to point where they do, or did.
//!
//! Each beginning has a place, a number that grows within its repository; `Tags` gives it and keeps two
//! lists by it, of all that is kept and of what tags point to now. How many places of a block are taken is
//! counted in the same transaction, so that a page is found by its number without a walk: over 100,000 tags
//! some 200 counts are read for the last page.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, Tags, WriteTx};
use crate::model::{RepositoryId, TagList, TagPlace};

/// Places counted together.
pub(super) const BLOCK: u64 = 512;

impl<S: Reads> Tags<S> {
    /// Up to `limit` lines of a list, the newest first, behind the first `skip`.
    pub fn places(
        &self,
        repository: RepositoryId,
        list: TagList,
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, TagPlace)>, Error> {
        let (mut skip, mut after) = (skip, None);
        loop {
            let after_key = after.map(|block| keys::tag_place(repository, list, block));
            let span = Span::under(keys::tag_list(repository, list)).after(after_key);
            let read = keys::read_tag_place;
            let blocks: Vec<(u64, u64)> =
                self.0
                    .tx()
                    .records(Table::TagBlocks, &span, PAGE_ROWS, read)?;
            for (block, count) in &blocks {
                if skip < *count {
                    let newest = block * BLOCK + (BLOCK - 1);
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    return self.places_from((repository, list), newest, skip, limit);
                }
                skip -= count;
            }
            let Some((last, _)) = blocks.last() else {
                return Ok(Vec::new());
            };
            after = Some(*last);
        }
    }

    /// Up to `limit` lines of a list behind the place `before`, the newest first.
    pub fn places_before(
        &self,
        repository: RepositoryId,
        list: TagList,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, TagPlace)>, Error> {
        match before {
            Some(0) => Ok(Vec::new()),
            Some(before) => self.places_from((repository, list), before - 1, 0, limit),
            None => self.places_from((repository, list), u64::MAX, 0, limit),
        }
    }

    fn places_from(
        &self,
        (repository, list): (RepositoryId, TagList),
        newest: u64,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<(u64, TagPlace)>, Error> {
        let before = newest.checked_add(1);
        let before = before.map(|place| keys::tag_place(repository, list, place));
        let span = Span::under(keys::tag_list(repository, list)).after(before);
        let (table, mut seen) = (Table::TagPlaces, 0);
        let rows = skip.saturating_add(limit);
        let page = self.0.tx().page(table, &span, rows, |key, value| {
            seen += 1;
            if seen <= skip {
                return Ok(None);
            }
            let place = keys::read_tag_place(key).ok_or_else(|| table.damaged_key())?;
            Ok(Some((place, super::codec::decode(table, value)?)))
        })?;
        Ok(page.into_iter().flatten().collect())
    }
}

impl Tags<&mut WriteTx<'_>> {
    /// The place of what begins now.
    pub(super) fn next_place(&self, repository: RepositoryId) -> Result<u64, Error> {
        let newest = self.places_before(repository, TagList::All, None, 1)?;
        Ok(newest.first().map_or(1, |(place, _)| place + 1))
    }

    /// Gives a line its place in a list.
    pub(super) fn stand(
        &mut self,
        repository: RepositoryId,
        list: TagList,
        place: u64,
        line: &TagPlace,
    ) -> Result<(), Error> {
        let key = keys::tag_place(repository, list, place);
        if !self.0.has(Table::TagPlaces, &key)? {
            self.count(repository, list, place, |count| count.saturating_add(1))?;
        }
        self.0.put_record(Table::TagPlaces, key, line);
        Ok(())
    }

    /// Takes a place out of a list; nothing happens if it is free.
    pub(super) fn leave(
        &mut self,
        repository: RepositoryId,
        list: TagList,
        place: u64,
    ) -> Result<(), Error> {
        let key = keys::tag_place(repository, list, place);
        if self.0.has(Table::TagPlaces, &key)? {
            self.0.remove(Table::TagPlaces, key);
            self.count(repository, list, place, |count| count.saturating_sub(1))?;
        }
        Ok(())
    }

    fn count(
        &mut self,
        repository: RepositoryId,
        list: TagList,
        place: u64,
        change: impl Fn(u64) -> u64,
    ) -> Result<(), Error> {
        let key = keys::tag_place(repository, list, place / BLOCK);
        let count: Option<u64> = self.0.record(Table::TagBlocks, &key)?;
        match change(count.unwrap_or(0)) {
            0 => self.0.remove(Table::TagBlocks, key),
            count => self.0.put_record(Table::TagBlocks, key, &count),
        }
        Ok(())
    }
}
