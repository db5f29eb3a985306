//! What the current user lets applications do, and what organisations offer.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use super::view::{Avatar, AvatarSubject};
use crate::auth::{Need, Scope, Scopes};
use crate::http::response;
use crate::model::{NamespaceRecord, OauthApplicationId, OauthApplicationRecord, OauthTokenRecord};

/// What is listed of one user.
const LISTED: usize = 1_000;

const NEED: Need = Need::User(Scope::UserAdmin);

/// A scope as people are told of it.
#[derive(Serialize, ToSchema)]
pub(super) struct ScopeView {
    title: &'static str,
    scope: &'static str,
    description: &'static str,
    icon: &'static str,
    dangerous: bool,
}

#[derive(Serialize, ToSchema)]
struct ApplicationView {
    name: String,
    description: String,
    url: String,
    avatar: Avatar,
    organization: OwnerView,
    #[serde(rename = "clientId", skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OwnerView {
    name: String,
    avatar: Avatar,
}

#[derive(Serialize, ToSchema)]
struct AuthorizationView {
    application: ApplicationView,
    scopes: Vec<ScopeView>,
    uuid: String,
}

#[derive(Serialize, ToSchema)]
struct AuthorizationList {
    authorizations: Vec<AuthorizationView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AssignedView {
    application: ApplicationView,
    uuid: String,
    redirect_uri: String,
    scopes: Vec<ScopeView>,
    response_type: String,
}

#[derive(Serialize, ToSchema)]
struct AssignedList {
    authorizations: Vec<AssignedView>,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/user/authorizations";
    rows.get(path, "listUserAuthorizations", "user", NEED, list)
        .summary("Lists what the user lets applications do")
        .internal()
        .answer::<AuthorizationList>(200, "The authorizations");
    let path = "/api/v1/user/authorizations/{access_token_uuid}";
    rows.get(path, "getUserAuthorization", "user", NEED, show)
        .summary("Shows what the user lets an application do")
        .internal()
        .answer::<AuthorizationView>(200, "The authorization");
    rows.delete(path, "deleteUserAuthorization", "user", NEED, revoke)
        .summary("Takes back what the user let an application do")
        .internal()
        .status(204, "The application's token is worth nothing any more");
    let path = "/api/v1/user/assignedauthorization";
    rows.get(
        path,
        "listAssignedAuthorizations",
        "user",
        NEED,
        list_assigned,
    )
    .summary("Lists tokens that the user is offered")
    .internal()
    .switch(|features| features.assign_oauth_token)
    .answer::<AssignedList>(200, "The offers");
    let path = "/api/v1/user/assignedauthorization/{assigned_authorization_uuid}";
    rows.delete(path, "deleteAssignedAuthorization", "user", NEED, refuse)
        .summary("Refuses a token that the user is offered")
        .internal()
        .switch(|features| features.assign_oauth_token)
        .status(204, "The offer is gone");
}

async fn list(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let tokens = context
        .state
        .accounts
        .tokens_of_user(user, None, LISTED)
        .await?;
    let mut authorizations = Vec::with_capacity(tokens.len());
    for (_, token) in tokens {
        authorizations.extend(authorization(&context, token).await?);
    }
    Ok(json::spaced(
        StatusCode::OK,
        &AuthorizationList { authorizations },
    ))
}

async fn show(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let uuid = context.parameter("access_token_uuid");
    let found = context.state.accounts.token_of_user(user, uuid).await?;
    let (_, token) = found.ok_or_else(ApiError::not_found)?;
    let view = authorization(&context, token).await?;
    Ok(json::spaced(
        StatusCode::OK,
        &view.ok_or_else(ApiError::not_found)?,
    ))
}

async fn revoke(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let uuid = context.parameter("access_token_uuid");
    context
        .state
        .accounts
        .revoke_token_of_user(user, uuid)
        .await?;
    Ok(response::no_content())
}

async fn list_assigned(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let accounts = &context.state.accounts;
    let offered = accounts.assignments(user, None, LISTED).await?;
    accounts.note_assignments_seen(user).await?;
    let mut authorizations = Vec::with_capacity(offered.len());
    for (uuid, offer) in offered {
        let Some(mut application) = application(&context, offer.application).await? else {
            continue;
        };
        application.1.client_id = Some(application.0.client_id);
        authorizations.push(AssignedView {
            application: application.1,
            uuid,
            redirect_uri: offer.redirect_uri,
            scopes: scopes(Scopes::parse(&offer.scope).unwrap_or(Scopes::NONE)),
            response_type: offer.response_type,
        });
    }
    Ok(json::spaced(
        StatusCode::OK,
        &AssignedList { authorizations },
    ))
}

async fn refuse(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let uuid = context.parameter("assigned_authorization_uuid");
    context.state.accounts.remove_assignment(user, uuid).await?;
    Ok(response::no_content())
}

async fn authorization(
    context: &Context,
    token: OauthTokenRecord,
) -> Result<Option<AuthorizationView>, ApiError> {
    let found = application(context, token.application).await?;
    Ok(found.map(|(_, application)| AuthorizationView {
        application,
        scopes: scopes(Scopes::parse(&token.scope).unwrap_or(Scopes::NONE)),
        uuid: token.uuid,
    }))
}

async fn application(
    context: &Context,
    id: OauthApplicationId,
) -> Result<Option<(OauthApplicationRecord, ApplicationView)>, ApiError> {
    let Some(record) = context.state.accounts.application_by_id(id).await? else {
        return Ok(None);
    };
    let owner = context
        .state
        .accounts
        .namespace_record(record.namespace)
        .await?;
    Ok(owner.map(|owner| {
        let view = ApplicationView {
            name: record.name.clone(),
            description: record.description.clone(),
            url: record.application_uri.clone(),
            avatar: avatar(context, &record, &owner),
            organization: OwnerView {
                name: owner.name.to_string(),
                avatar: Avatar::new(
                    context.state.web.avatars,
                    AvatarSubject::Organization,
                    owner.name.as_str(),
                    owner.avatar_seed(),
                ),
            },
            client_id: None,
        };
        (record, view)
    }))
}

/// The avatar of an application: of its own address, or of its organisation's.
pub(super) fn avatar(
    context: &Context,
    application: &OauthApplicationRecord,
    owner: &NamespaceRecord,
) -> Avatar {
    let seed = application.avatar_email.as_deref();
    let seed = seed.filter(|seed| !seed.is_empty());
    let seed = seed.unwrap_or_else(|| owner.avatar_seed());
    let kind = context.state.web.avatars;
    Avatar::new(kind, AvatarSubject::Application, &application.name, seed)
}

/// The scopes, with what they imply, as people are told.
pub(super) fn scopes(scopes: Scopes) -> Vec<ScopeView> {
    let told = scopes.implied().map(|scope| ScopeView {
        title: scope.title(),
        scope: scope.name(),
        description: scope.description(),
        icon: scope.icon(),
        dangerous: scope.is_dangerous(),
    });
    told.collect()
}
