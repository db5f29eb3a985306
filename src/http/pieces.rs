//! Cuts a body into the pieces that are offered to hyper one after the other.
//!
//! A piece of a file is offered once its pages are in memory, so that neither sendfile nor a read of
//! the mapping makes a worker wait for the disk. Once one piece was cold, the next is brought in while
//! this one is being sent.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};

use super::body::{Body, BodyError, ByteStream, Region};

/// A body on its way out.
pub(super) struct Pieces {
    current: Body,
    rest: VecDeque<Body>,
    /// Bringing in the next piece of the current file.
    warming: Option<BoxFuture<'static, ()>>,
    /// The longest piece cut from a file.
    longest: usize,
    /// What is left of everything, if known.
    left: Option<u64>,
}

/// Bytes to send, and the file they are mapped from if they are.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) file: Option<(Arc<OwnedFd>, u64)>,
}

impl Pieces {
    /// Cuts `body`; pieces of files have at most `longest` bytes.
    pub(super) fn new(body: Body, longest: usize) -> Self {
        Self {
            left: body.size(),
            current: body,
            rest: VecDeque::new(),
            warming: None,
            longest,
        }
    }

    /// How many bytes are still to come, if known.
    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }

    /// Whether nothing more will come.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0) || (matches!(self.current, Body::Empty) && self.rest.is_empty())
    }

    /// The next piece: never an empty one.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, BodyError>>> {
        loop {
            let piece = match &mut self.current {
                Body::Empty => match self.rest.pop_front() {
                    Some(next) => {
                        self.current = next;
                        continue;
                    }
                    None => return Poll::Ready(None),
                },
                Body::Parts(parts) => {
                    mem::take(parts)
                        .into_iter()
                        .rev()
                        .for_each(|part| self.rest.push_front(part));
                    None
                }
                Body::Full(bytes) => Some(Piece::of_memory(mem::take(bytes))),
                Body::File(region) if !region.bytes.is_empty() => {
                    ready!(poll_resident(region, &mut self.warming, self.longest, cx));
                    let piece = Piece::cut(region, self.longest);
                    ahead(region, &mut self.warming, self.longest, cx);
                    return Poll::Ready(Some(Ok(self.note(piece))));
                }
                Body::File(_) => {
                    self.warming = None;
                    None
                }
                Body::Stream { size, stream } => match ready!(poll_stream(stream, size, cx)) {
                    Ok(Some(bytes)) => {
                        return Poll::Ready(Some(Ok(self.note(Piece::of_memory(bytes)))));
                    }
                    Ok(None) => None,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                },
            };
            self.current = Body::Empty;
            if let Some(piece) = piece.filter(|piece| !piece.bytes.is_empty()) {
                return Poll::Ready(Some(Ok(self.note(piece))));
            }
        }
    }

    fn note(&mut self, piece: Piece) -> Piece {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(piece.bytes.len() as u64);
        }
        piece
    }
}

impl Piece {
    fn of_memory(bytes: Bytes) -> Self {
        Self { bytes, file: None }
    }

    /// Cuts the next piece off the front of `region`.
    fn cut(region: &mut Region, longest: usize) -> Self {
        let length = region.bytes.len().min(longest);
        let piece = Self {
            bytes: region.bytes.split_to(length),
            file: Some((region.file.clone(), region.offset)),
        };
        region.offset += length as u64;
        piece
    }
}

/// Ready once the next piece of `region` can be read without waiting.
fn poll_resident(
    region: &Region,
    warming: &mut Option<BoxFuture<'static, ()>>,
    longest: usize,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(residency) = &region.residency else {
        return Poll::Ready(());
    };
    let length = region.bytes.len().min(longest) as u64;
    if warming.is_none() && residency.is_resident(region.offset, length) {
        return Poll::Ready(());
    }
    warming
        .get_or_insert_with(|| residency.make_resident(region.offset, length))
        .poll_unpin(cx)
}

/// If the piece just cut had to be brought in, begins to bring in the one behind it.
fn ahead(
    region: &Region,
    warming: &mut Option<BoxFuture<'static, ()>>,
    longest: usize,
    cx: &mut Context<'_>,
) {
    let was_cold = warming.take().is_some();
    if let Some(residency) = region.residency.as_ref().filter(|_| was_cold) {
        let length = region.bytes.len().min(longest) as u64;
        if length > 0 {
            let mut next = residency.make_resident(region.offset, length);
            // Polled once, so that it begins; one that is done must not be polled again.
            let is_done = next.poll_unpin(cx).is_ready();
            *warming = Some(if is_done {
                future::ready(()).boxed()
            } else {
                next
            });
        }
    }
}

