//! The doors of the registry protocol, `/v2/`.
//!
//! A path is split from the right by `oci::Endpoint`, because a repository name holds slashes; then the
//! name is routed to its organisation, and only then is anything looked up. Whatever is answered here
//! carries `Docker-Distribution-API-Version`, failures included.
//!
//! Reads go through `proxy`, writes through `registry`; who may do what is decided in `access` before
//! either. Without users there is nobody to log in, so `/v2/` answers 200.

mod access;
mod blobs;
mod catalog;
mod error;
mod manifests;
mod push;
mod referrers;
mod residency;
mod tags;
mod telling;
mod token;
mod uploads;
mod writes;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Method, header};
use serde::Serialize;

use super::headers::{self, API_VERSION, CACHE_STATUS, OCI_NAMESPACE};
use super::page::InvalidNumber;
use super::query::Query;
use super::state::State;
use crate::http::{
    AccessLevel, Body, Exchange, Finished, Operation, Request, RequestBody, Response, WhenFinished,
    response,
};
use crate::model::NamespaceName;
use crate::oci::{Action, Endpoint, EndpointError, ErrorCode, RepositoryName};
use crate::proxy::{CacheStatus, Origin, Route, Source};
use error::Failure;

/// The methods of an endpoint that is only read.
const READ: &str = "GET, HEAD";

/// What tokens are for (DESIGN section 3).
const SERVICE: &str = "entrepot";

/// One request at these doors.
pub(super) struct Visit<'a> {
    api: &'a State,
    exchange: &'a Exchange,
    method: &'a Method,
    headers: &'a HeaderMap,
    query: Query<'a>,
    /// `?ns=`, unless it is empty.
    ns: Option<Cow<'a, str>>,
    /// The organisation whose mirror listener the request came in by.
    listener: Option<&'a NamespaceName>,
}

/// What a door answers, and what is counted of it.
struct Served {
    response: Response,
    /// `None` for what no cache has a part in.
    cache: Option<CacheStatus>,
}

/// Answers a request whose path begins with `/v2`.
pub(super) async fn answer(
    api: &State,
    exchange: &Exchange,
    listener: Option<&NamespaceName>,
    request: Request,
) -> Response {
    let (request, body) = request.into_parts();
    let query = Query::of(&request.uri);
    let visit = Visit {
        api,
        exchange,
        method: &request.method,
        headers: &request.headers,
        query,
        ns: query.value("ns").filter(|ns| !ns.is_empty()),
        listener,
    };
    let parsed = Endpoint::parse(request.uri.path());
    let operation = Operation(parsed.as_ref().map_or("unknown", Endpoint::operation));
    let outcome = match &parsed {
        Ok(endpoint) => visit.answer(endpoint, body).await,
        // A tag that cannot exist is unknown to who asks for it, and a mistake of who makes it.
        Err(EndpointError::Tag(error)) if visit.method == Method::PUT => {
            Err(Failure::new(ErrorCode::TagInvalid, error.to_string()))
        }
        Err(error) => Err(error.clone().into()),
    };
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(failure) => {
            if let Ok(endpoint) = &parsed {
                visit.note_failure(endpoint, &failure).await;
            }
            failure.into_response(&exchange.id)
        }
    };
    answer
        .headers_mut()
        .insert(API_VERSION, headers::REGISTRY_2);
    answer.extensions_mut().insert(operation);
    answer
}

