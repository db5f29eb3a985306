//! One connection from its first byte to its last.
//!
//! It finds out what is spoken, lets hyper speak it, and watches: a peer that is too slow, a shutdown
//! and a broken answer end the connection, each in its own way. hyper's own header timer stays
//! off, because it runs while a connection rests too and so cannot be shorter than the keep-alive time;
//! the [`Pulse`] knows both.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::guard::Guard;
use super::limits::Limits;
use super::mappings::Mappings;
use super::outgoing::Outgoing;
use super::pulse::{Pulse, Verdict};
use super::request_id::RequestIds;
use super::sendfile::Wire;
use super::service::{Handler, Link, Shared};
use super::shutdown::{Phase, Shutdown};
use super::sniff::{self, Speech};
use super::tls::Tls;

/// What a connection that was told to end may still take to do so.
const FAREWELL: Duration = Duration::from_secs(5);

/// What a connection that was accepted before the end began is given for its first request, which may be
/// on the way: whoever connected in time is answered (LC-09).
const FIRST_REQUEST: Duration = Duration::from_millis(250);

/// HTTP/2: of each stream, then of all streams of a connection, the bytes that may be on the way to us.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// HTTP/2: streams that a client opened and reset before we looked at them (rapid reset, DO-09), and
/// streams that we reset for the client's faults.
const RESET_UNSEEN: usize = 32;
const RESET_FOR_FAULTS: usize = 128;

/// HTTP/2: a silent client is asked, and given up if it does not reply.
const PING_AFTER: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// A connection that was accepted, before anything is known of it.
pub(super) struct Newcomer<H> {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) listener: usize,
    pub(super) tls: Option<Tls>,
    pub(super) shared: Arc<Shared<H>>,
    /// Must not have seen any phase yet.
    pub(super) shutdown: Shutdown,
}

/// How a connection ended.
enum End {
    /// hyper is done with it, well or not.
    Finished(hyper::Result<()>),
    /// It had to be cut.
    Cut,
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Security {
    Plain,
    Tls,
}

/// A stream over TCP.
trait OverTcp {
    fn tcp(&self) -> &TcpStream;
}

/// A hyper connection that can be told to end.
trait Courteous: Future<Output = hyper::Result<()>> + Unpin {
    /// Finish what runs, begin nothing.
    fn finish(&mut self);
}

impl<H: Handler> Newcomer<H> {
    /// Serves the connection until it ends, or is refused, or the server is.
    pub(super) async fn serve(mut self) {
        let mut shutdown = self.shutdown.clone();
        let late = async {
            shutdown.reached(Phase::Draining).await;
            // A cut waits for nobody.
            let _ = timeout(FIRST_REQUEST, shutdown.reached(Phase::Cutting)).await;
        };
        let greeted = tokio::select! {
            // Nothing was asked yet, so nobody loses anything.
            () = late => return,
            greeted = self.greet() => greeted,
        };
        let Some((speech, early)) = greeted else {
            return;
        };
        match (speech, self.tls.take()) {
            (Speech::Tls, None) => sniff::refuse(self.stream, sniff::TLS_ON_PLAIN).await,
            (Speech::Tls, Some(tls)) => self.serve_tls(&tls, early).await,
            (_, Some(_)) => sniff::refuse(self.stream, sniff::PLAIN_ON_TLS).await,
            (Speech::Http2, None) => {
                let (link, rest) = self.introduce(Security::Plain, None);
                let wire = Wire::new(rest.stream, early, Mappings::default());
                link.speak_http2(wire, rest.shutdown).await;
            }
            (Speech::Http1, None) => {
                let mappings = Mappings::default();
                let (link, rest) = self.introduce(Security::Plain, Some(mappings.clone()));
                let wire = Wire::new(rest.stream, early, mappings);
                link.speak_http1(wire, rest.shutdown).await;
            }
        }
    }

    /// Waits for the first bytes; `None` if there is nobody to serve.
    async fn greet(&mut self) -> Option<(Speech, Bytes)> {
        let limits = &self.shared.limits;
        let patience = match self.tls {
            Some(_) => limits.handshake,
            None => limits.head,
        };
        match timeout(patience, sniff::listen(&mut self.stream)).await {
            Ok(greeted) => greeted.ok().flatten(),
            Err(_) => {
                self.shared.log.metrics.slow_peers.inc();
                None
            }
        }
    }

    async fn serve_tls(self, tls: &Tls, early: Bytes) {
        let (link, rest) = self.introduce(Security::Tls, None);
        let wire = Wire::new(rest.stream, early, Mappings::default());
        let handshake = timeout(link.shared.limits.handshake, tls.acceptor().accept(wire));
        let mut cutting = rest.shutdown.clone();
        let secured = tokio::select! {
            biased;
            () = cutting.reached(Phase::Cutting) => return,
            secured = handshake => secured,
        };
        let stream = match secured {
            Ok(Ok(stream)) => stream,
            failed => {
                let why = failed.err().map_or("it failed", |_| "it took too long");
                tracing::debug!(client = %link.peer, why, "a TLS handshake failed");
                link.shared.log.metrics.handshake_failures.inc();
                return;
            }
        };
        let has_certificate = stream.get_ref().1.peer_certificates().is_some();
        link.shared.log.metrics.handshake(has_certificate);
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => link.speak_http2(stream, rest.shutdown).await,
            _ => link.speak_http1(stream, rest.shutdown).await,
        }
    }

