//! The way of a request to its door, and of the door's answer back.
//!
//! In this order: the feature is on; the registry may be written; a browser says that it means the API;
//! who asks; whether nobody may ask; whether no other site makes the browser ask; what the row demands;
//! how fresh the login is; the body; the door. So nothing is read of whoever may not write, and an
//! unknown path never looks at credentials.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::body;
use super::context::Context;
use super::error::ApiError;
use super::need;
use super::rows::{Answer, Row};
use crate::api::query::Query;
use crate::api::state::State;
use crate::auth::{Caller, Need, Presented};
use crate::config::Closed;
use crate::http::{Exchange, Request, RequestBody, Response};

const XHR_ONLY: &str =
    "API calls must be invoked with an X-Requested-With header if called from a browser";

/// What browsers call themselves, in lower case (Quay: families of the user agent parser).
const BROWSERS: [&str; 10] = [
    "chrome/",
    "firefox/",
    "safari/",
    "msie ",
    "trident/",
    "opera",
    "konqueror",
    "lynx",
    "links ",
    "seamonkey/",
];

/// Answers a request for a row that was found.
pub(in crate::api) async fn answer(
    state: &Arc<State>,
    exchange: &Exchange,
    row: &Row,
    parameters: Vec<(&'static str, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let arrival = Arrival {
        state,
        exchange,
        row,
        headers: parts.headers,
        query: parts.uri.query().unwrap_or("").to_owned(),
    };
    let outcome = arrival.open(parameters, body).await;
    let site = state.url(exchange);
    let mut answer = outcome.unwrap_or_else(|error| error.answer(&site));
    allow_origin(state, origin.as_ref(), answer.headers_mut());
    if row.pattern.starts_with("/api/") {
        let kept = answer.headers_mut().entry(header::CACHE_CONTROL);
        kept.or_insert(HeaderValue::from_static(
            "no-cache, no-store, must-revalidate",
        ));
    }
    answer
}

/// `OPTIONS` of whatever path of the API (Quay: 200 `null`).
pub(in crate::api) fn options(state: &State, headers: &HeaderMap) -> Response {
    let mut answer = super::json::compact(StatusCode::OK, &());
    allow_origin(state, headers.get(header::ORIGIN), answer.headers_mut());
    answer
}

/// A request that has come to its row.
struct Arrival<'a> {
    state: &'a Arc<State>,
    exchange: &'a Exchange,
    row: &'a Row,
    headers: HeaderMap,
    query: String,
}

impl Arrival<'_> {
    async fn open(self, parameters: Vec<(&'static str, String)>, body: RequestBody) -> Answer {
        let row = self.row;
        let is_read = row.method == Method::GET;
        if !row.switches.iter().all(|is_on| is_on(&self.state.features)) {
            return Err(ApiError::not_found());
        }
        let closed = self.state.pushes.load().closed;
        if !is_read && closed == Some(Closed::ReadOnly) {
            return Err(ApiError::ReadOnly);
        }
        if !is_read && !self.state.registry.store().takes_writes().await {
            return Err(ApiError::Unavailable);
        }
        self.check_browser(is_read)?;
        let caller = self.caller().await?;
        let is_api = row.pattern.starts_with("/api/");
        if caller.identity.is_anonymous() && is_api && row.need != Need::Anyone {
            self.check_anonymous()?;
        }
        if !is_read && !row.is_csrf_exempt {
            self.check_csrf(&caller)?;
        }
        let subject = need::guard(self.state, row, &caller, &parameters).await?;
        if row.is_fresh && !self.state.auth.is_fresh(&caller) {
            return Err(ApiError::stale_login());
        }
        let body = match is_read {
            true => bytes::Bytes::new(),
            false => body::receive(body).await?,
        };
        let context = Context {
            state: Arc::clone(self.state),
            exchange: self.exchange.clone(),
            caller,
            headers: self.headers,
            parameters,
            query: self.query,
            body,
            subject,
        };
        (row.door)(context).await
    }

    /// `BROWSER_API_CALLS_XHR_ONLY`: a page that is opened in a browser is no program.
    fn check_browser(&self, is_read: bool) -> Result<(), ApiError> {
        let is_api = self.row.pattern.starts_with("/api/");
        if !is_api || !is_read || !self.state.web.xhr_only {
            return Ok(());
        }
        let text = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let agent = text("user-agent").unwrap_or("").to_ascii_lowercase();
        let is_browser = BROWSERS.iter().any(|browser| agent.contains(browser));
        let says_so = text("x-requested-with") == Some("XMLHttpRequest");
        match is_browser && !says_so {
            true => Err(ApiError::web(StatusCode::BAD_REQUEST, XHR_ONLY)),
            false => Ok(()),
        }
    }

    async fn caller(&self) -> Result<Caller, ApiError> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let presented = Presented {
            authorization: text(header::AUTHORIZATION),
            cookie: text(header::COOKIE),
            address: self.exchange.client.ip(),
            basic: self.row.takes_basic,
        };
        Ok(self.state.auth.caller(&presented).await?)
    }

    fn check_anonymous(&self) -> Result<(), ApiError> {
        match self.state.auth.admits_anonymous() {
            true => Ok(()),
            false => Err(ApiError::web(
                StatusCode::UNAUTHORIZED,
                "Anonymous access is not allowed",
            )),
        }
    }

    /// AU-15: the token of the session, in the query or in its header. The words of a refusal are those of
    /// the product documents; Quay's source has "was" where they have "is".
    fn check_csrf(&self, caller: &Caller) -> Result<(), ApiError> {
        let in_query = Query::of_text(&self.query).form_value("_csrf_token");
        let in_header = self.headers.get("x-csrf-token");
        let in_header = in_header.and_then(|value| value.to_str().ok());
        if caller.may_change(in_query.as_deref().or(in_header)) {
            return Ok(());
        }
        let who = match caller.identity.is_anonymous() {
            true => String::new(),
            false => format!(" (authorized: user {})", caller.identity),
        };
        let text = format!("CSRF token is invalid or missing.{who}");
        Err(ApiError::web(StatusCode::FORBIDDEN, text))
    }
}

/// Quay: every origin without credentials, or those that are configured with them.
fn allow_origin(state: &State, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let listed = &state.web.cors_origins;
    if listed.is_empty() {
        let any = HeaderValue::from_static("*");
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    } else {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let known =
            origin.filter(|origin| listed.iter().any(|one| one.as_bytes() == origin.as_bytes()));
        let Some(origin) = known else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let credentials = HeaderValue::from_static("true");
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, credentials);
    }
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS, POST, DELETE, PUT");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let allowed =
        HeaderValue::from_static("Authorization, Content-Type, X-CSRF-Token, X-Requested-With");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    let exposed = HeaderValue::from_static("X-Next-CSRF-Token");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}
