//! The body of a request, watched on its way to the handler.
//!
//! The connection's [`Pulse`] counts it as long as bytes of it may come, so a connection that brings an
//! upload is neither idle nor between two heads, whether or not it has its answer already. A body that
//! its handler drops half-read goes back to the service by its [`Leftover`], which reads a little of it away:
//! a connection closed on unread bytes is reset, and Go clients then report that and not the answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::http::{HeaderMap, Version, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::pulse::Pulse;
use super::request::{BodyReader, Drained, StreamLimits};

/// As much of an unread body as is read away for the sake of the connection; it takes one round trip.
const SCRAP_BYTES: u64 = 64 << 10;

/// How long the answer waits for that.
const SCRAP_WAIT: Duration = Duration::from_secs(1);

/// What a handler reads of a request; errors where the client breaks off, whatever the protocol calls it.
pub struct RequestBody {
    /// `None` only while it is dropped.
    inner: Option<Incoming>,
    /// Present while bytes may come.
    pulse: Option<Arc<Pulse>>,
    /// Where it goes when it is dropped too early; nowhere a second time.
    left: Option<Leftover>,
    is_http2: bool,
    /// The client waits for `100 Continue`, which hyper sends when the body is first polled.
    awaits_continue: bool,
}

/// Where a body that was not read to its end is left.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<RequestBody>>>);

/// HTTP/2: the client reset the stream with `NO_ERROR`, which hyper shows as a good end.
#[derive(Debug, thiserror::Error)]
#[error("the client reset the stream before its end")]
struct ResetEarly;

impl RequestBody {
    pub(super) fn new(
        inner: Incoming,
        head: (Version, &HeaderMap),
        pulse: &Arc<Pulse>,
        left: Leftover,
    ) -> Self {
        let comes = !inner.is_end_stream();
        if comes {
            pulse.body_begins();
        }
        let expects = head.1.get(header::EXPECT);
        Self {
            inner: Some(inner),
            pulse: comes.then(|| pulse.clone()),
            left: Some(left),
            is_http2: head.0 >= Version::HTTP_2,
            awaits_continue: expects
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")),
        }
    }

    fn ends(&mut self) {
        if let Some(pulse) = self.pulse.take() {
            pulse.body_ends();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.awaits_continue = false;
        let is_http2 = self.is_http2;
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        let at_end = inner.is_end_stream();
        if at_end || !matches!(frame, Some(Ok(_))) {
            self.ends();
        }
        Poll::Ready(match frame {
            None if is_http2 && !at_end => Some(Err(ResetEarly.into())),
            frame => frame.map(|frame| frame.map_err(Into::into)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // HTTP/2 resets the one stream, and needs no more of it.
        let (false, Some(left)) = (self.is_http2, self.left.take()) else {
            return self.ends();
        };
        if self.pulse.is_some() {
            left.put(Self {
                inner: self.inner.take(),
                pulse: self.pulse.take(),
                left: None,
                is_http2: false,
                awaits_continue: self.awaits_continue,
            });
        }
    }
}

impl Leftover {
    fn put(&self, body: RequestBody) {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = place.replace(body);
        drop(place);
        drop(before);
    }

    /// Reads away what a handler left, if that is little.
    ///
    /// Returns whether the connection can carry another request.
    pub(super) async fn clear(&self) -> bool {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut body) = left else { return true };
        if body.awaits_continue {
            // It was never asked for; RFC 9110 §10.1.1 has the connection closed then.
            body.ends();
            return false;
        }
        let limits = StreamLimits {
            bytes: None,
            wait: SCRAP_WAIT,
        };
        let drained = BodyReader::new(Pin::new(&mut body), limits)
            .drain(SCRAP_BYTES)
            .await;
        body.ends();
        drained == Drained::Whole
    }
}
