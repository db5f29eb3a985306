//! The key server: what services do with their own keys, and what anybody reads (Quay: `key_server`).
//!
//! Whoever sends a key shows that he has its private half. Signed by itself, a key is new and waits for a
//! superuser; signed by an approved key of the service, it takes that one's place.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::jwk::PublicKey;
use super::{
    NAME_BYTES, ServiceKey, ServiceKeyError, ServiceKeys, check_expiry, check_service, known, line,
    notices, proof, text_of,
};
use crate::auth::Error;
use crate::model::{LogEntry, LogKind, Performer, ServiceKeyRecord, Timestamp};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Keys that wait for approval at a time, of all and from one address.
const WAITING: usize = 100;
const WAITING_FROM_ONE: usize = 10;

/// Longest time between replacements of a key, in seconds: ten years.
const LONGEST_ROTATION: u64 = 10 * 365 * 86_400;

/// What a service sends.
#[derive(Clone, Debug)]
pub struct Submission {
    pub service: String,
    pub key_id: String,
    pub jwk: Value,
    /// The JWT that proves it.
    pub proof: String,
    /// Whom the proof must be for: this site's URL.
    pub audience: String,
    pub expires: Option<Timestamp>,
    pub rotation_duration_s: Option<u64>,
    pub user_agent: String,
}

/// What became of a key that was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Submitted {
    /// It waits to be approved.
    Waits,
    /// It has taken the place of the key that signed for it.
    Replaced,
}

impl ServiceKeys {
    /// The keys of a service that are to be believed.
    ///
    /// # Errors
    /// The store's.
    pub async fn believed(&self, service: &str) -> Result<Vec<ServiceKey>, Error> {
        let now = self.clock.now();
        let all = self.list().await?.into_iter();
        let believed = |(_, record): &ServiceKey| {
            record.service == service && record.approval.is_some() && record.is_alive(now)
        };
        Ok(all.filter(believed).collect())
    }

    /// The key of a service that is to be believed, by its exact id.
    ///
    /// # Errors
    /// [`ServiceKeyError::Unknown`], [`ServiceKeyError::Unapproved`], [`ServiceKeyError::Expired`].
    pub async fn believed_key(
        &self,
        service: &str,
        key_id: &str,
    ) -> Result<ServiceKeyRecord, ServiceKeyError> {
        let record = self.key(key_id).await?;
        let record = record.filter(|record| record.service == service);
        let record = record.ok_or(ServiceKeyError::Unknown)?;
        if record.approval.is_none() {
            return Err(ServiceKeyError::Unapproved);
        }
        match record.is_alive(self.clock.now()) {
            true => Ok(record),
            false => Err(ServiceKeyError::Expired),
        }
    }

