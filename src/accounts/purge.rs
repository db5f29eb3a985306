//! The removal of what is left of deleted namespaces and users, a few rows a write.
//!
//! Turned by `jobs`. Repositories go first, and `registry` takes them away; then robots, teams, default
//! permissions; the name is free with the last row. What a deleted user has elsewhere goes the same way.

use super::{Accounts, Error};
use crate::model::{Doomed, Grantee, Invitee, Job, Member, NamespaceId, PolicyScope, UserId};
use crate::store::{self, WriteTx};

/// Rows that one write removes, about: it stays under a few milliseconds.
const ROWS: usize = 256;

/// Deleted namespaces and users looked at in one write.
const DOOMED: usize = 16;

/// How far a purge came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Purged {
    /// Rows of robots, teams, grants and the like that were removed.
    pub rows: usize,
    /// Namespaces and users of which nothing is left.
    pub finished: usize,
}

impl Accounts {
    /// Removes about `budget` rows of what is deleted.
    ///
    /// Namespaces that have repositories left are finished by a later call: those are the registry's to
    /// remove.
    ///
    /// # Errors
    /// The store's.
    pub async fn purge_some(&self, budget: usize) -> Result<Purged, Error> {
        let mut done = Purged::default();
        let mut after = None;
        while done.rows < budget {
            let page = self.inner.store.read(|tx| tx.purges().list(after, DOOMED));
            let page = page.await.map_err(Error::Store)?;
            let Some(last) = page.last().copied() else {
                break;
            };
            for doomed in page {
                self.purge(doomed, budget, &mut done).await?;
            }
            after = Some(last);
        }
        Ok(done)
    }

    /// Namespaces that are deleted and have repositories left, up to a page of them behind `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn deleted_namespaces(
        &self,
        after: Option<NamespaceId>,
    ) -> Result<Vec<NamespaceId>, Error> {
        let after = after.map(Doomed::Namespace);
        let page = self.inner.store.read(|tx| tx.purges().list(after, DOOMED));
        let namespaces = page.await.map_err(Error::Store)?.into_iter();
        let namespaces = namespaces.filter_map(|doomed| match doomed {
            Doomed::Namespace(id) => Some(id),
            Doomed::User(_) => None,
        });
        Ok(namespaces.collect())
    }

    async fn purge(&self, doomed: Doomed, budget: usize, done: &mut Purged) -> Result<(), Error> {
        while done.rows < budget {
            // Nobody's rights change by it: the generation stays.
            let step = self.inner.store.write(move |tx| purge(tx, doomed));
            match step.await? {
                Step::Removed(rows) => done.rows += rows,
                Step::Finished => {
                    done.finished += 1;
                    return Ok(());
                }
                Step::Waiting => return Ok(()),
            }
        }
        Ok(())
    }
}

/// What one write of a purge did.
enum Step {
    Removed(usize),
    Finished,
    /// Only repositories are left.
    Waiting,
}

fn purge(tx: &mut WriteTx<'_>, doomed: Doomed) -> Result<Step, store::Error> {
    let removed = match doomed {
        Doomed::Namespace(id) => empty_namespace(tx, id)?,
        Doomed::User(id) => empty_user(tx, id)?,
    };
    if removed > 0 {
        return Ok(Step::Removed(removed));
    }
    if let Doomed::Namespace(id) = doomed {
        let is_left = !tx.repositories().list(id, None, 1)?.is_empty();
        if is_left || !tx.repositories().doomed(Some(id), 1)?.is_empty() {
            return Ok(Step::Waiting);
        }
        tx.jobs().remove(Job::Prune(id))?;
        tx.namespaces().remove(id)?;
    }
    tx.purges().remove(doomed)?;
    Ok(Step::Finished)
}

/// Removes some rows of a namespace; returns how many, 0 when there are none left.
fn empty_namespace(tx: &mut WriteTx<'_>, id: NamespaceId) -> Result<usize, store::Error> {
    if let Some((robot, _)) = tx.robots().list(id, None, 1)?.into_iter().next() {
        let rows = tx.robots().empty(robot, ROWS)?;
        if rows < ROWS {
            tx.robots().remove(robot)?;
        }
        return Ok(rows + 1);
    }
    if let Some((team, _)) = tx.teams().by_age(id, None, 1)?.into_iter().next() {
        let rows = tx.teams().empty(team, ROWS)?;
        if rows < ROWS {
            tx.teams().remove(team)?;
        }
        return Ok(rows + 1);
    }
    let told = tx.notices().clear(id, ROWS)?;
    if told > 0 {
        return Ok(told);
    }
    let found = tx.mirrors().remove_organization(id, ROWS)?;
    if found > 0 {
        return Ok(found);
    }
    tx.quotas().remove(id)?;
    tx.immutability().clear(PolicyScope::Namespace(id))?;
    tx.prune_policies().clear(PolicyScope::Namespace(id))?;
    tx.prototypes().clear(id)
}

/// Removes some rows of a user; returns how many, 0 when there are none left.
fn empty_user(tx: &mut WriteTx<'_>, id: UserId) -> Result<usize, store::Error> {
    let rows = tx.teams().leave(Member::User(id), ROWS)?
        + tx.permissions().clear_grantee(Grantee::User(id), ROWS)?;
    if rows > 0 {
        return Ok(rows);
    }
    let invited = Invitee::User(id);
    let invitations = tx.invitations().of_invitee_anywhere(&invited, ROWS)?;
    for invitation in &invitations {
        tx.invitations().remove(invitation)?;
    }
    if !invitations.is_empty() {
        return Ok(invitations.len());
    }
    let tokens = tx.app_tokens().of_user(id, None, ROWS)?;
    for (token, _) in &tokens {
        tx.app_tokens().remove(*token)?;
    }
    if !tokens.is_empty() {
        return Ok(tokens.len());
    }
    let stars = tx.stars().of_user(id, None, ROWS)?;
    for repository in &stars {
        tx.stars().remove(id, *repository)?;
    }
    if !stars.is_empty() {
        return Ok(stars.len());
    }
    // Few enough for one write: a person made each of them.
    tx.oauth_tokens().remove_of_user(id)?;
    tx.oauth_assignments().remove_of_user(id)?;
    Ok(0)
}
