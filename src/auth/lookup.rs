//! Who stands behind a name, a token or an id, as the store has it now.
//!
//! Called by `basic` and for tokens. Whom a token names is remembered under the generation of the
//! accounts, so that a removed or disabled account is nobody at the next request (AZ-12), and it is
//! found by its id, so that a later one of the same name is somebody else (AZ-16).

use std::collections::HashSet;

use moka::sync::Cache;

use super::identity::{Holder, Identity};
use crate::accounts::Accounts;
use crate::config::RobotAccess;
use crate::model::{
    NamespaceKind, NamespaceName, RobotId, RobotName, RobotRecord, UserId, UserRecord,
};
use crate::store::{self, ReadTx, Store};

/// Holders remembered; about 200 bytes each.
const REMEMBERED: u64 = 16_384;

pub(super) struct Lookup {
    store: Store,
    accounts: Accounts,
    super_users: HashSet<NamespaceName>,
    robots: RobotAccess,
    living: Cache<Holder, (u64, Option<Identity>)>,
}

/// A robot, and whether the account it belongs to is enabled.
pub(super) struct FoundRobot {
    pub(super) id: RobotId,
    pub(super) record: RobotRecord,
    pub(super) owner_enabled: bool,
}

impl Lookup {
    pub(super) fn new(
        store: Store,
        accounts: Accounts,
        super_users: HashSet<NamespaceName>,
        robots: RobotAccess,
    ) -> Self {
        Self {
            store,
            accounts,
            super_users,
            robots,
            living: Cache::new(REMEMBERED),
        }
    }

    pub(super) async fn user(&self, id: UserId) -> Result<Option<UserRecord>, store::Error> {
        self.store.read(|tx| tx.users().record(id)).await
    }

    pub(super) async fn robot(&self, name: &RobotName) -> Result<Option<FoundRobot>, store::Error> {
        if !self.robots.admits(name) {
            return Ok(None);
        }
        self.store
            .read(|tx| {
                let Some((namespace, _)) = tx.namespaces().by_name(name.namespace())? else {
                    return Ok(None);
                };
                match tx.robots().by_name(namespace, name.short())? {
                    Some((id, record)) => found_robot(tx, id, record).map(Some),
                    None => Ok(None),
                }
            })
            .await
    }

    /// Whom a token names, if that is still somebody.
    pub(super) async fn living(&self, holder: Holder) -> Result<Option<Identity>, store::Error> {
        if holder == Holder::Anonymous {
            return Ok(Some(Identity::Anonymous));
        }
        // Taken before the rows are read: what changes meanwhile makes this answer an old one.
        let generation = self.accounts.generation();
        if let Some((read, identity)) = self.living.get(&holder)
            && read == generation
        {
            return Ok(identity);
        }
        let identity = self.store.read(|tx| self.read(tx, holder)).await?;
        self.living.insert(holder, (generation, identity.clone()));
        Ok(identity)
    }

    fn read(&self, tx: &ReadTx, holder: Holder) -> Result<Option<Identity>, store::Error> {
        Ok(match holder {
            Holder::Anonymous => Some(Identity::Anonymous),
            Holder::User(id) => tx
                .users()
                .record(id)?
                .filter(|user| user.enabled)
                .map(|user| self.of_user(id, &user)),
            Holder::Robot(id) => {
                let record = tx.robots().record(id)?;
                let record = record.filter(|robot| self.robots.admits(&robot.name));
                let robot = record
                    .map(|record| found_robot(tx, id, record))
                    .transpose()?;
                robot
                    .filter(|robot| robot.owner_enabled)
                    .map(|robot| robot.identity())
            }
        })
    }

    pub(super) fn of_user(&self, id: UserId, record: &UserRecord) -> Identity {
        Identity::User {
            id,
            name: record.name.clone(),
            superuser: record.superuser || self.super_users.contains(&record.name),
        }
    }
}

impl FoundRobot {
    pub(super) fn identity(&self) -> Identity {
        Identity::Robot {
            id: self.id,
            name: self.record.name.clone(),
            namespace: self.record.namespace,
        }
    }
}

fn found_robot(tx: &ReadTx, id: RobotId, record: RobotRecord) -> Result<FoundRobot, store::Error> {
    let namespace = tx.namespaces().record(record.namespace)?;
    let owner_enabled = match namespace.map(|namespace| namespace.kind) {
        Some(NamespaceKind::User(owner)) => {
            let owner = tx.users().record(owner)?;
            owner.is_some_and(|owner| owner.enabled)
        }
        Some(NamespaceKind::Organization | NamespaceKind::Cache) => true,
        None => false,
    };
    Ok(FoundRobot {
        id,
        record,
        owner_enabled,
    })
}
