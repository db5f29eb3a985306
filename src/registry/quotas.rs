//! Quotas of namespaces: made, changed and removed by the API, and what follows when one is reached.
//!
//! Called by `/api/v1`. A change counts for the next push, and is told to the ledger after its commit. The
//! quota of a configured cache is the configuration's, and refuses to be changed here.

use serde_json::{Value, json};

use super::{Error, QuotaFault, Registry, usage};
use crate::model::{
    ByteSize, LimitKind, LogEntry, LogKind, NamespaceId, Performer, QuotaLimit, QuotaRecord,
    Timestamp,
};
use crate::quota::{Quotas, Shortage};
use crate::store::WriteTx;

/// Most limits of one quota.
const MOST_LIMITS: usize = 100;

/// The largest quota: what is stored and shown as a signed number elsewhere.
const MOST_BYTES: u64 = i64::MAX as u64;

/// Who changes quotas, and whether the usage log is told: superusers' own doors write no line (Quay).
#[derive(Clone, Debug)]
pub enum QuotaEditor {
    Logged(Performer),
    Silent,
}

impl Registry {
    /// What each namespace may hold.
    pub fn quotas(&self) -> &Quotas {
        &self.inner.quotas
    }

    /// Gives a namespace a quota, as yet without limits.
    ///
    /// # Errors
    /// [`QuotaFault`]; [`Error::NameUnknown`] if the namespace is gone.
    pub async fn make_quota(
        &self,
        namespace: NamespaceId,
        limit_bytes: u64,
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        check_bytes(limit_bytes)?;
        let by = by.clone();
        self.edit(namespace, move |tx, quota, line| {
            if quota.is_some() {
                return Err(QuotaFault::Exists.into());
            }
            let id = tx.quotas().next_id()?;
            let more = json!({"limit_bytes": limit_bytes, "limit": human(limit_bytes)});
            line.write(tx, LogKind::OrgCreateQuota, &by, more)?;
            Ok(Some(QuotaRecord {
                id,
                limit_bytes,
                limits: Vec::new(),
            }))
        })
        .await
    }

    /// Changes how much a quota allows; the limits stay at their percentages.
    ///
    /// # Errors
    /// [`QuotaFault`]; [`QuotaFault::Unknown`] if the namespace has no quota of that number (AZ-06).
    pub async fn change_quota(
        &self,
        namespace: NamespaceId,
        id: u64,
        limit_bytes: u64,
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        check_bytes(limit_bytes)?;
        let by = by.clone();
        self.edit(namespace, move |tx, quota, line| {
            let quota = known(quota, id)?;
            let more = json!({
                "limit_bytes": limit_bytes,
                "limit": human(limit_bytes),
                "previous_limit_bytes": quota.limit_bytes,
                "previous_limit": human(quota.limit_bytes),
            });
            line.write(tx, LogKind::OrgChangeQuota, &by, more)?;
            Ok(Some(QuotaRecord {
                limit_bytes,
                ..quota
            }))
        })
        .await
    }

    /// Removes a quota with its limits.
    ///
    /// # Errors
    /// [`QuotaFault::Unknown`].
    pub async fn remove_quota(
        &self,
        namespace: NamespaceId,
        id: u64,
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        let by = by.clone();
        self.edit(namespace, move |tx, quota, line| {
            let quota = known(quota, id)?;
            let more = json!({
                "quota_id": id,
                "limit_bytes": quota.limit_bytes,
                "limit": human(quota.limit_bytes),
            });
            line.write(tx, LogKind::OrgDeleteQuota, &by, more)?;
            Ok(None)
        })
        .await
    }

    /// Adds a limit to a quota.
    ///
    /// # Errors
    /// [`QuotaFault`].
    pub async fn make_limit(
        &self,
        namespace: NamespaceId,
        quota: u64,
        kind: LimitKind,
        percent: u64,
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        let percent = checked_percent(percent)?;
        let by = by.clone();
        self.edit(namespace, move |tx, record, line| {
            let mut record = known(record, quota)?;
            check_new(&record, kind, percent)?;
            let id = tx.quotas().next_limit_id()?;
            record.limits.push(QuotaLimit { id, kind, percent });
            let more = json!({"type": kind.as_str(), "threshold_percent": percent});
            line.write(tx, LogKind::OrgCreateQuotaLimit, &by, more)?;
            Ok(Some(record))
        })
        .await
    }

