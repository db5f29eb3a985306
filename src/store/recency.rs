//! Recency: when units of content were last used, and which namespace's are the oldest.
//!
//! Invariant, kept by `put` and `remove`: a record has exactly one row in the order, the one of its
//! last use. Written in batches, some tens of seconds late; no pull waits for it (CR-11).

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{NamespaceId, RecencyRecord, Timestamp, Unit};

/// Last uses as a transaction sees them.
pub struct Recency<S>(pub(super) S);

impl<S: Reads> Recency<S> {
    /// How recently a unit was used, if that is known.
    pub fn record(&self, unit: &Unit) -> Result<Option<RecencyRecord>, Error> {
        self.0.tx().record(Table::Recency, &keys::unit(unit))
    }

    /// Up to `limit` units of the namespace, least recently used first, behind the unit `after`
    /// with the time of its last use.
    pub fn oldest(
        &self,
        namespace: NamespaceId,
        after: Option<(Timestamp, Unit)>,
        limit: usize,
    ) -> Result<Vec<(Unit, RecencyRecord)>, Error> {
        let after = after.map(|(last_used, unit)| keys::used(last_used, &unit));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let (table, read) = (Table::RecencyOrder, keys::read_used);
        let units = self.0.tx().keys(table, &span, limit, read)?;
        units
            .into_iter()
            .map(|unit| {
                let record = self.record(&unit)?;
                Ok((unit, record.ok_or_else(|| table.damaged_key())?))
            })
            .collect()
    }
}

impl Recency<&mut WriteTx<'_>> {
    /// Records how recently a unit was used.
    pub fn put(&mut self, unit: &Unit, record: &RecencyRecord) -> Result<(), Error> {
        match self.record(unit)? {
            Some(held) if held == *record => return Ok(()),
            Some(held) if held.last_used == record.last_used => {}
            held => {
                if let Some(held) = held {
                    let key = keys::used(held.last_used, unit);
                    self.0.remove(Table::RecencyOrder, key);
                }
                let key = keys::used(record.last_used, unit);
                self.0.mark(Table::RecencyOrder, key);
            }
        }
        self.0.put_record(Table::Recency, keys::unit(unit), record);
        Ok(())
    }

    /// Forgets a unit; nothing happens if it is not known.
    pub fn remove(&mut self, unit: &Unit) -> Result<(), Error> {
        if let Some(held) = self.record(unit)? {
            let key = keys::used(held.last_used, unit);
            self.0.remove(Table::RecencyOrder, key);
            self.0.remove(Table::Recency, keys::unit(unit));
        }
        Ok(())
    }
}
