//! Users: records by id, ids by e-mail address; by name they are found through their namespace.
//!
//! Invariants: a user has a namespace of its name; no two users have e-mail addresses that differ only by
//! case; ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{NamespaceKind, NamespaceName, NamespaceRecord, Timestamp, UserId, UserRecord};

/// Users as a transaction sees them.
pub struct Users<S>(pub(super) S);

impl<S: Reads> Users<S> {
    /// The record of a user, if there is one.
    pub fn record(&self, id: UserId) -> Result<Option<UserRecord>, Error> {
        self.0.tx().record(Table::Users, &keys::user(id))
    }

    /// The user of this name, if it is a user's.
    pub fn by_name(&self, name: &NamespaceName) -> Result<Option<(UserId, UserRecord)>, Error> {
        match self.0.tx().namespaces().by_name(name)? {
            Some((_, namespace)) => match namespace.kind {
                NamespaceKind::User(id) => self.with_id(id),
                NamespaceKind::Cache | NamespaceKind::Organization => Ok(None),
            },
            None => Ok(None),
        }
    }

    /// The user of this e-mail address, in whatever case, if there is one.
    pub fn by_email(&self, email: &str) -> Result<Option<(UserId, UserRecord)>, Error> {
        let key = keys::user_email(email);
        match self.0.tx().record(Table::UserEmails, &key)? {
            Some(id) => self.with_id(id),
            None => Ok(None),
        }
    }

    /// Up to `limit` users whose ids are greater than `after`, in the order of their ids.
    pub fn list(
        &self,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<(UserId, UserRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::user));
        let read = |key: &[u8]| keys::read_number(key).map(UserId);
        self.0.tx().records(Table::Users, &span, limit, read)
    }

    /// Whether there is any user.
    pub fn has_any(&self) -> Result<bool, Error> {
        self.0.tx().has_any(Table::Users, &Span::ALL)
    }

    fn with_id(&self, id: UserId) -> Result<Option<(UserId, UserRecord)>, Error> {
        Ok(self.record(id)?.map(|record| (id, record)))
    }
}

impl Users<&mut WriteTx<'_>> {
    /// Makes a user and the namespace of that name, and returns the user as it begins: enabled, with
    /// neither password nor e-mail address.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken, by whatever kind of namespace.
    pub fn create(
        &mut self,
        name: &NamespaceName,
        created: Timestamp,
    ) -> Result<(UserId, UserRecord), Error> {
        let id = UserId(repositories::next_id(self.0, "last_user")?);
        let kind = NamespaceKind::User(id);
        let namespace = NamespaceRecord::new(name.clone(), kind, created);
        let namespace = self.0.namespaces().create(&namespace)?;
        let record = UserRecord::new(name.clone(), namespace, created);
        self.0.put_record(Table::Users, keys::user(id), &record);
        Ok((id, record))
    }

    /// Replaces the record of a user that exists; its namespace stays, and has the name.
    ///
    /// # Errors
    /// [`Error::Exists`] if the e-mail address is another user's.
    pub fn put(&mut self, id: UserId, record: &UserRecord) -> Result<(), Error> {
        let before = self.record(id)?.and_then(|before| before.email);
        if before != record.email {
            self.forget_email(before.as_deref());
            self.note_email(id, record.email.as_deref())?;
        }
        self.0.put_record(Table::Users, keys::user(id), record);
        Ok(())
    }

    /// Removes a user and frees its address; nothing happens if there is none.
    ///
    /// From then on nobody has the id. Its namespace, grants, memberships and tokens are the caller's to
    /// remove, before or afterwards.
    pub fn remove(&mut self, id: UserId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        self.forget_email(record.email.as_deref());
        self.0.remove(Table::Users, keys::user(id));
        Ok(())
    }

    fn note_email(&mut self, id: UserId, email: Option<&str>) -> Result<(), Error> {
        let Some(email) = email else { return Ok(()) };
        let key = keys::user_email(email);
        if self.0.has(Table::UserEmails, &key)? {
            return Err(Error::Exists {
                name: email.to_owned(),
            });
        }
        self.0.put_record(Table::UserEmails, key, &id);
        Ok(())
    }

    fn forget_email(&mut self, email: Option<&str>) {
        if let Some(email) = email {
            self.0.remove(Table::UserEmails, keys::user_email(email));
        }
    }
}
