//! Keys of services that belong to this registry: builders, scanners, mirrors of it (Quay: service keys).
//!
//! Called by the doors in `api`: superusers make, approve, change and delete keys; services submit the
//! public half of theirs and replace it in time, showing by a signature that they have the private half;
//! anybody reads which keys to believe. `jobs` has what is over removed ([`ServiceKeys::sweep`]).
//!
//! Promises: a key is believed only once it is approved and until it expires; it speaks for its own
//! service alone (AZ-06); what nobody vouches for is bounded in number, in size and in time, so that
//! strangers fill nothing. Every change has its line in the usage log, in its transaction, and a key that
//! waits lies in the inbox of every superuser until it waits no longer.

mod jwk;
mod notices;
mod pair;
mod proof;
mod submitted;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Error;
use super::lookup::People;
use crate::model::{
    ApprovalKind, Clock, LogEntry, LogKind, NamespaceName, Performer, Secret, ServiceKeyApproval,
    ServiceKeyRecord, Timestamp, UserId,
};
use crate::store::{self, PAGE_ROWS, ReadTx, Store, WriteTx};

pub use submitted::{Submission, Submitted};

use pair::Pair;

/// Longest name of a service and of a key, of metadata as JSON, and of notes.
const NAME_BYTES: usize = 255;
const METADATA_BYTES: usize = 16 * 1024;

/// Latest time that can be told as a date: the end of the year 9999.
const LATEST: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// The keys of services; cheap to clone.
#[derive(Clone)]
pub struct ServiceKeys {
    store: Store,
    clock: Clock,
    lives: Lives,
    people: Arc<People>,
}

/// How long keys are kept that nobody believes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lives {
    /// `UNAPPROVED_SERVICE_KEY_TTL_SEC`
    pub(super) unapproved: Duration,
    /// `EXPIRED_SERVICE_KEY_TTL_SEC`
    pub(super) expired: Duration,
}

/// A key with its id.
pub type ServiceKey = (String, ServiceKeyRecord);

/// A key that a superuser wants to have made.
#[derive(Clone, Debug)]
pub struct NewServiceKey {
    pub service: String,
    pub name: String,
    pub metadata: Map<String, Value>,
    pub expires: Option<Timestamp>,
    pub notes: String,
}

/// A key that was made here. The private half is told once and kept nowhere.
#[derive(Debug)]
pub struct MadeServiceKey {
    pub key_id: String,
    pub public_key: String,
    pub private_key: Secret,
}

/// What is to be different about a key.
#[derive(Clone, Debug, Default)]
pub struct ServiceKeyChange {
    pub name: Option<String>,
    /// Added to what is there.
    pub metadata: Option<Map<String, Value>>,
    /// `Some(None)` for never.
    pub expires: Option<Option<Timestamp>>,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceKeyError {
    #[error("Invalid service key friendly name: {0}")]
    Name(String),
    #[error("Invalid service name: {0}")]
    Service(String),
    #[error("Expiration date cannot be in the past")]
    Past,
    #[error("Invalid expiration date: it lies too far ahead")]
    TooLate,
    #[error("the metadata is too long")]
    Metadata,
    /// No key that is taken, no token, or one whose signature or claims are wrong.
    #[error("the key or its proof is not valid")]
    Malformed,
    /// Whoever signed is not known as a key of the service, or may not do this.
    #[error("the signer may not do this")]
    Refused,
    #[error("there is no such key")]
    Unknown,
    #[error("the key is not approved")]
    Unapproved,
    #[error("the key has expired")]
    Expired,
    /// As many keys wait for approval as may, of all or from one address.
    #[error("too many keys wait for approval")]
    TooMany,
    #[error(transparent)]
    Auth(#[from] Error),
}

impl From<store::Error> for ServiceKeyError {
    fn from(error: store::Error) -> Self {
        Self::Auth(error.into())
    }
}

impl ServiceKeys {
    pub(super) const fn new(store: Store, clock: Clock, lives: Lives, people: Arc<People>) -> Self {
        Self {
            store,
            clock,
            lives,
            people,
        }
    }

    /// Every key, in byte order of the ids, at most 1,000.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(&self) -> Result<Vec<ServiceKey>, Error> {
        let list = |tx: &ReadTx| tx.service_keys().list(None, PAGE_ROWS);
        Ok(self.store.scan(list).await?)
    }

    /// The key of exactly this id.
    ///
    /// # Errors
    /// The store's.
    pub async fn key(&self, key_id: &str) -> Result<Option<ServiceKeyRecord>, Error> {
        let read = self.store.read(|tx| tx.service_keys().record(key_id));
        Ok(read.await?)
    }

    /// Makes a pair of keys for a service, approved by who asks.
    ///
    /// # Errors
    /// [`ServiceKeyError::Name`], [`ServiceKeyError::Service`], [`ServiceKeyError::Past`],
    /// [`ServiceKeyError::TooLate`], [`ServiceKeyError::Metadata`].
    pub async fn make(
        &self,
        new: NewServiceKey,
        approver: UserId,
        by: &Performer,
    ) -> Result<MadeServiceKey, ServiceKeyError> {
        let now = self.clock.now();
        check_service(&new.service)?;
        check_name(&new.name)?;
        check_expiry(new.expires, now)?;
        let metadata = text_of(&new.metadata)?;
        let pair = tokio::task::spawn_blocking(Pair::generate).await;
        let pair = pair.map_err(|_| Error::Signing("the server is stopping"))??;
        let key_id = pair.public.thumbprint();
        let record = ServiceKeyRecord {
            service: new.service,
            name: new.name,
            jwk: pair.public.to_json(&key_id).to_string(),
            metadata,
            created: now,
            expires: new.expires,
            rotation_duration_s: None,
            approval: Some(ServiceKeyApproval {
                kind: ApprovalKind::Superuser,
                approver: Some(approver),
                at: now,
                notes: cut(new.notes),
            }),
            submitted_from: None,
        };
        let (id, by) = (key_id.clone(), by.clone());
        let put = move |tx: &mut WriteTx<'_>| {
            tx.service_keys().put(&id, &record)?;
            let made = json!({"preshared": true, "auto_approved": true});
            for kind in [LogKind::ServiceKeyCreate, LogKind::ServiceKeyApprove] {
                let entry = line(kind, now, &by, &id, &record).with(made.clone());
                tx.logs().append(&entry)?;
            }
            Ok::<_, ServiceKeyError>(())
        };
        self.store.write(put).await?;
        Ok(MadeServiceKey {
            key_id,
            public_key: pair.public_pem,
            private_key: pair.private_pem,
        })
    }

