//! Signing keys: the few keys that registry tokens are signed with, by key id.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx};
use crate::model::SigningKeyRecord;

/// Signing keys as a transaction sees them.
pub struct SigningKeys<S>(pub(super) S);

impl<S: Reads> SigningKeys<S> {
    /// The key of that id, if there is one.
    pub fn record(&self, key_id: &str) -> Result<Option<SigningKeyRecord>, Error> {
        self.0.tx().record(Table::SigningKeys, &keys::name(key_id))
    }

    /// Every key with its id, in byte order of the ids; they are few.
    pub fn list(&self) -> Result<Vec<(String, SigningKeyRecord)>, Error> {
        let (table, read) = (Table::SigningKeys, keys::read_name);
        self.0.tx().records(table, &Span::ALL, PAGE_ROWS, read)
    }
}

impl SigningKeys<&mut WriteTx<'_>> {
    /// Keeps a key, in place of an older record of the same id.
    pub fn put(&mut self, key_id: &str, record: &SigningKeyRecord) -> Result<(), Error> {
        let key = keys::name(key_id);
        self.0.put_record(Table::SigningKeys, key, record);
        Ok(())
    }

    /// Removes a key; nothing happens if there is none.
    pub fn remove(&mut self, key_id: &str) -> Result<(), Error> {
        self.0.remove(Table::SigningKeys, keys::name(key_id));
        Ok(())
    }
}
