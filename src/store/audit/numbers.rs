//! The numbers that are kept about a repository: its bytes, its stars, and how many places of its lists of
//! tags are taken.
//!
//! They are counted from rows that must be right by then ([`Number::counted_from`]), one repository at a
//! time, each in one snapshot, so that what is wrong is the difference.

use std::collections::BTreeMap;

use super::{Audit, Index};
use crate::model::RepositoryId;
use crate::store::keys::{self, Key, Span};
use crate::store::tables::Table;
use crate::store::tag_places::BLOCK;
use crate::store::{Error, PAGE_ROWS, ReadTx, Reads, WriteTx};

/// What is counted about a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Number {
    /// Bytes of its manifests and of the blobs it links.
    Bytes,
    /// How many have starred it.
    Stars,
    /// Places that are taken in a block of a list of its tags.
    TagPlaces,
}

/// A number that is not what is counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrongNumber {
    pub repository: RepositoryId,
    pub number: Number,
    pub stored: u64,
    pub counted: u64,
    key: Key,
}

/// Every table that a number of a repository is in or comes from, with the repository first in its keys.
const TABLES: [Table; 7] = [
    Table::Manifests,
    Table::BlobLinks,
    Table::RepositoryUsage,
    Table::Stargazers,
    Table::StarCounts,
    Table::TagPlaces,
    Table::TagBlocks,
];

impl Number {
    const ALL: [Self; 3] = [Self::Bytes, Self::Stars, Self::TagPlaces];

    /// The index that it is counted from, if that is one: only what is right there is right here.
    pub const fn counted_from(self) -> Option<Index> {
        match self {
            Self::Bytes => None,
            Self::Stars => Some(Index::Stargazers),
            Self::TagPlaces => Some(Index::TagPlaces),
        }
    }

    const fn table(self) -> Table {
        match self {
            Self::Bytes => Table::RepositoryUsage,
            Self::Stars => Table::StarCounts,
            Self::TagPlaces => Table::TagBlocks,
        }
    }
}

impl<S: Reads> Audit<S> {
    /// The first repository behind `after` that anything is kept or counted about, and what is wrong with
    /// its numbers; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that cannot be read.
    pub fn numbers(
        &self,
        after: Option<RepositoryId>,
    ) -> Result<Option<(RepositoryId, Vec<WrongNumber>)>, Error> {
        let tx = self.0.tx();
        let Some(repository) = next(tx, after)? else {
            return Ok(None);
        };
        let mut wrong = Vec::new();
        for number in Number::ALL {
            wrong.extend(compare(tx, repository, number)?);
        }
        Ok(Some((repository, wrong)))
    }
}

impl Audit<&mut WriteTx<'_>> {
    /// Corrects a number; what others add or take away meanwhile stays, as the difference is what is wrong.
    pub fn set_right(&mut self, wrong: &WrongNumber) -> Result<(), Error> {
        let table = wrong.number.table();
        let now: Option<u64> = self.0.record(table, &wrong.key)?;
        let right = now.unwrap_or(0).saturating_add(wrong.counted);
        match right.saturating_sub(wrong.stored) {
            0 => self.0.remove(table, wrong.key.clone()),
            right => self.0.put_record(table, wrong.key.clone(), &right),
        }
        Ok(())
    }
}

/// The first repository behind `after` in any of the tables.
fn next(tx: &ReadTx, after: Option<RepositoryId>) -> Result<Option<RepositoryId>, Error> {
    let Some(first) = after.map_or(Some(0), |RepositoryId(after)| after.checked_add(1)) else {
        return Ok(None);
    };
    let mut found = None;
    for table in TABLES {
        let span = Span::from(keys::repository(RepositoryId(first)));
        let row = tx.keys(table, &span, 1, keys::read_repository)?;
        found = found.into_iter().chain(row).min();
    }
    Ok(found)
}

