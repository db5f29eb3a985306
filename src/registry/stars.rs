//! Which repositories people like.

use super::{Error, Registry};
use crate::model::{RepositoryId, UserId};
use crate::store::{self, ReadTx, WriteTx};

impl Registry {
    /// Stars a repository; `false` if the user has done so before.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if it is gone.
    pub async fn star(&self, user: UserId, repository: RepositoryId) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        let star = move |tx: &mut WriteTx<'_>| {
            if tx.repositories().record(repository)?.is_none() {
                return Err(Error::NameUnknown);
            }
            Ok(tx.stars().put(user, repository, now)?)
        };
        self.inner.store.write(star).await
    }

    /// Takes a star back; `false` if there was none.
    ///
    /// # Errors
    /// The store's.
    pub async fn unstar(&self, user: UserId, repository: RepositoryId) -> Result<bool, Error> {
        let unstar = move |tx: &mut WriteTx<'_>| tx.stars().remove(user, repository);
        let taken: Result<bool, store::Error> = self.inner.store.write(unstar).await;
        Ok(taken?)
    }

    /// Whether the user has starred the repository.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_starred(&self, user: UserId, repository: RepositoryId) -> Result<bool, Error> {
        let starred = |tx: &ReadTx| tx.stars().has(user, repository);
        let starred: Result<bool, store::Error> = self.inner.store.read(starred).await;
        Ok(starred?)
    }
}
