//! Users: made, found, changed, removed.

use super::name::{check_email, check_name};
use super::{Accounts, Error, Noun};
use crate::model::{Actor, NamespaceName, Secret, Timestamp, UserId, UserRecord};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// A user that is to be made.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub name: NamespaceName,
    pub email: Option<String>,
    /// `None` for an account that logs in by other means only.
    pub password: Option<Secret>,
    pub superuser: bool,
    pub by: Actor,
}

impl Accounts {
    /// Makes a user and the namespace of that name.
    ///
    /// # Errors
    /// [`Error::NameTaken`], by whatever kind of namespace; [`Error::Exists`] if the e-mail address is
    /// another user's; [`Error::Invalid`].
    pub async fn create_user(&self, new: NewUser) -> Result<UserId, Error> {
        check_name("the user's name", new.name.as_str())?;
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

    /// Replaces a user's password.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a password that is not allowed; [`Error::Unknown`].
    pub async fn set_password(&self, id: UserId, password: &Secret) -> Result<(), Error> {
        let hash = self.hash_password(password).await?;
        self.change_user(id, move |user| user.password = Some(hash.clone()))
            .await
    }

    /// Says whether a user may do anything; what it owns stays in any case.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub async fn set_enabled(&self, id: UserId, enabled: bool) -> Result<(), Error> {
        self.change_user(id, move |user| user.enabled = enabled)
            .await
    }

    /// Removes a user with its robots, grants, memberships and app tokens, and frees its name.
    ///
    /// # Errors
    /// [`Error::OwnsRepositories`] while there are any in its namespace; [`Error::Unknown`].
    pub async fn delete_user(&self, id: UserId, by: &Actor) -> Result<(), Error> {
        let name = self.change(move |tx| delete(tx, id)).await?;
        tracing::info!(user.id = %id, user.name = %name, %by, "a user was deleted");
        Ok(())
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
    pub async fn verify_password(&self, user: Option<&UserRecord>, password: &Secret) -> bool {
        let hash = user.and_then(|user| user.password.as_deref());
        self.inner.passwords.verify(hash, password).await
    }

    async fn change_user(
        &self,
        id: UserId,
        change: impl Fn(&mut UserRecord) + Send + 'static,
    ) -> Result<(), Error> {
        self.change(move |tx| {
            let user = tx.users().record(id)?;
            let mut user = user.ok_or(Error::Unknown { noun: Noun::User })?;
            change(&mut user);
            Ok(tx.users().put(id, &user)?)
        })
        .await
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    new: &NewUser,
    password: Option<&str>,
    now: Timestamp,
) -> Result<UserId, Error> {
    check_free(tx, &new.name)?;
    let (id, mut record) = tx.users().create(&new.name, now)?;
    record.email.clone_from(&new.email);
    record.password = password.map(str::to_owned);
    record.superuser = new.superuser;
    let put = tx.users().put(id, &record);
    put.map_err(|error| Error::exists(Noun::Email, error))?;
    Ok(id)
}

/// Checks that no namespace has the name.
///
/// # Errors
/// [`Error::NameTaken`].
pub(super) fn check_free(tx: &ReadTx, name: &NamespaceName) -> Result<(), Error> {
    match tx.namespaces().by_name(name)? {
        Some((_, namespace)) => Err(Error::NameTaken {
            name: name.clone(),
            kind: namespace.kind,
        }),
        None => Ok(()),
    }
}

fn delete(tx: &mut WriteTx<'_>, id: UserId) -> Result<NamespaceName, Error> {
    let user = tx.users().record(id)?;
    let user = user.ok_or(Error::Unknown { noun: Noun::User })?;
    let owned = tx.repositories().list(user.namespace, None, 1)?;
    if !owned.is_empty() {
        return Err(Error::OwnsRepositories { name: user.name });
    }
    loop {
        let robots = tx.robots().list(user.namespace, None, PAGE_ROWS)?;
        if robots.is_empty() {
            break;
        }
        for (robot, _) in robots {
            tx.robots().remove(robot)?;
        }
    }
    tx.users().remove(id)?;
    Ok(user.name)
}
