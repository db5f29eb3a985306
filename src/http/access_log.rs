//! One line, one sample and one call a request, when the last byte of its answer is out.
//!
//! A [`Transfer`] goes with a request: into the handler, then with the body, then with the last chunk that
//! hyper holds. What drops it last ends the request, so its bytes and its time are those of the
//! wire, and a client that went away is seen as one. Lines hold the path but not the query, which may
//! carry secrets; they are one line each, of bounded length (DO-10).

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ::http::{Method, StatusCode, Uri};
use tokio::time::Instant;

use super::body::BodyError;
use super::metrics::Metrics;
use super::pulse::Pulse;
use super::request_id::RequestId;

/// As much of a path as is logged.
const LONGEST_PATH: usize = 1024;

/// The operation a request came to, put into the answer's extensions; a name of the route table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Operation(pub &'static str);

/// How loud the line of a request is, put into the answer's extensions. Failures are never quiet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AccessLevel {
    /// A line at `info`.
    #[default]
    Normal,
    /// A line at `debug`: for what happens a thousand times a second, such as cache hits.
    Quiet,
}

/// Called when this one request is over, put into the answer's extensions; must be quick.
#[derive(Clone)]
pub struct WhenFinished(pub OnFinished);

/// A request that is over.
#[derive(Debug)]
pub struct Finished<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, without the query.
    pub path: &'a str,
    /// What it was, as the handler said.
    pub operation: Option<Operation>,
    /// What it was answered; `None` if the client left before that.
    pub status: Option<StatusCode>,
    /// Bytes of the body that went out.
    pub sent_bytes: u64,
    /// Whether that was all of it.
    pub complete: bool,
    /// Why not, if it was our side that failed.
    pub error: Option<&'a BodyError>,
    /// From its head to the last byte of its answer.
    pub duration: Duration,
    /// Who asked.
    pub client: SocketAddr,
    /// Its name.
    pub id: &'a RequestId,
}

/// Called with every request that is over; must be quick.
pub type OnFinished = Arc<dyn Fn(&Finished<'_>) + Send + Sync>;

/// What is told of requests, and to whom.
#[derive(Clone)]
pub(super) struct AccessLog {
    pub(super) metrics: Metrics,
    pub(super) on_finished: Option<OnFinished>,
}

/// A request under way; dropped, it is over.
pub(super) struct Transfer {
    log: Arc<AccessLog>,
    pulse: Arc<Pulse>,
    method: Method,
    uri: Uri,
    id: RequestId,
    client: SocketAddr,
    began: Instant,
    answer: Option<Answer>,
    given: AtomicU64,
    sent: AtomicU64,
    ended: AtomicBool,
    error: OnceLock<BodyError>,
}

/// What a request is answered, as the log tells it.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) operation: Option<Operation>,
    pub(super) level: AccessLevel,
    pub(super) when_finished: Option<WhenFinished>,
}

impl Transfer {
    pub(super) fn begin(
        log: Arc<AccessLog>,
        pulse: Arc<Pulse>,
        request: (&Method, &Uri),
        id: RequestId,
        client: SocketAddr,
    ) -> Self {
        pulse.exchange_begins();
        Self {
            log,
            pulse,
            method: request.0.clone(),
            uri: request.1.clone(),
            id,
            client,
            began: Instant::now(),
            answer: None,
            given: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            error: OnceLock::new(),
        }
    }

    /// The request has an answer, whose body follows.
    pub(super) fn answered(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// `bytes` of the body are given to hyper.
    pub(super) fn given(&self, bytes: usize) {
        self.given.fetch_add(bytes as u64, Relaxed);
    }

    /// The client took `bytes` of them.
    pub(super) fn taken(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        self.pulse.taken(bytes as u64);
    }

    /// The pulse of the request's connection.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The body has given all it has.
    pub(super) fn ended(&self) {
        self.ended.store(true, Relaxed);
    }

    /// The body broke. The connection must not end as if it had not.
    pub(super) fn broke(&self, error: BodyError) {
        self.pulse.breaks();
        // A body breaks once; a second error would tell less.
        let _ = self.error.set(error);
    }

    fn finished(&self) -> Finished<'_> {
        let sent_bytes = self.sent.load(Relaxed);
        Finished {
            method: &self.method,
            path: path(&self.uri),
            operation: self.answer.as_ref().and_then(|answer| answer.operation),
            status: self.answer.as_ref().map(|answer| answer.status),
            sent_bytes,
            complete: self.ended.load(Relaxed) && sent_bytes == self.given.load(Relaxed),
            error: self.error.get(),
            duration: self.began.elapsed(),
            client: self.client,
            id: &self.id,
        }
    }

    fn level(&self) -> AccessLevel {
        let quiet = self.answer.as_ref().filter(|answer| {
            let failed = answer.status.is_client_error() || answer.status.is_server_error();
            answer.level == AccessLevel::Quiet && !failed && self.error.get().is_none()
        });
        quiet.map_or(AccessLevel::Normal, |answer| answer.level)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let finished = self.finished();
        match self.level() {
            AccessLevel::Quiet if tracing::enabled!(tracing::Level::DEBUG) => {
                tracing::debug!(target: "entrepot::access", "{finished}");
            }
            AccessLevel::Quiet => {}
            AccessLevel::Normal => tracing::info!(target: "entrepot::access", "{finished}"),
        }
        self.log.metrics.observe(&finished);
        if let Some(call) = &self.log.on_finished {
            call(&finished);
        }
        let answer = self.answer.as_ref();
        if let Some(WhenFinished(call)) = answer.and_then(|answer| answer.when_finished.as_ref()) {
            call(&finished);
        }
        self.pulse.exchange_ends();
    }
}