    /// Takes a key that a service sends.
    ///
    /// # Errors
    /// [`ServiceKeyError::Malformed`] for a key or proof that is none; [`ServiceKeyError::Refused`] for an
    /// unknown signer and for an id that is taken; [`ServiceKeyError::TooMany`].
    pub async fn submit(
        &self,
        submission: Submission,
        by: &Performer,
    ) -> Result<Submitted, ServiceKeyError> {
        let now = self.clock.now();
        check_submission(&submission, now)?;
        let key = PublicKey::read(&submission.jwk).ok_or(ServiceKeyError::Malformed)?;
        let signer = proof::signer(&submission.proof).ok_or(ServiceKeyError::Malformed)?;
        if signer.is_empty() || signer == submission.key_id {
            if !submission.is_proved_by(&key, now) {
                return Err(ServiceKeyError::Malformed);
            }
            let record = submission.record(&key, now, by.address)?;
            // Strangers come this far: what is refused anyway costs no more than this look.
            let look = |tx: &ReadTx| is_new(tx, &submission.key_id, &record);
            if !self.store.read(look).await? {
                return Ok(Submitted::Waits);
            }
            let notices = self.notices(&submission.key_id, &record).await?;
            let by = by.clone();
            let wait = move |tx: &mut WriteTx<'_>| {
                if wait(tx, &submission, &record, (now, &by))? {
                    notices.iter().try_for_each(|it| tx.notices().put(it))?;
                }
                Ok::<_, ServiceKeyError>(())
            };
            self.store.write(wait).await?;
            return Ok(Submitted::Waits);
        }
        let signing = self.signer(&submission.service, &signer, now).await?;
        if !submission.is_proved_by(&signing, now) {
            return Err(ServiceKeyError::Malformed);
        }
        let record = submission.record(&key, now, by.address)?;
        let by = by.clone();
        let replace =
            move |tx: &mut WriteTx<'_>| replace(tx, (&submission, &signer), &record, (now, &by));
        self.store.write(replace).await?;
        Ok(Submitted::Replaced)
    }

    /// Removes a key of a service at the word of that key, or of another approved one of the service.
    ///
    /// # Errors
    /// [`ServiceKeyError::Malformed`] for a proof that is none, [`ServiceKeyError::Refused`] for an unknown
    /// signer, [`ServiceKeyError::Unknown`].
    pub async fn withdraw(
        &self,
        submission: Submission,
        by: &Performer,
    ) -> Result<(), ServiceKeyError> {
        let now = self.clock.now();
        let signer = proof::signer(&submission.proof).ok_or(ServiceKeyError::Malformed)?;
        let signing = self.signer(&submission.service, &signer, now).await?;
        if !submission.is_proved_by(&signing, now) {
            return Err(ServiceKeyError::Malformed);
        }
        let by = by.clone();
        let withdraw = move |tx: &mut WriteTx<'_>| {
            let record = of_service(tx, &submission.service, &submission.key_id)?;
            let signer_record = of_service(tx, &submission.service, &signer)?;
            check_signer(&signer_record, now)?;
            tx.service_keys().remove(&submission.key_id)?;
            notices::settle(tx, &submission.key_id)?;
            let entry = LogEntry::new(LogKind::ServiceKeyDelete, now, &by).with(json!({
                "kid": submission.key_id,
                "signer_kid": signer,
                "service": submission.service,
                "name": record.name,
                "user_agent": submission.user_agent,
                "ip": by.address,
            }));
            Ok::<_, ServiceKeyError>(tx.logs().append(&entry)?)
        };
        self.store.write(withdraw).await
    }

    /// The key that a proof names as its signer, if it may sign for the service.
    async fn signer(
        &self,
        service: &str,
        key_id: &str,
        now: Timestamp,
    ) -> Result<PublicKey, ServiceKeyError> {
        let record = self.key(key_id).await?;
        let record = record.filter(|record| record.service == service);
        let record = record.ok_or(ServiceKeyError::Refused)?;
        check_signer(&record, now)?;
        let jwk: Value = serde_json::from_str(&record.jwk).map_err(|_| ServiceKeyError::Refused)?;
        PublicKey::read(&jwk).ok_or(ServiceKeyError::Refused)
    }
}

impl Submission {
    fn is_proved_by(&self, key: &PublicKey, now: Timestamp) -> bool {
        let whom = (self.service.as_str(), self.audience.as_str());
        proof::holds(&self.proof, key, whom, now)
    }

    fn record(
        &self,
        key: &PublicKey,
        now: Timestamp,
        address: Option<IpAddr>,
    ) -> Result<ServiceKeyRecord, ServiceKeyError> {
        let metadata = Map::from_iter([("ip".to_owned(), json!(address))]);
        Ok(ServiceKeyRecord {
            service: self.service.clone(),
            name: String::new(),
            jwk: key.to_json(&self.key_id).to_string(),
            metadata: text_of(&metadata)?,
            created: now,
            expires: self.expires,
            rotation_duration_s: self.rotation_duration_s,
            approval: None,
            submitted_from: address,
        })
    }
}

fn check_submission(submission: &Submission, now: Timestamp) -> Result<(), ServiceKeyError> {
    let id = &submission.key_id;
    let id_fits =
        !id.is_empty() && id.len() <= NAME_BYTES && id.bytes().all(|b| b.is_ascii_graphic());
    let rotation = submission.rotation_duration_s.unwrap_or(0) <= LONGEST_ROTATION;
    let sound = id_fits
        && rotation
        && check_service(&submission.service).is_ok()
        && check_expiry(submission.expires, now).is_ok();
    sound.then_some(()).ok_or(ServiceKeyError::Malformed)
}