    /// Changes a limit of a quota; what is `None` stays.
    ///
    /// # Errors
    /// [`QuotaFault`].
    pub async fn change_limit(
        &self,
        namespace: NamespaceId,
        (quota, limit): (u64, u64),
        (kind, percent): (Option<LimitKind>, Option<u64>),
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        let percent = percent.map(checked_percent).transpose()?;
        let by = by.clone();
        self.edit(namespace, move |tx, record, line| {
            let mut record = known(record, quota)?;
            let before = found(&record, limit)?;
            let changed = QuotaLimit {
                id: limit,
                kind: kind.unwrap_or(before.kind),
                percent: percent.unwrap_or(before.percent),
            };
            let at = record.limits.iter().position(|other| other.id == limit);
            let at = at.ok_or(QuotaFault::Unknown)?;
            record.limits.remove(at);
            check_new(&record, changed.kind, changed.percent)?;
            record.limits.insert(at, changed);
            let more = json!({
                "type": changed.kind.as_str(),
                "threshold_percent": changed.percent,
                "previous_type": before.kind.as_str(),
                "previous_threshold_percent": before.percent,
            });
            line.write(tx, LogKind::OrgChangeQuotaLimit, &by, more)?;
            Ok(Some(record))
        })
        .await
    }

    /// Removes a limit of a quota.
    ///
    /// # Errors
    /// [`QuotaFault::Unknown`].
    pub async fn remove_limit(
        &self,
        namespace: NamespaceId,
        (quota, limit): (u64, u64),
        by: &QuotaEditor,
    ) -> Result<(), Error> {
        let by = by.clone();
        self.edit(namespace, move |tx, record, line| {
            let mut record = known(record, quota)?;
            let gone = found(&record, limit)?;
            record.limits.retain(|other| other.id != limit);
            let more = json!({
                "limit_id": limit,
                "type": gone.kind.as_str(),
                "threshold_percent": gone.percent,
            });
            line.write(tx, LogKind::OrgDeleteQuotaLimit, &by, more)?;
            Ok(Some(record))
        })
        .await
    }

    /// Whether a namespace takes pushes: not while it holds its most.
    ///
    /// # Errors
    /// [`Error::QuotaExceeded`].
    pub async fn admit_push(&self, namespace: NamespaceId) -> Result<(), Error> {
        match self.inner.quotas.is_full(namespace) {
            true => Err(self.exceeded(namespace).await),
            false => Ok(()),
        }
    }

    /// What a shortage means for who asked: a namespace that is no cache is at its limit.
    pub(super) async fn refused(&self, namespace: NamespaceId, shortage: Shortage) -> Error {
        let by_limit = matches!(shortage, Shortage::Quota { .. } | Shortage::Never { .. });
        let is_cache = self.inner.policies.load().contains_key(&namespace);
        match by_limit && !is_cache {
            true => self.exceeded(namespace).await,
            false => shortage.into(),
        }
    }

