//! The places of tags, which say something, unlike the rows of other indexes: whose they are.
//!
//! What has no place, or one that another has as well, gets a new one at the end: that it is listed counts
//! for more than where.

use super::{Audit, Derived, Index, expected, origin};
use crate::model::{RepositoryId, TagLifetime, TagList, TagPlace, TagRecord};
use crate::store::keys::{self, Key};
use crate::store::tables::Table;
use crate::store::{Error, WriteTx};

impl Audit<&mut WriteTx<'_>> {
    /// Whether a place cannot be given to what says that it has it, and is `own`.
    pub(super) fn is_taken(
        &self,
        row: &Derived,
        own: Option<&(Table, Key)>,
    ) -> Result<bool, Error> {
        let index = Index::TagPlaces;
        // Nothing begins at 0: that is what was never placed.
        if keys::read_tag_place(&row.key) == Some(0) {
            return Ok(true);
        }
        let other = self.0.row(index.table(), &row.key, |value| {
            Ok(origin(index, &row.key, value))
        })?;
        let other = other.flatten().filter(|other| Some(other) != own);
        Ok(expected(self.0, index, &row.key, other.as_ref())?.is_some())
    }

    /// Gives a tag, or an ended lifetime, a place of its own; `false` if there is no such thing.
    pub(super) fn place_anew(&mut self, origin: Option<&(Table, Key)>) -> Result<bool, Error> {
        let Some((table, key)) = origin else {
            return Ok(false);
        };
        let repository = keys::read_repository(key).ok_or_else(|| table.damaged_key())?;
        match table {
            Table::Tags => self.place_tag(repository, key),
            Table::TagLifetimes => self.place_lifetime(repository, key),
            _ => Ok(false),
        }
    }

    fn place_tag(&mut self, repository: RepositoryId, key: &Key) -> Result<bool, Error> {
        let table = Table::Tags;
        let Some(record) = self.0.record::<TagRecord>(table, key)? else {
            return Ok(false);
        };
        let place = self.0.tags().next_place(repository)?;
        let line = TagPlace {
            tag: keys::read_tag(key).ok_or_else(|| table.damaged_key())?,
            start: record.since,
            lifetime: None,
        };
        for list in [TagList::All, TagList::Live] {
            self.0.tags().stand(repository, list, place, &line)?;
        }
        let placed = TagRecord { place, ..record };
        self.0.put_record(table, key.clone(), &placed);
        Ok(true)
    }

    fn place_lifetime(&mut self, repository: RepositoryId, key: &Key) -> Result<bool, Error> {
        let table = Table::TagLifetimes;
        let Some(lifetime) = self.0.record::<TagLifetime>(table, key)? else {
            return Ok(false);
        };
        let place = self.0.tags().next_place(repository)?;
        let line = TagPlace {
            tag: lifetime.tag.clone(),
            start: lifetime.start,
            lifetime: Some(keys::read_lifetime(key).ok_or_else(|| table.damaged_key())?),
        };
        let list = TagList::All;
        self.0.tags().stand(repository, list, place, &line)?;
        let placed = TagLifetime { place, ..lifetime };
        self.0.put_record(table, key.clone(), &placed);
        Ok(true)
    }
}

#[cfg(test)]
impl Audit<&mut WriteTx<'_>> {
    /// Says that a tag has another place, as damage does.
    pub(crate) fn misplace(
        &mut self,
        repository: RepositoryId,
        tag: &crate::oci::Tag,
        place: u64,
    ) -> Result<(), Error> {
        let key = keys::tag(repository, tag);
        let record = self.0.record::<TagRecord>(Table::Tags, &key)?;
        let record = record.expect("there is such a tag");
        self.0
            .put_record(Table::Tags, key, &TagRecord { place, ..record });
        Ok(())
    }
}
