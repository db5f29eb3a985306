//! App tokens: records by id, ids by lookup text, by uuid and by user.
//!
//! Invariant: every record has its row in all indexes, and ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{AppTokenId, AppTokenRecord, Timestamp, UserId};

/// App tokens as a transaction sees them.
pub struct AppTokens<S>(pub(super) S);

impl<S: Reads> AppTokens<S> {
    /// The record of a token, if there is one.
    pub fn record(&self, id: AppTokenId) -> Result<Option<AppTokenRecord>, Error> {
        self.0.tx().record(Table::AppTokens, &keys::app_token(id))
    }

    /// The token whose first half this is, if there is one.
    pub fn by_lookup(&self, lookup: &str) -> Result<Option<(AppTokenId, AppTokenRecord)>, Error> {
        let key = keys::name(lookup);
        let Some(id) = self.0.tx().record(Table::AppTokenLookups, &key)? else {
            return Ok(None);
        };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// The token of that uuid, if there is one.
    pub fn by_uuid(&self, uuid: &str) -> Result<Option<(AppTokenId, AppTokenRecord)>, Error> {
        let key = keys::name(uuid);
        let Some(id) = self.0.tx().record(Table::AppTokenUuids, &key)? else {
            return Ok(None);
        };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// Up to `limit` tokens of everybody behind `after`, oldest first.
    pub fn list(
        &self,
        after: Option<AppTokenId>,
        limit: usize,
    ) -> Result<Vec<(AppTokenId, AppTokenRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::app_token));
        let read = |key: &[u8]| keys::read_number(key).map(AppTokenId);
        self.0.tx().records(Table::AppTokens, &span, limit, read)
    }

    /// Up to `limit` tokens of the user behind `after`, oldest first.
    pub fn of_user(
        &self,
        user: UserId,
        after: Option<AppTokenId>,
        limit: usize,
    ) -> Result<Vec<(AppTokenId, AppTokenRecord)>, Error> {
        let after = after.map(|token| keys::user_app_token(user, token));
        let span = Span::under(keys::user(user)).after(after);
        let (table, read) = (Table::UserAppTokens, keys::read_user_app_token);
        let ids = self.0.tx().keys(table, &span, limit, read)?;
        let mut tokens = Vec::with_capacity(ids.len());
        for id in ids {
            tokens.extend(self.record(id)?.map(|record| (id, record)));
        }
        Ok(tokens)
    }
}

impl AppTokens<&mut WriteTx<'_>> {
    /// Makes a token and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if another token has that lookup text.
    pub fn create(&mut self, record: &AppTokenRecord) -> Result<AppTokenId, Error> {
        let lookup = keys::name(&record.lookup);
        if self.0.has(Table::AppTokenLookups, &lookup)? {
            return Err(Error::Exists {
                name: record.title.clone(),
            });
        }
        let id = AppTokenId(repositories::next_id(self.0, "last_app_token")?);
        self.0.put_record(Table::AppTokenLookups, lookup, &id);
        let uuid = keys::name(&record.uuid);
        self.0.put_record(Table::AppTokenUuids, uuid, &id);
        let key = keys::user_app_token(record.user, id);
        self.0.mark(Table::UserAppTokens, key);
        let key = keys::app_token(id);
        self.0.put_record(Table::AppTokens, key, record);
        Ok(id)
    }

    /// Notes when a token was last used; nothing happens if there is none.
    pub fn touch(&mut self, id: AppTokenId, used: Timestamp) -> Result<(), Error> {
        if let Some(mut record) = self.record(id)? {
            record.last_accessed = Some(used);
            let key = keys::app_token(id);
            self.0.put_record(Table::AppTokens, key, &record);
        }
        Ok(())
    }

    /// Removes a token; nothing happens if there is none.
    pub fn remove(&mut self, id: AppTokenId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        let lookup = keys::name(&record.lookup);
        self.0.remove(Table::AppTokenLookups, lookup);
        let uuid = keys::name(&record.uuid);
        self.0.remove(Table::AppTokenUuids, uuid);
        let key = keys::user_app_token(record.user, id);
        self.0.remove(Table::UserAppTokens, key);
        self.0.remove(Table::AppTokens, keys::app_token(id));
        Ok(())
    }

    /// Removes every token of the user.
    pub fn remove_of_user(&mut self, user: UserId) -> Result<(), Error> {
        for (id, _) in self.of_user(user, None, usize::MAX)? {
            self.remove(id)?;
        }
        Ok(())
    }
}
