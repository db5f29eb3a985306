//! A stream of a file's bytes, for TLS, HTTP/2 and small bodies.
//!
//! Pieces come from the page cache on the polling task itself; only where it lacks them does one
//! read go to the blocking pool. A piece is read when it is asked for, so a slow client costs one
//! buffer.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use tokio::task::JoinHandle;

use crate::oci::ByteRange;

use super::open::OpenFile;
use super::{Error, joined};

/// Bytes of a blob in order, in pieces of at most 64 KiB; ends after the first error.
pub struct ByteStream {
    file: Arc<OpenFile>,
    position: u64,
    end: u64,
    reading: Option<JoinHandle<Result<Bytes, Error>>>,
    failure: Option<Error>,
}

impl ByteStream {
    /// Invariant: `range` lies within what `file` has.
    pub(super) fn new(file: Arc<OpenFile>, range: ByteRange) -> Self {
        Self {
            file,
            position: range.start,
            end: range.end,
            reading: None,
            failure: None,
        }
    }

    /// A stream of nothing but `error`.
    pub(super) fn failing(file: Arc<OpenFile>, error: Error) -> Self {
        let mut stream = Self::new(file, ByteRange { start: 0, end: 0 });
        stream.failure = Some(error);
        stream
    }

    /// Offset of the next byte it will yield.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes on at the same offset in `file`, up to `end`.
    pub(super) fn go_on(&mut self, file: &Arc<OpenFile>, end: u64) {
        if !Arc::ptr_eq(&self.file, file) {
            self.file = file.clone();
        }
        self.end = end;
    }

    /// The next piece: at once from the page cache, or from a read begun on the blocking pool.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        if self.reading.is_none() {
            let want = self.end - self.position;
            if let Some(piece) = self.file.read_cached(self.position, want)? {
                return Poll::Ready(Ok(piece));
            }
            let (file, position) = (self.file.clone(), self.position);
            self.reading = Some(tokio::task::spawn_blocking(move || {
                file.read_blocking(position, want)
            }));
        }
        let Some(reading) = &mut self.reading else {
            unreachable!("a read has been begun")
        };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(joined(read))
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(error) = self.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.position >= self.end {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_piece(cx));
        match &piece {
            Ok(bytes) => self.position += bytes.len() as u64,
            Err(_) => self.end = self.position,
        }
        Poll::Ready(Some(piece))
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("file", &self.file)
            .field("position", &self.position)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
