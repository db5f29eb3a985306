//! The organisations that somebody is in.

use super::{Accounts, Error};
use crate::model::{Member, NamespaceId, NamespaceRecord, TeamId, TeamRole, UserId};
use crate::store::{PAGE_ROWS, ReadTx};

/// An organisation that somebody is in.
#[derive(Clone, Debug)]
pub struct Membership {
    pub namespace: NamespaceId,
    pub record: NamespaceRecord,
    /// The highest of the roles of the teams they are in.
    pub role: TeamRole,
}

/// A team that somebody is in, with its namespace.
type Place = (NamespaceId, TeamId);

impl Accounts {
    /// The organisations that a user is in, in the order of their ids.
    ///
    /// # Errors
    /// The store's.
    pub async fn organizations_of(&self, user: UserId) -> Result<Vec<Membership>, Error> {
        let read = move |tx: &ReadTx, after| page(tx, user, after);
        let mut found: Vec<Membership> = Vec::new();
        for membership in self.every_page(read).await? {
            match found.last_mut() {
                Some(one) if one.namespace == membership.namespace => {
                    one.role = one.role.max(membership.role);
                }
                _ => found.push(membership),
            }
        }
        Ok(found)
    }
}

/// A page of teams, and where it ended; of deleted organisations there is nothing.
fn page(
    tx: &ReadTx,
    user: UserId,
    after: Option<Place>,
) -> Result<(Vec<Membership>, Option<Place>), Error> {
    let member = Member::User(user);
    let places = tx.teams().of_member_anywhere(member, after, PAGE_ROWS)?;
    let last = places.last().copied();
    let mut page = Vec::with_capacity(places.len());
    for (namespace, team) in places {
        let record = tx.namespaces().record(namespace)?;
        let record = record.filter(|record| record.deleted.is_none());
        if let (Some(record), Some(team)) = (record, tx.teams().record(team)?) {
            page.push(Membership {
                namespace,
                record,
                role: team.role,
            });
        }
    }
    Ok((page, last))
}
