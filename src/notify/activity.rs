//! How much happens in repositories: for popularity, search and statistics.

use super::read::beginning;
use super::{Audit, Error};
use crate::model::{LogScope, RepositoryId, Timestamp};
use crate::store::{self, day};

/// The days that popularity looks back to (Quay: actions of the last week).
const WEEK: i32 = 7;

impl Audit {
    /// Actions of each of the last `days` days in a repository, the earliest first; today is the last.
    ///
    /// # Errors
    /// The store's.
    pub async fn activity(
        &self,
        repository: RepositoryId,
        days: u16,
    ) -> Result<Vec<(Timestamp, u64)>, Error> {
        let today = day(self.0.clock.now());
        let first = today.saturating_sub(i32::from(days).saturating_sub(1));
        let counted = self.0.store.scan(move |tx| {
            let of = |day| {
                let scope = LogScope::Repository(repository);
                Ok((beginning(day), tx.logs().count(scope, day)?))
            };
            (first..=today).map(of).collect::<Result<_, store::Error>>()
        });
        Ok(counted.await?)
    }

    /// Actions of the last seven days in each of these repositories, in their order.
    ///
    /// # Errors
    /// The store's.
    pub async fn popularity(&self, repositories: Vec<RepositoryId>) -> Result<Vec<u64>, Error> {
        let today = day(self.0.clock.now());
        let counted = self.0.store.scan(move |tx| {
            let of = |repository: &RepositoryId| {
                let scope = LogScope::Repository(*repository);
                let days = (today - WEEK + 1)..=today;
                days.map(|day| tx.logs().count(scope, day)).sum()
            };
            repositories
                .iter()
                .map(of)
                .collect::<Result<_, store::Error>>()
        });
        Ok(counted.await?)
    }
}
