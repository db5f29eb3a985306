//! Namespaces as wholes: renamed, deleted, handed over.
//!
//! A deleted namespace is gone for every door from the commit on: nobody finds it by its name, and whatever
//! is asked of its robots, teams and tokens by id is nothing (`rights`). Its rows go later (`purge`), and
//! until then nobody gets its name. A deleted user is nobody from the commit on, in the same way.

use serde_json::json;

use super::name::check_name;
use super::organizations::{self, found};
use super::users::{self, check_free, superuser};
use super::{Accounts, Error, Noun};
use crate::model::{
    Actor, Doomed, LogEntry, LogKind, Member, NamespaceId, NamespaceKind, NamespaceName,
    NamespaceRecord, Performer, TeamRole, Timestamp, UserId, UserRecord,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

impl Accounts {
    /// Deletes a namespace: an organisation, or the one of a user and the user with it.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn delete_namespace(&self, id: NamespaceId, by: &Performer) -> Result<(), Error> {
        let (who, now) = (by.clone(), self.inner.clock.now());
        let name = self.change(move |tx| delete(tx, id, &who, now)).await?;
        tracing::info!(namespace.id = %id, namespace.name = %name, %by, "a namespace was deleted");
        Ok(())
    }

    /// Deletes a user and its namespace.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn delete_user(&self, id: UserId, by: &Performer) -> Result<(), Error> {
        let user = self.user(id).await?;
        let user = user.ok_or(Error::unknown(Noun::User))?;
        self.delete_namespace(user.namespace, by).await
    }

    /// Gives a user or an organisation another name. What is in the namespace is found below that name at
    /// once, its robots bear it, and the old name is anybody's.
    ///
    /// # Errors
    /// [`Error::NameTaken`]; [`Error::InvalidName`]; [`Error::Unknown`].
    pub async fn rename_namespace(
        &self,
        id: NamespaceId,
        to: &NamespaceName,
        by: &Performer,
    ) -> Result<(), Error> {
        check_name(Noun::Namespace, to.as_str())?;
        let (wanted, who, now) = (to.clone(), by.clone(), self.inner.clock.now());
        let rename = move |tx: &mut WriteTx<'_>| rename(tx, id, &wanted, &who, now);
        let before = self.change(rename).await?;
        let (from, to) = (before, to);
        tracing::info!(namespace.id = %id, %from, %to, %by, "a namespace was renamed");
        Ok(())
    }

    /// Makes an organisation of a user's namespace, which `admin` rules from then on; the user is nobody
    /// any more.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Foreign`] if the two are the same.
    pub async fn convert_user(
        &self,
        id: UserId,
        admin: UserId,
        by: &Performer,
    ) -> Result<(), Error> {
        let (who, now, uuid) = (
            by.clone(),
            self.inner.clock.now(),
            super::secret::new_uuid(),
        );
        let convert = move |tx: &mut WriteTx<'_>| {
            let user = users::load(tx, id)?;
            convert(tx, id, &user, admin, &uuid)?;
            let line = LogEntry::new(LogKind::AccountConvert, now, &who).within(user.namespace);
            tx.logs().append(&line)?;
            Ok(user.name)
        };
        let name = self.change(convert).await?;
        tracing::info!(user.name = %name, %by, "a user became an organisation");
        Ok(())
    }

    /// Makes a user a ruler of an organisation, or of the organisation that is made of another user's
    /// namespace (Quay: take ownership).
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::Foreign`] if the namespace is the user's own.
    pub async fn take_ownership(
        &self,
        id: NamespaceId,
        owner: UserId,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now, uuid) = (
            by.clone(),
            self.inner.clock.now(),
            super::secret::new_uuid(),
        );
        self.change(move |tx| {
            let record = load(tx, id)?;
            let superuser = users::load(tx, owner)?;
            let was_user = match record.kind {
                NamespaceKind::User(user) => {
                    let account = users::load(tx, user)?;
                    convert(tx, user, &account, owner, &uuid)?;
                    true
                }
                NamespaceKind::Cache | NamespaceKind::Organization => {
                    join_admins(tx, id, owner)?;
                    false
                }
            };
            let metadata = json!({
                "entity_id": id.0,
                "namespace": record.name,
                "was_user": was_user,
                "superuser": superuser.name,
            });
            let line = LogEntry::new(LogKind::TakeOwnership, now, &by);
            let line = line.within(superuser.namespace).with(metadata);
            Ok(tx.logs().append(&line)?)
        })
        .await
    }
}

/// The namespace of this id, of whatever kind.
pub(super) fn load(tx: &ReadTx, id: NamespaceId) -> Result<NamespaceRecord, Error> {
    let record = tx.namespaces().record(id)?;
    record
        .filter(|record| record.deleted.is_none())
        .ok_or(Error::unknown(Noun::Namespace))
}

fn delete(
    tx: &mut WriteTx<'_>,
    id: NamespaceId,
    by: &Performer,
    now: Timestamp,
) -> Result<NamespaceName, Error> {
    let record = load(tx, id)?;
    let (kind, mut metadata) = match record.kind {
        NamespaceKind::User(_) => (LogKind::UserDelete, json!({"username": record.name})),
        NamespaceKind::Cache | NamespaceKind::Organization => {
            (LogKind::OrgDelete, json!({"namespace": record.name}))
        }
    };
    if let NamespaceKind::User(user) = record.kind {
        if let Some(superuser) = superuser(by, user) {
            metadata["superuser"] = json!(superuser);
        }
        leave(tx, user)?;
    }
    let line = LogEntry::new(kind, now, by).within(id).with(metadata);
    tx.logs().append(&line)?;
    tx.proxy_caches().remove(id)?;
    tx.namespaces().retire(id, now)?;
    tx.purges().put(Doomed::Namespace(id))?;
    Ok(record.name)
}

/// Makes a user nobody; its rows elsewhere go later.
fn leave(tx: &mut WriteTx<'_>, user: UserId) -> Result<(), Error> {
    tx.users().remove(user)?;
    Ok(tx.purges().put(Doomed::User(user))?)
}

fn rename(
    tx: &mut WriteTx<'_>,
    id: NamespaceId,
    to: &NamespaceName,
    by: &Performer,
    now: Timestamp,
) -> Result<NamespaceName, Error> {
    let record = load(tx, id)?;
    if record.name == *to {
        return Ok(record.name);
    }
    check_free(tx, to)?;
    tx.namespaces().rename(id, to)?;
    let (kind, metadata) = match record.kind {
        NamespaceKind::User(user) => {
            let account = users::load(tx, user)?;
            let account = UserRecord {
                name: to.clone(),
                ..account
            };
            tx.users().put(user, &account)?;
            let mut metadata = json!({"old_username": record.name});
            if let Some(superuser) = superuser(by, user) {
                metadata["superuser"] = json!(superuser);
            }
            (LogKind::UserChangeName, metadata)
        }
        NamespaceKind::Cache | NamespaceKind::Organization => {
            let superuser = match &by.actor {
                Actor::User { name, .. } => Some(name),
                Actor::System | Actor::Anonymous | Actor::Robot { .. } => None,
            };
            let names = json!({
                "old_name": record.name,
                "new_name": to,
                "superuser": superuser,
            });
            (LogKind::OrgChangeName, names)
        }
    };
    let line = LogEntry::new(kind, now, by).within(id).with(metadata);
    tx.logs().append(&line)?;
    Ok(record.name)
}

fn convert(
    tx: &mut WriteTx<'_>,
    id: UserId,
    user: &UserRecord,
    admin: UserId,
    uuid: &str,
) -> Result<(), Error> {
    if id == admin {
        return Err(Error::Foreign { noun: Noun::User });
    }
    let record = load(tx, user.namespace)?;
    let record = NamespaceRecord {
        kind: NamespaceKind::Organization,
        email: user.email.clone(),
        uuid: uuid.to_owned(),
        ..record
    };
    tx.namespaces().put(user.namespace, &record)?;
    leave(tx, id)?;
    found(tx, user.namespace, Some(admin))
}

/// Puts a user into the oldest admin team of an organisation, made if it has none.
fn join_admins(tx: &mut WriteTx<'_>, id: NamespaceId, user: UserId) -> Result<(), Error> {
    organizations::load(tx, id)?;
    let mut after = None;
    loop {
        let page = tx.teams().by_age(id, after, PAGE_ROWS)?;
        let admins = page.iter().find(|(_, role)| *role == TeamRole::Admin);
        if let Some((team, _)) = admins {
            return Ok(tx.teams().add_member(*team, Member::User(user))?);
        }
        match page.last() {
            Some((last, _)) => after = Some(*last),
            None => return found(tx, id, Some(user)),
        }
    }
}
