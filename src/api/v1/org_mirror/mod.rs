//! Organisations that are mirrors as a whole (`quay-api` section 24).

mod body;
mod repositories;
mod view;

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::ParameterKind::{Number, Text};
use super::rows::{Answer, Rows, Switch};
use crate::auth::{Need, Part};
use crate::http::response;
use crate::mirror::OrgSettingsError;

use body::{Demand, OrgMirrorBody};
use view::OrgMirrorView;

const GROUP: &str = "org_mirror";

const ADMIN: Need = Need::Organization(Part::Admin);

const SWITCH: Switch = |features| features.org_mirror;

const CONFIGURATION: &str = "/api/v1/organization/{orgname}/mirror";

/// Whether a source answers as it is to.
#[derive(Serialize, ToSchema)]
struct VerifiedView {
    success: bool,
    message: String,
}

pub(super) fn routes(rows: &mut Rows) {
    settings(rows);
    runs(rows);
}

fn settings(rows: &mut Rows) {
    rows.get(CONFIGURATION, "getOrgMirrorConfig", GROUP, ADMIN, show)
        .summary("Shows what is decided of an organisation that is a mirror")
        .switch(SWITCH)
        .answer::<OrgMirrorView>(200, "The mirror")
        .status(404, "The organisation is no mirror");
    rows.post(CONFIGURATION, "createOrgMirrorConfig", GROUP, ADMIN, create)
        .summary("Has an organisation copy all repositories of a namespace of another registry")
        .switch(SWITCH)
        .body::<OrgMirrorBody>()
        .answer::<String>(201, "It is a mirror")
        .status(400, "It cannot be such a mirror, or is one");
    rows.put(CONFIGURATION, "updateOrgMirrorConfig", GROUP, ADMIN, change)
        .summary("Changes what is decided of an organisation that is a mirror")
        .switch(SWITCH)
        .body::<OrgMirrorBody>()
        .answer::<String>(200, "It is changed")
        .status(400, "It cannot be such a mirror")
        .status(404, "The organisation is no mirror");
    rows.delete(CONFIGURATION, "deleteOrgMirrorConfig", GROUP, ADMIN, delete)
        .summary("Has an organisation be no mirror any more; its repositories stay")
        .switch(SWITCH)
        .status(204, "It is none")
        .status(404, "The organisation is no mirror");
    rows.get(
        "/api/v1/organization/{orgname}/mirror/repositories",
        "listOrgMirrorRepositories",
        GROUP,
        ADMIN,
        repositories::list,
    )
    .summary("Lists what was found at the source, and how it stands with each")
    .switch(SWITCH)
    .query("page", Number, "counted from 1")
    .query("limit", Number, "1 to 500")
    .query("status", Text, "those that stand so, such as SUCCESS")
    .answer::<repositories::ListView>(200, "A page of repositories, by name")
    .status(400, "There is no such status")
    .status(404, "The organisation is no mirror");
}

fn runs(rows: &mut Rows) {
    rows.post(
        "/api/v1/organization/{orgname}/mirror/sync-now",
        "syncOrgMirrorNow",
        GROUP,
        ADMIN,
        sync_now,
    )
    .summary("Has the source looked at, and its repositories copied, as soon as may be")
    .switch(SWITCH)
    .status(204, "It will")
    .status(400, "It is being done")
    .status(404, "The organisation is no mirror");
    rows.post(
        "/api/v1/organization/{orgname}/mirror/sync-cancel",
        "cancelOrgMirrorSync",
        GROUP,
        ADMIN,
        sync_cancel,
    )
    .summary("Ends what is under way; nothing begins until it is wanted")
    .switch(SWITCH)
    .status(204, "It ends")
    .status(400, "It was ended already")
    .status(404, "The organisation is no mirror");
    rows.post(
        "/api/v1/organization/{orgname}/mirror/verify",
        "verifyOrgMirrorConnection",
        GROUP,
        ADMIN,
        verify,
    )
    .summary("Tries whether the source answers, knows the namespace and takes the account")
    .switch(SWITCH)
    .answer::<VerifiedView>(200, "Whether it does, and what it says")
    .status(404, "The organisation is no mirror");
}

async fn show(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let mirror = &context.state.mirror;
    let shown = mirror.organization_shown(namespace).await?;
    let shown = shown.ok_or_else(ApiError::not_found)?;
    let counts = mirror.discovered_counts(namespace).await?;
    Ok(json::spaced(
        StatusCode::OK,
        &OrgMirrorView::new(shown, &counts),
    ))
}

async fn create(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let wish = OrgMirrorBody::wish(&context, Demand::Whole)?;
    let (mirror, by) = (&context.state.mirror, context.performer());
    let made = mirror.create_organization_mirror(namespace, wish, &by);
    made.await?;
    Ok(json::spaced(StatusCode::CREATED, &""))
}

async fn change(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    // Quay: what is not there is told before what is wrong with the request.
    let mirror = &context.state.mirror;
    if mirror.organization_shown(namespace).await?.is_none() {
        return Err(ApiError::not_found());
    }
    let wish = OrgMirrorBody::wish(&context, Demand::Part)?;
    let by = context.performer();
    let changed = mirror.change_organization_mirror(namespace, wish, &by);
    changed.await?;
    Ok(json::spaced(StatusCode::OK, &""))
}

async fn delete(context: Context) -> Answer {
    let (namespace, by) = (context.organization().namespace, context.performer());
    let mirror = &context.state.mirror;
    mirror.delete_organization_mirror(namespace, &by).await?;
    Ok(response::no_content())
}

async fn sync_now(context: Context) -> Answer {
    let (namespace, by) = (context.organization().namespace, context.performer());
    let mirror = &context.state.mirror;
    mirror.sync_organization_now(namespace, &by).await?;
    Ok(response::no_content())
}

async fn sync_cancel(context: Context) -> Answer {
    let (namespace, by) = (context.organization().namespace, context.performer());
    let mirror = &context.state.mirror;
    mirror.cancel_organization(namespace, &by).await?;
    Ok(response::no_content())
}

async fn verify(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let verified = context.state.mirror.verify(namespace).await?;
    let view = match verified {
        Ok(()) => VerifiedView {
            success: true,
            message: "Connection successful".to_owned(),
        },
        Err(message) => VerifiedView {
            success: false,
            message,
        },
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

impl From<OrgSettingsError> for ApiError {
    fn from(error: OrgSettingsError) -> Self {
        match error {
            OrgSettingsError::Absent => Self::not_found(),
            OrgSettingsError::Exists
            | OrgSettingsError::Invalid(_)
            | OrgSettingsError::InvalidRobot(_)
            | OrgSettingsError::ForeignRobot
            | OrgSettingsError::Forbidden
            | OrgSettingsError::HasRepositories
            | OrgSettingsError::HasImmutability
            | OrgSettingsError::IsCache
            | OrgSettingsError::Busy
            | OrgSettingsError::Cancelled => Self::invalid(error),
            OrgSettingsError::Mirror(error) => error.into(),
        }
    }
}
