//! Stars: which repositories somebody likes, and how many like one.
//!
//! Invariant: a star has its row both by user and by repository, or none, and is counted once.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{RepositoryId, Timestamp, UserId};

/// Stars as a transaction sees them.
pub struct Stars<S>(pub(super) S);

impl<S: Reads> Stars<S> {
    /// Whether the user has starred the repository.
    pub fn has(&self, user: UserId, repository: RepositoryId) -> Result<bool, Error> {
        self.0.tx().has(Table::Stars, &keys::star(user, repository))
    }

    /// Up to `limit` repositories that the user has starred behind `after`, in the order of their ids.
    pub fn of_user(
        &self,
        user: UserId,
        after: Option<RepositoryId>,
        limit: usize,
    ) -> Result<Vec<RepositoryId>, Error> {
        let after = after.map(|repository| keys::star(user, repository));
        let span = Span::under(keys::user(user)).after(after);
        let (table, read) = (Table::Stars, keys::read_star);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `limit` users who have starred the repository.
    pub fn gazers(&self, repository: RepositoryId, limit: usize) -> Result<Vec<UserId>, Error> {
        let span = Span::under(keys::repository(repository));
        let (table, read) = (Table::Stargazers, keys::read_stargazer);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// How many have starred the repository.
    pub fn count(&self, repository: RepositoryId) -> Result<u64, Error> {
        let key = keys::repository(repository);
        let count = self.0.tx().record(Table::StarCounts, &key)?;
        Ok(count.unwrap_or(0))
    }
}

impl Stars<&mut WriteTx<'_>> {
    /// Stars a repository; `false` if the user has done so before.
    pub fn put(
        &mut self,
        user: UserId,
        repository: RepositoryId,
        at: Timestamp,
    ) -> Result<bool, Error> {
        if self.has(user, repository)? {
            return Ok(false);
        }
        let key = keys::star(user, repository);
        self.0.put_record(Table::Stars, key, &at);
        let key = keys::stargazer(repository, user);
        self.0.mark(Table::Stargazers, key);
        let count = self.count(repository)?.saturating_add(1);
        self.recount(repository, count);
        Ok(true)
    }

    /// Takes a star back; `false` if there was none.
    pub fn remove(&mut self, user: UserId, repository: RepositoryId) -> Result<bool, Error> {
        if !self.has(user, repository)? {
            return Ok(false);
        }
        self.0.remove(Table::Stars, keys::star(user, repository));
        let key = keys::stargazer(repository, user);
        self.0.remove(Table::Stargazers, key);
        let count = self.count(repository)?.saturating_sub(1);
        self.recount(repository, count);
        Ok(true)
    }

    fn recount(&mut self, repository: RepositoryId, count: u64) {
        let key = keys::repository(repository);
        match count {
            0 => self.0.remove(Table::StarCounts, key),
            count => self.0.put_record(Table::StarCounts, key, &count),
        }
    }
}
