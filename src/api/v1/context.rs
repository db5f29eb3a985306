//! What a door has of its request: who asks, what the path names, the query and the body.

use std::borrow::Cow;
use std::sync::Arc;

use ::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::body;
use super::error::ApiError;
use crate::api::query::Query;
use crate::api::state::State;
use crate::auth::{Caller, NamespacePermits, RepositoryPermits};
use crate::http::Exchange;
use crate::model::{
    NamespaceId, NamespaceName, NamespaceRecord, Performer, RepositoryId, RepositoryRecord,
    Timestamp, UserId,
};

/// What a door has of its request.
pub(in crate::api) struct Context {
    pub(in crate::api) state: Arc<State>,
    pub(in crate::api) exchange: Exchange,
    pub(in crate::api) caller: Caller,
    pub(in crate::api) headers: HeaderMap,
    pub(super) parameters: Vec<(&'static str, String)>,
    pub(super) query: String,
    pub(super) body: Bytes,
    pub(super) subject: Subject,
}

/// What the guard has found of what the path names; [`super::need`] says when.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    None,
    Repository(Box<RepositorySubject>),
    Organization(Box<OrganizationSubject>),
}

/// The repository of the path, for whoever may do there what the row demands.
#[derive(Clone, Debug)]
pub(in crate::api) struct RepositorySubject {
    pub(in crate::api) namespace: NamespaceId,
    pub(in crate::api) namespace_record: NamespaceRecord,
    pub(in crate::api) repository: RepositoryId,
    pub(in crate::api) record: Arc<RepositoryRecord>,
    pub(in crate::api) permits: RepositoryPermits,
}

/// The organisation of the path, for whoever has there the part that the row demands.
#[derive(Clone, Debug)]
pub(in crate::api) struct OrganizationSubject {
    pub(in crate::api) namespace: NamespaceId,
    pub(in crate::api) record: NamespaceRecord,
    pub(in crate::api) permits: NamespacePermits,
}

impl Context {
    /// A parameter of the path, decoded; empty if the pattern has none of that name.
    pub(in crate::api) fn parameter(&self, name: &str) -> &str {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same as something that has a grammar; what breaks it names nothing, so it is 404.
    pub(in crate::api) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, ApiError> {
        let parsed = self.parameter(name).parse();
        parsed.map_err(|_| ApiError::not_found())
    }

    /// The first value of a parameter of the query, where it is not empty.
    pub(in crate::api) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = Query::of_text(&self.query).form_value(name);
        value.filter(|value| !value.is_empty())
    }

    /// A parameter of the query that is true or false, as Quay reads such.
    pub(in crate::api) fn flag(&self, name: &str, default: bool) -> bool {
        match self.text(name).as_deref().map(str::to_ascii_lowercase) {
            None => default,
            Some(text) => ["true", "1", "yes", "on"].contains(&text.as_str()),
        }
    }

    /// A parameter of the query that is a whole number.
    ///
    /// # Errors
    /// 400 in the framework's form for anything else, and for what is out of `bounds`.
    pub(in crate::api) fn number(
        &self,
        name: &str,
        default: u64,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, ApiError> {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| {
            let (least, most) = (bounds.start(), bounds.end());
            let help = format!("{text:?} is not a whole number from {least} to {most}");
            ApiError::Message {
                status: StatusCode::BAD_REQUEST,
                message: json!({ name: help }),
            }
        })
    }

    /// The whole query, for tokens that must not be read with `form_value`.
    pub(in crate::api) fn query(&self) -> Query<'_> {
        Query::of_text(&self.query)
    }

    /// The body, in the form of `T`.
    ///
    /// # Errors
    /// 400 that names what is missing or of the wrong type.
    pub(in crate::api) fn body<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        body::read(&self.body)
    }

    /// The body, or what `T` is without one: for doors whose body may be left out.
    ///
    /// # Errors
    /// As [`Context::body`].
    pub(in crate::api) fn optional_body<T: DeserializeOwned + Default>(
        &self,
    ) -> Result<T, ApiError> {
        match self.body.trim_ascii() {
            b"" | b"null" => Ok(T::default()),
            _ => body::read(&self.body),
        }
    }

    /// A value of a form in the body (`application/x-www-form-urlencoded`).
    pub(in crate::api) fn form(&self, name: &str) -> Option<String> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let value = Query::of_text(text).form_value(name);
        value.map(Cow::into_owned).filter(|value| !value.is_empty())
    }

    /// Who does it, for the usage log.
    pub(in crate::api) fn performer(&self) -> Performer {
        let by = self.caller.performer();
        match self
            .headers
            .get(header::USER_AGENT)
            .and_then(|it| it.to_str().ok())
        {
            Some(agent) => by.by_client(agent),
            None => by,
        }
    }

    pub(in crate::api) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// The user who asks.
    ///
    /// # Errors
    /// 401 for the anonymous, 403 for a robot.
    pub(in crate::api) fn user(&self) -> Result<(UserId, &NamespaceName), ApiError> {
        match self.caller.user() {
            Some(user) => Ok(user),
            None => Err(self.refusal()),
        }
    }

    /// Whether the client reaches the site by TLS.
    pub(in crate::api) fn is_secure(&self) -> bool {
        let site = self.state.site.load();
        site.secure.unwrap_or(self.exchange.secure)
    }

    /// 401 for nobody, 403 for somebody (Quay: `Unauthorized`).
    pub(in crate::api) fn refusal(&self) -> ApiError {
        refusal(&self.caller)
    }

    /// The repository of the path, where the row demands a role on it.
    ///
    /// # Panics
    /// If the row does not.
    pub(in crate::api) fn repository(&self) -> &RepositorySubject {
        match &self.subject {
            Subject::Repository(subject) => subject,
            _ => panic!("the row of this door needs a role on a repository"),
        }
    }

    /// The organisation of the path, where the row demands a part in it.
    ///
    /// # Panics
    /// If the row does not.
    pub(in crate::api) fn organization(&self) -> &OrganizationSubject {
        match &self.subject {
            Subject::Organization(subject) => subject,
            _ => panic!("the row of this door needs a part in an organisation"),
        }
    }

    /// The URL that this client reaches the site by, without a slash at the end.
    pub(in crate::api) fn site_url(&self) -> String {
        self.state.url(&self.exchange)
    }
}

/// 401 for nobody, 403 for somebody.
pub(super) fn refusal(caller: &Caller) -> ApiError {
    match caller.identity.is_anonymous() {
        true => ApiError::unauthenticated(),
        false => ApiError::forbidden(),
    }
}
