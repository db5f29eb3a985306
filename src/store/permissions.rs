//! Permissions: what is granted on single repositories, and to whom.
//!
//! Invariants: a grant has its row both by repository and by grantee, or none; how many there are of somebody in
//! a namespace is counted with them.

use super::keys::{self, Span};
use super::tables::Table;
use super::txn::Count;
use super::{Error, Reads, WriteTx};
use crate::model::{Grantee, NamespaceId, RepositoryId, RepositoryRecord, Role};

/// Grants as a transaction sees them.
pub struct Permissions<S>(pub(super) S);

impl<S: Reads> Permissions<S> {
    /// What is granted to exactly this grantee on the repository, if anything.
    pub fn role(&self, repository: RepositoryId, grantee: Grantee) -> Result<Option<Role>, Error> {
        let key = keys::grant(repository, grantee);
        self.0.tx().record(Table::Grants, &key)
    }

    /// Up to `limit` grants on the repository behind that to `after`: users, robots, teams.
    pub fn of_repository(
        &self,
        repository: RepositoryId,
        after: Option<Grantee>,
        limit: usize,
    ) -> Result<Vec<(Grantee, Role)>, Error> {
        let after = after.map(|grantee| keys::grant(repository, grantee));
        let span = Span::under(keys::repository(repository)).after(after);
        let (table, read) = (Table::Grants, keys::read_grant);
        self.0.tx().records(table, &span, limit, read)
    }

    /// Up to `limit` repositories behind `after`, with their namespaces, on which something is granted to
    /// the grantee.
    pub fn of_grantee(
        &self,
        grantee: Grantee,
        after: Option<(NamespaceId, RepositoryId)>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, RepositoryId)>, Error> {
        let after = after.map(|(namespace, it)| keys::granted(grantee, namespace, it));
        let span = Span::under(keys::grantee(grantee)).after(after);
        let (table, read) = (Table::GranteeRepositories, keys::read_granted);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` repositories of the namespace behind `after` on which something is granted to the
    /// grantee.
    pub fn of_grantee_within(
        &self,
        grantee: Grantee,
        namespace: NamespaceId,
        after: Option<RepositoryId>,
        limit: usize,
    ) -> Result<Vec<RepositoryId>, Error> {
        let after = after.map(|it| keys::granted(grantee, namespace, it));
        let span = Span::under(keys::grantee_namespace(grantee, namespace)).after(after);
        let (table, read) = (Table::GranteeRepositories, keys::read_granted);
        let found = self.0.tx().keys(table, &span, limit, read)?;
        Ok(found
            .into_iter()
            .map(|(_, repository)| repository)
            .collect())
    }

    /// Up to `limit` of those behind `after` to whom something is granted in the namespace: users, robots,
    /// teams.
    pub fn grantees(
        &self,
        namespace: NamespaceId,
        after: Option<Grantee>,
        limit: usize,
    ) -> Result<Vec<Grantee>, Error> {
        let after = after.map(|grantee| keys::namespace_grantee(namespace, grantee));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let (table, read) = (Table::NamespaceGrantees, keys::read_namespace_grantee);
        self.0.tx().keys(table, &span, limit, read)
    }
}

impl<S: Reads> Permissions<S> {
    /// The namespace of a repository, also of one that is there for nobody else any more.
    fn home(&self, repository: RepositoryId) -> Result<Option<NamespaceId>, Error> {
        let key = keys::repository(repository);
        let record: Option<RepositoryRecord> = self.0.tx().record(Table::Repositories, &key)?;
        Ok(record.map(|record| record.namespace))
    }
}

impl Permissions<&mut WriteTx<'_>> {
    /// Grants a role, in place of what was granted to the grantee before; nothing happens if there is no
    /// such repository.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        grantee: Grantee,
        role: Role,
    ) -> Result<(), Error> {
        let Some(namespace) = self.home(repository)? else {
            return Ok(());
        };
        let key = keys::grant(repository, grantee);
        let is_new = !self.0.has(Table::Grants, &key)?;
        self.0.put_record(Table::Grants, key, &role);
        if is_new {
            let key = keys::granted(grantee, namespace, repository);
            self.0.mark(Table::GranteeRepositories, key);
            self.count(namespace, grantee, Count::Up)?;
        }
        Ok(())
    }

    /// Takes a grant back; returns what it was, if there was one.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        grantee: Grantee,
    ) -> Result<Option<Role>, Error> {
        let role = self.role(repository, grantee)?;
        if let (Some(_), Some(namespace)) = (role, self.home(repository)?) {
            self.remove_rows(namespace, repository, grantee)?;
        }
        Ok(role)
    }

    /// Takes back up to `limit` grants of the grantee; returns how many there were.
    pub fn clear_grantee(&mut self, grantee: Grantee, limit: usize) -> Result<usize, Error> {
        let some = self.of_grantee(grantee, None, limit)?;
        for (namespace, repository) in &some {
            self.remove_rows(*namespace, *repository, grantee)?;
        }
        Ok(some.len())
    }

    /// Takes back all that is granted on the repository, which is about to be removed, and is still there.
    pub fn clear_repository(&mut self, repository: RepositoryId) -> Result<(), Error> {
        let Some(namespace) = self.home(repository)? else {
            return Ok(());
        };
        for (grantee, _) in self.of_repository(repository, None, usize::MAX)? {
            self.remove_rows(namespace, repository, grantee)?;
        }
        Ok(())
    }

    fn remove_rows(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        grantee: Grantee,
    ) -> Result<(), Error> {
        self.0
            .remove(Table::Grants, keys::grant(repository, grantee));
        let key = keys::granted(grantee, namespace, repository);
        self.0.remove(Table::GranteeRepositories, key);
        self.count(namespace, grantee, Count::Down)
    }

    /// Counts a grant that came or went, below its namespace and for a team.
    fn count(
        &mut self,
        namespace: NamespaceId,
        grantee: Grantee,
        change: Count,
    ) -> Result<(), Error> {
        let key = keys::namespace_grantee(namespace, grantee);
        self.0.count(Table::NamespaceGrantees, key, change)?;
        if let Grantee::Team(team) = grantee
            && let Some(mut record) = self.0.teams().record(team)?
        {
            record.repositories = change.apply(record.repositories);
            self.0.put_record(Table::Teams, keys::team(team), &record);
        }
        Ok(())
    }
}
