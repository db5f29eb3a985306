//! An organisation that is a mirror, as it is shown.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::mirror::TransportView;
use super::super::view::iso;
use crate::mirror::{OrgMirrorShown, kind_name};
use crate::model::SyncState;

/// An organisation that is a mirror. Its password is never shown (WB-04).
#[derive(Serialize, ToSchema)]
pub(super) struct OrgMirrorView {
    is_enabled: bool,
    external_registry_type: &'static str,
    external_registry_url: String,
    external_namespace: String,
    external_registry_username: Option<String>,
    has_external_registry_password: bool,
    external_registry_config: TransportView,
    repository_filters: Vec<String>,
    robot_username: Option<String>,
    visibility: &'static str,
    sync_interval: u64,
    sync_start_date: Option<String>,
    sync_expiration_date: Option<String>,
    sync_status: &'static str,
    sync_retries_remaining: u8,
    repo_sync_status_counts: BTreeMap<&'static str, u64>,
    skopeo_timeout: u64,
    creation_date: String,
}

impl OrgMirrorView {
    pub(super) fn new(shown: OrgMirrorShown, counts: &[(SyncState, u64)]) -> Self {
        let (record, status) = (shown.record, shown.status);
        let counts = counts.iter().map(|(state, count)| (state.as_str(), *count));
        Self {
            is_enabled: record.enabled,
            external_registry_type: kind_name(record.kind),
            external_registry_config: TransportView::new(&record.source),
            has_external_registry_password: record.source.password.is_some(),
            external_registry_url: record.source.reference,
            external_namespace: record.namespace,
            external_registry_username: shown.username,
            repository_filters: record.repositories,
            robot_username: shown.robot.map(|robot| robot.to_string()),
            visibility: record.visibility.as_str(),
            sync_interval: record.interval_s,
            sync_start_date: status.next.map(iso),
            sync_expiration_date: status.expires.map(iso),
            sync_status: status.state.as_str(),
            sync_retries_remaining: status.retries_left,
            repo_sync_status_counts: counts.collect(),
            skopeo_timeout: record.deadline_s,
            creation_date: iso(record.created),
        }
    }
}
