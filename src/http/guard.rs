//! Refuses request heads on which two servers could disagree (PR-11, RFC 9112 §11.2).
//!
//! hyper's parser takes two things that a strict one must not: a line that ends in a bare LF, and
//! `Content-Length` next to `Transfer-Encoding` (it obeys the latter and closes). [`Guard`] stands below
//! hyper, watches heads pass, and spoils the byte at which a head becomes illegal, so that hyper itself
//! answers 400 and closes. It also tells the connection's [`Pulse`] when a head begins and ends.
//!
//! It follows heads only: once one announces a body, it looks away until that request has been answered.
//! It never lets more through than hyper would.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::Pulse;

const CONTENT_LENGTH: &[u8] = b"content-length:";
const TRANSFER_ENCODING: &[u8] = b"transfer-encoding:";

/// Longest beginning of a line that matters.
const BEGINNING: usize = TRANSFER_ENCODING.len();

/// A stream of HTTP/1 requests whose heads are watched.
pub(super) struct Guard<T> {
    inner: T,
    head: Head,
    pulse: Arc<Pulse>,
}

/// How far the head under way has been read.
#[derive(Default)]
struct Head {
    /// The beginning of the line under way, in lower case.
    line: [u8; BEGINNING],
    /// The line's length until now.
    length: usize,
    /// Whether its last byte is a CR.
    after_cr: bool,
    /// Whether the request line is complete.
    begun: bool,
    has_length: bool,
    has_encoding: bool,
    state: State,
}

#[derive(Clone, Copy, Default, Eq, PartialEq)]
enum State {
    #[default]
    Head,
    /// A body follows; what passes is not ours to read.
    Body,
    /// The head was spoilt; hyper still has to see an end of it, or it would wait for one.
    Spoilt,
    /// Nothing more is let through.
    Closed,
}

impl<T> Guard<T> {
    pub(super) fn new(inner: T, pulse: Arc<Pulse>) -> Self {
        Self {
            inner,
            head: Head::default(),
            pulse,
        }
    }

    pub(super) fn inner(&self) -> &T {
        &self.inner
    }

    /// Whether the last request that came had a body.
    pub(super) fn may_hold_body(&self) -> bool {
        self.head.state == State::Body
    }

    /// Looks through bytes just read; returns how many of them may pass.
    fn inspect(&mut self, bytes: &mut [u8]) -> usize {
        if self.head.state == State::Body && self.pulse.is_resting() {
            self.head = Head::default();
        }
        let Err(spoilt) = self.head.read(bytes) else {
            self.note_head();
            return bytes.len();
        };
        // No byte is less welcome in a head than this one, wherever it stands.
        bytes[spoilt] = 0;
        self.head.state = State::Spoilt;
        spoilt + 1
    }

    fn note_head(&self) {
        if self.head.state == State::Head && (self.head.begun || self.head.length > 0) {
            self.pulse.head_begins();
        } else {
            self.pulse.head_ends();
        }
    }
}

impl Head {
    /// Follows `bytes` through heads; the error is where they become illegal.
    fn read(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while self.state == State::Head && at < bytes.len() {
            let rest = &bytes[at..];
            let Some(feed) = rest.iter().position(|b| *b == b'\n') else {
                self.grow(rest);
                return Ok(());
            };
            self.grow(&rest[..feed]);
            at += feed;
            self.end_line().map_err(|()| at)?;
            at += 1;
        }
        Ok(())
    }

    fn grow(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.after_cr = *last == b'\r';
        if let Some(room) = self.line.get_mut(self.length..) {
            let beginning = room.iter_mut().zip(bytes);
            beginning.for_each(|(to, from)| *to = from.to_ascii_lowercase());
        }
        self.length += bytes.len();
    }

    fn end_line(&mut self) -> Result<(), ()> {
        // RFC 9112 §2.2 lets a recipient take a bare LF; one that does not cannot be fooled with it.
        if !self.after_cr {
            return Err(());
        }
        let is_empty = self.length == 1;
        self.has_length |= self.line.starts_with(CONTENT_LENGTH);
        self.has_encoding |= self.line.starts_with(TRANSFER_ENCODING);
        if is_empty && self.begun {
            return self.end_head();
        }
        self.begun |= !is_empty;
        self.line = [0; BEGINNING];
        self.length = 0;
        self.after_cr = false;
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), ()> {
        // RFC 9112 §6.3: both together "ought to be handled as an error".
        if self.has_length && self.has_encoding {
            return Err(());
        }
        let has_body = self.has_length || self.has_encoding;
        *self = Self {
            state: if has_body { State::Body } else { State::Head },
            ..Self::default()
        };
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Guard<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.head.state {
            State::Head | State::Body => {}
            State::Spoilt => {
                buf.put_slice(&b"\r\n\r\n"[..buf.remaining().min(4)]);
                this.head.state = State::Closed;
                return Poll::Ready(Ok(()));
            }
            State::Closed => return Poll::Ready(Ok(())),
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let passed = this.inspect(&mut buf.filled_mut()[before..]);
        buf.set_filled(before + passed);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Guard<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What passes when `text` arrives in pieces of `step` bytes.
    fn passed(text: &str, step: usize) -> Vec<u8> {
        let pulse = Arc::new(Pulse::new());
        pulse.exchange_begins();
        let mut guard = Guard::new((), pulse);
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(step) {
            let mut piece = piece.to_vec();
            if guard.head.state != State::Spoilt {
                let length = guard.inspect(&mut piece);
                all.extend_from_slice(&piece[..length]);
            }
        }
        all
    }

    fn is_spoilt(text: &str) -> bool {
        let at_once = passed(text, text.len()) != text.as_bytes();
        for step in [1, 2, 7] {
            assert_eq!(
                passed(text, step) != text.as_bytes(),
                at_once,
                "{text:?} by {step}"
            );
        }
        at_once
    }

    /// PR-11: what two servers could read differently does not pass, however it is cut up.
    #[test]
    fn ambiguous_heads_are_spoilt() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\ntransfer-encoding:chunked\r\nCONTENT-LENGTH:1\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\n\r\n",
            "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\n\r\n",
        ] {
            assert!(is_spoilt(head), "{head:?}");
        }
    }

    #[test]
    fn ordinary_heads_pass() {
        for head in [
            "GET / HTTP/1.1\r\nHost: a\r\nX-Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 5\r\n\r\na\nb\n\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nContent-Length:\n",
            "GET / HTTP/1.1\r\nTE: content-length:\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert!(!is_spoilt(head), "{head:?}");
        }
    }

    #[test]
    fn the_next_request_is_watched_again_when_the_last_is_answered() {
        let pulse = Arc::new(Pulse::new());
        let mut guard = Guard::new((), pulse.clone());
        pulse.exchange_begins();
        let mut first = *b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\na\n";
        assert_eq!(guard.inspect(&mut first), first.len());
        pulse.exchange_ends();
        let mut second = *b"GET / HTTP/1.1\n";
        guard.inspect(&mut second);
        assert_eq!(&second, b"GET / HTTP/1.1\0");
    }

    proptest! {
        /// The guard neither adds nor reorders: what passes is a prefix, but for the spoilt byte.
        #[test]
        fn only_the_last_byte_is_ever_changed(text in "(GET|\r\n|\n|Content-Length: 1|:|x){0,12}") {
            let seen = passed(&text, text.len().max(1));
            prop_assert!(seen.len() <= text.len());
            if let Some((_, front)) = seen.split_last() {
                prop_assert!(text.as_bytes().starts_with(front));
            }
        }
    }
}
