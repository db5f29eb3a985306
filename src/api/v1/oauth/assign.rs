//! A token is offered to somebody by an organisation (Quay: token assignment).

use ::http::StatusCode;
use serde_json::json;

use super::asked::{Asked, invalid};
use super::page;
use crate::accounts::NewAssignment;
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json;
use crate::api::v1::rows::Answer;

const DONE: &str = "Token assigned successfully";

/// `POST /oauth/authorize/assignuser`
pub(super) async fn assign(context: Context) -> Answer {
    context.in_person()?;
    context.check_form()?;
    let value = |name: &str| {
        let in_query = context.text(name).map(std::borrow::Cow::into_owned);
        in_query.or_else(|| context.form(name))
    };
    let asked = Asked::read(value)?;
    let missing = || ApiError::web(StatusCode::BAD_REQUEST, "Required param: username");
    let username = value("username").ok_or_else(missing)?;
    let application = context.application(&asked.client_id).await?;
    context.administered(&application).await?;
    let accounts = &context.state.accounts;
    let found = accounts.user_by_name(&username).await?;
    let found = found.filter(|(_, record)| record.enabled);
    let unknown = || ApiError::web(StatusCode::NOT_FOUND, "Unknown user");
    let (user, _) = found.ok_or_else(unknown)?;
    let scopes = asked.scopes();
    let unknown = || ApiError::web(StatusCode::NOT_FOUND, "Unknown scope");
    let scopes = scopes.ok_or_else(unknown)?;
    if !context.is_redirect_allowed(&application, &asked.redirect_uri) {
        return Err(invalid());
    }
    let new = NewAssignment {
        application: application.0,
        user,
        redirect_uri: asked.redirect_uri,
        scope: scopes.to_string(),
        response_type: asked.response_type,
    };
    accounts.assign_token(new, &context.performer()).await?;
    match context.text("format").as_deref() {
        Some("json") => Ok(json::compact(StatusCode::OK, &json!({ "message": DONE }))),
        _ => Ok(page::message(DONE)),
    }
}
