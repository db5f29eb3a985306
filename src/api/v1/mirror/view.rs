//! A mirror as it is shown (`quay-api` section 23).

use serde::Serialize;
use utoipa::ToSchema;

use super::super::view::iso;
use super::ours::{self, OursView};
use crate::mirror::MirrorShown;
use crate::model::MirrorSource;

/// A mirror. Its password is never shown (WB-04).
#[derive(Serialize, ToSchema)]
pub(super) struct MirrorView {
    is_enabled: bool,
    mirror_type: &'static str,
    external_reference: String,
    external_registry_username: Option<String>,
    external_registry_config: TransportView,
    sync_interval: u64,
    sync_start_date: Option<String>,
    sync_expiration_date: Option<String>,
    sync_retries_remaining: u8,
    sync_status: &'static str,
    root_rule: RuleView,
    robot_username: Option<String>,
    skopeo_timeout_interval: u64,
    architecture_filter: Vec<String>,
    /// What Quay's mirrors do not have; there if something of it is not the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    entrepot: Option<OursView>,
}

#[derive(Serialize, ToSchema)]
struct RuleView {
    rule_kind: &'static str,
    rule_value: Vec<String>,
}

/// How the source is reached; empty while that is as it is by default.
#[derive(Default, Serialize, ToSchema)]
pub(in crate::api::v1) struct TransportView {
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned_images: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy: Option<ProxyView>,
}

#[derive(Serialize, ToSchema)]
struct ProxyView {
    http_proxy: Option<String>,
    https_proxy: Option<String>,
    no_proxy: Option<String>,
}

impl TransportView {
    pub(in crate::api::v1) fn new(source: &MirrorSource) -> Self {
        let proxies = [&source.http_proxy, &source.https_proxy, &source.no_proxy];
        let is_direct = proxies.iter().all(|proxy| proxy.is_none());
        if is_direct && source.verify_tls && !source.unsigned_images {
            return Self::default();
        }
        Self {
            verify_tls: Some(source.verify_tls),
            unsigned_images: Some(source.unsigned_images),
            proxy: Some(ProxyView {
                http_proxy: source.http_proxy.clone(),
                https_proxy: source.https_proxy.clone(),
                no_proxy: source.no_proxy.clone(),
            }),
        }
    }
}

impl From<MirrorShown> for MirrorView {
    fn from(shown: MirrorShown) -> Self {
        let (record, status) = (shown.record, shown.status);
        Self {
            is_enabled: record.enabled,
            mirror_type: "PULL",
            external_registry_username: shown.username,
            external_registry_config: TransportView::new(&record.source),
            sync_interval: record.interval_s,
            sync_start_date: status.next.map(iso),
            sync_expiration_date: status.expires.map(iso),
            sync_retries_remaining: status.retries_left,
            sync_status: status.state.as_str(),
            entrepot: ours::view(&record),
            root_rule: RuleView {
                rule_kind: "tag_glob_csv",
                rule_value: record.tags.globs,
            },
            robot_username: shown.robot.map(|robot| robot.to_string()),
            skopeo_timeout_interval: record.deadline_s,
            architecture_filter: record.architectures,
            external_reference: record.source.reference,
        }
    }
}
