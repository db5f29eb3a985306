//! App tokens: long secrets that a user makes for a program, good for all that the user may.

use super::name::check_description;
use super::secret::{self, AppTokenCode};
use super::{Accounts, Error, Noun};
use crate::model::{AppTokenId, AppTokenRecord, Secret, Timestamp, UserId};
use crate::store::{ReadTx, WriteTx};

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
    ) -> Result<(AppTokenId, Secret), Error> {
        check_description(title)?;
        let code = AppTokenCode::random();
        let record = AppTokenRecord {
            user,
            title: title.to_owned(),
            lookup: code.lookup.clone(),
            secret: secret::seal_app_token(&self.inner.seal, &code),
            created: self.inner.clock.now(),
            expires,
        };
        let create = move |tx: &mut WriteTx<'_>| {
            let known = tx.users().record(user)?.is_some();
            known
                .then_some(())
                .ok_or(Error::Unknown { noun: Noun::User })?;
            Ok(tx.app_tokens().create(&record)?)
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

    /// Removes a token of this user.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is none, or it is another user's (AZ-06).
    pub async fn revoke_app_token(&self, user: UserId, id: AppTokenId) -> Result<(), Error> {
        let revoke = move |tx: &mut WriteTx<'_>| match tx.app_tokens().record(id)? {
            Some(token) if token.user == user => Ok(tx.app_tokens().remove(id)?),
            Some(_) | None => Err(Error::Unknown {
                noun: Noun::AppToken,
            }),
        };
        self.change(revoke).await?;
        tracing::info!(app_token.id = %id, user.id = %user, "an app token was revoked");
        Ok(())
    }
}
