//! Policies by which tags become immutable, of namespaces and of repositories.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{ImmutabilityPolicy, PolicyScope, Uuid};

/// Policies as a transaction sees them.
pub struct Immutability<S>(pub(super) S);

impl<S: Reads> Immutability<S> {
    /// The policy of that id, if the scope has it.
    pub fn record(
        &self,
        scope: PolicyScope,
        id: Uuid,
    ) -> Result<Option<ImmutabilityPolicy>, Error> {
        let key = keys::policy(scope, id);
        self.0.tx().record(Table::ImmutabilityPolicies, &key)
    }

    /// Up to `limit` policies of a scope, in the order of their ids.
    pub fn list(
        &self,
        scope: PolicyScope,
        limit: usize,
    ) -> Result<Vec<(Uuid, ImmutabilityPolicy)>, Error> {
        let span = Span::under(keys::policies(scope));
        let (table, read) = (Table::ImmutabilityPolicies, keys::read_last_uuid);
        self.0.tx().records(table, &span, limit, read)
    }
}

impl Immutability<&mut WriteTx<'_>> {
    /// Gives a scope a policy, in place of an older one of that id.
    pub fn put(
        &mut self,
        scope: PolicyScope,
        id: Uuid,
        record: &ImmutabilityPolicy,
    ) -> Result<(), Error> {
        let key = keys::policy(scope, id);
        self.0.put_record(Table::ImmutabilityPolicies, key, record);
        Ok(())
    }

    /// Removes a policy; nothing happens if there is none.
    pub fn remove(&mut self, scope: PolicyScope, id: Uuid) -> Result<(), Error> {
        let key = keys::policy(scope, id);
        self.0.remove(Table::ImmutabilityPolicies, key);
        Ok(())
    }

    /// Removes every policy of a scope that goes. Those are bounded by whoever makes them.
    pub fn clear(&mut self, scope: PolicyScope) -> Result<(), Error> {
        for (id, _) in self.list(scope, usize::MAX)? {
            self.remove(scope, id)?;
        }
        Ok(())
    }
}
