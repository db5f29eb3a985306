//! A code is changed for a token (RFC 6749 section 4.1.3), and a token is shown to who made it.

use ::http::{StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::page;
use crate::accounts::{NewOauthToken, OAUTH_TOKEN_LIFE};
use crate::api::headers::NO_STORE;
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json;
use crate::api::v1::rows::Answer;
use crate::auth::Scopes;

#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct TokenView {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: Option<String>,
}

/// `POST /oauth/access_token`
pub(super) async fn exchange(context: Context) -> Answer {
    let value = |name: &str| {
        let in_form = context.form(name);
        in_form.or_else(|| context.text(name).map(std::borrow::Cow::into_owned))
    };
    let refused = |error: &str| Err(ApiError::web(StatusCode::BAD_REQUEST, error));
    if value("grant_type").as_deref() != Some("authorization_code") {
        return refused("unsupported_grant_type");
    }
    let (client_id, secret) = match by_header(&context) {
        Some(pair) => pair,
        None => match (value("client_id"), value("client_secret")) {
            (Some(client_id), Some(secret)) => (client_id, secret),
            _ => return refused("invalid_client"),
        },
    };
    let accounts = &context.state.accounts;
    let Some((application, record)) = accounts.application_by_client(&client_id).await? else {
        return refused("invalid_client");
    };
    if !accounts.is_client_secret(&record, &secret)? {
        return refused("invalid_client");
    }
    let code = value("code").unwrap_or_default();
    let Some(consent) = context.state.auth.redeem_code(&code) else {
        return refused("invalid_grant");
    };
    let same_place = value("redirect_uri").as_deref() == Some(consent.redirect_uri.as_str());
    if consent.application != application || !same_place {
        return refused("invalid_grant");
    }
    if let Some(scope) = value("scope")
        && Scopes::parse(&scope) != Some(consent.scopes)
    {
        return refused("invalid_scope");
    }
    let owner = accounts.user(consent.user).await?;
    if owner.is_none_or(|owner| !owner.enabled) {
        return refused("invalid_grant");
    }
    let new = NewOauthToken {
        application,
        user: consent.user,
        scope: consent.scopes.to_string(),
        life: OAUTH_TOKEN_LIFE,
    };
    let token = accounts.create_oauth_token(new).await?;
    let view = TokenView {
        access_token: token.expose().to_owned(),
        token_type: "Bearer",
        expires_in: OAUTH_TOKEN_LIFE.as_secs(),
        refresh_token: None,
    };
    let mut answer = json::compact(StatusCode::OK, &view);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(answer)
}

/// `GET /oauth/localapp`
pub(super) async fn local(context: Context) -> Answer {
    context.in_person()?;
    if context.text("scope").is_none() {
        return Ok(page::message("Authorization canceled"));
    }
    if context.text("format").as_deref() == Some("json") {
        let body = json!({ "access_token": context.text("access_token") });
        let mut answer = json::compact(StatusCode::OK, &body);
        answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
        return Ok(answer);
    }
    Ok(page::token())
}

/// The client's id and secret, shown as name and password.
fn by_header(context: &Context) -> Option<(String, String)> {
    let value = context.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    let pair = scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(rest))?;
    let text = String::from_utf8(pair.ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some((client_id.to_owned(), secret.to_owned()))
}
