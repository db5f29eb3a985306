//! What an application asks somebody for, checked as far as it can be before anybody is asked.

use ::http::{HeaderValue, StatusCode, header};

use crate::accounts::Application;
use crate::api::query::encode;
use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::rows::Answer;
use crate::auth::{Means, Scopes, is_redirect_allowed};
use crate::http::response;
use crate::model::{NamespaceName, NamespaceRecord, UserId};

/// What an application asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    /// As it was written.
    pub(super) scope: String,
    pub(super) response_type: String,
    pub(super) state: Option<String>,
    pub(super) assignment: Option<String>,
}

impl Asked {
    /// Reads it by name.
    ///
    /// # Errors
    /// 400 that names what is missing.
    pub(super) fn read(value: impl Fn(&str) -> Option<String>) -> Result<Self, ApiError> {
        let required = |name: &str| {
            value(name).ok_or_else(|| {
                let text = format!("Required param: {name}");
                ApiError::web(StatusCode::BAD_REQUEST, text)
            })
        };
        Ok(Self {
            client_id: required("client_id")?,
            redirect_uri: required("redirect_uri")?,
            scope: required("scope")?,
            response_type: value("response_type").unwrap_or_else(|| "code".to_owned()),
            state: value("state"),
            assignment: value("assignment_uuid"),
        })
    }

    /// The scopes, if all of them are known and there is one.
    pub(super) fn scopes(&self) -> Option<Scopes> {
        Scopes::parse(&self.scope).filter(|scopes| !scopes.is_empty())
    }

    pub(super) fn wants_token(&self) -> bool {
        self.response_type == "token"
    }

    /// Sends the browser to the redirect URI, which was found allowed, with these parameters behind it.
    pub(super) fn back(&self, parameters: &[(&str, &str)], fragment: Option<&str>) -> Answer {
        let state = self.state.as_deref().map(|state| ("state", state));
        let parameters = parameters.iter().copied().chain(state);
        redirect(&self.redirect_uri, parameters, fragment)
    }
}

/// Sends the browser to `uri`, with these parameters behind it.
pub(super) fn redirect<'a>(
    uri: &str,
    parameters: impl Iterator<Item = (&'a str, &'a str)>,
    fragment: Option<&str>,
) -> Answer {
    let mut location = uri.to_owned();
    for (name, value) in parameters {
        location.push(if location.contains('?') { '&' } else { '?' });
        location.push_str(&format!("{name}={}", encode(value)));
    }
    if let Some(fragment) = fragment {
        location.push('#');
        location.push_str(fragment);
    }
    let location = HeaderValue::from_str(&location).map_err(|_| invalid())?;
    let mut answer = response::empty(StatusCode::FOUND);
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, crate::api::headers::NO_STORE);
    Ok(answer)
}

/// 400, for what nobody can be sent back with.
pub(super) fn invalid() -> ApiError {
    ApiError::web(StatusCode::BAD_REQUEST, "invalid_request")
}

impl Context {
    /// Who is there in person.
    ///
    /// # Errors
    /// 401 for everybody else, those with a token of an application included (AZ-14).
    pub(super) fn in_person(&self) -> Result<(UserId, &NamespaceName), ApiError> {
        let is_there = matches!(self.caller.means, Means::Session(_) | Means::Password);
        let user = self.caller.user().filter(|_| is_there);
        user.ok_or_else(|| ApiError::web(StatusCode::UNAUTHORIZED, "Requires authentication"))
    }

    /// The application of that client id.
    ///
    /// # Errors
    /// 404 without one.
    pub(super) async fn application(&self, client_id: &str) -> Result<Application, ApiError> {
        let found = self.state.accounts.application_by_client(client_id).await?;
        found.ok_or_else(|| ApiError::web(StatusCode::NOT_FOUND, "Unknown application"))
    }

    /// The organisation of an application, if the caller administers it.
    ///
    /// # Errors
    /// 403 for everybody else.
    pub(super) async fn administered(
        &self,
        application: &Application,
    ) -> Result<NamespaceRecord, ApiError> {
        let namespace = application.1.namespace;
        let owner = self.state.accounts.namespace_record(namespace).await?;
        let forbidden = || ApiError::web(StatusCode::FORBIDDEN, "Unauthorized");
        let owner = owner.ok_or_else(forbidden)?;
        let identity = &self.caller.identity;
        let permits = self
            .state
            .auth
            .in_namespace(identity, namespace, owner.kind);
        match permits.await?.is_admin() {
            true => Ok(owner),
            false => Err(forbidden()),
        }
    }

    /// Whether an application may have people sent there.
    pub(super) fn is_redirect_allowed(&self, application: &Application, uri: &str) -> bool {
        let handler = &self.state.people.local_oauth_handler;
        let local = format!("{}{handler}", self.site_url());
        is_redirect_allowed(&application.1.redirect_uri, uri, &local)
    }

    /// Checks the CSRF token of a form, wherever it stands.
    ///
    /// # Errors
    /// 403 if it is not the session's.
    pub(super) fn check_form(&self) -> Result<(), ApiError> {
        let in_form = self.form("_csrf_token");
        let in_query = self.text("_csrf_token");
        let in_header = self.headers.get("x-csrf-token");
        let in_header = in_header.and_then(|value| value.to_str().ok());
        let shown = in_form.as_deref().or(in_query.as_deref()).or(in_header);
        match self.caller.may_change(shown) {
            true => Ok(()),
            false => {
                let text = "CSRF token is invalid or missing.";
                Err(ApiError::web(StatusCode::FORBIDDEN, text))
            }
        }
    }
}
