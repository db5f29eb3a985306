//! Users: made, found, listed; passwords.

use serde_json::json;

use super::name::{check_email, check_name};
use super::password::is_bcrypt;
use super::{Accounts, Error, Noun, secret};
use crate::model::{
    Actor, LogEntry, LogKind, NamespaceName, Performer, Prompt, Secret, Timestamp, UserId,
    UserRecord,
};
use crate::store::{ReadTx, WriteTx};

/// Characters of a password that is made up (Quay).
const MADE_UP_PASSWORD: usize = 32;

/// A user that is to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub name: NamespaceName,
    pub email: Option<String>,
    /// Whether the address needs no confirmation.
    pub verified: bool,
    /// `None` for an account that logs in by other means only.
    pub password: Option<Secret>,
    pub superuser: bool,
    /// What the person is asked at the first visit.
    pub prompts: Vec<Prompt>,
    pub by: Performer,
}

impl NewUser {
    /// One with neither password nor address, made by the server itself.
    pub fn named(name: &NamespaceName) -> Self {
        Self {
            name: name.clone(),
            email: None,
            verified: true,
            password: None,
            superuser: false,
            prompts: Vec::new(),
            by: Performer::SYSTEM,
        }
    }
}

impl Accounts {
    /// Makes a user and the namespace of that name.
    ///
    /// # Errors
    /// [`Error::NameTaken`], by whatever kind of namespace; [`Error::Exists`] if the e-mail address is
    /// another user's; [`Error::InvalidName`], [`Error::Invalid`].
    pub async fn create_user(&self, new: NewUser) -> Result<UserId, Error> {
        check_name(Noun::User, new.name.as_str())?;
        if let Some(email) = &new.email {
            check_email(email)?;
        }
        let password = match &new.password {
            Some(password) => Some(self.hash_password(password).await?),
            None => None,
        };
        let now = self.inner.clock.now();
        let user = new.clone();
        let create = move |tx: &mut WriteTx<'_>| create(tx, &user, password.as_deref(), now);
        let id = self.change(create).await?;
        tracing::info!(user.id = %id, user.name = %new.name, by = %new.by, "a user was made");
        Ok(id)
    }

    /// The user of this name or, if it holds an `@`, of this e-mail address.
    pub async fn user_by_name(&self, text: &str) -> Result<Option<(UserId, UserRecord)>, Error> {
        let found = self.inner.store.read(|tx| {
            if text.contains('@') {
                return tx.users().by_email(text);
            }
            match text.parse() {
                Ok(name) => tx.users().by_name(&name),
                Err(_) => Ok(None),
            }
        });
        found.await.map_err(Error::Store)
    }

    /// The record of a user, if there is one.
    pub async fn user(&self, id: UserId) -> Result<Option<UserRecord>, Error> {
        let record = self.inner.store.read(|tx| tx.users().record(id));
        record.await.map_err(Error::Store)
    }

    /// Up to `limit` users whose ids are greater than `after`, in the order of their ids.
    pub async fn list_users(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, UserRecord)>, Error> {
        let list = move |tx: &ReadTx| tx.users().list(after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// Replaces a user's password and ends the sessions of the one before.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a password that is not allowed; [`Error::Unknown`].
    pub async fn set_password(
        &self,
        id: UserId,
        password: &Secret,
        by: &Performer,
    ) -> Result<(), Error> {
        let hash = self.hash_password(password).await?;
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let mut user = load(tx, id)?;
            user.password = Some(hash.clone());
            user.session_epoch += 1;
            tx.users().put(id, &user)?;
            let line = match superuser(&by, id) {
                // Quay: account_change_password tells of oneself, user_change_password of another.
                Some(superuser) => LogEntry::new(LogKind::UserChangePassword, now, &by)
                    .with(json!({"username": user.name, "superuser": superuser})),
                None => LogEntry::new(LogKind::AccountChangePassword, now, &by),
            };
            Ok(tx.logs().append(&line.within(user.namespace))?)
        })
        .await
    }

