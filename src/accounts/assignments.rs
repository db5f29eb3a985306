//! Assignments: tokens that an organisation offers to somebody, who takes or refuses them.
//!
//! Called by `api`. An assignment gives nothing by itself: whoever it is for takes it by consenting, and
//! gets a token of their own.

use serde_json::json;

use super::secret;
use super::{Accounts, Error, Noun};
use crate::model::{
    LogEntry, LogKind, NoticeKind, NoticeRecord, OauthApplicationId, OauthAssignmentRecord,
    Performer, UserId,
};
use crate::store::{ReadTx, WriteTx};

/// What the notices of assignments are about: they go when the list is looked at.
const ASSIGNED: &str = "assigned_authorization";

/// What is offered, and to whom.
#[derive(Clone, Debug)]
pub struct NewAssignment {
    pub application: OauthApplicationId,
    pub user: UserId,
    pub redirect_uri: String,
    pub scope: String,
    pub response_type: String,
}

impl Accounts {
    /// Offers a token to somebody; returns the uuid of the offer.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a user or application.
    pub async fn assign_token(&self, new: NewAssignment, by: &Performer) -> Result<String, Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        let uuid = secret::new_uuid();
        let assign = move |tx: &mut WriteTx<'_>| {
            let user = tx.users().record(new.user)?;
            let user = user.ok_or(Error::Unknown { noun: Noun::User })?;
            let application = tx.oauth_applications().record(new.application)?;
            let application = application.ok_or(Error::Unknown {
                noun: Noun::Application,
            })?;
            let record = OauthAssignmentRecord {
                application: new.application,
                user: new.user,
                redirect_uri: new.redirect_uri.clone(),
                scope: new.scope.clone(),
                response_type: new.response_type.clone(),
                created: now,
            };
            tx.oauth_assignments().put(&uuid, &record);
            let metadata = json!({"username": user.name});
            let (target, kind) = (user.namespace, NoticeKind::AssignedAuthorization);
            let notice = NoticeRecord::new(uuid.clone(), target, kind, now, &metadata);
            tx.notices().put(&notice.about(ASSIGNED))?;
            let line = LogEntry::new(LogKind::OauthTokenAssigned, now, &by);
            tx.logs()
                .append(&line.within(application.namespace).with(json!({
                    "assigning_user": by.actor.to_string(),
                    "assigned_user": user.name,
                    "application": application.name,
                    "client_id": application.client_id,
                })))?;
            Ok(uuid.clone())
        };
        self.change(assign).await
    }

    /// Up to `limit` assignments of the user behind `after`, in the order of their uuids.
    ///
    /// # Errors
    /// The store's.
    pub async fn assignments(
        &self,
        user: UserId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, OauthAssignmentRecord)>, Error> {
        let after = after.map(str::to_owned);
        let list = move |tx: &ReadTx| {
            tx.oauth_assignments()
                .of_user(user, after.as_deref(), limit)
        };
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// Takes back what the user was told of assignments, as he has looked at them (quay-api 10.2).
    ///
    /// # Errors
    /// The store's.
    pub async fn note_assignments_seen(&self, user: UserId) -> Result<(), Error> {
        let told = self.inner.store.read(|tx| {
            let Some(record) = tx.users().record(user)? else {
                return Ok(None);
            };
            let is_told = tx.notices().has_about(record.namespace, ASSIGNED)?;
            Ok::<_, crate::store::Error>(is_told.then_some(record.namespace))
        });
        let Some(namespace) = told.await? else {
            return Ok(());
        };
        let forget = move |tx: &mut WriteTx<'_>| tx.notices().remove_about_of(namespace, ASSIGNED);
        self.inner.store.write(forget).await.map_err(Error::Store)
    }

    /// The assignment of that uuid, if it is the user's (AZ-06).
    ///
    /// # Errors
    /// The store's.
    pub async fn assignment(
        &self,
        user: UserId,
        uuid: &str,
    ) -> Result<Option<OauthAssignmentRecord>, Error> {
        let find = |tx: &ReadTx| tx.oauth_assignments().record(uuid);
        let found = self.inner.store.read(find).await?;
        Ok(found.filter(|record| record.user == user))
    }

    /// Removes an assignment, taken or refused.
    ///
    /// # Errors
    /// [`Error::Unknown`] unless it is the user's (AZ-06).
    pub async fn remove_assignment(&self, user: UserId, uuid: &str) -> Result<(), Error> {
        let uuid = uuid.to_owned();
        self.change(move |tx| match tx.oauth_assignments().record(&uuid)? {
            Some(record) if record.user == user => Ok(tx.oauth_assignments().remove(&uuid)?),
            Some(_) | None => Err(Error::Unknown {
                noun: Noun::Assignment,
            }),
        })
        .await
    }
}
