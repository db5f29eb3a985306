//! One request: named, checked, handled, answered and logged.
//!
//! What every request of every door gets is here, and nothing of what a door means. A panic of a
//! handler is one answer 500 and nobody else's matter (DO-08).

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ::http::{HeaderValue, Method, StatusCode, Version, header};
use futures_util::FutureExt;
use hyper::body::Incoming;

use super::access_log::{AccessLog, Answer, Transfer};
use super::arrival::{Leftover, RequestBody};
use super::body::Body;
use super::exchange::{self, Exchange, Trusted};
use super::limits::Limits;
use super::mappings::Mappings;
use super::outgoing::Outgoing;
use super::pulse::Pulse;
use super::request_id::{self, RequestIds};
use super::response;

/// A request as a handler gets it; its [`Exchange`] is in the extensions.
pub type Request = ::http::Request<RequestBody>;

/// An answer as a handler gives it.
pub type Response = ::http::Response<Body>;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers `request`. Dropped when the client leaves.
    fn handle(self: Arc<Self>, request: Request) -> impl Future<Output = Response> + Send;
}

impl<F, A> Handler for F
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    fn handle(self: Arc<Self>, request: Request) -> impl Future<Output = Response> + Send {
        (*self)(request)
    }
}

/// What all connections of a server share.
pub(super) struct Shared<H> {
    pub(super) handler: Arc<H>,
    pub(super) limits: Limits,
    pub(super) trusted: Trusted,
    pub(super) log: Arc<AccessLog>,
}

/// What all requests of a connection share.
pub(super) struct Link<H> {
    pub(super) shared: Arc<Shared<H>>,
    pub(super) peer: SocketAddr,
    pub(super) listener: usize,
    pub(super) tls: bool,
    /// Where files may be sent by sendfile.
    pub(super) mappings: Option<Mappings>,
    pub(super) ids: RequestIds,
    pub(super) pulse: Arc<Pulse>,
}

impl<H: Handler> Link<H> {
    /// Answers one request of this connection.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: ::http::Request<Incoming>,
    ) -> ::http::Response<Outgoing> {
        let exchange = self.exchange(&request);
        let mut transfer = Transfer::begin(
            self.shared.log.clone(),
            self.pulse.clone(),
            (request.method(), request.uri()),
            exchange.id.clone(),
            exchange.client,
        );
        let id = exchange.id.header();
        let is_head = request.method() == Method::HEAD;
        let mut response = match self.refusal(&request, &exchange) {
            Some((status, text)) => refused(status, text, request.version()),
            None => self.handled(request, exchange).await,
        };
        settle(&mut response, is_head);
        let headers = response.headers_mut();
        headers.entry(request_id::HEADER).or_insert(id);
        let status = response.status();
        let extensions = response.extensions_mut();
        transfer.answered(Answer {
            status,
            operation: extensions.remove(),
            level: extensions.remove().unwrap_or_default(),
            when_finished: extensions.remove(),
        });
        response.map(|body| Outgoing::new(body, self.mappings.clone(), transfer))
    }

    fn exchange<B>(&self, request: &::http::Request<B>) -> Exchange {
        let headers = request.headers();
        let mut exchange = Exchange {
            id: self.ids.name(headers),
            client: self.peer,
            listener: self.listener,
            secure: self.tls,
            host: exchange::host(request.uri(), headers),
            sendfile: self.mappings.is_some(),
        };
        self.shared.trusted.hear(headers, &mut exchange);
        exchange
    }

    /// What no handler needs to see.
    fn refusal<B>(
        &self,
        request: &::http::Request<B>,
        exchange: &Exchange,
    ) -> Option<(StatusCode, &'static str)> {
        let bad = |text| Some((StatusCode::BAD_REQUEST, text));
        let headers = request.headers();
        let target = request.uri().path_and_query();
        if target.is_some_and(|target| target.as_str().len() > self.shared.limits.target_bytes) {
            return Some((
                StatusCode::URI_TOO_LONG,
                "The request target is too long.\n",
            ));
        }
        if request.method() == Method::CONNECT {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "This is no proxy.\n"));
        }
        // RFC 9112 §3.2: none, several, or an invalid one must be answered 400.
        let hosts = headers.get_all(header::HOST).iter().count();
        if request.version() == Version::HTTP_11 && (hosts != 1 || exchange.host.is_none()) {
            return bad("The request needs one valid Host header.\n");
        }
        // RFC 9112 §6.1; hyper has seen to it that chunked is the last coding.
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
        let is_chunked = |v: &HeaderValue| v.as_bytes().eq_ignore_ascii_case(b"chunked");
        if codings
            .next()
            .is_some_and(|first| !is_chunked(first) || codings.next().is_some())
        {
            return bad("The only transfer coding that is understood is chunked, once.\n");
        }
        None
    }

    async fn handled(&self, request: ::http::Request<Incoming>, exchange: Exchange) -> Response {
        let left = Leftover::default();
        let (mut head, body) = request.into_parts();
        head.extensions.insert(exchange);
        let from = (head.version, &head.headers);
        let body = RequestBody::new(body, from, &self.pulse, left.clone());
        let (method, version) = (head.method.clone(), head.version);
        let request = Request::from_parts(head, body);
        let mut response = self.guarded(&method, request).await;
        if !left.clear().await {
            close(&mut response, version);
        }
        response
    }

    async fn guarded(&self, method: &Method, request: Request) -> Response {
        let handler = self.shared.handler.clone();
        let answer = async move { handler.handle(request).await };
        // Whatever the handler held is dropped with it; what others share guards itself.
        match AssertUnwindSafe(answer).catch_unwind().await {
            Ok(response) => response,
            Err(_) => {
                self.shared.log.metrics.panics.inc();
                tracing::error!(request.method = %method, "a handler panicked; answering 500");
                let text = "The server failed to handle the request.\n";
                response::text(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        }
    }
}

/// An answer after which an HTTP/1 connection closes: what follows may not be what it seems (PR-11).
fn refused(status: StatusCode, text: &'static str, version: Version) -> Response {
    let mut response = response::text(status, text);
    close(&mut response, version);
    response
}

/// Has an HTTP/1 connection closed behind this answer.
fn close(response: &mut Response, version: Version) {
    if version < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
}

/// Takes the body away where there must be none, and keeps its length where HEAD asks for it
/// (RFC 9110 §9.3.2, §15.3.5, §15.4.5).
fn settle(response: &mut Response, is_head: bool) {
    let status = response.status();
    let is_bare = status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if !is_bare && !is_head {
        return;
    }
    let size = response.body().size().filter(|_| !is_bare);
    if let Some(size) = size {
        let length = response.headers_mut().entry(header::CONTENT_LENGTH);
        length.or_insert_with(|| HeaderValue::from(size));
    }
    *response.body_mut() = Body::Empty;
}
