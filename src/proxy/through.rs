//! Passing a blob on without keeping it: it does not fit, or the disk filled up under it.
//!
//! The bytes are hashed on their way from the first one, whatever range was asked for, and the last
//! piece is held back until the digest is right: also an answer that is not kept is never wrong to its
//! end. A broken connection resumes by range.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::blobs::BlobStream;
use super::cache::Cache;
use super::error::Asked;
use super::metrics::OfOrganization;
use super::{Error, Metrics, Source};
use crate::blob::Partial;
use crate::oci::{ByteRange, Digest, Hasher};
use crate::upstream::{self, BlobBody};

/// Pieces on their way to the client; a slow client slows upstream down, not memory.
const QUEUE: usize = 4;

/// Connections in a row that may break without giving a byte.
const FRUITLESS: u32 = 3;

/// A blob that is passed on.
#[derive(Clone)]
pub(super) struct Through {
    source: Source,
    cache: Arc<Cache>,
    digest: Digest,
    size_bytes: Option<u64>,
    /// The connection that told the size, for the first reader.
    opened: Arc<Mutex<Option<BlobBody>>>,
    metrics: Option<Arc<OfOrganization>>,
}

impl Through {
    pub(super) fn new(
        source: &Source,
        cache: Arc<Cache>,
        digest: Digest,
        size_bytes: Option<u64>,
    ) -> Self {
        let source = source.clone();
        Self {
            source,
            cache,
            digest,
            size_bytes,
            opened: Arc::default(),
            metrics: None,
        }
    }

    /// Learns its size from upstream's answer, which it asks for if none is `opened`.
    pub(super) async fn open(
        mut self,
        opened: Option<BlobBody>,
        metrics: &Metrics,
    ) -> Result<(Self, u64), Error> {
        let body = match opened {
            Some(body) => body,
            None => self.connect(0).await.map_err(|error| self.told(&error))?,
        };
        let size = match (self.size_bytes, body.total()) {
            (Some(expected), Some(total)) if expected != total => {
                let reason =
                    format!("{total} bytes for a blob that its manifest says has {expected}");
                return Err(Error::BadGateway { reason });
            }
            (expected, total) => expected.or(total),
        };
        let size = size.ok_or_else(|| Error::BadGateway {
            reason: "a blob of unknown size, and no room to keep it until its size is known".into(),
        })?;
        self.size_bytes = Some(size);
        self.metrics = metrics.of(self.source.organization());
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        Ok((self, size))
    }

    /// Streams a range of it.
    pub(super) fn stream(self, range: ByteRange) -> BlobStream {
        let body = self
            .opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let hasher = Hasher::new(self.digest.algorithm());
        self.spawn(
            Pass {
                hasher,
                at: 0,
                range,
                held_back: None,
            },
            body,
        )
    }

    /// Goes on at `at` where a growing file broke off, until `end`: the bytes before are hashed from
    /// the file.
    pub(super) fn continue_after(self, file: Partial, at: u64, end: u64) -> BlobStream {
        let start = async move {
            let hasher = file.hash_prefix(at).await?;
            let range = ByteRange { start: at, end };
            Ok::<_, Error>(self.spawn(
                Pass {
                    hasher,
                    at,
                    range,
                    held_back: None,
                },
                None,
            ))
        };
        Box::pin(stream::once(start).flat_map(|started| {
            started.unwrap_or_else(|error| Box::pin(stream::once(std::future::ready(Err(error)))))
        }))
    }