/// The path, cut where a line would grow too long.
fn path(uri: &Uri) -> &str {
    let path = uri.path();
    let end = path.floor_char_boundary(LONGEST_PATH);
    &path[..end]
}

impl fmt::Display for Finished<'_> {
    /// `GET /v2/ 200 2 bytes in 120us, client 127.0.0.1:4000, request 0123456789abcdef-1`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.method, self.path.escape_default())?;
        match self.status {
            Some(status) => write!(f, "{}", status.as_u16())?,
            None => f.write_str("unanswered")?,
        }
        write!(f, " {} bytes in {:?}", self.sent_bytes, self.duration)?;
        if let Some(error) = self.error {
            write!(f, ", broken off: {}", error.to_string().escape_debug())?;
        } else if self.status.is_some() && !self.complete {
            f.write_str(", client left")?;
        }
        if let Some(Operation(operation)) = self.operation {
            write!(f, ", {operation}")?;
        }
        write!(f, ", client {}, request {}", self.client, self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ::http::HeaderMap;

    use super::super::request_id::RequestIds;
    use super::*;

    type Lines = Arc<Mutex<Vec<String>>>;

    fn begin(path: &'static str) -> (Transfer, Lines) {
        let lines = Lines::default();
        let kept = lines.clone();
        let log = AccessLog {
            metrics: Metrics::new(&prometheus::Registry::new()).unwrap(),
            on_finished: Some(Arc::new(move |finished: &Finished<'_>| {
                let line = finished.to_string();
                let (before, after) = line.split_once(" in ").unwrap();
                let (_, after) = after.split_once(',').unwrap();
                kept.lock().unwrap().push(format!("{before},{after}"));
            })),
        };
        let headers = HeaderMap::from_iter([(
            ::http::HeaderName::from_static("x-request-id"),
            ::http::HeaderValue::from_static("me"),
        )]);
        let transfer = Transfer::begin(
            Arc::new(log),
            Arc::new(Pulse::new()),
            (&Method::GET, &Uri::from_static(path)),
            RequestIds::new().name(&headers),
            "192.0.2.1:5".parse().unwrap(),
        );
        (transfer, lines)
    }

    fn answer(status: StatusCode) -> Answer {
        Answer {
            status,
            operation: Some(Operation("getThing")),
            level: AccessLevel::Quiet,
            when_finished: None,
        }
    }

    #[test]
    fn a_request_is_told_once_and_wholly() {
        let (mut transfer, lines) = begin("/a/b?token=secret");
        transfer.answered(answer(StatusCode::OK));
        assert_eq!(transfer.level(), AccessLevel::Quiet);
        transfer.given(5);
        transfer.taken(5);
        transfer.ended();
        assert!(lines.lock().unwrap().is_empty());
        drop(transfer);
        let expected = "GET /a/b 200 5 bytes, getThing, client 192.0.2.1:5, request me";
        assert_eq!(*lines.lock().unwrap(), [expected]);
    }

    #[test]
    fn an_answer_has_a_listener_of_its_own() {
        let (mut transfer, _) = begin("/");
        let heard = Arc::new(AtomicU64::new(0));
        let sum = heard.clone();
        let call = move |finished: &Finished<'_>| {
            sum.fetch_add(finished.sent_bytes, Relaxed);
        };
        transfer.answered(Answer {
            when_finished: Some(WhenFinished(Arc::new(call))),
            ..answer(StatusCode::OK)
        });
        transfer.given(9);
        transfer.taken(7);
        assert_eq!(heard.load(Relaxed), 0);
        drop(transfer);
        assert_eq!(heard.load(Relaxed), 7);
    }

    #[test]
    fn what_went_wrong_is_told_and_never_quiet() {
        let (transfer, lines) = begin("/");
        assert_eq!(transfer.level(), AccessLevel::Normal);
        drop(transfer);
        assert!(lines.lock().unwrap()[0].starts_with("GET / unanswered 0 bytes"));

        let (mut transfer, lines) = begin("/");
        transfer.answered(answer(StatusCode::OK));
        transfer.given(5);
        transfer.taken(3);
        transfer.ended();
        drop(transfer);
        assert!(lines.lock().unwrap()[0].contains("3 bytes, client left,"));

        let (mut transfer, lines) = begin("/");
        transfer.answered(answer(StatusCode::OK));
        transfer.broke(BodyError::source("line\nbreak"));
        assert_eq!(transfer.level(), AccessLevel::Normal);
        drop(transfer);
        assert!(lines.lock().unwrap()[0].contains(r"broken off: line\nbreak,"));

        let (mut transfer, _) = begin("/");
        transfer.answered(answer(StatusCode::BAD_GATEWAY));
        assert_eq!(transfer.level(), AccessLevel::Normal);
    }

    /// DO-10: a path cannot make a line long or break it.
    #[test]
    fn a_path_is_cut() {
        let long: &'static str = format!("/{}", "x".repeat(9000)).leak();
        let (transfer, lines) = begin(long);
        drop(transfer);
        assert!(lines.lock().unwrap()[0].len() < 1200);
    }
}
