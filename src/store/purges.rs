//! What is deleted and has rows left, which are removed a few at a time.
//!
//! Written in the transaction of the deletion; taken off with the last of the rows. Ids are never given
//! twice, so rows that are left name nobody.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::Doomed;

/// Pending removals as a transaction sees them.
pub struct Purges<S>(pub(super) S);

impl<S: Reads> Purges<S> {
    /// Up to `limit` of those behind `after`: namespaces, then users.
    pub fn list(&self, after: Option<Doomed>, limit: usize) -> Result<Vec<Doomed>, Error> {
        let span = Span::ALL.after(after.map(keys::purge));
        self.0
            .tx()
            .keys(Table::Purges, &span, limit, keys::read_purge)
    }
}

impl Purges<&mut WriteTx<'_>> {
    pub fn put(&mut self, doomed: Doomed) -> Result<(), Error> {
        self.0.mark(Table::Purges, keys::purge(doomed));
        Ok(())
    }

    /// Says that nothing is left; nothing happens if nobody said otherwise.
    pub fn remove(&mut self, doomed: Doomed) -> Result<(), Error> {
        self.0.remove(Table::Purges, keys::purge(doomed));
        Ok(())
    }
}
