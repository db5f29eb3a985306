//! Signing in and out, and the session's cookie.
//!
//! A browser gets a CSRF token first (`/csrf_token`), shows it at sign-in like at every change, and is
//! given a new one by every login, in `X-Next-CSRF-Token` (AU-14, AU-15). No service logs people in from
//! outside here, so what concerns those answers as Quay does with none configured.

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use crate::api::headers::NO_STORE;
use crate::auth::{self, Identity, Need, SESSION_COOKIE, Scope, Session};
use crate::http::Response;
use crate::model::{LogEntry, LogKind, NamespaceName, Performer, Secret, UserId};

const NEXT_CSRF: HeaderName = HeaderName::from_static("x-next-csrf-token");

/// Longest user agent that the usage log is told.
const AGENT_BYTES: usize = 512;

#[derive(Deserialize, ToSchema)]
pub(super) struct SignInBody {
    username: String,
    password: String,
    /// Of an invitation into a team, which is accepted by signing in.
    #[serde(default)]
    invite_code: Option<String>,
}

#[derive(Deserialize, ToSchema)]
struct VerifyBody {
    password: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Success {
    success: bool,
}

/// Why somebody is not signed in.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NotSignedIn {
    needs_email_verification: bool,
    invalid_credentials: bool,
    message: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct NotVerified {
    message: String,
    invalid_credentials: bool,
}

#[derive(Serialize, ToSchema)]
struct CsrfToken {
    csrf_token: String,
}

const DONE: Success = Success { success: true };

pub(super) fn routes(rows: &mut Rows) {
    let post = "/api/v1/signin";
    rows.post(post, "signinUser", "user", Need::Anyone, sign_in)
        .summary("Signs a user in with a password")
        .internal()
        .switch(|features| features.direct_login)
        .body::<SignInBody>()
        .answer::<Success>(200, "Signed in; the session's cookie is set")
        .answer::<NotSignedIn>(403, "The password is wrong, or the account cannot be used")
        .status(429, "Too many failed attempts");
    let post = "/api/v1/signin/verify";
    let need = Need::User(Scope::UserAdmin);
    rows.post(post, "verifyUser", "user", need, verify)
        .summary("Shows the password again, for changes that need a fresh login")
        .internal()
        .body::<VerifyBody>()
        .answer::<Success>(200, "The password is right")
        .answer::<NotVerified>(403, "It is not")
        .status(429, "Too many failed attempts");
    rows.post("/api/v1/signout", "logout", "user", Need::Anyone, sign_out)
        .summary("Ends every session of the user")
        .internal()
        .answer::<Success>(200, "Signed out");
    let post = "/api/v1/externallogin/{service_id}";
    let operation = "retrieveExternalLoginAuthorizationUrl";
    rows.post(post, operation, "user", Need::Anyone, external_login)
        .summary("Tells where a login service asks people to log in")
        .internal()
        .status(400, "There is no such service");
    let post = "/api/v1/detachexternal/{service_id}";
    rows.post(post, "detachExternalLogin", "user", need, detach)
        .summary("Forgets a login of a login service")
        .internal()
        .switch(|features| features.direct_login)
        .answer::<Success>(200, "There is no such login any more");
    let post = "/api/v1/recovery";
    rows.post(post, "requestRecoveryEmail", "user", Need::Anyone, recover)
        .summary("Sends a mail with which a password can be set")
        .internal()
        .switch(|features| features.mailing)
        .status(400, "Mail cannot be sent");
    rows.get(
        "/csrf_token",
        "web.csrf_token",
        "web",
        Need::Anyone,
        csrf_token,
    )
    .summary("The token that changes by a browser must show")
    .internal()
    .answer::<CsrfToken>(
        200,
        "The token of this session, which begins if there is none",
    );
}

async fn sign_in(context: Context) -> Answer {
    let body: SignInBody = context.body()?;
    let answer = conduct(&context, &body.username, &body.password).await?;
    if let Some(code) = body.invite_code.filter(|_| answer.status().is_success()) {
        accept(&context, &body.username, &code).await?;
    }
    Ok(answer)
}

/// An invitation that does not fit is no reason not to sign in (Quay).
pub(super) async fn accept(context: &Context, username: &str, code: &str) -> Result<(), ApiError> {
    let accounts = &context.state.accounts;
    if let Some((user, record)) = accounts.user_by_name(username).await? {
        let by = Performer {
            actor: crate::model::Actor::User {
                id: user,
                name: record.name,
            },
            ..context.performer()
        };
        if let Err(error) = accounts.accept_invitation(code, user, &by).await {
            tracing::info!(%error, "an invitation was not accepted at sign-in");
        }
    }
    Ok(())
}

/// Signs somebody in, or says in Quay's form why not.
pub(super) async fn conduct(context: &Context, username: &str, password: &str) -> Answer {
    let (auth, address) = (&context.state.auth, context.caller.address);
    let refused = |needs_email_verification, invalid_credentials, message: String| {
        let body = NotSignedIn {
            needs_email_verification,
            invalid_credentials,
            message,
        };
        json::spaced(StatusCode::FORBIDDEN, &body)
    };
    match auth
        .sign_in(username, &Secret::new(password), address)
        .await
    {
        Ok(identity) => {
            let answer = json::spaced(StatusCode::OK, &DONE);
            let Some((user, name)) = identity.user() else {
                return Ok(answer);
            };
            note_login(context, &identity, name).await?;
            begin(context, user, answer).await
        }
        Err(auth::Error::Disabled { name }) => {
            let message = format!("The account {name} is disabled");
            note_failure(context, username, &message).await?;
            Ok(refused(true, false, message))
        }
        Err(error @ auth::Error::PasswordRefused) => {
            let message = error.to_string();
            note_failure(context, username, &message).await?;
            Ok(refused(false, true, message))
        }
        Err(error) => Err(error.into()),
    }
}

async fn verify(context: Context) -> Answer {
    let body: VerifyBody = context.body()?;
    let (user, name) = context.user()?;
    match check_password(&context, name, &body.password).await? {
        true => {
            let answer = json::spaced(StatusCode::OK, &DONE);
            match context.caller.session() {
                Some(_) => begin(&context, user, answer).await,
                None => Ok(answer),
            }
        }
        false => {
            let body = NotVerified {
                message: auth::Error::PasswordRefused.to_string(),
                invalid_credentials: true,
            };
            Ok(json::spaced(StatusCode::FORBIDDEN, &body))
        }
    }
}

/// Whether this is the user's password; slower after failures.
///
/// # Errors
/// 429 while it is not looked at.
pub(super) async fn check_password(
    context: &Context,
    name: &NamespaceName,
    password: &str,
) -> Result<bool, ApiError> {
    let (auth, address) = (&context.state.auth, context.caller.address);
    let password = Secret::new(password);
    match auth.sign_in(name.as_str(), &password, address).await {
        Ok(_) => Ok(true),
        Err(auth::Error::PasswordRefused | auth::Error::Disabled { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Quay: all sessions of the user end, not this one only. A token of an application ends none: that is
/// for whoever is there in person.
async fn sign_out(context: Context) -> Answer {
    let mut answer = json::spaced(StatusCode::OK, &DONE);
    if let (Some((user, name)), Some(_)) = (context.caller.user(), context.caller.session()) {
        context.state.accounts.end_sessions(user).await?;
        let found = context.state.accounts.user(user).await?;
        let entry = LogEntry::new(LogKind::LogoutSuccess, context.now(), &context.performer());
        if let Some(record) = found {
            context.state.audit.note(entry.within(record.namespace));
        }
        tracing::info!(user.name = %name, "a user signed out");
    }
    set_cookie(&context, &mut answer, "", Some(0));
    Ok(answer)
}

async fn external_login(_: Context) -> Answer {
    Err(ApiError::invalid("Unknown external login service"))
}

async fn detach(_: Context) -> Answer {
    Ok(json::spaced(StatusCode::OK, &DONE))
}

async fn recover(_: Context) -> Answer {
    Err(ApiError::refused("This installation sends no mail"))
}

async fn csrf_token(context: Context) -> Answer {
    let (session, is_new) = match context.caller.session() {
        Some(session) => (session.clone(), false),
        None => (context.state.auth.anonymous_session(), true),
    };
    let csrf_token = session.csrf_token().expose().to_owned();
    let mut answer = json::compact(StatusCode::OK, &CsrfToken { csrf_token });
    if is_new {
        give(&context, &mut answer, &session);
    }
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(answer)
}

/// Begins a session of a user who has just shown the password, and tells the browser.
///
/// # Errors
/// The store's.
pub(super) async fn begin(context: &Context, user: UserId, mut answer: Response) -> Answer {
    if let Some(session) = context.state.auth.begin_session(user).await? {
        give(context, &mut answer, &session);
        let token = session.csrf_token();
        let token = HeaderValue::from_str(token.expose()).expect("base64 is printable ASCII");
        answer.headers_mut().insert(NEXT_CSRF, token);
    }
    Ok(answer)
}

fn give(context: &Context, answer: &mut Response, session: &Session) {
    let people = &context.state.people;
    let life = people
        .permanent_sessions
        .then_some(people.session.as_secs());
    let sealed = context.state.auth.seal_session(session);
    set_cookie(context, answer, sealed.expose(), life);
}

/// AU-14: out of reach of scripts and of other sites, and of the open wire where there is TLS.
pub(super) fn set_cookie(context: &Context, answer: &mut Response, value: &str, life: Option<u64>) {
    let mut text = format!("{SESSION_COOKIE}={value}; HttpOnly; Path=/; SameSite=Lax");
    if context.is_secure() || context.state.people.secure_cookie {
        text.push_str("; Secure");
    }
    if let Some(seconds) = life {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    let cookie = HeaderValue::from_str(&text).expect("base64 and numbers are printable ASCII");
    answer.headers_mut().append(header::SET_COOKIE, cookie);
}

async fn note_login(
    context: &Context,
    identity: &Identity,
    name: &NamespaceName,
) -> Result<(), ApiError> {
    let audit = &context.state.audit;
    if !audit.config().logins {
        return Ok(());
    }
    let by = Performer {
        actor: identity.actor(),
        ..context.performer()
    };
    let metadata = json!({ "type": "quayauth", "useragent": agent(context) });
    let entry = LogEntry::new(LogKind::LoginSuccess, context.now(), &by).with(metadata);
    audit.note(filed(context, entry, name.as_str()).await?);
    Ok(())
}

async fn note_failure(context: &Context, username: &str, message: &str) -> Result<(), ApiError> {
    let audit = &context.state.audit;
    if !audit.config().login_failures {
        return Ok(());
    }
    let metadata = json!({
        "type": "quayauth",
        "kind": "user",
        "useragent": agent(context),
        "username": username.chars().take(255).collect::<String>(),
        "message": message,
    });
    let by = context.performer();
    let entry = LogEntry::new(LogKind::LoginFailure, context.now(), &by).with(metadata);
    audit.note(filed(context, entry, username).await?);
    Ok(())
}

async fn filed(context: &Context, entry: LogEntry, name: &str) -> Result<LogEntry, ApiError> {
    let found = context.state.accounts.user_by_name(name).await?;
    Ok(match found {
        Some((_, record)) => entry.within(record.namespace),
        None => entry,
    })
}

fn agent(context: &Context) -> Value {
    let agent = context.headers.get(header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    agent
        .map(|text| text.get(..AGENT_BYTES).unwrap_or(text))
        .into()
}
