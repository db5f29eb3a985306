//! Names that begin with a text: of users, organisations, and the teams and robots of a namespace.
//!
//! Called by the search and the completion of `/api/v1`, which decide what the caller may see. A call looks
//! at up to [`ROWS`] rows, and those begin where the names do.

use super::{Accounts, Error};
use crate::model::{
    Member, NamespaceId, NamespaceKind, NamespaceRecord, RobotRecord, TeamId, TeamRecord, UserId,
    UserRecord,
};
use crate::store::{self, ReadTx};

/// Rows looked at.
const ROWS: usize = 1_000;

/// Organisations of one user whose teams and robots are searched.
const ORGANIZATIONS: usize = 50;

impl Accounts {
    /// Up to `limit` enabled users whose names begin with `prefix`, in byte order.
    ///
    /// # Errors
    /// The store's.
    pub async fn users_beginning(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<UserRecord>, Error> {
        let prefix = prefix.to_owned();
        let read = move |tx: &ReadTx| {
            let mut users = Vec::new();
            for record in namespaces(tx, &prefix)? {
                let NamespaceKind::User(id) = record.kind else {
                    continue;
                };
                let user = tx.users().record(id)?;
                users.extend(user.filter(|user| user.enabled));
                if users.len() == limit {
                    break;
                }
            }
            Ok::<_, Error>(users)
        };
        self.inner.store.scan(read).await
    }

    /// Up to `limit` organisations whose names begin with `prefix`, in byte order.
    ///
    /// # Errors
    /// The store's.
    pub async fn organizations_beginning(
        &self,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<NamespaceRecord>, Error> {
        let prefix = prefix.to_owned();
        let read = move |tx: &ReadTx| {
            let mut found = namespaces(tx, &prefix)?;
            found.retain(|record| !matches!(record.kind, NamespaceKind::User(_)));
            found.truncate(limit);
            Ok::<_, Error>(found)
        };
        self.inner.store.scan(read).await
    }

    /// Up to `limit` teams of a namespace whose names begin with `prefix`, in byte order.
    ///
    /// # Errors
    /// The store's.
    pub async fn teams_beginning(
        &self,
        namespace: NamespaceId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<TeamRecord>, Error> {
        let prefix = prefix.to_owned();
        let read = move |tx: &ReadTx| {
            let exact = tx.teams().by_name(namespace, &prefix)?;
            let behind = tx.teams().list(namespace, Some(&prefix), limit)?;
            let mut found: Vec<_> = exact.into_iter().chain(behind).map(|(_, it)| it).collect();
            found.retain(|team| team.name.starts_with(&prefix));
            found.truncate(limit);
            Ok::<_, Error>(found)
        };
        self.inner.store.scan(read).await
    }

    /// Up to `limit` robots of a namespace whose short names begin with `prefix`, in byte order.
    ///
    /// # Errors
    /// The store's.
    pub async fn robots_beginning(
        &self,
        namespace: NamespaceId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<RobotRecord>, Error> {
        let prefix = prefix.to_owned();
        let read = move |tx: &ReadTx| {
            let exact = tx.robots().by_name(namespace, &prefix)?;
            let behind = tx.robots().list(namespace, Some(&prefix), limit)?;
            let mut found: Vec<_> = exact.into_iter().chain(behind).map(|(_, it)| it).collect();
            found.retain(|robot| robot.name.short().starts_with(&prefix));
            found.truncate(limit);
            Ok::<_, Error>(found)
        };
        self.inner.store.scan(read).await
    }
}

/// A team that somebody may be shown.
#[derive(Clone, Debug)]
pub struct FoundTeam {
    pub namespace: NamespaceId,
    pub owner: NamespaceRecord,
    pub team: TeamRecord,
    /// Whether who asks is in it.
    pub is_member: bool,
}

impl Accounts {
    /// The organisations that a user is in, up to `ORGANIZATIONS`, in the order of their ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn organizations_with(
        &self,
        user: UserId,
    ) -> Result<Vec<(NamespaceId, NamespaceRecord)>, Error> {
        let read = move |tx: &ReadTx| {
            let teams = memberships(tx, user)?;
            let mut found: Vec<(NamespaceId, NamespaceRecord)> = Vec::new();
            for (namespace, _) in teams {
                if found.last().is_some_and(|(last, _)| *last == namespace) {
                    continue;
                }
                let record = tx.namespaces().record(namespace)?;
                let record = record.filter(|record| record.deleted.is_none());
                found.extend(record.map(|record| (namespace, record)));
                if found.len() == ORGANIZATIONS {
                    break;
                }
            }
            Ok::<_, Error>(found)
        };
        self.inner.store.scan(read).await
    }

    /// Teams whose names begin with `prefix` of the organisations that a user is in, up to `limit` of each.
    ///
    /// # Errors
    /// The store's.
    pub async fn teams_around(
        &self,
        user: UserId,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<FoundTeam>, Error> {
        let mut found = Vec::new();
        let own = self.inner.store.read(|tx| memberships(tx, user));
        let own: Vec<(NamespaceId, TeamId)> = own.await.map_err(Error::Store)?;
        for (namespace, owner) in self.organizations_with(user).await? {
            for team in self.teams_beginning(namespace, prefix, limit).await? {
                let id = self.team_by_name(namespace, &team.name).await?;
                found.push(FoundTeam {
                    namespace,
                    owner: owner.clone(),
                    is_member: id.is_some_and(|(id, _)| own.contains(&(namespace, id))),
                    team,
                });
            }
        }
        Ok(found)
    }
}

fn memberships(tx: &ReadTx, user: UserId) -> Result<Vec<(NamespaceId, TeamId)>, store::Error> {
    tx.teams()
        .of_member_anywhere(Member::User(user), None, ROWS)
}

/// The namespaces whose names begin with a text, in byte order.
fn namespaces(tx: &ReadTx, prefix: &str) -> Result<Vec<NamespaceRecord>, store::Error> {
    let mut found = Vec::new();
    if let Ok(name) = prefix.parse() {
        found.extend(tx.namespaces().by_name(&name)?.map(|(_, record)| record));
    }
    for (name, id) in tx.namespaces().names(Some(prefix), ROWS)? {
        if !name.as_str().starts_with(prefix) {
            break;
        }
        found.extend(tx.namespaces().record(id)?);
    }
    Ok(found)
}
