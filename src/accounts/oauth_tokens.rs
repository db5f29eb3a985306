//! OAuth tokens: what lets an application act for a person, within scopes and for a time.
//!
//! Called by `api`; `auth` finds tokens by itself. Of a token its hash is kept, so that it is shown once,
//! when it is made. Which scopes there are is `auth`'s to know: here they are a text.

use std::time::Duration;

use serde_json::json;

use super::applications;
use super::secret;
use super::{Accounts, Error, Noun, OAUTH_TOKEN_LOOKUP, oauth_token_hash};
use crate::model::{
    LogEntry, LogKind, NamespaceId, OauthApplicationId, OauthTokenId, OauthTokenRecord, Performer,
    Secret, Timestamp, UserId,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// How long tokens last that people give (Quay: ten years).
pub const OAUTH_TOKEN_LIFE: Duration = Duration::from_secs(315_576_000);

/// A token that is to be made.
#[derive(Clone, Debug)]
pub struct NewOauthToken {
    pub application: OauthApplicationId,
    /// For whom it acts.
    pub user: UserId,
    /// The names of its scopes, separated by spaces.
    pub scope: String,
    pub life: Duration,
}

/// What is told of a token that is made by name, for whoever made it.
#[derive(Clone, Debug)]
pub struct NamedToken {
    pub namespace: NamespaceId,
    pub client_id: String,
    pub user: UserId,
    pub scope: String,
    pub life: Duration,
    /// 1 to 255 characters.
    pub name: String,
    /// `OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT`
    pub limit: Option<u64>,
}

/// A token with its id.
pub type OauthToken = (OauthTokenId, OauthTokenRecord);

impl Accounts {
    /// Makes a token by a person's consent; it is returned once.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such an application or user.
    pub async fn create_oauth_token(&self, new: NewOauthToken) -> Result<Secret, Error> {
        let token = secret::new_oauth_token();
        let record = OauthTokenRecord {
            application: new.application,
            user: new.user,
            ..new_record(&token, &new.scope, new.life, self.inner.clock.now())
        };
        self.change(move |tx| {
            tx.oauth_applications()
                .record(record.application)?
                .ok_or(Error::Unknown {
                    noun: Noun::Application,
                })?;
            check_user(tx, record.user)?;
            Ok(tx.oauth_tokens().create(&record)?)
        })
        .await?;
        Ok(token)
    }

    /// Makes a token of an organisation's application by name; it is returned once.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless the organisation has the application; [`Error::TokenLimit`].
    pub async fn create_named_token(
        &self,
        new: NamedToken,
        by: &Performer,
    ) -> Result<(OauthTokenRecord, Secret), Error> {
        let token = secret::new_oauth_token();
        let (by, now) = (by.clone(), self.inner.clock.now());
        let draft = new_record(&token, &new.scope, new.life, now);
        let create = move |tx: &mut WriteTx<'_>| {
            let (id, application) = applications::load(tx, new.namespace, &new.client_id)?;
            check_user(tx, new.user)?;
            if let Some(limit) = new.limit {
                check_limit(tx, id, limit, now)?;
            }
            let record = OauthTokenRecord {
                application: id,
                user: new.user,
                name: Some(new.name.clone()),
                created_by: Some(by.actor.to_string()),
                ..draft.clone()
            };
            tx.oauth_tokens().create(&record)?;
            let line = LogEntry::new(LogKind::CreateOauthApiToken, now, &by);
            tx.logs()
                .append(&line.within(application.namespace).with(json!({
                    "oauth_token_uuid": record.uuid,
                    "scope": record.scope,
                    "token_display_name": new.name,
                    "application_name": application.name,
                    "auth_method": "OAuth",
                    "client_id": application.client_id,
                })))?;
            Ok(record)
        };
        Ok((self.change(create).await?, token))
    }

    /// Up to `limit` tokens of the application behind `after`, newest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn tokens_of_application(
        &self,
        application: OauthApplicationId,
        after: Option<OauthTokenId>,
        limit: usize,
    ) -> Result<Vec<OauthToken>, Error> {
        let list = move |tx: &ReadTx| tx.oauth_tokens().of_application(application, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// Up to `limit` tokens that the user gave, behind `after`, oldest first.
    ///
    /// # Errors
    /// The store's.
    pub async fn tokens_of_user(
        &self,
        user: UserId,
        after: Option<OauthTokenId>,
        limit: usize,
    ) -> Result<Vec<OauthToken>, Error> {
        let list = move |tx: &ReadTx| tx.oauth_tokens().of_user(user, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// The token of that uuid, if the user gave it (AZ-06).
    ///
    /// # Errors
    /// The store's.
    pub async fn token_of_user(
        &self,
        user: UserId,
        uuid: &str,
    ) -> Result<Option<OauthToken>, Error> {
        let find = |tx: &ReadTx| tx.oauth_tokens().by_uuid(uuid);
        let found = self.inner.store.read(find).await?;
        Ok(found.filter(|(_, record)| record.user == user))
    }

    /// Takes back a token that the user gave.
    ///
    /// # Errors
    /// [`Error::Unknown`] if there is none, or another user gave it (AZ-06).
    pub async fn revoke_token_of_user(&self, user: UserId, uuid: &str) -> Result<(), Error> {
        let uuid = uuid.to_owned();
        self.change(move |tx| {
            let found = tx.oauth_tokens().by_uuid(&uuid)?;
            let found = found.filter(|(_, record)| record.user == user);
            let (id, _) = found.ok_or(Error::Unknown {
                noun: Noun::OauthToken,
            })?;
            Ok(tx.oauth_tokens().remove(id)?)
        })
        .await
    }

    /// Ends a token of an organisation's application.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless the organisation has the application, and that the token (AZ-06).
    pub async fn revoke_token_of_application(
        &self,
        namespace: NamespaceId,
        client_id: &str,
        uuid: &str,
        by: &Performer,
    ) -> Result<(), Error> {
        let (client_id, uuid) = (client_id.to_owned(), uuid.to_owned());
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let (application, record) = applications::load(tx, namespace, &client_id)?;
            let found = tx.oauth_tokens().by_uuid(&uuid)?;
            let found = found.filter(|(_, token)| token.application == application);
            let (id, token) = found.ok_or(Error::Unknown {
                noun: Noun::OauthToken,
            })?;
            tx.oauth_tokens().remove(id)?;
            let line = LogEntry::new(LogKind::RevokeOauthApiToken, now, &by);
            Ok(tx.logs().append(&line.within(namespace).with(json!({
                "oauth_token_uuid": token.uuid,
                "application_name": record.name,
                "client_id": record.client_id,
            })))?)
        })
        .await
    }

    /// The scopes of the user's tokens of that application that have not expired.
    ///
    /// # Errors
    /// The store's.
    pub async fn scopes_given(
        &self,
        user: UserId,
        application: OauthApplicationId,
    ) -> Result<Vec<String>, Error> {
        let now = self.inner.clock.now();
        let mut scopes = Vec::new();
        let mut after = None;
        loop {
            let page = self.tokens_of_user(user, after, PAGE_ROWS).await?;
            let Some((last, _)) = page.last() else {
                return Ok(scopes);
            };
            after = Some(*last);
            let given = page.into_iter().map(|(_, token)| token);
            let given = given.filter(|it| it.application == application && now < it.expires);
            scopes.extend(given.map(|token| token.scope));
        }
    }
}

/// What is kept of a token of nobody yet.
pub(super) fn new_record(
    token: &Secret,
    scope: &str,
    life: Duration,
    now: Timestamp,
) -> OauthTokenRecord {
    OauthTokenRecord {
        application: OauthApplicationId(0),
        user: UserId(0),
        uuid: secret::new_uuid(),
        lookup: token.expose()[..OAUTH_TOKEN_LOOKUP].to_owned(),
        hash: oauth_token_hash(token.expose()),
        scope: scope.to_owned(),
        name: None,
        created_by: None,
        created: now,
        expires: now + life.min(OAUTH_TOKEN_LIFE),
        last_accessed: None,
    }
}

fn check_user(tx: &ReadTx, user: UserId) -> Result<(), Error> {
    let known = tx.users().record(user)?.is_some();
    known
        .then_some(())
        .ok_or(Error::Unknown { noun: Noun::User })
}

/// # Errors
/// [`Error::TokenLimit`] if that many tokens of the application have not expired.
fn check_limit(
    tx: &ReadTx,
    application: OauthApplicationId,
    limit: u64,
    now: Timestamp,
) -> Result<(), Error> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = tx
            .oauth_tokens()
            .of_application(application, after, PAGE_ROWS)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(*last);
        count += page.iter().filter(|(_, token)| now < token.expires).count() as u64;
        if count >= limit {
            return Err(Error::TokenLimit { limit });
        }
    }
}
