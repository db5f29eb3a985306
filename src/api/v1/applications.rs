//! OAuth applications of organisations, and the tokens that are made for them by name.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::authorizations::avatar;
use super::context::Context;
use super::error::ApiError;
use super::json;
use super::organization::{SettingsView, settings};
use super::rows::{Answer, Rows};
use super::view::{Avatar, AvatarSubject};
use crate::accounts::{self, ApplicationFields};
use crate::auth::{Need, Part};
use crate::http::{Response, response};
use crate::model::OauthApplicationRecord;

/// Applications of an organisation that are listed.
const LISTED: usize = 1_000;

const NEED: Need = Need::Organization(Part::Admin);

#[derive(Deserialize, ToSchema)]
struct NewApplicationBody {
    name: String,
    #[serde(default)]
    redirect_uri: Option<String>,
    #[serde(default)]
    application_uri: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    avatar_email: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct ApplicationBody {
    name: String,
    redirect_uri: String,
    application_uri: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    avatar_email: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OauthApplicationView {
    name: String,
    description: String,
    application_uri: String,
    client_id: String,
    client_secret: Option<String>,
    redirect_uri: Option<String>,
    avatar_email: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OauthApplicationList {
    applications: Vec<OauthApplicationView>,
}

/// What everybody may know of an application.
#[derive(Serialize, ToSchema)]
struct ApplicationInformation {
    name: String,
    description: String,
    uri: String,
    avatar: Avatar,
    organization: ApplicationOwner,
}

/// An organisation without anything of its inside.
#[derive(Serialize, ToSchema)]
struct ApplicationOwner {
    name: String,
    email: String,
    avatar: Avatar,
    is_admin: bool,
    is_member: bool,
    #[schema(value_type = Object)]
    teams: Map<String, Value>,
    ordered_teams: Vec<String>,
    /// For its admins.
    #[serde(flatten)]
    settings: Option<SettingsView>,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/organization/{orgname}/applications";
    rows.get(
        path,
        "getOrganizationApplications",
        "organization",
        NEED,
        list,
    )
    .summary("Lists the applications of the organisation")
    .answer::<OauthApplicationList>(200, "The applications");
    rows.post(
        path,
        "createOrganizationApplication",
        "organization",
        NEED,
        create,
    )
    .summary("Makes an application of the organisation")
    .body::<NewApplicationBody>()
    .answer::<OauthApplicationView>(200, "The application");
    let path = "/api/v1/organization/{orgname}/applications/{client_id}";
    rows.get(
        path,
        "getOrganizationApplication",
        "organization",
        NEED,
        show,
    )
    .summary("Shows an application of the organisation")
    .answer::<OauthApplicationView>(200, "The application");
    rows.put(
        path,
        "updateOrganizationApplication",
        "organization",
        NEED,
        change,
    )
    .summary("Changes an application of the organisation")
    .body::<ApplicationBody>()
    .answer::<OauthApplicationView>(200, "The application");
    rows.delete(
        path,
        "deleteOrganizationApplication",
        "organization",
        NEED,
        delete,
    )
    .summary("Deletes an application of the organisation with all its tokens")
    .status(204, "It is gone");
    let path = "/api/v1/organization/{orgname}/applications/{client_id}/resetclientsecret";
    let operation = "resetOrganizationApplicationClientSecret";
    rows.post(path, operation, "organization", NEED, reset)
        .summary("Gives an application a new client secret")
        .internal()
        .answer::<OauthApplicationView>(200, "The application with its new secret");
    let path = "/api/v1/app/{client_id}";
    let operation = "getApplicationInformation";
    rows.get(path, operation, "organization", Need::Anyone, inform)
        .summary("Tells what everybody may know of an application")
        .answer::<ApplicationInformation>(200, "The application");
}

async fn list(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let found = context.state.accounts.applications(namespace, None, LISTED);
    let applications = found.await?.into_iter();
    let applications = applications
        .map(|(_, record)| view(&context, record))
        .collect::<Result<_, _>>()?;
    Ok(json::spaced(
        StatusCode::OK,
        &OauthApplicationList { applications },
    ))
}

async fn create(context: Context) -> Answer {
    let body: NewApplicationBody = context.body()?;
    let fields = ApplicationFields {
        name: body.name,
        redirect_uri: body.redirect_uri,
        application_uri: body.application_uri,
        description: body.description,
        avatar_email: body.avatar_email,
    };
    let (accounts, by) = (&context.state.accounts, context.performer());
    let namespace = context.organization().namespace;
    let made = accounts.create_application(namespace, &fields, &by).await;
    let (_, record) = made.map_err(refused)?;
    shown(&context, record)
}

async fn show(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let client_id = context.parameter("client_id");
    let found = context.state.accounts.application(namespace, client_id);
    let (_, record) = found.await?.ok_or_else(ApiError::not_found)?;
    shown(&context, record)
}

async fn change(context: Context) -> Answer {
    let body: ApplicationBody = context.body()?;
    let fields = ApplicationFields {
        name: body.name,
        redirect_uri: Some(body.redirect_uri),
        application_uri: Some(body.application_uri),
        description: body.description,
        avatar_email: body.avatar_email,
    };
    let (accounts, by) = (&context.state.accounts, context.performer());
    let namespace = context.organization().namespace;
    let client_id = context.parameter("client_id");
    let changed = accounts.change_application(namespace, client_id, &fields, &by);
    let record = changed.await.map_err(refused)?;
    shown(&context, record)
}

async fn delete(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let client_id = context.parameter("client_id");
    accounts
        .delete_application(namespace, client_id, &by)
        .await?;
    Ok(response::no_content())
}

async fn reset(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let client_id = context.parameter("client_id");
    let record = accounts
        .reset_client_secret(namespace, client_id, &by)
        .await?;
    shown(&context, record)
}

async fn inform(context: Context) -> Answer {
    let client_id = context.parameter("client_id");
    let accounts = &context.state.accounts;
    let found = accounts.application_by_client(client_id).await?;
    let (_, record) = found.ok_or_else(ApiError::not_found)?;
    let owner = accounts.namespace_record(record.namespace).await?;
    let owner = owner.ok_or_else(ApiError::not_found)?;
    let identity = &context.caller.identity;
    let auth = &context.state.auth;
    let permits = auth.in_namespace(identity, record.namespace, owner.kind);
    let permits = permits.await?;
    let name = owner.name.as_str();
    let email = owner.email.clone().filter(|_| permits.is_admin());
    let kind = context.state.web.avatars;
    let information = ApplicationInformation {
        avatar: avatar(&context, &record, &owner),
        name: record.name,
        description: record.description,
        uri: record.application_uri,
        organization: ApplicationOwner {
            name: name.to_owned(),
            email: email.unwrap_or_default(),
            // Quay: the page of an organisation has it as a user's.
            avatar: Avatar::new(kind, AvatarSubject::User, name, owner.avatar_seed()),
            is_admin: permits.is_admin(),
            is_member: permits.is_member(),
            teams: Map::new(),
            ordered_teams: Vec::new(),
            settings: permits.is_admin().then(|| settings(&context, &owner)),
        },
    };
    Ok(json::spaced(StatusCode::OK, &information))
}

fn shown(context: &Context, record: OauthApplicationRecord) -> Result<Response, ApiError> {
    Ok(json::spaced(StatusCode::OK, &view(context, record)?))
}

/// What who administers the organisation sees; who only reads everything sees no secret.
fn view(
    context: &Context,
    record: OauthApplicationRecord,
) -> Result<OauthApplicationView, ApiError> {
    let is_admin = context.organization().permits.is_admin();
    let secret = match is_admin {
        true => Some(context.state.accounts.client_secret(&record)?),
        false => None,
    };
    Ok(OauthApplicationView {
        name: record.name,
        description: record.description,
        application_uri: record.application_uri,
        client_id: record.client_id,
        client_secret: secret.map(|secret| secret.expose().to_owned()),
        redirect_uri: is_admin.then_some(record.redirect_uri),
        avatar_email: record.avatar_email.filter(|_| is_admin),
    })
}

/// Texts that are not taken are an invalid request, not a refusal of the data model.
fn refused(error: accounts::Error) -> ApiError {
    match error {
        error @ accounts::Error::Invalid { .. } => ApiError::invalid(error),
        error => error.into(),
    }
}