/// Compares a number of a repository, which may be several by their keys, with what is there.
fn compare(
    tx: &ReadTx,
    repository: RepositoryId,
    number: Number,
) -> Result<Vec<WrongNumber>, Error> {
    let mut counted: BTreeMap<Key, u64> = BTreeMap::new();
    let key = keys::repository(repository);
    match number {
        Number::Bytes => {
            counted.insert(key, bytes(tx, repository)?);
        }
        Number::Stars => each(tx, Table::Stargazers, repository, |_, _| {
            *counted.entry(key.clone()).or_default() += 1;
            Ok(())
        })?,
        Number::TagPlaces => {
            let table = Table::TagPlaces;
            each(tx, table, repository, |key, _| {
                let (list, place) = (key.get(..9), keys::read_tag_place(key));
                let damaged = || table.damaged_key();
                let block = place.ok_or_else(damaged)? / BLOCK;
                let list = list.ok_or_else(damaged)?;
                let key = [list, &(!block).to_be_bytes()].concat();
                *counted.entry(key).or_default() += 1;
                Ok(())
            })?;
        }
    }
    let mut stored: BTreeMap<Key, u64> = BTreeMap::new();
    each(tx, number.table(), repository, |key, value| {
        let count = crate::store::codec::decode(number.table(), value)?;
        stored.insert(key.to_vec(), count);
        Ok(())
    })?;
    Ok(differences(repository, number, &stored, counted))
}

fn differences(
    repository: RepositoryId,
    number: Number,
    stored: &BTreeMap<Key, u64>,
    mut counted: BTreeMap<Key, u64>,
) -> Vec<WrongNumber> {
    for key in stored.keys() {
        counted.entry(key.clone()).or_default();
    }
    let both = counted.into_iter().map(|(key, counted)| {
        let stored = stored.get(&key).copied().unwrap_or(0);
        (key, stored, counted)
    });
    let wrong = both.filter(|(_, stored, counted)| stored != counted);
    let wrong = wrong.map(|(key, stored, counted)| WrongNumber {
        repository,
        number,
        stored,
        counted,
        key,
    });
    wrong.collect()
}

/// Bytes of a repository's manifests where those count, and of the blobs that it links and that are held.
fn bytes(tx: &ReadTx, repository: RepositoryId) -> Result<u64, Error> {
    let mut total = match tx.repositories().counts_documents(repository)? {
        true => document_bytes(tx, repository)?,
        false => 0,
    };
    let mut after = None;
    loop {
        let page = tx.blobs().linked(repository, after.as_ref(), PAGE_ROWS)?;
        let Some(last) = page.last() else {
            return Ok(total);
        };
        after = Some(*last);
        for digest in &page {
            let record = tx.blobs().record(digest)?;
            total = total.saturating_add(record.map_or(0, |record| record.size_bytes));
        }
    }
}

fn document_bytes(tx: &ReadTx, repository: RepositoryId) -> Result<u64, Error> {
    let (mut total, mut after) = (0_u64, None);
    loop {
        let manifests = tx.manifests();
        let page = manifests.list(repository, after.as_ref(), PAGE_ROWS)?;
        let Some((last, _)) = page.last() else {
            return Ok(total);
        };
        after = Some(*last);
        let sizes = page.iter().map(|(_, record)| record.size_bytes);
        total = total.saturating_add(sizes.sum());
    }
}

/// Shows `look` every row of a repository in a table.
fn each(
    tx: &ReadTx,
    table: Table,
    repository: RepositoryId,
    mut look: impl FnMut(&[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut span = Span::under(keys::repository(repository));
    loop {
        let page = tx.page(table, &span, PAGE_ROWS, |key, value| {
            look(key, value)?;
            Ok(key.to_vec())
        })?;
        let Some(last) = page.into_iter().next_back() else {
            return Ok(());
        };
        span = span.after(Some(last));
    }
}

#[cfg(test)]
impl Audit<&mut WriteTx<'_>> {
    /// Says that every number of that kind which is kept is this one.
    pub(crate) fn misnumber(&mut self, number: Number, wrong: u64) -> Result<(), Error> {
        let table = number.table();
        let keys = self
            .0
            .page(table, &Span::ALL, PAGE_ROWS, |key, _| Ok(key.to_vec()))?;
        for key in keys {
            self.0.put_record(table, key, &wrong);
        }
        Ok(())
    }
}
