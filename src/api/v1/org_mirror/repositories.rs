//! What was found at the source of an organisation that is a mirror.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::json;
use super::super::rows::Answer;
use super::super::view::iso;
use crate::model::{DiscoveredRecord, NamespaceName, SyncState};
use crate::oci::RepositoryName;

/// Repositories on a page unless asked otherwise, and at most (Quay).
const PAGE: u64 = 100;
const LARGEST_PAGE: u64 = 500;

#[derive(Serialize, ToSchema)]
pub(super) struct ListView {
    repositories: Vec<DiscoveredView>,
    page: u64,
    limit: u64,
    total: u64,
    has_next: bool,
}

#[derive(Serialize, ToSchema)]
struct DiscoveredView {
    name: String,
    sync_status: &'static str,
    discovery_date: String,
    last_sync_date: Option<String>,
    status_message: Option<String>,
    quay_repository: Option<String>,
}

pub(super) async fn list(context: Context) -> Answer {
    let subject = context.organization();
    let (namespace, name) = (subject.namespace, &subject.record.name);
    let mirror = &context.state.mirror;
    if mirror.organization_shown(namespace).await?.is_none() {
        return Err(ApiError::not_found());
    }
    // Quay: what is no number, or none that can be, is the default; what is too much, the most.
    let number = |name: &str| context.text(name).and_then(|text| text.parse::<u64>().ok());
    let page = number("page").unwrap_or(1).clamp(1, u64::from(u32::MAX));
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(PAGE);
    let limit = limit.min(LARGEST_PAGE);
    let state = context
        .text("status")
        .map(|text| state(&text))
        .transpose()?;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = mirror.discovered(namespace, state, ((page - 1) * limit, most));
    let found = found.await?;
    let rows = found.found.iter();
    let view = ListView {
        repositories: rows
            .map(|(repository, record)| row(name, repository, record))
            .collect(),
        page,
        limit,
        total: found.total,
        has_next: page * limit < found.total,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn state(text: &str) -> Result<SyncState, ApiError> {
    let mut states = SyncState::ALL.into_iter();
    let found = states.find(|state| state.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| ApiError::invalid(format!("Invalid status: {text}")))
}

fn row(
    namespace: &NamespaceName,
    name: &RepositoryName,
    record: &DiscoveredRecord,
) -> DiscoveredView {
    let status = &record.status;
    let message = Some(&status.report.message).filter(|message| !message.is_empty());
    DiscoveredView {
        name: name.to_string(),
        sync_status: status.state.as_str(),
        discovery_date: iso(record.discovered),
        last_sync_date: status.report.ended.map(iso),
        status_message: message.cloned(),
        quay_repository: record.repository.map(|_| format!("{namespace}/{name}")),
    }
}
