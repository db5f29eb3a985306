//! What a run of a mirror would do now. Ours: Quay has no dry run.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::json;
use super::super::rows::Answer;
use crate::mirror::{Plan, PlannedTag};

/// Tags that a plan tells of each kind; more are counted.
const MOST: usize = 1_000;

/// What a run would do; nothing has changed.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanView {
    /// Tags that would be copied, or fail to be, by name.
    tags: Vec<PlannedView>,
    /// Whether those are all; a long plan is cut off.
    complete: bool,
    copied: usize,
    failed: usize,
    /// Tags that have not changed.
    unchanged: u64,
    /// Tags here that would end, or be archived.
    ends: Vec<String>,
    /// Why none would end, though some are chosen no more.
    refused: Option<String>,
    /// Bytes that would come from the source.
    bytes: u64,
    /// Requests to the source.
    requests: u64,
}

#[derive(Serialize, ToSchema)]
struct PlannedView {
    name: String,
    /// `copy` or `fail`
    action: &'static str,
    manifest_digest: Option<String>,
    /// Of blobs that would come for it, and for none before it.
    bytes: u64,
    message: Option<String>,
}

pub(super) async fn show(context: Context) -> Answer {
    let repository = context.repository().repository;
    let mirror = &context.state.mirror;
    mirror.check_on()?;
    let plan = mirror.plan(repository).await?;
    Ok(json::spaced(StatusCode::OK, &view(plan)))
}

fn view(plan: Plan) -> PlanView {
    let failed = plan.tags.iter().filter(|tag| tag.failure.is_some()).count();
    PlanView {
        complete: plan.tags.len() <= MOST && plan.ends.len() <= MOST,
        copied: plan.tags.len() - failed,
        failed,
        tags: plan.tags.into_iter().take(MOST).map(tag).collect(),
        unchanged: plan.unchanged,
        ends: plan
            .ends
            .iter()
            .take(MOST)
            .map(ToString::to_string)
            .collect(),
        refused: plan.refused,
        bytes: plan.bytes,
        requests: plan.requests,
    }
}

fn tag(planned: PlannedTag) -> PlannedView {
    PlannedView {
        name: planned.tag.to_string(),
        action: match planned.failure {
            None => "copy",
            Some(_) => "fail",
        },
        manifest_digest: planned.digest.map(|digest| digest.to_string()),
        bytes: planned.bytes,
        message: planned.failure,
    }
}
