//! Reviews: what the collector looks at, in the order of when it is due.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{Review, Timestamp};

/// Reviews as a transaction sees them.
pub struct Reviews<S>(pub(super) S);

impl<S: Reads> Reviews<S> {
    /// Up to `limit` reviews that are due at `now`, behind `after`, the earliest first.
    pub fn due(
        &self,
        now: Timestamp,
        after: Option<&(Timestamp, Review)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, Review)>, Error> {
        let after = after.map(|(due, review)| keys::review(*due, review));
        let span = Span::up_to(&keys::due(now)).after(after);
        let (table, read) = (Table::Reviews, keys::read_review);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// When the first review is due that is not yet due at `now`.
    pub fn next(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let span = Span::ALL.after(Some(keys::end_of_due(now)));
        let (table, read) = (Table::Reviews, keys::read_review);
        let found = self.0.tx().keys(table, &span, 1, read)?;
        Ok(found.first().map(|(due, _)| *due))
    }
}

impl Reviews<&mut WriteTx<'_>> {
    /// Has something looked at when `due` has come.
    pub fn put(&mut self, due: Timestamp, review: &Review) -> Result<(), Error> {
        self.0.mark(Table::Reviews, keys::review(due, review));
        Ok(())
    }

    /// Takes a review off; nothing happens if it is not there.
    pub fn remove(&mut self, due: Timestamp, review: &Review) -> Result<(), Error> {
        self.0.remove(Table::Reviews, keys::review(due, review));
        Ok(())
    }
}
