//! The question whether an application may act for somebody, and both answers to it.

use ::http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::asked::{Asked, invalid, redirect};
use super::page;
use crate::accounts::{Application, NewOauthToken, OAUTH_TOKEN_LIFE};
use crate::api::v1::authorizations::{ScopeView, avatar, scopes};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json;
use crate::api::v1::rows::Answer;
use crate::api::v1::view::{Avatar, AvatarSubject};
use crate::auth::{Consent, Means, Scopes};
use crate::model::{NamespaceRecord, UserId};

/// The question as JSON, for front ends of others.
#[derive(Serialize)]
struct Question {
    scopes: Vec<ScopeView>,
    has_dangerous_scopes: bool,
    application: serde_json::Value,
    response_type: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    csrf_token_val: String,
    state: Option<String>,
    assignment_uuid: Option<String>,
}

/// `GET /oauth/authorize`
pub(super) async fn ask(context: Context) -> Answer {
    let asked = Asked::read(|name| context.text(name).map(std::borrow::Cow::into_owned))?;
    let (user, _) = context.in_person()?;
    let application = context.application(&asked.client_id).await?;
    let owner = owner(&context, &asked, user, &application).await?;
    let scopes = asked.scopes();
    let unknown = || ApiError::web(StatusCode::NOT_FOUND, "Unknown scope");
    let scopes = scopes.ok_or_else(unknown)?;
    if !context.is_redirect_allowed(&application, &asked.redirect_uri) {
        return mismatch(&context, &application);
    }
    if asked.assignment.is_none() && is_given(&context, user, &application, scopes).await? {
        return give(&context, &asked, user, &application, scopes).await;
    }
    if context.text("format").as_deref() == Some("json") {
        return Ok(json::compact(
            StatusCode::OK,
            &question(&context, &asked, &application, &owner, scopes),
        ));
    }
    let csrf = context.caller.session().map(|session| session.csrf_token());
    page::consent(&asked, &application.1, &owner, scopes, csrf.as_ref())
}

/// `POST /oauth/authorizeapp`
pub(super) async fn consent(context: Context) -> Answer {
    let (user, _) = context.in_person()?;
    let asked = Asked::read(|name| context.form(name))?;
    match context.caller.means {
        // Quay: who shows a password needs no CSRF token, for clients that the operator named.
        Means::Password => {
            let clients = &context.state.people.direct_oauth_clients;
            if !clients.contains(&asked.client_id) {
                context.check_form()?;
            }
        }
        _ => context.check_form()?,
    }
    let found = context
        .state
        .accounts
        .application_by_client(&asked.client_id);
    let application = found.await?.ok_or_else(invalid)?;
    if !context.is_redirect_allowed(&application, &asked.redirect_uri) {
        return Err(invalid());
    }
    if !["code", "token"].contains(&asked.response_type.as_str()) {
        return asked.back(&[("error", "unsupported_response_type")], None);
    }
    let Some(scopes) = asked.scopes() else {
        return asked.back(&[("error", "invalid_scope")], None);
    };
    if let Some(uuid) = &asked.assignment
        && !(asked.wants_token() && is_offered(&context, uuid, user, &application, scopes).await?)
    {
        return asked.back(&[("error", "access_denied")], None);
    }
    give(&context, &asked, user, &application, scopes).await
}

/// `POST /oauth/denyapp`
pub(super) async fn deny(context: Context) -> Answer {
    context.in_person()?;
    context.check_form()?;
    let asked = Asked::read(|name| context.form(name))?;
    let application = context.application(&asked.client_id).await?;
    if !context.is_redirect_allowed(&application, &asked.redirect_uri) {
        return Err(invalid());
    }
    asked.back(&[("error", "authorization_denied")], None)
}

/// The organisation of the application, for who may be asked: who administers it, and who is offered the
/// token.
async fn owner(
    context: &Context,
    asked: &Asked,
    user: UserId,
    application: &Application,
) -> Result<NamespaceRecord, ApiError> {
    let Some(uuid) = &asked.assignment else {
        return context.administered(application).await;
    };
    if !context.state.features.assign_oauth_token || !asked.wants_token() {
        let text = "An assignment is taken with response_type token, where tokens are assigned";
        return Err(ApiError::web(StatusCode::BAD_REQUEST, text));
    }
    let accounts = &context.state.accounts;
    let forbidden = || ApiError::web(StatusCode::FORBIDDEN, "Unauthorized");
    let scopes = asked.scopes().unwrap_or(Scopes::NONE);
    let fits = is_offered(context, uuid, user, application, scopes).await?;
    fits.then_some(()).ok_or_else(forbidden)?;
    let owner = accounts.namespace_record(application.1.namespace).await?;
    owner.ok_or_else(forbidden)
}

