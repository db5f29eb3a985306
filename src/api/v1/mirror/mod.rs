//! Repositories that are mirrors (`quay-api` section 23).
//!
//! The object `entrepot` of bodies and views, the plan and the tags are ours; everything else is Quay's.

mod body;
mod ours;
mod plan;
mod tags;
mod view;

use std::fmt::Display;

use ::http::StatusCode;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::{Number, Text};
use super::rows::{Answer, Rows, Switch};
use crate::auth::Need;
use crate::http::response;
use crate::mirror::SettingsError;
use crate::model::Role;

use body::{Demand, MirrorBody};
use view::MirrorView;

pub(super) use body::{TransportBody, filled, parse_start};
pub(super) use view::TransportView;

const GROUP: &str = "mirror";

const ADMIN: Need = Need::Repository(Role::Admin);

const SWITCH: Switch = |features| features.repo_mirror;

const CONFIGURATION: &str = "/api/v1/repository/{repository+}/mirror";

pub(super) fn routes(rows: &mut Rows) {
    settings(rows);
    runs(rows);
}

fn settings(rows: &mut Rows) {
    rows.get(CONFIGURATION, "getRepoMirrorConfig", GROUP, ADMIN, show)
        .summary("Shows what is decided of a mirror")
        .switch(SWITCH)
        .answer::<MirrorView>(200, "The mirror")
        .status(404, "The repository is no mirror");
    rows.post(
        CONFIGURATION,
        "createRepoMirrorConfig",
        GROUP,
        ADMIN,
        create,
    )
    .summary("Has a repository copy one of another registry on a schedule")
    .switch(SWITCH)
    .body::<MirrorBody>()
    .answer::<String>(201, "It is a mirror")
    .status(400, "It cannot be such a mirror")
    .status(409, "It is a mirror already");
    rows.put(
        CONFIGURATION,
        "changeRepoMirrorConfig",
        GROUP,
        ADMIN,
        change,
    )
    .summary("Changes what is decided of a mirror")
    .switch(SWITCH)
    .body::<MirrorBody>()
    .answer::<String>(201, "It is changed")
    .status(400, "It cannot be such a mirror")
    .status(404, "The repository is no mirror");
}

fn runs(rows: &mut Rows) {
    rows.post(
        "/api/v1/repository/{repository+}/mirror/sync-now",
        "syncNow",
        GROUP,
        ADMIN,
        sync_now,
    )
    .summary("Has a mirror run as soon as may be")
    .switch(SWITCH)
    .status(204, "It will")
    .status(404, "The repository is no mirror, or runs");
    rows.post(
        "/api/v1/repository/{repository+}/mirror/sync-cancel",
        "syncCancel",
        GROUP,
        ADMIN,
        sync_cancel,
    )
    .summary("Ends the run of a mirror; none begins until one is wanted")
    .switch(SWITCH)
    .status(204, "It ends")
    .status(404, "The repository is no mirror, or does not run");
    rows.get(
        "/api/v1/repository/{repository+}/mirror/plan",
        "planRepoMirror",
        GROUP,
        ADMIN,
        plan::show,
    )
    .summary(
        "Tells what a run of a mirror would do now; the source is asked, and nothing is copied",
    )
    .switch(SWITCH)
    .answer::<plan::PlanView>(200, "Tags, bytes and requests; nothing has changed")
    .status(400, "The source cannot be asked")
    .status(404, "The repository is no mirror");
    rows.get(
        "/api/v1/repository/{repository+}/mirror/tags",
        "listRepoMirrorTags",
        GROUP,
        ADMIN,
        tags::list,
    )
    .summary("Tells what the last run came to, and what runs came to with single tags")
    .switch(SWITCH)
    .query("limit", Number, "1 to 1000")
    .query("next_page", Text, "where the page before ended")
    .answer::<tags::RunView>(
        200,
        "The run, and a page of tags in the order of their names",
    )
    .status(404, "The repository is no mirror");
}

async fn show(context: Context) -> Answer {
    let repository = context.repository().repository;
    let shown = context.state.mirror.shown(repository).await?;
    let shown = shown.ok_or_else(ApiError::not_found)?;
    Ok(json::spaced(StatusCode::OK, &MirrorView::from(shown)))
}

async fn create(context: Context) -> Answer {
    let repository = context.repository().repository;
    let wish = context.body::<MirrorBody>()?.wish(Demand::Whole)?;
    check_filter(&context, wish.architectures.as_deref())?;
    let (mirror, by) = (&context.state.mirror, context.performer());
    mirror.create_mirror(repository, &wish, &by).await?;
    Ok(json::spaced(StatusCode::CREATED, &""))
}

async fn change(context: Context) -> Answer {
    let repository = context.repository().repository;
    let wish = context.body::<MirrorBody>()?.wish(Demand::Part)?;
    check_filter(&context, wish.architectures.as_deref())?;
    let (mirror, by) = (&context.state.mirror, context.performer());
    mirror.change_mirror(repository, &wish, &by).await?;
    // Quay: 201, as if something had been made.
    Ok(json::spaced(StatusCode::CREATED, &""))
}

/// A filtered index is one that lacks what it names.
fn check_filter(context: &Context, architectures: Option<&[String]>) -> Result<(), ApiError> {
    let filters = architectures.is_some_and(|architectures| !architectures.is_empty());
    match filters && !context.state.features.sparse_index {
        true => Err(refused("architecture_filter needs FEATURE_SPARSE_INDEX")),
        false => Ok(()),
    }
}

async fn sync_now(context: Context) -> Answer {
    let (repository, by) = (context.repository().repository, context.performer());
    context.state.mirror.sync_now(repository, &by).await?;
    Ok(response::no_content())
}

async fn sync_cancel(context: Context) -> Answer {
    let (repository, by) = (context.repository().repository, context.performer());
    context.state.mirror.sync_cancel(repository, &by).await?;
    Ok(response::no_content())
}

/// 400 in the form that mirrors have.
pub(super) fn refused(text: impl Display) -> ApiError {
    ApiError::detail(StatusCode::BAD_REQUEST, text)
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Absent => Self::not_found(),
            SettingsError::Exists { .. } => Self::detail(StatusCode::CONFLICT, error),
            SettingsError::Invalid(_) | SettingsError::Configured { .. } => refused(error),
            SettingsError::UnknownRobot | SettingsError::ForeignRobot => Self::refused(error),
            SettingsError::Location | SettingsError::OrganizationMirror | SettingsError::Cache => {
                Self::invalid(error)
            }
            SettingsError::Mirror(error) => error.into(),
        }
    }
}
