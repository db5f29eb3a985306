//! Permissions: what is granted on single repositories, and to whom.
//!
//! Invariant: a grant has its row both by repository and by grantee, or none.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{Grantee, RepositoryId, Role};

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

    /// Up to `limit` repositories behind `after` on which something is granted to the grantee.
    pub fn of_grantee(
        &self,
        grantee: Grantee,
        after: Option<RepositoryId>,
        limit: usize,
    ) -> Result<Vec<RepositoryId>, Error> {
        let after = after.map(|repository| keys::granted(grantee, repository));
        let span = Span::under(keys::grantee(grantee)).after(after);
        let (table, read) = (Table::GranteeRepositories, keys::read_granted);
        self.0.tx().keys(table, &span, limit, read)
    }
}

impl Permissions<&mut WriteTx<'_>> {
    /// Grants a role, in place of what was granted to the grantee before.
    pub fn put(
        &mut self,
        repository: RepositoryId,
        grantee: Grantee,
        role: Role,
    ) -> Result<(), Error> {
        let key = keys::grant(repository, grantee);
        self.0.put_record(Table::Grants, key, &role);
        let key = keys::granted(grantee, repository);
        self.0.mark(Table::GranteeRepositories, key);
        Ok(())
    }

    /// Takes a grant back; returns what it was, if there was one.
    pub fn remove(
        &mut self,
        repository: RepositoryId,
        grantee: Grantee,
    ) -> Result<Option<Role>, Error> {
        let role = self.role(repository, grantee)?;
        if role.is_some() {
            self.remove_rows(repository, grantee);
        }
        Ok(role)
    }

    /// Takes back all that is granted to the grantee.
    pub fn clear_grantee(&mut self, grantee: Grantee) -> Result<(), Error> {
        // All at once: what is removed is held in memory until the commit in any case.
        for repository in self.of_grantee(grantee, None, usize::MAX)? {
            self.remove_rows(repository, grantee);
        }
        Ok(())
    }

    /// Takes back all that is granted on the repository, which is about to be removed.
    pub fn clear_repository(&mut self, repository: RepositoryId) -> Result<(), Error> {
        for (grantee, _) in self.of_repository(repository, None, usize::MAX)? {
            self.remove_rows(repository, grantee);
        }
        Ok(())
    }

    fn remove_rows(&mut self, repository: RepositoryId, grantee: Grantee) {
        self.0
            .remove(Table::Grants, keys::grant(repository, grantee));
        let key = keys::granted(grantee, repository);
        self.0.remove(Table::GranteeRepositories, key);
    }
}