    /// Has a key be believed; one that is approved already stays as it is.
    ///
    /// # Errors
    /// [`ServiceKeyError::Unknown`].
    pub async fn approve(
        &self,
        key_id: &str,
        notes: String,
        approver: UserId,
        by: &Performer,
    ) -> Result<(), ServiceKeyError> {
        let (id, by, now) = (key_id.to_owned(), by.clone(), self.clock.now());
        let approval = ServiceKeyApproval {
            kind: ApprovalKind::Superuser,
            approver: Some(approver),
            at: now,
            notes: cut(notes),
        };
        let approve = move |tx: &mut WriteTx<'_>| {
            let mut record = known(tx, &id)?;
            if record.approval.is_some() {
                return Ok(());
            }
            record.approval = Some(approval.clone());
            tx.service_keys().put(&id, &record)?;
            notices::settle(tx, &id)?;
            let entry = line(LogKind::ServiceKeyApprove, now, &by, &id, &record);
            Ok::<_, ServiceKeyError>(tx.logs().append(&entry)?)
        };
        self.store.write(approve).await
    }

    /// Changes what is said of a key; returns how it is then.
    ///
    /// # Errors
    /// [`ServiceKeyError::Unknown`], and as [`ServiceKeys::make`].
    pub async fn change(
        &self,
        key_id: &str,
        change: ServiceKeyChange,
        by: &Performer,
    ) -> Result<ServiceKeyRecord, ServiceKeyError> {
        let (id, by, now) = (key_id.to_owned(), by.clone(), self.clock.now());
        if let Some(name) = &change.name {
            check_name(name)?;
        }
        check_expiry(change.expires.flatten(), now)?;
        let apply = move |tx: &mut WriteTx<'_>| {
            let before = known(tx, &id)?;
            let after = changed(&before, &change)?;
            tx.service_keys().put(&id, &after)?;
            if after.expires != before.expires {
                let old = json!({"old_expiration_date": date(before.expires)});
                let entry = line(LogKind::ServiceKeyExtend, now, &by, &id, &after).with(old);
                tx.logs().append(&entry)?;
            }
            if change.name.is_some() || change.metadata.is_some() {
                let entry = line(LogKind::ServiceKeyModify, now, &by, &id, &after);
                tx.logs().append(&entry)?;
            }
            Ok::<_, ServiceKeyError>(after)
        };
        self.store.write(apply).await
    }

    /// Removes a key; whoever has its private half is nobody from the answer on.
    ///
    /// # Errors
    /// [`ServiceKeyError::Unknown`].
    pub async fn delete(&self, key_id: &str, by: &Performer) -> Result<(), ServiceKeyError> {
        let (id, by, now) = (key_id.to_owned(), by.clone(), self.clock.now());
        let delete = move |tx: &mut WriteTx<'_>| {
            let record = known(tx, &id)?;
            tx.service_keys().remove(&id)?;
            notices::settle(tx, &id)?;
            let told = json!({"created_date": record.created.http_date()});
            let entry = line(LogKind::ServiceKeyDelete, now, &by, &id, &record).with(told);
            Ok::<_, ServiceKeyError>(tx.logs().append(&entry)?)
        };
        self.store.write(delete).await
    }

    /// Removes keys that nobody approved in time, and those long expired; returns how many.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let (now, lives) = (self.clock.now(), self.lives);
        let over: Vec<String> = self
            .list()
            .await?
            .into_iter()
            .filter(|(_, record)| lives.are_over(record, now))
            .map(|(id, _)| id)
            .collect();
        if over.is_empty() {
            return Ok(0);
        }
        let count = over.len();
        let remove = move |tx: &mut WriteTx<'_>| {
            for id in &over {
                let record = tx.service_keys().record(id)?;
                // It may have been approved or prolonged since it was read.
                if record.is_some_and(|record| lives.are_over(&record, now)) {
                    tx.service_keys().remove(id)?;
                    notices::settle(tx, id)?;
                }
            }
            Ok::<_, store::Error>(())
        };
        self.store.write(remove).await?;
        Ok(count)
    }
}

