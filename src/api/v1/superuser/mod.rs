//! `/api/v1/superuser`: what superusers see of the whole site, and do for it (`quay-api` section 35).

mod builds;
mod keys;
mod organizations;
mod quotas;
mod site;
mod users;

use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Row, Rows};
use super::view::{Avatar, AvatarSubject, QuotaPart};
use crate::config::Features;
use crate::model::{UserId, UserRecord};

/// Most rows that a client may ask for in one page (Quay).
const MOST_ROWS: usize = 100;

/// Rows read in one go.
const PAGE: usize = 1000;

pub(super) fn routes(rows: &mut Rows) {
    builds::routes(rows);
    keys::routes(rows);
    organizations::routes(rows);
    quotas::routes(rows);
    site::routes(rows);
    users::routes(rows);
}

/// `FEATURE_SUPER_USERS`, and a password shown a moment ago.
fn guarded(row: &mut Row) -> &mut Row {
    row.switch(has_superusers).fresh()
}

const fn has_superusers(features: &Features) -> bool {
    features.super_users
}

/// A user, as superusers see one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserView {
    kind: &'static str,
    name: String,
    username: String,
    email: Option<String>,
    verified: bool,
    avatar: Avatar,
    super_user: bool,
    global_readonly_super_user: bool,
    enabled: bool,
    #[serde(flatten)]
    quota: Option<QuotaPart>,
}

fn user_view(context: &Context, id: UserId, user: &UserRecord) -> UserView {
    let identity = context.state.auth.identity_of(id, user);
    let name = user.name.as_str();
    let seed = user.email.as_deref().unwrap_or(name);
    let avatars = context.state.web.avatars;
    UserView {
        kind: "user",
        name: name.to_owned(),
        username: name.to_owned(),
        email: user.email.clone(),
        verified: user.verified,
        avatar: Avatar::new(avatars, AvatarSubject::User, name, seed),
        super_user: identity.is_superuser(),
        global_readonly_super_user: identity.is_global_readonly(),
        enabled: user.enabled,
        quota: QuotaPart::of(&context.state, user.namespace),
    }
}

/// How many rows a client wants, and behind which; all of them if it says nothing (Quay).
struct Window {
    limit: Option<usize>,
    after: Option<u64>,
}

impl Window {
    /// # Errors
    /// 400 for more rows than a page may have.
    fn of(context: &Context, listing: &str) -> Result<Self, ApiError> {
        let limit = match context.text("limit") {
            None => None,
            Some(_) => Some(context.number("limit", 0, 1..=u64::MAX)?),
        };
        if limit.is_some_and(|limit| limit > MOST_ROWS as u64) {
            return Err(ApiError::invalid("Page limit cannot be above 100"));
        }
        let token = context.query().value("next_page");
        let tokens = context.state.page_tokens();
        Ok(Self {
            limit: limit.and_then(|limit| usize::try_from(limit).ok()),
            after: token.and_then(|token| tokens.read(listing, &token)),
        })
    }

    /// How many rows to read on top of `found`: one more than are shown tells whether there are more.
    fn wanted(&self, found: usize) -> usize {
        let most = self.limit.map_or(usize::MAX, |limit| limit + 1);
        most.saturating_sub(found).min(PAGE)
    }

    /// Cuts the rows to a page; the token of the next one, if there are more.
    fn cut<T>(&self, context: &Context, listing: &str, rows: &mut Vec<(u64, T)>) -> Option<String> {
        let limit = self.limit.filter(|limit| rows.len() > *limit)?;
        rows.truncate(limit);
        let last = rows.last().map(|(id, _)| *id)?;
        Some(context.state.page_tokens().make(listing, &last))
    }
}
