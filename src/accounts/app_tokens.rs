//! App tokens: long secrets that a user makes for a program, good for all that the user may.

use std::time::Duration;

use serde_json::json;

use super::name::check_description;
use super::secret::{self, AppTokenCode};
use super::{Accounts, Error, Noun};
use crate::model::{
    AppTokenId, AppTokenRecord, LogEntry, LogKind, Performer, Secret, Timestamp, UserId, UserRecord,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// How long an expired token is still listed (Quay: `EXPIRED_APP_SPECIFIC_TOKEN_GC`).
const EXPIRED_KEPT: Duration = Duration::from_secs(24 * 3600);

impl Accounts {
    /// Makes an app token; returns it with its code of 120 letters and digits, which is shown once.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a user; [`Error::Invalid`].
    pub async fn create_app_token(
        &self,
        user: UserId,
        title: &str,
        expires: Option<Timestamp>,
        by: &Performer,
    ) -> Result<(AppTokenId, Secret), Error> {
        check_description(title)?;
        let code = AppTokenCode::random();
        let (by, now) = (by.clone(), self.inner.clock.now());
        let record = AppTokenRecord {
            user,
            uuid: secret::new_uuid(),
            title: title.to_owned(),
            lookup: code.lookup.clone(),
            secret: secret::seal_app_token(&self.inner.seal, &code),
            created: now,
            expires,
            last_accessed: None,
        };
        let create = move |tx: &mut WriteTx<'_>| {
            let owner = tx.users().record(user)?;
            let owner = owner.ok_or(Error::Unknown { noun: Noun::User })?;
            forget_expired(tx, user, now)?;
            let id = tx.app_tokens().create(&record)?;
            let kind = LogKind::CreateAppSpecificToken;
            tx.logs().append(&line(kind, now, &by, &owner, &record))?;
            Ok(id)
        };
        let id = self.change(create).await?;
        tracing::info!(app_token.id = %id, user.id = %user, "an app token was made");
        Ok((id, code.whole()))
    }

    /// The token whose first half this is, if there is one, expired or not.
    pub async fn app_token_by_lookup(
        &self,
        lookup: &str,
    ) -> Result<Option<(AppTokenId, AppTokenRecord)>, Error> {
        let find = |tx: &ReadTx| tx.app_tokens().by_lookup(lookup);
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// The token that this code is of, if it is one and has not expired; secrets are compared in
    /// constant time (AU-09). That its user is enabled is the caller's to see to.
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub async fn app_token_by_code(
        &self,
        code: &Secret,
    ) -> Result<Option<(AppTokenId, AppTokenRecord)>, Error> {
        let Some((lookup, shown)) = secret::halves(code.expose()) else {
            return Ok(None);
        };
        let Some((id, token)) = self.app_token_by_lookup(lookup).await? else {
            return Ok(None);
        };
        let expected = secret::open_app_token(&self.inner.seal, &token)?;
        let now = self.inner.clock.now();
        let good = token.expires.is_none_or(|expires| now < expires);
        let same = secret::is_same(&expected, shown);
        Ok((same && good).then_some((id, token)))
    }

    /// Up to `limit` tokens of the user behind `after`, oldest first.
    pub async fn list_app_tokens(
        &self,
        user: UserId,
        after: Option<AppTokenId>,
        limit: usize,
    ) -> Result<Vec<(AppTokenId, AppTokenRecord)>, Error> {
        let list = move |tx: &ReadTx| tx.app_tokens().of_user(user, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// The record of a token, if there is one.
    ///
    /// # Errors
    /// The store's.
    pub async fn app_token(&self, id: AppTokenId) -> Result<Option<AppTokenRecord>, Error> {
        let record = self.inner.store.read(|tx| tx.app_tokens().record(id));
        record.await.map_err(Error::Store)
    }

    /// The token of that uuid, if it is this user's (AZ-06).
    ///
    /// # Errors
    /// The store's.
    pub async fn app_token_by_uuid(
        &self,
        user: UserId,
        uuid: &str,
    ) -> Result<Option<(AppTokenId, AppTokenRecord)>, Error> {
        let find = |tx: &ReadTx| tx.app_tokens().by_uuid(uuid);
        let found = self.inner.store.read(find).await?;
        Ok(found.filter(|(_, token)| token.user == user))
    }

    /// Up to `limit` tokens of everybody behind `after`, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_all_app_tokens(
        &self,
        after: Option<AppTokenId>,
        limit: usize,
    ) -> Result<Vec<(AppTokenId, AppTokenRecord)>, Error> {
        let list = move |tx: &ReadTx| tx.app_tokens().list(after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// The whole code of a token, which its user can be shown again.
    ///
    /// # Errors
    /// [`Error::SealBroken`].
    pub fn app_token_code(&self, token: &AppTokenRecord) -> Result<Secret, Error> {
        let secret = secret::open_app_token(&self.inner.seal, token)?;
        Ok(Secret::new(format!("{}{}", token.lookup, secret.expose())))
    }

    /// Removes a token of this user.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is none, or it is another user's (AZ-06).
    pub async fn revoke_app_token(
        &self,
        user: UserId,
        id: AppTokenId,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        let revoke = move |tx: &mut WriteTx<'_>| {
            let token = tx.app_tokens().record(id)?;
            let token = token
                .filter(|token| token.user == user)
                .ok_or(Error::Unknown {
                    noun: Noun::AppToken,
                })?;
            tx.app_tokens().remove(id)?;
            if let Some(owner) = tx.users().record(user)? {
                let kind = LogKind::RevokeAppSpecificToken;
                tx.logs().append(&line(kind, now, &by, &owner, &token))?;
            }
            Ok(())
        };
        self.change(revoke).await?;
        tracing::info!(app_token.id = %id, user.id = %user, "an app token was revoked");
        Ok(())
    }
}

/// Removes what expired long ago, so that nobody's list grows for ever.
fn forget_expired(tx: &mut WriteTx<'_>, user: UserId, now: Timestamp) -> Result<(), Error> {
    for (id, token) in tx.app_tokens().of_user(user, None, PAGE_ROWS)? {
        if token.expires.is_some_and(|end| end + EXPIRED_KEPT < now) {
            tx.app_tokens().remove(id)?;
        }
    }
    Ok(())
}

fn line(
    kind: LogKind,
    now: Timestamp,
    by: &Performer,
    owner: &UserRecord,
    token: &AppTokenRecord,
) -> LogEntry {
    let line = LogEntry::new(kind, now, by).within(owner.namespace);
    line.with(json!({
        "app_specific_token_title": token.title,
        "app_specific_token": token.uuid,
    }))
}
