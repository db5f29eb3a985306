//! The first user, made by the API while there is none; and the renewal of the bootstrap token.
//!
//! There is no default password (AU-05): whoever may start the server says `FEATURE_USER_INITIALIZE`, and
//! the first caller becomes the first user. The check and the making are one transaction.

use std::time::Duration;

use ::http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::{ApiError, ErrorKind};
use super::rows::{Answer, Rows};
use super::{json, session};
use crate::accounts::{self, FirstUser};
use crate::auth::{Need, Scopes};
use crate::model::Secret;

/// How long the token of the first user is good (Quay).
const TOKEN_LIFE: Duration = Duration::from_secs(9000);

/// The application that the token is of (Quay).
const APPLICATION: &str = "automation";

#[derive(Deserialize, ToSchema)]
struct InitializeBody {
    username: String,
    password: String,
    #[serde(default)]
    email: Option<String>,
    /// Whether a token is wanted as well.
    #[serde(default)]
    access_token: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct InitializedView {
    username: String,
    email: Option<String>,
    encrypted_password: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/user/initialize";
    rows.post(path, "web.user_initialize", "web", Need::Anyone, initialize)
        .summary("Makes the first user, while there is none")
        .internal()
        .csrf_exempt()
        .switch(|features| features.user_initialize)
        .body::<InitializeBody>()
        .answer::<InitializedView>(200, "The user, signed in")
        .status(400, "There is a user, or this one cannot be made");
    let path = "/api/v1/bootstrap/renew";
    rows.post(
        path,
        "renewBootstrapToken",
        "bootstrap",
        Need::Anyone,
        renew,
    )
    .summary("Replaces the bootstrap token")
    .internal()
    .csrf_exempt()
    .switch(|features| features.programmatic_bootstrap)
    .status(200, "The token is replaced")
    .status(401, "The bootstrap token is needed");
}

async fn initialize(context: Context) -> Answer {
    refuse_other_sites(&context)?;
    let body: InitializeBody = context.body()?;
    let failed = |reason: &dyn std::fmt::Display| {
        ApiError::refused(format!("Failed to initialize user: {reason}"))
    };
    let name = body.username.parse().map_err(|error| failed(&error))?;
    let password = Secret::new(body.password);
    let new = FirstUser {
        name,
        email: body.email.clone().filter(|email| !email.is_empty()),
        password: password.clone(),
        // DESIGN: a superuser unless the configuration names others.
        superuser: context.state.super_users.is_empty(),
        application: APPLICATION,
        token: body
            .access_token
            .unwrap_or(false)
            .then(|| (Scopes::ALL.to_string(), TOKEN_LIFE)),
    };
    let made = context
        .state
        .accounts
        .create_first_user(new, &context.performer())
        .await;
    let (user, token) = made.map_err(|error| match error {
        accounts::Error::HasUsers => {
            ApiError::refused("Cannot initialize user in a non-empty database")
        }
        accounts::Error::Store(_) | accounts::Error::Stopping => error.into(),
        error => failed(&error),
    })?;
    let encrypted = context.state.auth.encrypt_password(user, &password);
    let view = InitializedView {
        username: body.username,
        email: body.email,
        encrypted_password: encrypted.expose().to_owned(),
        access_token: token.map(|token| token.expose().to_owned()),
    };
    session::begin(&context, user, json::compact(StatusCode::OK, &view)).await
}

/// AU-15: the page of another site that the operator's browser happens to show makes no first user. Browsers
/// say where a page is from with every request of this kind, programs say nothing.
fn refuse_other_sites(context: &Context) -> Result<(), ApiError> {
    let Some(origin) = context.headers.get(header::ORIGIN) else {
        return Ok(());
    };
    // A proxy may speak another scheme to the client than to us.
    let host = |url: &str| url.split_once("://").map(|(_, host)| host.to_owned());
    let site = host(&context.site_url());
    match origin.to_str().ok().and_then(host) == site {
        true => Ok(()),
        false => Err(ApiError::web(
            StatusCode::FORBIDDEN,
            "The page of another site cannot make the first user",
        )),
    }
}

/// There is no bootstrap token here: the first user is made by the command line or by the door above, so
/// nobody can show one.
async fn renew(_: Context) -> Answer {
    let text = "Requires valid bootstrap bearer token";
    Err(ApiError::exception(ErrorKind::InvalidToken, text))
}
