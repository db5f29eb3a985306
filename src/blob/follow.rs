//! A stream that follows a growing file.
//!
//! What is written is read from the page cache, at the reader's own pace; at the end of it the
//! reader waits for the writer's next step. It is given everything but the last byte of the whole
//! until the whole is verified, so a client never completes a body that turns out wrong.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use crate::oci::{ByteRange, Digest};

use super::Error;
use super::open::OpenFile;
use super::partial::{PartialFailure, Progress};
use super::reader::ByteStream;

/// Bytes of a blob that may still be growing; ends after the first error.
pub struct PartialStream {
    digest: Digest,
    pieces: BoxStream<'static, Result<Bytes, Error>>,
}

impl PartialStream {
    pub(super) fn new(
        file: Arc<OpenFile>,
        progress: watch::Receiver<Progress>,
        range: ByteRange,
    ) -> Self {
        let digest = file.digest();
        let from = ByteRange {
            start: range.start,
            end: range.start,
        };
        let follow = Follow {
            reader: ByteStream::new(file.clone(), from),
            file,
            progress,
            end: range.end,
        };
        Self {
            digest,
            pieces: stream::unfold(Some(follow), next).fuse().boxed(),
        }
    }
}

impl Stream for PartialStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pieces.poll_next_unpin(cx)
    }
}

impl fmt::Debug for PartialStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartialStream").field(&self.digest).finish()
    }
}

struct Follow {
    reader: ByteStream,
    file: Arc<OpenFile>,
    progress: watch::Receiver<Progress>,
    end: u64,
}

/// What a reader does next.
#[derive(Debug)]
enum Step {
    /// Read on in the partial's file, up to this offset.
    Read(u64),
    /// Read on in the finished blob, up to this offset.
    ReadBlob(Arc<OpenFile>, u64),
    /// Wait for the writer.
    Wait,
    /// Everything was read.
    End,
    /// The writer gave up.
    Fail(PartialFailure),
}

async fn next(follow: Option<Follow>) -> Option<(Result<Bytes, Error>, Option<Follow>)> {
    let mut follow = follow?;
    match follow.piece().await? {
        Ok(piece) => Some((Ok(piece), Some(follow))),
        Err(error) => Some((Err(error), None)),
    }
}

impl Follow {
    async fn piece(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            match self.step() {
                Step::Read(until) => {
                    self.reader.go_on(&self.file, until);
                    return self.reader.next().await;
                }
                Step::ReadBlob(blob, until) => {
                    // The partial may have been dropped for a blob that was there first.
                    self.file = blob;
                    self.reader.go_on(&self.file, until);
                    return self.reader.next().await;
                }
                Step::End => return None,
                Step::Fail(failure) => return Some(Err(self.broken_off(failure))),
                Step::Wait => {
                    if self.progress.changed().await.is_err() {
                        return Some(Err(Error::Stopped));
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Step {
        step(
            &self.progress.borrow_and_update(),
            self.reader.position(),
            self.end,
        )
    }

    fn broken_off(&self, failure: PartialFailure) -> Error {
        Error::PartialFailed {
            digest: self.file.digest(),
            offset: self.reader.position(),
            failure,
        }
    }
}

/// Decides for a reader of everything up to `end` who has come to `position`.
fn step(progress: &Progress, position: u64, end: u64) -> Step {
    let (len, total) = match progress {
        Progress::Failed(failure) => return Step::Fail(failure.clone()),
        Progress::Complete(blob) => {
            let until = end.min(blob.len());
            if position < until {
                return Step::ReadBlob(blob.file().clone(), until);
            }
            return Step::End;
        }
        Progress::Growing { len, total } => (*len, *total),
    };
    // Invariant: the byte at `total - 1`, or the last one while the total is unknown, is held back.
    let visible = total.map_or_else(
        || len.saturating_sub(1),
        |total| len.min(total.saturating_sub(1)),
    );
    let until = end.min(visible);
    if position < until {
        return Step::Read(until);
    }
    // The end of the range is the end of the answer: it too waits, unless bytes follow it.
    let bytes_follow = len > end || total.is_some_and(|total| total > end);
    if position >= end && bytes_follow {
        return Step::End;
    }
    Step::Wait
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(len: u64, total: Option<u64>) -> Progress {
        Progress::Growing { len, total }
    }

    fn read_until(progress: &Progress, position: u64, end: u64) -> Option<u64> {
        match step(progress, position, end) {
            Step::Read(until) => Some(until),
            _ => None,
        }
    }

    #[test]
    fn the_last_byte_is_held_back() {
        assert_eq!(read_until(&growing(10, Some(10)), 0, 10), Some(9));
        assert_eq!(read_until(&growing(10, None), 0, u64::MAX), Some(9));
        assert_eq!(read_until(&growing(10, Some(20)), 0, 20), Some(10));
        assert!(matches!(step(&growing(10, Some(10)), 9, 10), Step::Wait));
        // More came than was announced: nothing past the announced end is believed.
        assert_eq!(read_until(&growing(30, Some(10)), 0, 20), Some(9));
    }

    #[test]
    fn an_inner_range_ends_without_waiting() {
        assert!(matches!(step(&growing(10, Some(20)), 5, 5), Step::End));
        assert!(matches!(step(&growing(10, None), 9, 9), Step::End));
        assert!(matches!(step(&growing(5, None), 9, 9), Step::Wait));
    }

    /// CA-08: an empty body is no answer either before it is verified.
    #[test]
    fn the_end_of_the_whole_waits_even_if_empty() {
        assert!(matches!(step(&growing(0, Some(0)), 0, 0), Step::Wait));
        assert!(matches!(step(&growing(0, None), 0, 0), Step::Wait));
        assert!(matches!(step(&growing(0, Some(1)), 0, 0), Step::End));
    }
}