    fn spawn(self, mut pass: Pass, body: Option<BlobBody>) -> BlobStream {
        let (pieces, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            if let Err(error) = self.run(&mut pass, body, &pieces).await {
                // Nobody listens any more: then nobody need be told.
                _ = pieces.send(Err(error)).await;
            }
        });
        Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        }))
    }

    async fn run(
        &self,
        pass: &mut Pass,
        mut body: Option<BlobBody>,
        pieces: &mpsc::Sender<Result<Bytes, Error>>,
    ) -> Result<(), Error> {
        let size = self.size_bytes.ok_or(Error::Abandoned)?;
        let mut fruitless = 0;
        while pass.at < size {
            let from = pass.at;
            let opened = match body.take() {
                Some(body) => Ok(body),
                None => self.connect(from).await,
            };
            let broken = match opened {
                Err(error) => error,
                Ok(body) => match self.drain(pass, body, size, pieces).await? {
                    Drained::Complete => break,
                    Drained::Unwanted => return Ok(()),
                    Drained::Broken(error) => error,
                },
            };
            fruitless = if pass.at > from { 0 } else { fruitless + 1 };
            if fruitless >= FRUITLESS || !broken.is_outage() {
                return Err(self.told(&broken));
            }
        }
        pass.verify(&self.digest)?;
        if let Some(last) = pass.held_back.take() {
            _ = pieces.send(Ok(last)).await;
        }
        Ok(())
    }

    async fn drain(
        &self,
        pass: &mut Pass,
        mut body: BlobBody,
        size: u64,
        pieces: &mpsc::Sender<Result<Bytes, Error>>,
    ) -> Result<Drained, Error> {
        let mut skip = pass.at.saturating_sub(body.start());
        while let Some(piece) = body.next().await {
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Drained::Broken(error)),
            };
            if let Some(metrics) = &self.metrics {
                metrics.fetched.inc_by(piece.len() as u64);
            }
            let skipped = skip.min(piece.len() as u64);
            skip -= skipped;
            piece = piece.split_off(usize::try_from(skipped).expect("no more than the piece"));
            if pass.at + piece.len() as u64 > size {
                let reason = "more bytes than it announced".to_owned();
                return Err(Error::BadGateway { reason });
            }
            if let Some(ready) = pass.take(piece)
                && pieces.send(Ok(ready)).await.is_err()
            {
                return Ok(Drained::Unwanted);
            }
        }
        if pass.at < size {
            let (expected, received) = (size, pass.at);
            return Ok(Drained::Broken(upstream::Error::Short {
                expected,
                received,
            }));
        }
        Ok(Drained::Complete)
    }

    async fn connect(&self, from: u64) -> Result<BlobBody, upstream::Error> {
        self.cache
            .upstream
            .open_blob(&self.source.name, &self.digest, from)
            .await
    }

    fn told(&self, error: &upstream::Error) -> Error {
        let has_account = self.cache.rule.credentials.is_some();
        Error::from_upstream(error, Asked::Blob, self.source.organization(), has_account)
    }
}

enum Drained {
    Complete,
    /// The client is gone.
    Unwanted,
    Broken(upstream::Error),
}

/// How far a blob has been passed on.
struct Pass {
    hasher: Hasher,
    /// Bytes hashed.
    at: u64,
    range: ByteRange,
    /// The newest piece of the range: sent when another follows, or the digest is right.
    held_back: Option<Bytes>,
}

impl Pass {
    /// Hashes a piece; returns what may be sent now.
    fn take(&mut self, piece: Bytes) -> Option<Bytes> {
        self.hasher.update(&piece);
        let (start, end) = (self.at, self.at + piece.len() as u64);
        self.at = end;
        let from = self.range.start.clamp(start, end) - start;
        let to = self.range.end.clamp(start, end) - start;
        let bound = |offset: u64| usize::try_from(offset).expect("within the piece");
        let wanted = piece.slice(bound(from)..bound(to));
        if wanted.is_empty() {
            None
        } else {
            self.held_back.replace(wanted)
        }
    }

    fn verify(&mut self, digest: &Digest) -> Result<(), Error> {
        let found = self.hasher.clone().finish();
        if found == *digest {
            return Ok(());
        }
        self.held_back = None;
        Err(Error::BadGateway {
            reason: format!("bytes with digest {found} for {digest}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(start: u64, end: u64) -> Pass {
        let hasher = Hasher::new(crate::oci::Algorithm::Sha256);
        Pass {
            hasher,
            at: 0,
            range: ByteRange { start, end },
            held_back: None,
        }
    }

    #[test]
    fn only_the_range_is_sent_and_its_last_piece_waits_for_the_digest() {
        let mut whole = pass(0, 6);
        assert_eq!(whole.take(Bytes::from_static(b"abc")), None);
        assert_eq!(
            whole.take(Bytes::from_static(b"def")),
            Some(Bytes::from_static(b"abc"))
        );
        whole.verify(&Digest::of(b"abcdef")).unwrap();
        assert_eq!(whole.held_back, Some(Bytes::from_static(b"def")));
        whole.verify(&Digest::of(b"other")).unwrap_err();
        assert_eq!(whole.held_back, None);

        let mut middle = pass(2, 4);
        assert_eq!(middle.take(Bytes::from_static(b"abc")), None);
        assert_eq!(
            middle.take(Bytes::from_static(b"def")),
            Some(Bytes::from_static(b"c"))
        );
        assert_eq!(middle.held_back, Some(Bytes::from_static(b"d")));
        assert_eq!(middle.take(Bytes::from_static(b"ghi")), None);
        middle.verify(&Digest::of(b"abcdefghi")).unwrap();
    }
}
