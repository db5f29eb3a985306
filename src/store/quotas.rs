//! Quotas: what namespaces may hold, where somebody has said so by the API.

use super::keys;
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{NamespaceId, QuotaRecord};

/// Quotas as a transaction sees them.
pub struct Quotas<S>(pub(super) S);

impl<S: Reads> Quotas<S> {
    /// The quota of a namespace, if it has one of its own.
    pub fn of(&self, namespace: NamespaceId) -> Result<Option<QuotaRecord>, Error> {
        let key = keys::namespace(namespace);
        self.0.tx().record(Table::Quotas, &key)
    }
}

impl Quotas<&mut WriteTx<'_>> {
    /// Gives a namespace a quota, in place of an older one.
    pub fn put(&mut self, namespace: NamespaceId, record: &QuotaRecord) -> Result<(), Error> {
        let key = keys::namespace(namespace);
        self.0.put_record(Table::Quotas, key, record);
        Ok(())
    }

    /// Removes the quota of a namespace; nothing happens if it has none.
    pub fn remove(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        self.0.remove(Table::Quotas, keys::namespace(namespace));
        Ok(())
    }

    /// A number that no quota has had.
    pub fn next_id(&mut self) -> Result<u64, Error> {
        repositories::next_id(self.0, "last_quota")
    }

    /// A number that no limit has had.
    pub fn next_limit_id(&mut self) -> Result<u64, Error> {
        repositories::next_id(self.0, "last_quota_limit")
    }
}
