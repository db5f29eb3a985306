//! OAuth tokens: records by id, ids by lookup text, by uuid, by application and by user.
//!
//! Invariants: every record has its row in all four indexes; ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx, repositories};
use crate::model::{OauthApplicationId, OauthTokenId, OauthTokenRecord, Timestamp, UserId};

/// OAuth tokens as a transaction sees them.
pub struct OauthTokens<S>(pub(super) S);

/// A token with its id.
type Row = (OauthTokenId, OauthTokenRecord);

impl<S: Reads> OauthTokens<S> {
    /// The record of a token, if there is one.
    pub fn record(&self, id: OauthTokenId) -> Result<Option<OauthTokenRecord>, Error> {
        let key = keys::oauth_token(id);
        self.0.tx().record(Table::OauthTokens, &key)
    }

    /// The token whose first half this is, if there is one.
    pub fn by_lookup(&self, lookup: &str) -> Result<Option<Row>, Error> {
        self.named(Table::OauthTokenLookups, lookup)
    }

    /// The token of that uuid, if there is one.
    pub fn by_uuid(&self, uuid: &str) -> Result<Option<Row>, Error> {
        self.named(Table::OauthTokenUuids, uuid)
    }

    /// Up to `limit` tokens of the application behind `after`, newest first.
    pub fn of_application(
        &self,
        application: OauthApplicationId,
        after: Option<OauthTokenId>,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let after = after.map(|id| keys::application_token(application, id));
        let span = Span::under(keys::oauth_application(application)).after(after);
        let (table, read) = (Table::ApplicationTokens, keys::read_application_token);
        let ids = self.0.tx().keys(table, &span, limit, read)?;
        self.records(ids)
    }

    /// Up to `limit` tokens of the user behind `after`, oldest first.
    pub fn of_user(
        &self,
        user: UserId,
        after: Option<OauthTokenId>,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let after = after.map(|id| keys::user_oauth_token(user, id));
        let span = Span::under(keys::user(user)).after(after);
        let (table, read) = (Table::UserOauthTokens, keys::read_user_oauth_token);
        let ids = self.0.tx().keys(table, &span, limit, read)?;
        self.records(ids)
    }

    fn named(&self, table: Table, name: &str) -> Result<Option<Row>, Error> {
        let Some(id) = self.0.tx().record(table, &keys::name(name))? else {
            return Ok(None);
        };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    fn records(&self, ids: Vec<OauthTokenId>) -> Result<Vec<Row>, Error> {
        let mut tokens = Vec::with_capacity(ids.len());
        for id in ids {
            tokens.extend(self.record(id)?.map(|record| (id, record)));
        }
        Ok(tokens)
    }
}

impl OauthTokens<&mut WriteTx<'_>> {
    /// Makes a token and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if another token has that lookup text.
    pub fn create(&mut self, record: &OauthTokenRecord) -> Result<OauthTokenId, Error> {
        let lookup = keys::name(&record.lookup);
        if self.0.has(Table::OauthTokenLookups, &lookup)? {
            return Err(Error::Exists {
                name: record.uuid.clone(),
            });
        }
        let id = OauthTokenId(repositories::next_id(self.0, "last_oauth_token")?);
        self.0.put_record(Table::OauthTokenLookups, lookup, &id);
        let uuid = keys::name(&record.uuid);
        self.0.put_record(Table::OauthTokenUuids, uuid, &id);
        let key = keys::application_token(record.application, id);
        self.0.mark(Table::ApplicationTokens, key);
        let key = keys::user_oauth_token(record.user, id);
        self.0.mark(Table::UserOauthTokens, key);
        let key = keys::oauth_token(id);
        self.0.put_record(Table::OauthTokens, key, record);
        Ok(id)
    }

    /// Notes when a token was last used; nothing happens if there is none.
    pub fn touch(&mut self, id: OauthTokenId, used: Timestamp) -> Result<(), Error> {
        if let Some(mut record) = self.record(id)? {
            record.last_accessed = Some(used);
            let key = keys::oauth_token(id);
            self.0.put_record(Table::OauthTokens, key, &record);
        }
        Ok(())
    }

    /// Removes a token; nothing happens if there is none.
    pub fn remove(&mut self, id: OauthTokenId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        let lookup = keys::name(&record.lookup);
        self.0.remove(Table::OauthTokenLookups, lookup);
        let uuid = keys::name(&record.uuid);
        self.0.remove(Table::OauthTokenUuids, uuid);
        let key = keys::application_token(record.application, id);
        self.0.remove(Table::ApplicationTokens, key);
        let key = keys::user_oauth_token(record.user, id);
        self.0.remove(Table::UserOauthTokens, key);
        self.0.remove(Table::OauthTokens, keys::oauth_token(id));
        Ok(())
    }

    /// Removes every token of the user.
    pub fn remove_of_user(&mut self, user: UserId) -> Result<(), Error> {
        loop {
            let tokens = self.of_user(user, None, PAGE_ROWS)?;
            if tokens.is_empty() {
                return Ok(());
            }
            for (id, _) in tokens {
                self.remove(id)?;
            }
        }
    }

    /// Removes every token of the application.
    pub fn remove_of_application(&mut self, application: OauthApplicationId) -> Result<(), Error> {
        loop {
            let tokens = self.of_application(application, None, PAGE_ROWS)?;
            if tokens.is_empty() {
                return Ok(());
            }
            for (id, _) in tokens {
                self.remove(id)?;
            }
        }
    }
}
