//! Tokens of an organisation's application that are made by name, and all its others.

use std::time::Duration;

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, ParameterKind, Rows};
use super::view::iso;
use crate::accounts::{NamedToken, OAUTH_TOKEN_LIFE};
use crate::auth::{Need, Part, Scopes};
use crate::http::response;
use crate::model::{OauthTokenId, OauthTokenRecord};

const PAGE: usize = 50;

/// Longest name of a token, in characters.
const NAME_CHARS: usize = 255;

const NEED: Need = Need::Organization(Part::Admin);
const GROUP: &str = "organization_application_tokens";

#[derive(Deserialize, ToSchema)]
struct OauthTokenBody {
    name: String,
    /// Separated by spaces or commas.
    scope: String,
    /// Seconds; ten years at most, and by default.
    #[serde(default)]
    #[schema(value_type = Option<f64>)]
    expiration: Option<Value>,
}

#[derive(Serialize, ToSchema)]
struct OauthTokenView {
    uuid: String,
    name: Option<String>,
    scope: String,
    expires_at: Option<String>,
    created: Option<String>,
    created_by: Option<String>,
    last_accessed: Option<String>,
    /// Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OauthTokenList {
    tokens: Vec<OauthTokenView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/organization/{orgname}/applications/{client_id}/tokens";
    rows.get(path, "listOrganizationApplicationTokens", GROUP, NEED, list)
        .summary("Lists the tokens of an application, newest first")
        .query(
            "next_page",
            ParameterKind::Text,
            "Where the page before ended",
        )
        .answer::<OauthTokenList>(200, "A page of tokens");
    rows.post(
        path,
        "createOrganizationApplicationToken",
        GROUP,
        NEED,
        create,
    )
    .summary("Makes a token of an application")
    .body::<OauthTokenBody>()
    .answer::<OauthTokenView>(200, "The token, which is shown once");
    let path = "/api/v1/organization/{orgname}/applications/{client_id}/tokens/{token_uuid}";
    rows.delete(
        path,
        "deleteOrganizationApplicationToken",
        GROUP,
        NEED,
        delete,
    )
    .summary("Ends a token of an application")
    .status(204, "The token is worth nothing any more");
}

async fn list(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let client_id = context.parameter("client_id");
    let accounts = &context.state.accounts;
    let found = accounts.application(namespace, client_id).await?;
    let (application, _) = found.ok_or_else(ApiError::not_found)?;
    let listing = format!("tokens of application {application}");
    let pages = context.state.page_tokens();
    let token = context.text("next_page");
    let after = token.and_then(|token| pages.read::<OauthTokenId>(&listing, &token));
    let found = accounts.tokens_of_application(application, after, PAGE + 1);
    let mut found = found.await?;
    let has_more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().map(|(id, _)| *id).filter(|_| has_more);
    let tokens = found.into_iter().map(|(_, record)| view(record, None));
    let list = OauthTokenList {
        tokens: tokens.collect(),
        next_page: last.map(|last| pages.make(&listing, &last)),
    };
    Ok(json::spaced(StatusCode::OK, &list))
}

async fn create(context: Context) -> Answer {
    let body: OauthTokenBody = context.body()?;
    let (user, _) = context.user()?;
    let name = body.name.trim();
    if name.is_empty() {
        return Err(ApiError::refused("'name' must not be empty"));
    }
    if name.chars().nth(NAME_CHARS).is_some() {
        return Err(ApiError::refused("'name' must be at most 255 characters"));
    }
    let scopes = Scopes::parse(&body.scope).filter(|scopes| !scopes.is_empty());
    let Some(scopes) = scopes else {
        let scope: String = body.scope.chars().take(NAME_CHARS).collect();
        return Err(ApiError::refused(format!("Invalid scope: {scope}")));
    };
    // AZ-14: a token makes none that may do more than itself.
    if !context.caller.scopes().covers(scopes) {
        return Err(ApiError::forbidden());
    }
    let new = NamedToken {
        namespace: context.organization().namespace,
        client_id: context.parameter("client_id").to_owned(),
        user,
        scope: scopes.to_string(),
        life: life(body.expiration.as_ref())?,
        name: name.to_owned(),
        limit: context.state.people.application_tokens,
    };
    let (accounts, by) = (&context.state.accounts, context.performer());
    let (record, token) = accounts.create_named_token(new, &by).await?;
    let view = view(record, Some(token.expose().to_owned()));
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let client_id = context.parameter("client_id");
    let uuid = context.parameter("token_uuid");
    let (accounts, by) = (&context.state.accounts, context.performer());
    let revoked = accounts.revoke_token_of_application(namespace, client_id, uuid, &by);
    revoked.await?;
    Ok(response::no_content())
}

/// The documents write numbers as text now and then.
fn life(expiration: Option<&Value>) -> Result<Duration, ApiError> {
    let seconds = match expiration {
        None | Some(Value::Null) => return Ok(OAUTH_TOKEN_LIFE),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
    };
    let seconds = seconds.filter(|seconds| *seconds >= 1.0);
    let Some(seconds) = seconds else {
        return Err(ApiError::invalid(
            "'expiration' is a number of seconds, at least 1",
        ));
    };
    let longest = OAUTH_TOKEN_LIFE.as_secs_f64();
    Ok(Duration::from_secs_f64(seconds.min(longest)))
}

fn view(record: OauthTokenRecord, token: Option<String>) -> OauthTokenView {
    OauthTokenView {
        uuid: record.uuid,
        name: record.name,
        scope: record.scope,
        expires_at: Some(iso(record.expires)),
        created: Some(iso(record.created)),
        created_by: record.created_by,
        last_accessed: record.last_accessed.map(iso),
        token,
    }
}