    fn introduce(self, security: Security, mappings: Option<Mappings>) -> (Arc<Link<H>>, Rest) {
        let link = Link {
            peer: self.peer,
            listener: self.listener,
            tls: security == Security::Tls,
            mappings,
            ids: RequestIds::new(),
            pulse: Arc::new(Pulse::new()),
            shared: self.shared,
        };
        let rest = Rest {
            stream: self.stream,
            shutdown: self.shutdown,
        };
        (Arc::new(link), rest)
    }
}

/// What of a newcomer does not go into its link.
struct Rest {
    stream: TcpStream,
    shutdown: Shutdown,
}

impl<H: Handler> Link<H> {
    async fn speak_http1<S>(self: Arc<Self>, stream: S, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + OverTcp + Unpin + 'static,
    {
        let limits = &self.shared.limits;
        let link = self.clone();
        let service = service_fn(move |request| {
            let link = link.clone();
            async move { Ok::<_, Infallible>(link.answer(request).await) }
        });
        let guard = Guard::new(stream, self.pulse.clone());
        let mut connection = http1::Builder::new()
            .header_read_timeout(None)
            .max_headers(limits.head_lines)
            .max_header_size(limits.head_bytes)
            // Also how much of a body is queued for a slow client: one piece.
            .max_buf_size(limits.head_bytes.max(64 << 10))
            .serve_connection(TokioIo::new(guard), service);
        let end = drive(&mut connection, &self, shutdown).await;
        let guard = connection.into_parts().io.into_inner();
        let tcp = guard.inner().tcp();
        match end {
            // A reset, because a clean end would make a short body of unknown length look whole.
            _ if self.pulse.is_broken() => reset(tcp),
            End::Cut => reset(tcp),
            End::Finished(Err(error)) => {
                tracing::debug!(client = %self.peer, %error, "a connection failed");
                sniff::linger(tcp).await;
            }
            // Bytes of a body may be unread, and closing on them would reset: see `linger`.
            End::Finished(Ok(())) if guard.may_hold_body() => sniff::linger(tcp).await,
            End::Finished(Ok(())) => {}
        }
    }

    async fn speak_http2<S>(self: Arc<Self>, stream: S, shutdown: Shutdown)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let limits = &self.shared.limits;
        let link = self.clone();
        let service = service_fn(move |request| {
            let link = link.clone();
            async move { Ok::<_, Infallible>(link.answer(request).await) }
        });
        let head_bytes = u32::try_from(limits.head_bytes).unwrap_or(u32::MAX);
        let mut connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(limits.streams)
            .max_pending_accept_reset_streams(RESET_UNSEEN)
            .max_local_error_reset_streams(RESET_FOR_FAULTS)
            .max_header_list_size(head_bytes)
            .max_send_buf_size(STREAM_WINDOW as usize)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PONG_WITHIN)
            .serve_connection(TokioIo::new(stream), service);
        if let End::Finished(Err(error)) = drive(&mut connection, &self, shutdown).await {
            tracing::debug!(client = %self.peer, %error, "a connection failed");
        }
    }
}

/// Runs a connection until it ends or has to be cut.
async fn drive<C: Courteous, H>(connection: &mut C, link: &Link<H>, mut shutdown: Shutdown) -> End {
    let limits: &Limits = &link.shared.limits;
    let mut look = std::pin::pin!(sleep(Duration::ZERO));
    let mut last_call = std::pin::pin!(sleep(FIRST_REQUEST));
    let mut is_last_call = false;
    let mut was_told = false;
    loop {
        tokio::select! {
            biased;
            result = &mut *connection => return End::Finished(result),
            phase = shutdown.next() => match phase {
                Phase::Cutting => return End::Cut,
                Phase::Draining | Phase::Serving if link.pulse.has_begun() => connection.finish(),
                Phase::Draining | Phase::Serving => {
                    is_last_call = true;
                    last_call.as_mut().reset(Instant::now() + FIRST_REQUEST);
                }
            },
            () = &mut last_call, if is_last_call => {
                is_last_call = false;
                connection.finish();
            }
            () = &mut look => {
                let wait = match link.pulse.judge(limits) {
                    Verdict::Fine(wait) => wait,
                    Verdict::Idle if !was_told => {
                        was_told = true;
                        connection.finish();
                        FAREWELL
                    }
                    verdict => {
                        tracing::debug!(client = %link.peer, ?verdict, "cutting a slow connection");
                        link.shared.log.metrics.slow_peers.inc();
                        return End::Cut;
                    }
                };
                look.as_mut().reset(Instant::now() + wait);
            }
        }
    }
}

/// Makes the coming close a reset: what is still in the socket is dropped, and the peer sees an error.
fn reset(tcp: &TcpStream) {
    // If that fails, the connection closes in the ordinary way.
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

impl OverTcp for Wire {
    fn tcp(&self) -> &TcpStream {
        Self::tcp(self)
    }
}

impl OverTcp for TlsStream<Wire> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0.tcp()
    }
}

impl<I, S> Courteous for http1::Connection<I, S>
where
    I: Read + Write + Unpin + 'static,
    S: Service<
            ::http::Request<Incoming>,
            Response = ::http::Response<Outgoing>,
            Error = Infallible,
        > + Unpin,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl<I, S> Courteous for http2::Connection<I, S, TokioExecutor>
where
    I: Read + Write + Unpin + 'static,
    S: Service<
            ::http::Request<Incoming>,
            Response = ::http::Response<Outgoing>,
            Error = Infallible,
        > + Unpin,
    S::Future: Send + 'static,
{
    fn finish(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}
