//! The part of an account's view that is about its quota.

use serde::Serialize;
use utoipa::ToSchema;

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
    pub(in crate::api) const fn new(held_bytes: u64, limit_bytes: Option<u64>) -> Self {
        Self {
            quota_bytes: held_bytes,
            configured_quota: limit_bytes,
            running_backfill: "complete",
            backfill_status: "complete",
        }
    }
}