fn known(tx: &ReadTx, key_id: &str) -> Result<ServiceKeyRecord, ServiceKeyError> {
    let record = tx.service_keys().record(key_id)?;
    record.ok_or(ServiceKeyError::Unknown)
}

impl Lives {
    fn are_over(self, record: &ServiceKeyRecord, now: Timestamp) -> bool {
        let waited = record.approval.is_none() && now.since(record.created) > self.unapproved;
        let expired = record
            .expires
            .is_some_and(|at| now.since(at) > self.expired);
        waited || expired
    }
}

fn changed(
    before: &ServiceKeyRecord,
    change: &ServiceKeyChange,
) -> Result<ServiceKeyRecord, ServiceKeyError> {
    let mut after = before.clone();
    if let Some(name) = &change.name {
        after.name.clone_from(name);
    }
    if let Some(expires) = change.expires {
        after.expires = expires;
    }
    if let Some(more) = &change.metadata {
        let mut metadata: Map<String, Value> =
            serde_json::from_str(&before.metadata).unwrap_or_default();
        metadata.extend(more.clone());
        after.metadata = text_of(&metadata)?;
    }
    Ok(after)
}

/// A line of the log about a key, with what every kind of it tells.
fn line(
    kind: LogKind,
    now: Timestamp,
    by: &Performer,
    key_id: &str,
    record: &ServiceKeyRecord,
) -> LogEntry {
    LogEntry::new(kind, now, by).with(json!({
        "kid": key_id,
        "service": record.service,
        "name": record.name,
        "expiration_date": date(record.expires),
    }))
}

fn date(at: Option<Timestamp>) -> Option<String> {
    at.map(Timestamp::http_date)
}

/// Quay's rule of names: letters, digits, white space and `-_:/`.
fn check_name(name: &str) -> Result<(), ServiceKeyError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "-_:/".contains(c);
    match name.len() <= NAME_BYTES && name.chars().all(fits) {
        true => Ok(()),
        false => Err(ServiceKeyError::Name(
            name.chars().take(NAME_BYTES).collect(),
        )),
    }
}

/// A service's name stands in the path of its keys: one component that a namespace could have.
fn check_service(service: &str) -> Result<(), ServiceKeyError> {
    match service.parse::<NamespaceName>() {
        Ok(_) => Ok(()),
        Err(_) => Err(ServiceKeyError::Service(
            service.chars().take(NAME_BYTES).collect(),
        )),
    }
}

fn check_expiry(expires: Option<Timestamp>, now: Timestamp) -> Result<(), ServiceKeyError> {
    match expires {
        Some(expires) if expires <= now => Err(ServiceKeyError::Past),
        Some(expires) if expires > LATEST => Err(ServiceKeyError::TooLate),
        _ => Ok(()),
    }
}

fn text_of(metadata: &Map<String, Value>) -> Result<String, ServiceKeyError> {
    let text = serde_json::to_string(metadata).map_err(|_| ServiceKeyError::Metadata)?;
    match text.len() <= METADATA_BYTES {
        true => Ok(text),
        false => Err(ServiceKeyError::Metadata),
    }
}

fn cut(notes: String) -> String {
    match notes.char_indices().nth(METADATA_BYTES) {
        Some((end, _)) => notes[..end].to_owned(),
        None => notes,
    }
}
