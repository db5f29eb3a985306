//! `GET` and `POST /v2/auth`: a token for what its bearer may do (quay-compatible token service).
//!
//! Anonymous callers get one as well, for what everyone may do: they could not pull otherwise from a
//! registry whose `/v2/` asks for credentials. Rights that are lacking make a token narrower and are
//! never an error here; the refusal comes at the resource. Nothing is made or changed by asking.

use std::borrow::Cow;

use ::http::{Method, StatusCode, header};
use serde::Serialize;

use super::Visit;
use super::error::Failure;
use super::{RequestBody, json_listing};
use crate::api::headers;
use crate::api::query::Query;
use crate::auth::{Grant, Identity};
use crate::http::{ReadLimits, Response, read_all, response};
use crate::model::Secret;
use crate::oci::{Actions, ErrorCode, Resource, Scopes};
use crate::proxy::Route;

/// A form of OAuth 2 that is longer is none.
const FORM: ReadLimits = ReadLimits {
    bytes: 64 << 10,
    wait: std::time::Duration::from_secs(30),
};

/// Both names of the token: old and new clients each look for theirs.
#[derive(Serialize)]
struct Token<'a> {
    token: &'a str,
    access_token: &'a str,
    /// Seconds.
    expires_in: u64,
    /// RFC 3339.
    issued_at: String,
}

/// Answers with a token.
pub(super) async fn answer(visit: &Visit<'_>, body: RequestBody) -> Result<Response, Failure> {
    let (identity, scopes) = match *visit.method {
        Method::GET | Method::HEAD => {
            let scopes = visit.scopes(visit.query)?;
            (visit.caller().await?.identity, scopes)
        }
        Method::POST => by_form(visit, body).await?,
        _ => return Err(Failure::method("GET, HEAD, POST", "a token is asked for")),
    };
    // Quay: nobody who asks for nothing wants to know whether a password is right.
    if identity.is_anonymous() && scopes.is_empty() && visit.api.accounts.has_users() {
        let message = "credentials are needed, or a scope";
        return Err(visit.unauthorized(message, &[], None));
    }
    if scopes.is_empty() {
        visit.note_login(&identity).await;
    }
    let access = grants(visit, &identity, &scopes).await?;
    let issued = visit.api.auth.issue(&identity, &access).await;
    let issued = issued.map_err(|error| visit.not_believed(error))?;
    let token = Token {
        token: &issued.token,
        access_token: &issued.token,
        expires_in: issued.expires_in,
        issued_at: issued.issued_at.to_string(),
    };
    let mut answer = json_listing(&token, response::JSON, None, None).response;
    answer
        .headers_mut()
        .insert(header::CACHE_CONTROL, headers::NO_STORE);
    Ok(answer)
}

/// The OAuth 2 form, which containerd and docker try first where they have a password.
async fn by_form(visit: &Visit<'_>, body: RequestBody) -> Result<(Identity, Scopes), Failure> {
    let bytes = read_all(body, FORM).await;
    let bytes = bytes.map_err(|error| {
        Failure::new(ErrorCode::Unknown, error.to_string()).with_status(StatusCode::BAD_REQUEST)
    })?;
    let text = String::from_utf8_lossy(&bytes).replace('+', "%20");
    let value = |name| Query::of_text(&text).value(name).map(Cow::into_owned);
    let form = Query::of_text(&text);
    let scopes = visit.scopes(form)?;
    match value("grant_type").as_deref() {
        Some("password") => {}
        other => {
            let found = other.unwrap_or("none");
            // 404 and 405 make clients come again with GET.
            return Err(Failure::method(
                "GET, HEAD, POST",
                format!("the grant_type {found:?} is not offered, only password is"),
            ));
        }
    }
    let (Some(user), Some(password)) = (value("username"), value("password")) else {
        let message = "username and password are needed";
        return Err(visit.unauthorized(message, &[], None));
    };
    let (password, source) = (Secret::new(password), visit.exchange.client.ip());
    let identity = visit.api.auth.basic(&user, &password, source).await;
    let identity = identity.map_err(|error| visit.not_believed(error))?;
    Ok((identity, scopes))
}

/// What of the scopes the identity may do now.
async fn grants(
    visit: &Visit<'_>,
    identity: &Identity,
    scopes: &Scopes,
) -> Result<Vec<Grant>, Failure> {
    let mut grants = Vec::with_capacity(scopes.len());
    for scope in scopes.iter() {
        let Resource::Repository(name) = &scope.resource else {
            continue;
        };
        // AZ-15: what cannot be found out is no reason for another token than the right one.
        let actions = match visit.route(name).await? {
            Route::Source(source) => visit.allowed(identity, &source, scope.actions).await?,
            Route::UnknownNamespace(_) => visit.allowed_in_missing(identity, scope.actions),
            Route::Unserved | Route::NoNamespace => Actions::NONE,
        };
        grants.push(Grant {
            name: name.clone(),
            actions,
        });
    }
    Ok(grants)
}

impl Visit<'_> {
    fn scopes(&self, query: Query<'_>) -> Result<Scopes, Failure> {
        let site = self.api.site.load();
        // A form's '+' is a space, and no scope holds one.
        let spaced = query.values("scope").map(|scope| scope.replace('+', " "));
        let scopes = Scopes::parse(spaced, site.hostname.as_deref());
        scopes.map_err(|error| Failure::new(ErrorCode::NameInvalid, error.to_string()))
    }
}