/// The next bytes of a stream that must yield `size` in all; `None` at its proper end.
fn poll_stream(
    stream: &mut ByteStream,
    size: &mut Option<u64>,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, BodyError>> {
    loop {
        let Some(bytes) = ready!(stream.as_mut().poll_next(cx)).transpose()? else {
            let missing = size.unwrap_or(0);
            return Poll::Ready(match missing {
                0 => Ok(None),
                _ => Err(BodyError::Short { missing }),
            });
        };
        let length = bytes.len() as u64;
        if let Some(left) = size {
            let Some(rest) = left.checked_sub(length) else {
                let surplus = length - *left;
                return Poll::Ready(Err(BodyError::Long { surplus }));
            };
            *left = rest;
        }
        if length > 0 {
            return Poll::Ready(Ok(Some(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Mutex;

    use futures_util::stream;

    use super::*;
    use crate::http::body::Residency;

    fn region(text: &'static str, offset: u64, residency: Option<Arc<dyn Residency>>) -> Region {
        Region {
            bytes: Bytes::from_static(text.as_bytes()),
            file: Arc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap())),
            offset,
            residency,
        }
    }

    fn bytes_of(pieces: &[&'static str]) -> Vec<Result<Bytes, BodyError>> {
        pieces.iter().map(|piece| Ok(Bytes::from(*piece))).collect()
    }

    async fn next(pieces: &mut Pieces) -> Option<Result<Piece, BodyError>> {
        poll_fn(|cx| pieces.poll_next(cx)).await
    }

    #[tokio::test]
    async fn a_file_is_cut_into_pieces_that_know_their_place() {
        let mut pieces = Pieces::new(region("abcdefg", 100, None).into(), 3);
        let mut seen = Vec::new();
        while let Some(piece) = next(&mut pieces).await {
            let piece = piece.unwrap();
            seen.push((piece.bytes, piece.file.unwrap().1, pieces.left()));
        }
        let expected = [("abc", 100, 4), ("def", 103, 1), ("g", 106, 0)];
        let expected = expected.map(|(text, at, left)| (Bytes::from(text), at, Some(left)));
        assert_eq!(seen, expected);
        assert!(pieces.is_done());
    }

    #[tokio::test]
    async fn parts_follow_each_other() {
        let inner = Body::Parts([Body::Full("b".into()), Body::Empty].into());
        let streamed = Body::stream(2, stream::iter(bytes_of(&["c", "", "d"])));
        let parts = [
            Body::Full("a".into()),
            inner,
            streamed,
            region("e", 0, None).into(),
        ];
        let body = Body::Parts(parts.into());
        assert_eq!(body.size(), Some(5));
        assert_eq!(body.collect().await.unwrap(), "abcde");
        let unknown = Body::Parts([Body::endless(stream::empty()), Body::Empty].into());
        assert_eq!(unknown.size(), None);
        assert_eq!(unknown.collect().await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_stream_of_the_wrong_length_is_an_error() {
        let short = Body::stream(3, stream::iter(bytes_of(&["a", "b"])));
        assert!(matches!(
            short.collect().await,
            Err(BodyError::Short { missing: 1 })
        ));
        let long = Body::stream(3, stream::iter(bytes_of(&["aa", "bbb"])));
        assert!(matches!(
            long.collect().await,
            Err(BodyError::Long { surplus: 2 })
        ));
    }

    /// Has the piece at 0 in memory; notes what it is asked to bring in, and is done when told.
    struct Disk {
        asked: Mutex<Vec<(u64, u64)>>,
        done: Arc<tokio::sync::Semaphore>,
    }

    impl Residency for Disk {
        fn is_resident(&self, offset: u64, _len: u64) -> bool {
            offset == 0
        }

        fn make_resident(&self, offset: u64, len: u64) -> BoxFuture<'static, ()> {
            self.asked.lock().unwrap().push((offset, len));
            let done = self.done.clone();
            async move { done.acquire().await.unwrap().forget() }.boxed()
        }
    }

    #[tokio::test]
    async fn cold_pieces_are_brought_in_before_they_are_offered() {
        let disk = Arc::new(Disk {
            asked: Mutex::default(),
            done: Arc::new(tokio::sync::Semaphore::new(0)),
        });
        let mut pieces = Pieces::new(region("aabbccd", 0, Some(disk.clone())).into(), 2);
        assert_eq!(next(&mut pieces).await.unwrap().unwrap().bytes, "aa");
        assert!(disk.asked.lock().unwrap().is_empty());

        assert!(next(&mut pieces).now_or_never().is_none());
        assert_eq!(*disk.asked.lock().unwrap(), [(2, 2)]);
        disk.done.add_permits(1);
        assert_eq!(next(&mut pieces).await.unwrap().unwrap().bytes, "bb");

        assert_eq!(
            *disk.asked.lock().unwrap(),
            [(2, 2), (4, 2)],
            "the next one is under way"
        );
        assert!(next(&mut pieces).now_or_never().is_none());
        disk.done.add_permits(2);
        assert_eq!(next(&mut pieces).await.unwrap().unwrap().bytes, "cc");
        assert_eq!(next(&mut pieces).await.unwrap().unwrap().bytes, "d");
        assert!(next(&mut pieces).await.is_none());
        assert_eq!(*disk.asked.lock().unwrap(), [(2, 2), (4, 2), (6, 1)]);
    }
}