impl Visit<'_> {
    const fn headers(&self) -> &HeaderMap {
        self.headers
    }

    fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    fn is_read(&self) -> bool {
        matches!(*self.method, Method::GET | Method::HEAD)
    }

    async fn answer(&self, endpoint: &Endpoint, body: RequestBody) -> Result<Response, Failure> {
        let Some(name) = endpoint.name() else {
            return match endpoint {
                Endpoint::Token => token::answer(self, body).await,
                _ if !self.is_read() => Err(Failure::method(READ, "this path is only read")),
                Endpoint::Catalog => catalog::list_repositories(self).await,
                _ => self.ping().await,
            };
        };
        if !self.is_read() || is_upload(endpoint) {
            return self.write(endpoint, name, body).await;
        }
        let source = self.find(name, Action::Pull).await?;
        let admitted = self.admit(&source, Action::Pull).await?;
        let is_public = admitted.is_public;
        let served = match endpoint {
            Endpoint::Manifest { reference, .. } => {
                manifests::manifest(self, &source, reference, &admitted).await?
            }
            Endpoint::Blob { digest, .. } => blobs::blob(self, &source, digest, is_public).await?,
            Endpoint::Tags { .. } => tags::list_tags(self, &source).await?,
            Endpoint::Referrers { digest, .. } => {
                referrers::list_referrers(self, &source, digest).await?
            }
            Endpoint::Ping
            | Endpoint::Token
            | Endpoint::Catalog
            | Endpoint::Uploads { .. }
            | Endpoint::Upload { .. } => return Err(Failure::no_such_path()),
        };
        let mut answer = self.finish(&source, served);
        if !is_public {
            keep_private(answer.headers_mut());
        }
        Ok(answer)
    }

    /// What changes content: pushes and deletions.
    async fn write(
        &self,
        endpoint: &Endpoint,
        name: &RepositoryName,
        body: RequestBody,
    ) -> Result<Response, Failure> {
        let action = match *self.method {
            Method::DELETE if !is_upload(endpoint) => Action::Delete,
            _ => Action::Push,
        };
        let found = self.find_to_write(name, action).await;
        let source = match found {
            Ok(source) => source,
            Err(error) => return Err(writes::closed(self, endpoint).await.unwrap_or(error)),
        };
        writes::refuse_closed(self, endpoint, &source).await?;
        writes::refuse_encoded(self)?;
        match (endpoint, self.method) {
            (Endpoint::Uploads { .. }, &Method::POST) => uploads::begin(self, &source, body).await,
            (Endpoint::Upload { upload, .. }, _) => {
                uploads::continue_session(self, &source, upload, body).await
            }
            (Endpoint::Manifest { reference, .. }, &Method::PUT) => {
                push::put_manifest(self, &source, reference, body).await
            }
            (Endpoint::Manifest { reference, .. }, &Method::DELETE) => {
                push::delete_manifest(self, &source, reference).await
            }
            (Endpoint::Blob { digest, .. }, &Method::DELETE) => {
                push::delete_blob(self, &source, digest).await
            }
            _ => Err(Failure::method(
                writes::allow(endpoint),
                "this path does not take the method",
            )),
        }
    }

    /// end-1: tells that this is a registry, and that credentials are right.
    async fn ping(&self) -> Result<Response, Failure> {
        if self.listener.is_none() && self.api.accounts.has_users() {
            let caller = self.caller().await?;
            if caller.identity.is_anonymous() {
                // Without it, nobody would be asked for a password at a login.
                return Err(self.unauthorized(access::NOT_AUTHORIZED, &[], None));
            }
        }
        Ok(ping())
    }

    /// The repository that a name means at this entrance, for somebody who wants to do `action` there.
    async fn find(&self, name: &RepositoryName, action: Action) -> Result<Source, Failure> {
        match self.route(name).await? {
            Route::Source(source) => Ok(source),
            Route::Unserved => Err(Failure::new(
                ErrorCode::NameUnknown,
                "no organization here caches the registry that ns names",
            )),
            Route::UnknownNamespace(_) | Route::NoNamespace => {
                Err(self.unknown_name(name, action).await)
            }
        }
    }

    async fn route(&self, name: &RepositoryName) -> Result<Route, Failure> {
        let host = self
            .exchange
            .host
            .as_ref()
            .map(|host| host.host().to_ascii_lowercase());
        let library = self.api.library.load();
        let origin = Origin {
            listener: self.listener,
            host: host.as_deref(),
            ns: self.ns.as_deref(),
            library: library.as_ref().as_ref(),
        };
        Ok(self.api.proxy.route(&origin, name).await?)
    }

    /// Adds what every answer out of a repository has, and sees to its being counted.
    fn finish(&self, source: &Source, served: Served) -> Response {
        let Served {
            mut response,
            cache,
        } = served;
        let is_held = cache.is_some_and(|cache| cache.outcome().is_held());
        if let Some(counters) = self.api.proxy.metrics().of(source.organization()) {
            // Counted when they are out: a client that leaves half-way has not had the rest.
            let count = move |finished: &Finished<'_>| {
                counters.served.inc_by(finished.sent_bytes);
                if is_held {
                    counters.saved.inc_by(finished.sent_bytes);
                }
            };
            let listener = WhenFinished(Arc::new(count));
            response.extensions_mut().insert(listener);
        }
        // A thousand hits a second are not worth a line each.
        if is_held && !cache.is_some_and(|cache| cache.is_stale()) {
            response.extensions_mut().insert(AccessLevel::Quiet);
        }
        let scope = self.ns.as_deref().filter(|_| self.listener.is_none());
        if let Some(value) = scope.and_then(|ns| HeaderValue::from_str(ns).ok()) {
            response.headers_mut().insert(OCI_NAMESPACE, value);
        }
        response
    }
}

const fn is_upload(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Uploads { .. } | Endpoint::Upload { .. })
}

impl From<InvalidNumber> for Failure {
    fn from(_: InvalidNumber) -> Self {
        Self::new(
            ErrorCode::PaginationNumberInvalid,
            "n is not a number of entries",
        )
    }
}

/// AZ-16: what not everyone may read is kept by no cache that others share.
fn keep_private(headers: &mut HeaderMap) {
    let no_cache = HeaderValue::from_static("no-cache");
    if headers.get(header::CACHE_CONTROL) == Some(&no_cache) {
        let private = HeaderValue::from_static("private, no-cache");
        headers.insert(header::CACHE_CONTROL, private);
    }
}

/// end-1: tells that this is a registry.
fn ping() -> Response {
    let mut response = Response::new(Body::from("{}".to_owned()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, response::JSON);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(2));
    response.extensions_mut().insert(AccessLevel::Quiet);
    response
}

/// What an answer out of a cache says of where it comes from (RFC 9211, RFC 9111 §5.1).
fn content_headers(headers: &mut HeaderMap, cache: CacheStatus, age: Duration) {
    headers.insert(header::AGE, HeaderValue::from(age.as_secs()));
    cache_headers(headers, cache);
}

fn cache_headers(headers: &mut HeaderMap, cache: CacheStatus) {
    let status = cache.as_static().map_or_else(
        || headers::plain(cache.to_string()),
        HeaderValue::from_static,
    );
    headers.insert(CACHE_STATUS, status);
    if cache.is_stale() {
        let warning = HeaderValue::from_static("110 - \"Response is Stale\"");
        headers.insert(header::WARNING, warning);
    }
}

/// A list in JSON that clients ask for anew each time.
fn json_listing(
    list: &impl Serialize,
    content_type: HeaderValue,
    link: Option<HeaderValue>,
    cache: impl Into<Option<CacheStatus>>,
) -> Served {
    let cache = cache.into();
    let text = serde_json::to_string(list).expect("lists of names and descriptors are always JSON");
    let length = text.len();
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(link) = link {
        headers.insert(header::LINK, link);
    }
    if let Some(cache) = cache {
        content_headers(headers, cache, Duration::ZERO);
    }
    Served { response, cache }
}
