//! Grants: what single repositories allow to users, robots and teams.

use super::{Accounts, Error, Noun};
use crate::model::{Grantee, NamespaceId, NamespaceKind, RepositoryId, Role};
use crate::store::{ReadTx, WriteTx};

impl Accounts {
    /// Grants a role on a repository, in place of what was granted to the grantee before.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a robot or team of another namespace; [`Error::GrantToOwner`];
    /// [`Error::Unknown`].
    pub async fn grant(
        &self,
        repository: RepositoryId,
        grantee: Grantee,
        role: Role,
    ) -> Result<(), Error> {
        self.change(move |tx: &mut WriteTx<'_>| {
            let record = tx.repositories().record(repository)?;
            let noun = Noun::Repository;
            let record = record.ok_or(Error::Unknown { noun })?;
            check_grantee(tx, grantee, record.namespace)?;
            Ok(tx.permissions().put(repository, grantee, role)?)
        })
        .await
    }

    /// Takes a grant back; returns what it was, if there was one.
    pub async fn revoke(
        &self,
        repository: RepositoryId,
        grantee: Grantee,
    ) -> Result<Option<Role>, Error> {
        self.change(move |tx| Ok(tx.permissions().remove(repository, grantee)?))
            .await
    }

    /// Up to `limit` grants on the repository behind that to `after`: users, robots, teams.
    pub async fn list_grants(
        &self,
        repository: RepositoryId,
        after: Option<Grantee>,
        limit: usize,
    ) -> Result<Vec<(Grantee, Role)>, Error> {
        let list = move |tx: &ReadTx| tx.permissions().of_repository(repository, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }
}

/// Checks that the grantee exists and may be granted something in the namespace.
fn check_grantee(tx: &ReadTx, grantee: Grantee, namespace: NamespaceId) -> Result<(), Error> {
    let (noun, home) = match grantee {
        Grantee::User(id) => {
            let owner = tx.namespaces().record(namespace)?.map(|record| record.kind);
            if owner == Some(NamespaceKind::User(id)) {
                return Err(Error::GrantToOwner);
            }
            // Users are granted something wherever they are welcome.
            let home = tx.users().record(id)?.map(|_| namespace);
            (Noun::User, home)
        }
        Grantee::Robot(id) => {
            let home = tx.robots().record(id)?.map(|robot| robot.namespace);
            (Noun::Robot, home)
        }
        Grantee::Team(id) => {
            let home = tx.teams().record(id)?.map(|team| team.namespace);
            (Noun::Team, home)
        }
    };
    match home {
        Some(home) if home == namespace => Ok(()),
        Some(_) => Err(Error::Foreign { noun }),
        None => Err(Error::Unknown { noun }),
    }
}
