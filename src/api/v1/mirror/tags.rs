//! What the last run of a mirror came to, and what runs came to with single tags. Ours: Quay tells it in its log only.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::rows::Answer;
use super::super::view::iso;
use super::super::{cursor, json};
use crate::model::{MirrorReport, MirrorStatus, MirrorTagRecord};
use crate::oci::Tag;

/// Tags on a page unless asked otherwise, and at most.
const PAGE: u64 = 100;
const LARGEST_PAGE: u64 = 1_000;

#[derive(Serialize, ToSchema)]
pub(super) struct RunView {
    sync_status: &'static str,
    last_success: Option<String>,
    run: ReportView,
    tags: Vec<TagView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

/// The run under way, or the last one.
#[derive(Serialize, ToSchema)]
struct ReportView {
    /// 0 before the first.
    number: u64,
    started: Option<String>,
    ended: Option<String>,
    /// Tags chosen upstream.
    chosen: u64,
    unchanged: u64,
    copied: u64,
    failed: u64,
    /// Tags that ended here, or were archived.
    ended_tags: u64,
    /// Bytes that came from upstream.
    bytes: u64,
    message: String,
}

#[derive(Serialize, ToSchema)]
struct TagView {
    name: String,
    /// `copied` or `failed`
    status: &'static str,
    manifest_digest: Option<String>,
    message: Option<String>,
    at: String,
    /// The number of the run.
    run: u64,
}

pub(super) async fn list(context: Context) -> Answer {
    let limit = context.number("limit", PAGE, 1..=LARGEST_PAGE)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let repository = context.repository().repository;
    let list = format!("tags of the mirror {repository}");
    let key = context.state.accounts.seal_key();
    let after: Option<Tag> = context
        .text("next_page")
        .and_then(|token| cursor::open(key, &list, &token)?.parse().ok());
    let mirror = &context.state.mirror;
    let results = mirror.results(repository, after, limit + 1).await?;
    let mut results = results.ok_or_else(ApiError::not_found)?;
    let has_more = results.tags.len() > limit;
    results.tags.truncate(limit);
    let last = results.tags.last().filter(|_| has_more);
    let next_page = last.map(|(tag, _)| cursor::seal(key, &list, tag.as_str()));
    let status = &results.status;
    let view = RunView {
        sync_status: status.state.as_str(),
        last_success: status.last_success.map(iso),
        run: report(status, &status.report),
        tags: results
            .tags
            .iter()
            .map(|(tag, record)| tag_view(tag, record))
            .collect(),
        next_page,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn report(status: &MirrorStatus, report: &MirrorReport) -> ReportView {
    ReportView {
        number: status.run,
        started: report.started.map(iso),
        ended: report.ended.map(iso),
        chosen: report.chosen,
        unchanged: report.unchanged,
        copied: report.copied,
        failed: report.failed,
        ended_tags: report.ended_tags,
        bytes: report.bytes,
        message: report.message.clone(),
    }
}

fn tag_view(tag: &Tag, record: &MirrorTagRecord) -> TagView {
    TagView {
        name: tag.to_string(),
        status: match record.failure {
            None => "copied",
            Some(_) => "failed",
        },
        manifest_digest: record.digest.map(|digest| digest.to_string()),
        message: record.failure.clone(),
        at: iso(record.at),
        run: record.run,
    }
}
