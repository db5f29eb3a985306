//! What an account holds and may hold, as it is shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::state::State;
use crate::model::{ByteSize, NamespaceId, QuotaLimit};
use crate::quota::Quota;

/// The part of an account's view that is about its quota.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct QuotaPart {
    /// None or one.
    quotas: Vec<QuotaView>,
    quota_report: QuotaReportView,
}

impl QuotaPart {
    /// What is told of a namespace where quotas are on.
    pub(in crate::api) fn of(state: &State, namespace: NamespaceId) -> Option<Self> {
        let features = &state.features;
        (features.quota_management && features.edit_quota).then(|| Self {
            quotas: QuotaView::of(state, namespace).into_iter().collect(),
            quota_report: QuotaReportView::of(state, namespace),
        })
    }
}

/// A quota (Quay: `quota_view`).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct QuotaView {
    /// `null` for what the configuration says.
    id: Option<u64>,
    limit_bytes: u64,
    /// The same for people: `10.0 GiB`.
    limit: String,
    /// It is the default of all namespaces.
    default_config: bool,
    limits: Vec<LimitView>,
    /// There is a default of all namespaces.
    default_config_exists: bool,
}

impl QuotaView {
    /// The quota of a namespace, whoever has said it.
    pub(in crate::api) fn of(state: &State, namespace: NamespaceId) -> Option<Self> {
        let quotas = state.registry.quotas();
        let quota = quotas.of(namespace)?;
        let limit_bytes = quota.limit_bytes();
        let (id, limits) = match &quota {
            Quota::Own(record) => (Some(record.id), LimitView::all(&record.limits)),
            Quota::Configured(_) | Quota::Default(_) => (None, Vec::new()),
        };
        Some(Self {
            id,
            limit_bytes,
            limit: ByteSize(limit_bytes).to_decimal_text(),
            default_config: matches!(quota, Quota::Default(_)),
            limits,
            default_config_exists: quotas.has_default(),
        })
    }
}

/// A limit of a quota.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct LimitView {
    id: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    limit_percent: u8,
}

impl LimitView {
    /// The lowest first.
    pub(in crate::api) fn all(limits: &[QuotaLimit]) -> Vec<Self> {
        let mut limits = limits.to_vec();
        limits.sort_by_key(|limit| (limit.percent, limit.id));
        limits.iter().map(Self::of).collect()
    }

    pub(in crate::api) const fn of(limit: &QuotaLimit) -> Self {
        Self {
            id: limit.id,
            kind: limit.kind.as_str(),
            limit_percent: limit.percent,
        }
    }
}

/// Bytes of a namespace and what it may hold (Quay: `quota_report`).
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct QuotaReportView {
    quota_bytes: u64,
    configured_quota: Option<u64>,
    /// The same as `backfill_status`, under its older name.
    running_backfill: &'static str,
    /// Usage is always counted, so there is nothing to be counted anew.
    backfill_status: &'static str,
}

impl QuotaReportView {
    fn of(state: &State, namespace: NamespaceId) -> Self {
        Self {
            quota_bytes: state.registry.ledger().held(namespace),
            configured_quota: configured(state, namespace),
            running_backfill: "complete",
            backfill_status: "complete",
        }
    }
}

/// Bytes that a namespace may hold, as somebody has said.
pub(in crate::api) fn configured(state: &State, namespace: NamespaceId) -> Option<u64> {
    let quota = state.registry.quotas().of(namespace);
    quota.map(|quota| quota.limit_bytes())
}