fn check_signer(record: &ServiceKeyRecord, now: Timestamp) -> Result<(), ServiceKeyError> {
    let vouched = record.approval.is_some() && record.is_alive(now);
    vouched.then_some(()).ok_or(ServiceKeyError::Refused)
}

fn of_service(
    tx: &ReadTx,
    service: &str,
    key_id: &str,
) -> Result<ServiceKeyRecord, ServiceKeyError> {
    let record = known(tx, key_id)?;
    let same = record.service == service;
    same.then_some(record).ok_or(ServiceKeyError::Unknown)
}

/// Whether a key is to be put among those that wait; `false` if just this one is there already.
///
/// # Errors
/// [`ServiceKeyError::Refused`] for an id that is another's, [`ServiceKeyError::TooMany`].
fn is_new(tx: &ReadTx, key_id: &str, record: &ServiceKeyRecord) -> Result<bool, ServiceKeyError> {
    if let Some(before) = tx.service_keys().record(key_id)? {
        let same = before.service == record.service && before.jwk == record.jwk;
        return same.then_some(false).ok_or(ServiceKeyError::Refused);
    }
    let all = tx.service_keys().list(None, PAGE_ROWS)?;
    let waiting: Vec<_> = all
        .iter()
        .filter(|(_, other)| other.approval.is_none())
        .collect();
    let from_one = waiting
        .iter()
        .filter(|(_, other)| other.submitted_from == record.submitted_from);
    let too_many =
        waiting.len() >= WAITING || from_one.count() >= WAITING_FROM_ONE || all.len() >= PAGE_ROWS;
    if too_many {
        return Err(ServiceKeyError::TooMany);
    }
    Ok(true)
}

/// Puts a new key among those that wait; whether it was new. What is there already under its id stays as it is.
fn wait(
    tx: &mut WriteTx<'_>,
    submission: &Submission,
    record: &ServiceKeyRecord,
    (now, by): (Timestamp, &Performer),
) -> Result<bool, ServiceKeyError> {
    if !is_new(tx, &submission.key_id, record)? {
        return Ok(false);
    }
    tx.service_keys().put(&submission.key_id, record)?;
    let told = json!({
        "preshared": false,
        "user_agent": submission.user_agent,
        "ip": by.address,
    });
    let entry = line(
        LogKind::ServiceKeyCreate,
        now,
        by,
        &submission.key_id,
        record,
    )
    .with(told);
    tx.logs().append(&entry)?;
    Ok(true)
}

/// Puts a key in the place of the one that signed for it, with its name, approval and rotation.
fn replace(
    tx: &mut WriteTx<'_>,
    (submission, signer): (&Submission, &str),
    record: &ServiceKeyRecord,
    (now, by): (Timestamp, &Performer),
) -> Result<(), ServiceKeyError> {
    let before = of_service(tx, &submission.service, signer)?;
    check_signer(&before, now)?;
    if tx.service_keys().record(&submission.key_id)?.is_some() {
        return Err(ServiceKeyError::Refused);
    }
    let mut metadata: Map<String, Value> =
        serde_json::from_str(&before.metadata).unwrap_or_default();
    metadata.insert("ip".to_owned(), json!(by.address));
    metadata.insert("created_by".to_owned(), "Key Rotation".into());
    let after = ServiceKeyRecord {
        name: before.name,
        metadata: text_of(&metadata)?,
        rotation_duration_s: before.rotation_duration_s,
        approval: before.approval,
        ..record.clone()
    };
    tx.service_keys().remove(signer)?;
    tx.service_keys().put(&submission.key_id, &after)?;
    let told = json!({
        "signer_kid": signer,
        "user_agent": submission.user_agent,
        "ip": by.address,
    });
    let entry = line(
        LogKind::ServiceKeyRotate,
        now,
        by,
        &submission.key_id,
        &after,
    )
    .with(told);
    Ok(tx.logs().append(&entry)?)
}