    /// Ends every session of a user.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn end_sessions(&self, id: UserId) -> Result<(), Error> {
        self.change(move |tx| {
            let mut user = load(tx, id)?;
            user.session_epoch += 1;
            Ok(tx.users().put(id, &user)?)
        })
        .await
    }

    /// A password for somebody who is made by another, and may change it.
    pub fn made_up_password(&self) -> Secret {
        Secret::new(secret::random(MADE_UP_PASSWORD))
    }

    /// The PHC string of a password, after checking that it may be taken.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it has 8 to 4096 bytes and no white space.
    pub async fn hash_password(&self, password: &Secret) -> Result<String, Error> {
        self.inner.passwords.hash(password).await
    }

    /// Whether this is the user's password; without a user, or one without password, it costs the
    /// same. That the user is enabled is the caller's to see to.
    ///
    /// A right password whose hash was imported is hashed anew as ours are (AU-06).
    pub async fn verify_password(&self, user: Option<&UserRecord>, password: &Secret) -> bool {
        let hash = user.and_then(|user| user.password.as_deref());
        let is_right = self.inner.passwords.verify(hash, password).await;
        if is_right
            && let (Some(user), Some(hash)) = (user, hash)
            && is_bcrypt(hash)
            && let Err(error) = self.rehash(user, hash, password).await
        {
            tracing::warn!(%error, user.name = %user.name, "an imported password keeps its hash");
        }
        is_right
    }

    /// Replaces an imported hash, unless the password was changed meanwhile.
    async fn rehash(&self, user: &UserRecord, old: &str, password: &Secret) -> Result<(), Error> {
        let hash = self.hash_password(password).await?;
        let (name, old) = (user.name.clone(), old.to_owned());
        self.change(move |tx| {
            let Some((id, mut user)) = tx.users().by_name(&name)? else {
                return Ok(());
            };
            if user.password.as_deref() == Some(&*old) {
                user.password = Some(hash.clone());
                tx.users().put(id, &user)?;
            }
            Ok(())
        })
        .await
    }
}

pub(super) fn create(
    tx: &mut WriteTx<'_>,
    new: &NewUser,
    password: Option<&str>,
    now: Timestamp,
) -> Result<UserId, Error> {
    check_free(tx, &new.name)?;
    let (id, mut record) = tx.users().create(&new.name, now)?;
    record.email.clone_from(&new.email);
    record.verified = new.verified;
    record.password = password.map(str::to_owned);
    record.superuser = new.superuser;
    record.prompts.clone_from(&new.prompts);
    let put = tx.users().put(id, &record);
    put.map_err(|error| Error::exists(Noun::Email, error))?;
    let mut metadata = json!({"email": new.email, "username": new.name});
    if let Some(superuser) = superuser(&new.by, id) {
        metadata["superuser"] = json!(superuser);
    }
    let line = LogEntry::new(LogKind::UserCreate, now, &new.by).within(record.namespace);
    tx.logs().append(&line.with(metadata))?;
    Ok(id)
}

/// The name of who does something to the account of another, as far as it is a user.
pub(super) fn superuser(by: &Performer, to: UserId) -> Option<&NamespaceName> {
    match &by.actor {
        Actor::User { id, name } if *id != to => Some(name),
        _ => None,
    }
}

/// The user of this id.
pub(super) fn load(tx: &ReadTx, id: UserId) -> Result<UserRecord, Error> {
    let user = tx.users().record(id)?;
    user.ok_or(Error::Unknown { noun: Noun::User })
}

/// Checks that no namespace has the name, and none that is deleted keeps it.
///
/// # Errors
/// [`Error::NameTaken`].
pub(super) fn check_free(tx: &ReadTx, name: &NamespaceName) -> Result<(), Error> {
    match tx.namespaces().holder(name)? {
        Some((_, namespace)) => Err(Error::NameTaken {
            name: name.clone(),
            kind: namespace.kind,
        }),
        None => Ok(()),
    }
}
