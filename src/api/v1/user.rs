//! The current user's account, and what others see of a user.

use ::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use super::session;
use super::user_view::{UserView, view};
use crate::accounts::{self, NewUser, UserChange};
use crate::auth::{Need, Scope};
use crate::http::response;
use crate::model::{LogEntry, LogKind, NamespaceName, Prompt, Secret, UserId, UserRecord};

const ADMIN: Need = Need::User(Scope::UserAdmin);

/// What is to be changed; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
struct UserBody {
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    invoice_email: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    invoice_email_address: Option<Option<String>>,
    /// Seconds.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    tag_expiration_s: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    given_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    family_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    company: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    location: Option<Option<String>>,
}

#[derive(Deserialize, ToSchema)]
struct NewUserBody {
    username: String,
    password: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    invite_code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct ClientKeyBody {
    password: String,
}

#[derive(Serialize, ToSchema)]
struct ClientKey {
    key: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConvertBody {
    admin_user: String,
    admin_password: String,
}

pub(super) fn routes(rows: &mut Rows) {
    let path = "/api/v1/user/";
    rows.get(path, "getLoggedInUser", "user", Need::Anyone, show_current)
        .summary("Shows the user who asks")
        .answer::<UserView>(200, "The user")
        .status(401, "Nobody is known, or not for this");
    rows.put(path, "changeUserDetails", "user", ADMIN, change)
        .summary("Changes the account of the user who asks")
        .internal()
        .fresh()
        .body::<UserBody>()
        .answer::<UserView>(200, "The user as it is now");
    rows.post(path, "createNewUser", "user", Need::Anyone, create)
        .summary("Makes an account for whoever asks")
        .internal()
        .switch(|features| features.user_creation)
        .switch(|features| features.direct_login)
        .body::<NewUserBody>()
        .answer::<UserView>(200, "The user, signed in");
    rows.delete(path, "deleteCurrentUser", "user", ADMIN, delete)
        .summary("Deletes the account of the user who asks")
        .internal()
        .fresh()
        .status(204, "It is gone");
    let path = "/api/v1/user/clientkey";
    rows.post(path, "generateUserClientKey", "user", ADMIN, client_key)
        .summary("Gives the password in the form that clients may keep")
        .internal()
        .body::<ClientKeyBody>()
        .answer::<ClientKey>(200, "The encrypted password")
        .status(429, "Too many wrong passwords");
    let path = "/api/v1/user/convert";
    rows.post(path, "convertUserToOrganization", "user", ADMIN, convert)
        .summary("Makes an organisation of the user's namespace")
        .internal()
        .body::<ConvertBody>()
        .answer::<session::Success>(200, "Done; the organisation's admin is signed in");
    let path = "/api/v1/users/{username}";
    rows.get(path, "getUserInformation", "user", Need::Anyone, show)
        .summary("Shows what may be seen of a user")
        .answer::<UserView>(200, "The user");
}

async fn show_current(context: Context) -> Answer {
    // Quay: the page asks this to learn whether anybody is signed in.
    let unknown = || ApiError::unauthenticated().with("session_required", false);
    let (user, _) = context.caller.user().ok_or_else(unknown)?;
    if !context.caller.identity.may_read_user(user) {
        return Err(unknown());
    }
    shown(&context, user).await
}

async fn show(context: Context) -> Answer {
    let missing = || ApiError::message(StatusCode::NOT_FOUND, "Not Found");
    let name: NamespaceName = context
        .parameter("username")
        .parse()
        .map_err(|_| missing())?;
    let found = context.state.accounts.user_by_name(name.as_str()).await?;
    let (id, record) = found.ok_or_else(missing)?;
    let body = view(&context, &context.caller.identity, id, record).await?;
    Ok(json::spaced(StatusCode::OK, &body))
}

async fn change(context: Context) -> Answer {
    let body: UserBody = context.body()?;
    let (user, name) = context.user()?;
    let record = load(&context, user).await?;
    let change = asked(&context, &body)?;
    check_email(&context, &record, body.email.as_deref()).await?;
    let rename = wanted_name(&context, &record, body.username.as_deref()).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    if let Some(password) = &body.password {
        let password = Secret::new(password);
        accounts
            .set_password(user, &password, &by)
            .await
            .map_err(unfit)?;
    }
    accounts
        .change_user(user, &change, &by)
        .await
        .map_err(unfit)?;
    if let Some(to) = rename {
        tracing::info!(user.name = %name, %to, "a user chose another name");
        let renamed = accounts.rename_namespace(record.namespace, &to, &by).await;
        renamed.map_err(unfit)?;
    }
    let answer = shown(&context, user).await?;
    // All sessions ended with the old password, this one included.
    match body.password.is_some() && context.caller.session().is_some() {
        true => session::begin(&context, user, answer).await,
        false => Ok(answer),
    }
}

/// What of the body changes fields of the account, as far as the operator allows it.
fn asked(context: &Context, body: &UserBody) -> Result<UserChange, ApiError> {
    let features = &context.state.features;
    let metadata =
        |value: &Option<Option<String>>| value.clone().filter(|_| features.user_metadata);
    let seconds = body.tag_expiration_s.as_ref();
    let seconds = seconds.filter(|_| features.change_tag_expiration);
    let answered = [
        (body.username.is_some(), Prompt::ConfirmUsername),
        (
            body.given_name.is_some() || body.family_name.is_some(),
            Prompt::EnterName,
        ),
        (body.company.is_some(), Prompt::EnterCompany),
    ];
    let answered = answered
        .into_iter()
        .filter_map(|(is_told, prompt)| is_told.then_some(prompt));
    Ok(UserChange {
        email: body.email.clone().filter(|email| !email.is_empty()),
        invoice_email: body.invoice_email,
        invoice_email_address: body.invoice_email_address.clone(),
        tag_expiration_s: seconds
            .map(|value| expiration(context, value))
            .transpose()?,
        given_name: metadata(&body.given_name),
        family_name: metadata(&body.family_name),
        company: metadata(&body.company),
        location: metadata(&body.location),
        answered: answered.collect(),
        ..UserChange::default()
    })
}

/// One of `TAG_EXPIRATION_OPTIONS`, written as a number or as text.
fn expiration(context: &Context, value: &Value) -> Result<u64, ApiError> {
    let seconds = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    let options = &context.state.tag_expirations;
    let known = seconds.filter(|seconds| options.iter().any(|option| option.as_secs() == *seconds));
    known.ok_or_else(|| ApiError::refused("Invalid tag expiration option"))
}

async fn check_email(
    context: &Context,
    record: &UserRecord,
    email: Option<&str>,
) -> Result<(), ApiError> {
    let Some(email) = email.filter(|email| Some(*email) != record.email.as_deref()) else {
        return Ok(());
    };
    let taken = context.state.accounts.user_by_name(email).await?;
    match taken {
        Some((_, other)) if other.name != record.name => {
            Err(ApiError::invalid("E-mail address already used"))
        }
        _ => Ok(()),
    }
}

/// Another name for the account, where that is allowed: always, or while a made-up one is to be confirmed.
async fn wanted_name(
    context: &Context,
    record: &UserRecord,
    name: Option<&str>,
) -> Result<Option<NamespaceName>, ApiError> {
    let is_open =
        context.state.features.user_rename || record.prompts.contains(&Prompt::ConfirmUsername);
    let Some(name) = name.filter(|name| is_open && *name != record.name.as_str()) else {
        return Ok(None);
    };
    let invalid = |error| ApiError::invalid(error);
    let name: NamespaceName = name.parse().map_err(invalid)?;
    let is_taken = context.state.registry.namespace(&name).await?.is_some();
    // AZ-13: nobody becomes a superuser by calling himself so.
    match is_taken || context.state.auth.favours(&name) {
        true => Err(ApiError::invalid("Username is already in use")),
        false => Ok(Some(name)),
    }
}

async fn create(context: Context) -> Answer {
    let body: NewUserBody = context.body()?;
    let features = &context.state.features;
    let email = body.email.filter(|email| !email.is_empty());
    let invitation = fitting(&context, body.invite_code, email.as_deref()).await?;
    if features.invite_only_user_creation && invitation.is_none() {
        return Err(ApiError::invalid("Cannot create non-invited user"));
    }
    if features.mailing && email.is_none() {
        return Err(ApiError::invalid("Email address is required"));
    }
    let accounts = &context.state.accounts;
    if accounts.user_by_name(&body.username).await?.is_some() {
        return Err(ApiError::invalid("The username already exists"));
    }
    let name: NamespaceName = body.username.parse().map_err(ApiError::invalid)?;
    // AZ-13: the first user may be the one that the configuration names; later on somebody of them makes it.
    if accounts.has_users() && context.state.auth.favours(&name) {
        return Err(ApiError::invalid("The username already exists"));
    }
    // Who shows the code of a mail has got it.
    let is_confirmed = !features.mailing || invitation.is_some();
    let prompts = match features.user_metadata {
        true => vec![Prompt::EnterName, Prompt::EnterCompany],
        false => Vec::new(),
    };
    let new = NewUser {
        email,
        verified: is_confirmed,
        password: Some(Secret::new(body.password)),
        prompts,
        by: context.performer(),
        ..NewUser::named(&name)
    };
    let user = accounts.create_user(new).await.map_err(unfit)?;
    if let Some(code) = invitation {
        session::accept(&context, name.as_str(), &code).await?;
    }
    if !is_confirmed {
        return Ok(json::spaced(
            StatusCode::OK,
            &json!({ "awaiting_verification": true }),
        ));
    }
    // The new user sees itself: it is signed in by this very answer.
    let identity = context.state.auth.identity(user).await?;
    let Some(identity) = identity else {
        let text = "Could not login. Is your account inactive?";
        return Err(ApiError::message(StatusCode::FORBIDDEN, text));
    };
    let body = view(&context, &identity, user, load(&context, user).await?).await?;
    session::begin(&context, user, json::spaced(StatusCode::OK, &body)).await
}

/// The code, if it is that of an invitation to this address: any other text invites nobody.
async fn fitting(
    context: &Context,
    code: Option<String>,
    email: Option<&str>,
) -> Result<Option<String>, ApiError> {
    let (Some(code), Some(email)) = (code, email) else {
        return Ok(None);
    };
    let invited = context.state.accounts.is_invited(&code, email).await?;
    Ok(invited.then_some(code))
}

async fn delete(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    accounts.delete_user(user, &by).await?;
    let mut answer = response::no_content();
    session::set_cookie(&context, &mut answer, "", Some(0));
    Ok(answer)
}

async fn client_key(context: Context) -> Answer {
    let body: ClientKeyBody = context.body()?;
    let (user, name) = context.user()?;
    if !session::check_password(&context, name, &body.password).await? {
        return Err(ApiError::invalid("Invalid Username or Password"));
    }
    let record = load(&context, user).await?;
    let kind = LogKind::UserGenerateClientKey;
    let entry = LogEntry::new(kind, context.now(), &context.performer());
    context.state.audit.note(entry.within(record.namespace));
    let key = context
        .state
        .auth
        .encrypt_password(user, &Secret::new(body.password));
    let key = key.expose().to_owned();
    Ok(json::spaced(StatusCode::OK, &ClientKey { key }))
}

async fn convert(context: Context) -> Answer {
    let body: ConvertBody = context.body()?;
    let (user, name) = context.user()?;
    let refused = |text: &str| ApiError::invalid(text).with("reason", "invaliduser");
    let admin = context
        .state
        .accounts
        .user_by_name(&body.admin_user)
        .await?;
    if body.admin_user == name.as_str() || matches!(&admin, Some((id, _)) if *id == user) {
        return Err(refused("The admin user is not valid"));
    }
    let is_right = match &admin {
        Some((_, record)) => {
            session::check_password(&context, &record.name, &body.admin_password).await?
        }
        None => false,
    };
    let Some((admin, _)) = admin.filter(|_| is_right) else {
        return Err(refused("The admin user credentials are not valid"));
    };
    let (accounts, by) = (&context.state.accounts, context.performer());
    accounts.convert_user(user, admin, &by).await?;
    session::conduct(&context, &body.admin_user, &body.admin_password).await
}

async fn shown(context: &Context, user: UserId) -> Answer {
    let record = load(context, user).await?;
    let body = view(context, &context.caller.identity, user, record).await?;
    Ok(json::spaced(StatusCode::OK, &body))
}

async fn load(context: &Context, user: UserId) -> Result<UserRecord, ApiError> {
    let record = context.state.accounts.user(user).await?;
    record.ok_or_else(ApiError::not_found)
}

/// What a person chose badly is an invalid request, in Quay's words where it has some.
fn unfit(error: accounts::Error) -> ApiError {
    match error {
        accounts::Error::Invalid {
            what: "the password",
            ..
        } => ApiError::invalid(
            "Invalid password, password must be at least 8 characters and contain no whitespace.",
        ),
        accounts::Error::Exists { name, .. } => {
            ApiError::invalid(format!("Email has already been used: {name}"))
        }
        accounts::Error::NameTaken { name, .. } => ApiError::invalid(format!(
            "Username has already been taken by user cannot be reused: {name}"
        )),
        error @ accounts::Error::Invalid { .. } => ApiError::invalid(error),
        error => error.into(),
    }
}

/// Tells a field that is null from one that is left out.
fn present<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
