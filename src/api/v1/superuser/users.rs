//! `/api/v1/superuser/users`: everybody's account.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{UserView, Window, guarded, user_view};
use crate::accounts::{NewUser, Noun, UserChange, namespace_name};
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::organization::recall_caches;
use crate::api::v1::rows::{Answer, ParameterKind, Rows};
use crate::api::v1::{json, loose};
use crate::auth::Need;
use crate::http::response;
use crate::model::{Secret, UserId, UserRecord};

const USERS: &str = "/api/v1/superuser/users/";
const USER: &str = "/api/v1/superuser/users/{username}";

const LISTING: &str = "superuser/users";

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("superuser", Need::Superuser);
    guarded(rows.get(USERS, "listAllUsers", group, need, list))
        .summary("Returns a list of all users in the system.")
        .query(
            "disabled",
            ParameterKind::Flag,
            "false: without users that are disabled",
        )
        .query(
            "limit",
            ParameterKind::Number,
            "Users of a page, at most 100",
        )
        .query("next_page", ParameterKind::Text, "The page's token")
        .answer::<UsersView>(200, "The users");
    guarded(rows.post(USERS, "createInstallUser", group, need, create))
        .summary("Creates a new user, with a password that is shown once.")
        .body::<NewUserBody>()
        .answer::<NewUserView>(200, "The user and the password");
    guarded(rows.get(USER, "getInstallUser", group, need, show))
        .summary("Returns information about the specified user.")
        .answer::<UserView>(200, "The user");
    guarded(rows.put(USER, "changeInstallUser", group, need, change))
        .summary("Updates information about the specified user.")
        .body::<ChangeBody>()
        .answer::<ChangedUserView>(200, "The user");
    guarded(rows.delete(USER, "deleteInstallUser", group, need, delete))
        .summary("Deletes the specified user.")
        .status(204, "Deleted");
}

#[derive(Serialize, ToSchema)]
struct UsersView {
    users: Vec<UserView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct NewUserBody {
    username: String,
    email: Option<String>,
}

/// A user who was made, with the password that was made up.
#[derive(Serialize, ToSchema)]
struct NewUserView {
    username: String,
    email: Option<String>,
    password: String,
    encrypted_password: String,
}

/// What is to be different; other fields are not looked at (AZ-13).
#[derive(Deserialize, ToSchema)]
struct ChangeBody {
    password: Option<String>,
    email: Option<String>,
    #[serde(default, deserialize_with = "loose::truth")]
    enabled: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct ChangedUserView {
    #[serde(flatten)]
    user: UserView,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_password: Option<String>,
}

async fn list(context: Context) -> Answer {
    let window = Window::of(&context, LISTING)?;
    let with_disabled = context.flag("disabled", true);
    let accounts = &context.state.accounts;
    let (mut after, mut found) = (window.after.map(UserId), Vec::new());
    while window.wanted(found.len()) > 0 {
        let page = accounts
            .list_users(after, window.wanted(found.len()))
            .await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let shown = page.into_iter();
        let shown = shown.filter(|(_, user)| with_disabled || user.enabled);
        found.extend(shown.map(|(id, user)| (id.0, user_view(&context, id, &user))));
    }
    let next_page = window.cut(&context, LISTING, &mut found);
    let users = found.into_iter().map(|(_, user)| user).collect();
    Ok(json::spaced(
        StatusCode::OK,
        &UsersView { users, next_page },
    ))
}

async fn show(context: Context) -> Answer {
    let (id, user) = named(&context).await?;
    let view = user_view(&context, id, &user);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let body: NewUserBody = context.body()?;
    let accounts = &context.state.accounts;
    let name = namespace_name(Noun::User, &body.username)?;
    let password = accounts.made_up_password();
    let email = body.email.filter(|email| !email.is_empty());
    let id = accounts
        .create_user(NewUser {
            email: email.clone(),
            password: Some(password.clone()),
            by: context.performer(),
            ..NewUser::named(&name)
        })
        .await?;
    let encrypted = context.state.auth.encrypt_password(id, &password);
    let view = NewUserView {
        username: name.to_string(),
        email,
        password: password.expose().to_owned(),
        encrypted_password: encrypted.expose().to_owned(),
    };
    // Quay: 200, not 201.
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn change(context: Context) -> Answer {
    let (id, user) = named(&context).await?;
    refuse_superuser(&context, id, &user, "Cannot update a superuser")?;
    let body: ChangeBody = context.body()?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let change = UserChange {
        email: body.email.filter(|email| !email.is_empty()),
        enabled: body.enabled,
        ..UserChange::default()
    };
    let email = change.email.clone();
    // First what may be refused, so that nothing is changed by half.
    accounts.change_user(id, &change, &by).await?;
    let mut encrypted = None;
    if let Some(password) = body.password.filter(|password| !password.is_empty()) {
        let password = Secret::new(password);
        accounts.set_password(id, &password, &by).await?;
        encrypted = Some(context.state.auth.encrypt_password(id, &password));
    }
    // Quay: the user as it was before, with the new address.
    let mut view = user_view(&context, id, &user);
    view.email = email.or(view.email);
    let view = ChangedUserView {
        user: view,
        encrypted_password: encrypted.map(|secret| secret.expose().to_owned()),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let (id, user) = named(&context).await?;
    refuse_superuser(&context, id, &user, "Cannot delete a superuser")?;
    let by = context.performer();
    context.state.accounts.delete_user(id, &by).await?;
    recall_caches(&context).await?;
    Ok(response::no_content())
}

/// The user of the path.
async fn named(context: &Context) -> Result<(UserId, UserRecord), ApiError> {
    let name = context.parameter("username");
    // By an e-mail address nobody is meant here.
    let found = match name.contains('@') {
        true => None,
        false => context.state.accounts.user_by_name(name).await?,
    };
    found.ok_or_else(ApiError::not_found)
}

pub(super) fn refuse_superuser(
    context: &Context,
    id: UserId,
    user: &UserRecord,
    words: &str,
) -> Result<(), ApiError> {
    match context.state.auth.identity_of(id, user).is_superuser() {
        true => Err(ApiError::invalid(words)),
        false => Ok(()),
    }
}
