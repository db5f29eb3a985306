//! App tokens of the current user: passwords for programs, shown again to whoever logged in freshly.

use std::time::Duration;

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, ParameterKind, Rows};
use super::view::rfc2822;
use crate::auth::{Need, Scope};
use crate::http::response;
use crate::model::{AppTokenId, AppTokenRecord, Secret, UserId};

/// Tokens of one user that are listed.
const LISTED: usize = 1_000;

/// From what "expiring" is told where tokens have no life of their own (Quay: four weeks).
const BASE: Duration = Duration::from_secs(28 * 24 * 3600);

const NEED: Need = Need::User(Scope::UserAdmin);

#[derive(Deserialize, ToSchema)]
struct AppTokenBody {
    title: String,
}

#[derive(Serialize, ToSchema)]
struct AppTokenView {
    uuid: String,
    title: String,
    last_accessed: Option<String>,
    created: String,
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_code: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct AppTokenAnswer {
    token: AppTokenView,
}

#[derive(Serialize, ToSchema)]
struct AppTokenList {
    tokens: Vec<AppTokenView>,
    only_expiring: Option<bool>,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/user/apptoken";
    rows.get(path, "listAppTokens", "appspecifictokens", NEED, list)
        .summary("Lists the app tokens of the user, without their codes")
        .switch(|features| features.app_specific_tokens)
        .query(
            "expiring",
            ParameterKind::Flag,
            "Only those that expire soon",
        )
        .answer::<AppTokenList>(200, "The tokens");
    rows.post(path, "createAppToken", "appspecifictokens", NEED, create)
        .summary("Makes an app token")
        .fresh()
        .switch(|features| features.app_specific_tokens)
        .body::<AppTokenBody>()
        .answer::<AppTokenAnswer>(200, "The token with its code");
    let path = "/api/v1/user/apptoken/{token_uuid}";
    rows.get(path, "getAppToken", "appspecifictokens", NEED, show)
        .summary("Shows an app token with its code")
        .fresh()
        .switch(|features| features.app_specific_tokens)
        .answer::<AppTokenAnswer>(200, "The token with its code");
    rows.delete(path, "revokeAppToken", "appspecifictokens", NEED, revoke)
        .summary("Revokes an app token")
        .fresh()
        .switch(|features| features.app_specific_tokens)
        .status(204, "The token is worth nothing any more");
}

async fn list(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let only_expiring = context
        .text("expiring")
        .map(|_| context.flag("expiring", false));
    let tokens = context.state.accounts.list_app_tokens(user, None, LISTED);
    let tokens = tokens.await?;
    let life = context.state.people.app_token_life.unwrap_or(BASE);
    let (now, soon) = (context.now(), context.now() + life / 10);
    let is_wanted = |token: &AppTokenRecord| {
        let expiring = token.expires.is_some_and(|end| now < end && end <= soon);
        only_expiring != Some(true) || expiring
    };
    let tokens = tokens.into_iter().map(|(_, token)| token);
    let tokens = tokens.filter(is_wanted).map(|token| view(token, None));
    let list = AppTokenList {
        tokens: tokens.collect(),
        only_expiring,
    };
    Ok(json::spaced(StatusCode::OK, &list))
}

async fn create(context: Context) -> Answer {
    let body: AppTokenBody = context.body()?;
    let (user, _) = context.user()?;
    let life = context.state.people.app_token_life;
    let expires = life.map(|life| context.now() + life);
    let (accounts, by) = (&context.state.accounts, context.performer());
    let made = accounts.create_app_token(user, &body.title, expires, &by);
    let (id, code) = made.await?;
    let record = accounts.app_token(id).await?;
    let record = record.ok_or_else(ApiError::not_found)?;
    Ok(shown(record, &code))
}

async fn show(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (_, record) = find(&context, user).await?;
    let code = context.state.accounts.app_token_code(&record)?;
    Ok(shown(record, &code))
}

async fn revoke(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (id, _) = find(&context, user).await?;
    let accounts = &context.state.accounts;
    accounts
        .revoke_app_token(user, id, &context.performer())
        .await?;
    Ok(response::no_content())
}

/// The token of the path, if it is this user's (AZ-06).
async fn find(context: &Context, user: UserId) -> Result<(AppTokenId, AppTokenRecord), ApiError> {
    let uuid = context.parameter("token_uuid");
    let found = context.state.accounts.app_token_by_uuid(user, uuid).await?;
    found.ok_or_else(ApiError::not_found)
}

fn shown(record: AppTokenRecord, code: &Secret) -> crate::http::Response {
    let token = view(record, Some(code.expose().to_owned()));
    json::spaced(StatusCode::OK, &AppTokenAnswer { token })
}

fn view(token: AppTokenRecord, token_code: Option<String>) -> AppTokenView {
    AppTokenView {
        uuid: token.uuid,
        title: token.title,
        last_accessed: token.last_accessed.map(rfc2822),
        created: rfc2822(token.created),
        expiration: token.expires.map(rfc2822),
        token_code,
    }
}
