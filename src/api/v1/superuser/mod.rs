//! `/api/v1/superuser`: what superusers see of the whole site, and do for it.

mod keys;

use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::rows::Rows;
use super::view::{Avatar, AvatarSubject};
use crate::model::{UserId, UserRecord};

pub(super) fn routes(rows: &mut Rows) {
    keys::routes(rows);
}

/// A user, as superusers see one.
#[derive(Clone, Debug, Serialize, ToSchema)]
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
}

fn user_view(context: &Context, id: UserId, user: &UserRecord) -> UserView {
    let (identity, name) = (context.state.auth.identity_of(id, user), user.name.as_str());
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
    }
}
