//! `/api/v1/superuser`: the site itself. Its size, its configuration, what changed with each release, and
//! the tokens of all.

use std::time::Duration;

use ::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{guarded, has_superusers};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::json as write;
use crate::api::v1::rows::{Answer, ParameterKind, Rows};
use crate::api::v1::view::rfc2822;
use crate::auth::Need;
use crate::model::AppTokenRecord;

const SIZE: &str = "/api/v1/superuser/registrysize/";

/// What changed with each release, as the project ships it.
const CHANGES: &str = include_str!("../../../../CHANGELOG.md");

/// Tokens read in one go.
const PAGE: usize = 1000;

/// Within which time before its end a token counts as expiring (Quay: a tenth of four weeks).
const EXPIRING: Duration = Duration::from_secs(28 * 86_400 / 10);

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("superuser", Need::Superuser);
    guarded(rows.get(SIZE, "getRegistrySize", group, need, show_size))
        .summary("Returns the size of everything that is held, as it was last counted.")
        .internal()
        .answer::<SizeView>(200, "The size");
    guarded(rows.post(
        SIZE,
        "queueRegistrySizeCalculation",
        group,
        need,
        count_size,
    ))
    .summary("Has the size of everything that is held be counted.")
    .internal()
    .status(201, "It is being counted")
    .status(202, "It was being counted already");
    let path = "/api/v1/superuser/changelog/";
    guarded(rows.get(path, "getChangeLog", group, need, show_changes))
        .summary("Returns what changed with each release.")
        .internal()
        .answer::<ChangesView>(200, "Markdown");
    let path = "/api/v1/superuser/config";
    guarded(rows.get(path, "getConfigDump", group, need, show_configuration))
        .summary("Returns the configuration, its secrets masked.")
        .status(200, "The configuration")
        .status(403, "FEATURE_SUPERUSER_CONFIGDUMP is off");
    let path = "/api/v1/superuser/apptokens";
    guarded(rows.get(path, "listAllAppTokens", group, need, list_tokens))
        .summary("Lists the app specific tokens of all users.")
        .switch(|features| features.app_specific_tokens)
        .query(
            "expiring",
            ParameterKind::Flag,
            "Only tokens that expire soon",
        )
        .answer::<TokensView>(200, "The tokens, without their codes");
    let path = "/api/v1/superuser/shutdown";
    rows.post(path, "scShutdownContainer", "suconfig", need, shut_down)
        .summary("Ends the server in order.")
        .switch(has_superusers)
        .internal()
        .status(200, "It is ending");
    let path = "/api/v1/superuser/registrystatus";
    rows.get(
        path,
        "scRegistryStatus",
        "suconfig",
        Need::Anyone,
        show_status,
    )
    .summary("Returns whether the registry is set up.")
    .switch(has_superusers)
    .internal()
    .status(200, "It is");
}

/// The end of the process, in order: what is running finishes first. Whatever started it starts it again.
async fn shut_down(context: Context) -> Answer {
    let who = &context.caller.identity;
    tracing::warn!(%who, "a superuser ends the server");
    context.state.end_asked.notify_one();
    Ok(write::spaced(StatusCode::OK, &json!({})))
}

#[derive(Serialize, ToSchema)]
struct SizeView {
    size_bytes: u64,
    /// Milliseconds since 1970.
    last_ran: Option<i64>,
    queued: bool,
    running: bool,
}

#[derive(Serialize, ToSchema)]
struct ChangesView {
    log: &'static str,
}

/// A token that a user made for a program.
#[derive(Serialize, ToSchema)]
struct TokenView {
    uuid: String,
    title: String,
    last_accessed: Option<String>,
    created: String,
    expiration: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TokensView {
    tokens: Vec<TokenView>,
    only_expiring: Option<bool>,
}

async fn show_size(context: Context) -> Answer {
    let size = context.state.registry.counted_size().await?;
    let view = SizeView {
        size_bytes: size.bytes,
        last_ran: size.counted.map(|at| at.as_millis()),
        queued: size.is_counting,
        running: size.is_counting,
    };
    Ok(write::spaced(StatusCode::OK, &view))
}

async fn count_size(context: Context) -> Answer {
    let status = match context.state.registry.begin_counting_size() {
        true => StatusCode::CREATED,
        false => StatusCode::ACCEPTED,
    };
    Ok(write::spaced(status, &""))
}

async fn show_changes(_: Context) -> Answer {
    Ok(write::spaced(StatusCode::OK, &ChangesView { log: CHANGES }))
}

async fn show_configuration(context: Context) -> Answer {
    if !context.state.features.superuser_configdump {
        return Err(ApiError::forbidden());
    }
    let given = context.state.given.iter().cloned();
    // Nothing of ours is deprecated, environment variables are among what was given, and the keys'
    // descriptions are in the manual: three of Quay's four parts are empty.
    let view = json!({
        "config": given.collect::<Map<String, Value>>(),
        "warning": {},
        "env": {},
        "schema": {},
    });
    Ok(write::spaced(StatusCode::OK, &view))
}

async fn show_status(_: Context) -> Answer {
    // Without a configuration this server does not run.
    let view = json!({"provider_id": "file", "status": "ready"});
    Ok(write::spaced(StatusCode::OK, &view))
}

/// Quay: for superusers who act for others, and for those who read everything.
async fn list_tokens(context: Context) -> Answer {
    let identity = &context.caller.identity;
    if !identity.is_global_readonly() && !context.state.features.superusers_full_access {
        return Err(ApiError::forbidden());
    }
    let only_expiring = context
        .text("expiring")
        .map(|_| context.flag("expiring", false));
    let soon = context.now() + EXPIRING;
    let is_wanted = |token: &AppTokenRecord| {
        only_expiring != Some(true) || token.expires.is_some_and(|at| at <= soon)
    };
    let (mut after, mut tokens) = (None, Vec::new());
    loop {
        let accounts = &context.state.accounts;
        let page = accounts.list_all_app_tokens(after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let wanted = page.into_iter().filter(|(_, token)| is_wanted(token));
        tokens.extend(wanted.map(|(_, token)| TokenView {
            uuid: token.uuid,
            title: token.title,
            last_accessed: token.last_accessed.map(rfc2822),
            created: rfc2822(token.created),
            expiration: token.expires.map(rfc2822),
        }));
    }
    let view = TokensView {
        tokens,
        only_expiring,
    };
    Ok(write::spaced(StatusCode::OK, &view))
}
