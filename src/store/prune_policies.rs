//! Policies by which tags end by themselves, of namespaces and of repositories.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{PolicyScope, PrunePolicy, Uuid};

/// Policies as a transaction sees them.
pub struct PrunePolicies<S>(pub(super) S);

impl<S: Reads> PrunePolicies<S> {
    /// The policy of that id, if the scope has it.
    pub fn record(&self, scope: PolicyScope, id: Uuid) -> Result<Option<PrunePolicy>, Error> {
        let key = keys::policy(scope, id);
        self.0.tx().record(Table::PrunePolicies, &key)
    }

    /// Up to `limit` policies of a scope, in the order of their ids.
    pub fn list(
        &self,
        scope: PolicyScope,
        limit: usize,
    ) -> Result<Vec<(Uuid, PrunePolicy)>, Error> {
        let span = Span::under(keys::policies(scope));
        let (table, read) = (Table::PrunePolicies, keys::read_last_uuid);
        self.0.tx().records(table, &span, limit, read)
    }

    /// Up to `limit` policies of all scopes behind `after`.
    pub fn all(
        &self,
        after: Option<(PolicyScope, Uuid)>,
        limit: usize,
    ) -> Result<Vec<(PolicyScope, Uuid)>, Error> {
        let after = after.map(|(scope, id)| keys::policy(scope, id));
        let (table, span) = (Table::PrunePolicies, Span::ALL.after(after));
        self.0.tx().keys(table, &span, limit, keys::read_policy)
    }
}

impl PrunePolicies<&mut WriteTx<'_>> {
    /// Gives a scope a policy, in place of an older one of that id.
    pub fn put(&mut self, scope: PolicyScope, id: Uuid, record: &PrunePolicy) -> Result<(), Error> {
        let key = keys::policy(scope, id);
        self.0.put_record(Table::PrunePolicies, key, record);
        Ok(())
    }

    /// Removes a policy; nothing happens if there is none.
    pub fn remove(&mut self, scope: PolicyScope, id: Uuid) -> Result<(), Error> {
        self.0.remove(Table::PrunePolicies, keys::policy(scope, id));
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
