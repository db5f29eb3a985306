//! Bytes that namespaces hold, counted where content comes and goes, and whoever is told of it.
//!
//! Every change of a namespace's bytes comes through here, in the transaction of its cause, so that a
//! warning limit is told of once each time it is reached, and the notice goes when it no longer is.

use serde_json::json;

use crate::model::{
    LimitKind, NamespaceId, NamespaceKind, NamespaceRecord, NoticeKind, NoticeRecord, QuotaRecord,
    Timestamp, Uuid,
};
use crate::store::{self, WriteTx};

/// Counts bytes that a namespace holds from now on.
pub(super) fn grow(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    bytes: u64,
    at: Timestamp,
) -> Result<(), store::Error> {
    if bytes == 0 {
        return Ok(());
    }
    tx.usage().add(namespace, bytes)?;
    let Some(quota) = tx.quotas().of(namespace)? else {
        return Ok(());
    };
    warn(tx, namespace, &quota, at)
}

/// Counts bytes that a namespace no longer holds.
pub(super) fn shrink(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    bytes: u64,
) -> Result<(), store::Error> {
    if bytes == 0 {
        return Ok(());
    }
    tx.usage().subtract(namespace, bytes)?;
    tx.notices().remove_about(&refusal(namespace))?;
    let Some(quota) = tx.quotas().of(namespace)? else {
        return Ok(());
    };
    let held = tx.usage().held(namespace)?;
    for limit in quota.of_kind(LimitKind::Warning) {
        if held < quota.allowance(limit) {
            tx.notices().remove_about(&warning(limit.id))?;
        }
    }
    Ok(())
}

/// Has the notices say which warning limits of a quota are reached.
pub(super) fn warn(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    quota: &QuotaRecord,
    at: Timestamp,
) -> Result<(), store::Error> {
    let held = tx.usage().held(namespace)?;
    for limit in quota.of_kind(LimitKind::Warning) {
        let about = warning(limit.id);
        let is_told = tx.notices().has_about(namespace, &about)?;
        match (held >= quota.allowance(limit), is_told) {
            (true, false) => {
                let cause = (NoticeKind::QuotaWarning, limit.id);
                tell(tx, namespace, cause, about, at)?;
            }
            (false, true) => tx.notices().remove_about(&about)?,
            _ => {}
        }
    }
    Ok(())
}

/// Tells the administrators of a namespace that a push was refused, unless they know.
pub(super) fn tell_refusal(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    at: Timestamp,
) -> Result<(), store::Error> {
    let about = refusal(namespace);
    if tx.notices().has_about(namespace, &about)? {
        return Ok(());
    }
    tell(tx, namespace, (NoticeKind::QuotaError, 0), about, at)
}

/// By what the notice of a refused push is found again.
pub(super) fn refusal(namespace: NamespaceId) -> String {
    format!("quota_refusal/{namespace}")
}

/// By what the notice of a warning limit is found again.
pub(super) fn warning(limit: u64) -> String {
    format!("quota_limit/{limit}")
}

/// Quay: `quota_warning` and `quota_error` go to whoever administers a namespace. A cache makes room
/// instead, and nobody needs to know.
fn tell(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    (kind, number): (NoticeKind, u64),
    about: String,
    at: Timestamp,
) -> Result<(), store::Error> {
    let Some(owner) = tx.namespaces().record(namespace)? else {
        return Ok(());
    };
    if owner.kind == NamespaceKind::Cache {
        return Ok(());
    }
    let metadata = match kind {
        NoticeKind::QuotaError => json!({"namespace": name(&owner), "severity": "Reject"}),
        _ => json!({"namespace": name(&owner)}),
    };
    let uuid = notice_id(namespace, number, at).to_string();
    let notice = NoticeRecord::new(uuid, namespace, kind, at, &metadata).about(about);
    tx.notices().put(&notice)
}

fn name(owner: &NamespaceRecord) -> &str {
    owner.name.as_str()
}

/// A write may run more than once: the name is made of what the notice is about.
fn notice_id(namespace: NamespaceId, number: u64, at: Timestamp) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&at.as_millis().to_be_bytes());
    bytes[8..12].copy_from_slice(&namespace.0.to_be_bytes()[4..]);
    bytes[12..].copy_from_slice(&number.to_be_bytes()[4..]);
    Uuid::derived(bytes)
}
