//! Keys of services, by key id; few, since superusers make or approve each, and those that wait are bounded.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::ServiceKeyRecord;

/// Keys of services as a transaction sees them.
pub struct ServiceKeys<S>(pub(super) S);

impl<S: Reads> ServiceKeys<S> {
    /// The key of exactly this id, if there is one.
    pub fn record(&self, key_id: &str) -> Result<Option<ServiceKeyRecord>, Error> {
        self.0.tx().record(Table::ServiceKeys, &keys::name(key_id))
    }

    /// Up to `limit` keys behind the id `after`, in byte order of the ids.
    pub fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, ServiceKeyRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::name));
        let (table, read) = (Table::ServiceKeys, keys::read_name);
        self.0.tx().records(table, &span, limit, read)
    }
}

impl ServiceKeys<&mut WriteTx<'_>> {
    /// Keeps a key, in place of an older record of the same id.
    pub fn put(&mut self, key_id: &str, record: &ServiceKeyRecord) -> Result<(), Error> {
        let key = keys::name(key_id);
        self.0.put_record(Table::ServiceKeys, key, record);
        Ok(())
    }

    /// Removes a key; nothing happens if there is none.
    pub fn remove(&mut self, key_id: &str) -> Result<(), Error> {
        self.0.remove(Table::ServiceKeys, keys::name(key_id));
        Ok(())
    }
}