/// Whether the user is offered a token of the application for all of that: an offer is taken as it was made,
/// or for less (AZ-14).
async fn is_offered(
    context: &Context,
    uuid: &str,
    user: UserId,
    application: &Application,
    scopes: Scopes,
) -> Result<bool, ApiError> {
    let offer = context.state.accounts.assignment(user, uuid).await?;
    Ok(offer.is_some_and(|offer| {
        let offered = Scopes::parse(&offer.scope).unwrap_or(Scopes::NONE);
        offer.application == application.0 && offered.covers(scopes)
    }))
}

/// Whether the user has a good token of the application for all of that.
async fn is_given(
    context: &Context,
    user: UserId,
    application: &Application,
    scopes: Scopes,
) -> Result<bool, ApiError> {
    let given = context
        .state
        .accounts
        .scopes_given(user, application.0)
        .await?;
    let mut given = given.iter().filter_map(|scope| Scopes::parse(scope));
    Ok(given.any(|given| given.covers(scopes)))
}

/// Sends the browser back with a token or a code.
async fn give(
    context: &Context,
    asked: &Asked,
    user: UserId,
    application: &Application,
    scopes: Scopes,
) -> Answer {
    if !asked.wants_token() {
        let code = context.state.auth.make_code(Consent {
            application: application.0,
            user,
            redirect_uri: asked.redirect_uri.clone(),
            scopes,
        });
        let parameters = [("code", code.expose()), ("scope", asked.scope.as_str())];
        return asked.back(&parameters, None);
    }
    let accounts = &context.state.accounts;
    let new = NewOauthToken {
        application: application.0,
        user,
        scope: scopes.to_string(),
        life: OAUTH_TOKEN_LIFE,
    };
    // Taken first: an offer is good for one token.
    if let Some(uuid) = &asked.assignment {
        accounts.remove_assignment(user, uuid).await?;
    }
    let token = accounts.create_oauth_token(new).await?;
    let fragment = format!(
        "access_token={}&token_type=Bearer&expires_in={}",
        token.expose(),
        OAUTH_TOKEN_LIFE.as_secs()
    );
    asked.back(&[("scope", asked.scope.as_str())], Some(&fragment))
}

/// Back to where the application registered, since it asked for somewhere else.
fn mismatch(context: &Context, application: &Application) -> Answer {
    let registered = &application.1.redirect_uri;
    if !context.is_redirect_allowed(application, registered) {
        return Err(invalid());
    }
    let error = [("error", "redirect_uri_mismatch")];
    redirect(registered, error.into_iter(), None)
}

fn question(
    context: &Context,
    asked: &Asked,
    application: &Application,
    owner: &NamespaceRecord,
    wanted: Scopes,
) -> Question {
    let (_, application) = application;
    let name = owner.name.as_str();
    let (kind, subject) = (context.state.web.avatars, AvatarSubject::Organization);
    let of_owner = Avatar::new(kind, subject, name, owner.avatar_seed());
    // Quay: avatars stand in this answer as text.
    let text = |avatar: &Avatar| serde_json::to_string(avatar).unwrap_or_default();
    let session = context.caller.session();
    let csrf = session.map(|session| session.csrf_token().expose().to_owned());
    Question {
        scopes: scopes(wanted),
        has_dangerous_scopes: wanted.implied().any(|scope| scope.is_dangerous()),
        application: json!({
            "name": application.name,
            "description": application.description,
            "url": application.application_uri,
            "avatar": text(&avatar(context, application, owner)),
            "organization": { "name": name, "avatar": text(&of_owner) },
        }),
        response_type: asked.response_type.clone(),
        client_id: asked.client_id.clone(),
        redirect_uri: asked.redirect_uri.clone(),
        scope: asked.scope.clone(),
        csrf_token_val: csrf.unwrap_or_default(),
        state: asked.state.clone(),
        assignment_uuid: asked.assignment.clone(),
    }
}