    /// The error of a push that is refused; the administrators are told of the first one.
    async fn exceeded(&self, namespace: NamespaceId) -> Error {
        let about = usage::refusal(namespace);
        let told = self.inner.store.read(|tx| {
            let told = tx.notices().has_about(namespace, &about)?;
            Ok::<_, Error>(told)
        });
        let now = self.inner.clock.now();
        let outcome = match told.await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let tell = move |tx: &mut WriteTx<'_>| {
                    Ok::<_, Error>(usage::tell_refusal(tx, namespace, now)?)
                };
                self.inner.store.write(tell).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, %namespace, "that a push was refused could not be told");
        }
        Error::QuotaExceeded
    }

    /// Changes a quota in one transaction; notices and the ledger follow.
    async fn edit<F>(&self, namespace: NamespaceId, change: F) -> Result<(), Error>
    where
        F: Fn(&mut WriteTx<'_>, Option<QuotaRecord>, &Line) -> Result<Option<QuotaRecord>, Error>
            + Send
            + 'static,
    {
        if self.inner.quotas.is_configured(namespace) {
            return Err(QuotaFault::Configured.into());
        }
        let (quotas, at) = (self.inner.quotas.clone(), self.inner.clock.now());
        let edit = move |tx: &mut WriteTx<'_>| {
            let owner = tx.namespaces().record(namespace)?;
            let owner = owner.ok_or(Error::NameUnknown)?;
            let line = Line {
                namespace,
                name: owner.name.to_string(),
                at,
            };
            let before = tx.quotas().of(namespace)?;
            let after = change(tx, before.clone(), &line)?;
            let limits = before.iter().flat_map(|before| &before.limits);
            for limit in limits {
                tx.notices().remove_about(&usage::warning(limit.id))?;
            }
            tx.notices().remove_about(&usage::refusal(namespace))?;
            match &after {
                Some(record) => {
                    tx.quotas().put(namespace, record)?;
                    usage::warn(tx, namespace, record, at)?;
                }
                None => tx.quotas().remove(namespace)?,
            }
            let quotas = quotas.clone();
            tx.after_commit(move || quotas.set(namespace, after));
            Ok::<_, Error>(())
        };
        self.inner.store.write(edit).await?;
        // A cache whose cap was lowered makes room now, not at its next turn.
        if self.inner.ledger.excess(namespace) > 0 {
            let registry = self.clone();
            tokio::spawn(async move {
                if let Err(error) = registry.relieve().await {
                    tracing::warn!(%error, "room could not be made under a lowered quota");
                }
            });
        }
        Ok(())
    }
}

/// Where a change is told in the usage log.
struct Line {
    namespace: NamespaceId,
    name: String,
    at: Timestamp,
}

impl Line {
    fn write(
        &self,
        tx: &mut WriteTx<'_>,
        kind: LogKind,
        by: &QuotaEditor,
        more: Value,
    ) -> Result<(), Error> {
        let QuotaEditor::Logged(by) = by else {
            return Ok(());
        };
        let line = LogEntry::new(kind, self.at, by).within(self.namespace);
        let line = line.with(json!({"namespace": self.name})).with(more);
        Ok(tx.logs().append(&line)?)
    }
}

fn check_bytes(bytes: u64) -> Result<(), Error> {
    match (1..=MOST_BYTES).contains(&bytes) {
        true => Ok(()),
        false => Err(QuotaFault::Bytes.into()),
    }
}

fn checked_percent(percent: u64) -> Result<u8, Error> {
    let percent = u8::try_from(percent).ok();
    let percent = percent.filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| QuotaFault::Percent.into())
}

fn known(quota: Option<QuotaRecord>, id: u64) -> Result<QuotaRecord, Error> {
    let quota = quota.filter(|quota| quota.id == id);
    quota.ok_or_else(|| QuotaFault::Unknown.into())
}

fn found(quota: &QuotaRecord, limit: u64) -> Result<QuotaLimit, Error> {
    let mut limits = quota.limits.iter();
    let found = limits.find(|found| found.id == limit).copied();
    found.ok_or_else(|| QuotaFault::Unknown.into())
}

/// Quay: no two alike, and one that rejects.
fn check_new(quota: &QuotaRecord, kind: LimitKind, percent: u8) -> Result<(), Error> {
    let mut limits = quota.limits.iter();
    if limits.any(|limit| limit.kind == kind && limit.percent == percent) {
        return Err(QuotaFault::LimitExists.into());
    }
    if kind == LimitKind::Reject && quota.of_kind(kind).next().is_some() {
        return Err(QuotaFault::OneReject.into());
    }
    if quota.limits.len() >= MOST_LIMITS {
        return Err(QuotaFault::TooMany.into());
    }
    Ok(())
}

/// Bytes as people read them (Quay: the largest binary unit, one decimal).
fn human(bytes: u64) -> String {
    ByteSize(bytes).to_decimal_text()
}
