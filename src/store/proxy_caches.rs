//! What organisations cache by the API, by namespace.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{NamespaceId, ProxyCacheRecord};

/// Caches made by the API as a transaction sees them.
pub struct ProxyCaches<S>(pub(super) S);

impl<S: Reads> ProxyCaches<S> {
    /// What the organisation caches, if it does.
    pub fn record(&self, namespace: NamespaceId) -> Result<Option<ProxyCacheRecord>, Error> {
        let key = keys::namespace(namespace);
        self.0.tx().record(Table::ProxyCaches, &key)
    }

    /// Up to `limit` of them, those of the oldest organisations first.
    pub fn list(&self, limit: usize) -> Result<Vec<(NamespaceId, ProxyCacheRecord)>, Error> {
        let read = |key: &[u8]| keys::read_number(key).map(NamespaceId);
        self.0
            .tx()
            .records(Table::ProxyCaches, &Span::ALL, limit, read)
    }
}

impl ProxyCaches<&mut WriteTx<'_>> {
    /// Says what the organisation caches, in place of what was said before.
    pub fn put(&mut self, namespace: NamespaceId, record: &ProxyCacheRecord) -> Result<(), Error> {
        let key = keys::namespace(namespace);
        self.0.put_record(Table::ProxyCaches, key, record);
        Ok(())
    }

    /// Has the organisation be no cache any more; nothing happens if it was none.
    pub fn remove(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        self.0
            .remove(Table::ProxyCaches, keys::namespace(namespace));
        Ok(())
    }
}
