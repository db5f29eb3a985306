//! The writing end of a blob whose digest is known: bytes in, a verified and durable blob out.
//!
//! Used for fills from upstream; what clients push comes by `upload.rs`. A writer that is dropped leaves its bytes for the
//! next one to resume from, as a crash does; one that finishes leaves a blob or nothing. There is no
//! way to a blob but through [`PartialWriter::finish`].

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::file::BlobFile;
use super::ingest::{Ingest, failure_kind};
use super::partial::{Partial, PartialFailureKind};
use super::queue::{Drain, LIMIT_BYTES};
use super::{Error, blocking};

/// What becomes of the bytes when a writer gives up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keep {
    /// They stay for a later writer to resume from.
    Bytes,
    /// They are deleted.
    Nothing,
}

/// The only writer of one blob.
pub struct PartialWriter {
    ingest: Arc<Ingest>,
    is_ended: bool,
}

impl PartialWriter {
    pub(super) fn new(ingest: Arc<Ingest>) -> Self {
        Self {
            ingest,
            is_ended: false,
        }
    }

    /// How many bytes it has, those of an earlier writer included: where the next one belongs.
    pub fn len(&self) -> u64 {
        self.ingest.queue().accepted()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The reading end.
    pub fn partial(&self) -> Partial {
        self.ingest.partial()
    }

    /// Appends a piece; returns when at most 1 MiB of all that was appended is still unwritten.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] if the piece passes the announced total: it was not taken.
    /// [`Error::NoSpace`], [`Error::Io`] if this or an earlier piece could not be written: the writer
    /// is of no more use but for [`PartialWriter::take_unwritten`] and [`PartialWriter::fail`].
    ///
    /// # Cancel safety
    /// The piece is taken at the first poll; dropping the future only drops the wait.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), Error> {
        if !piece.is_empty() {
            self.ingest.accept(piece)?;
        }
        self.ingest.queue().settle(LIMIT_BYTES).await
    }

    /// Waits until everything appended is in the file, where readers see it. Not a sync.
    ///
    /// # Errors
    /// Those of [`PartialWriter::append`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.ingest.queue().settle(0).await
    }

    /// Tells readers how long the blob will be; more bytes are refused from now on.
    pub fn set_total(&mut self, total_bytes: u64) {
        self.ingest.announce_total(total_bytes);
    }

    /// After a failed write: the pieces that are not in the file, to be passed on without it.
    ///
    /// They follow, without a gap, the bytes that [`Partial::read_prefix`] gives.
    pub fn take_unwritten(&mut self) -> Vec<Bytes> {
        self.ingest.queue().take_unwritten()
    }

    /// Throws away all bytes and begins at the first one, with no known total.
    ///
    /// Readers fail as after a mismatch, since the bytes they were given are in doubt; new ones use
    /// the [`Partial`] returned.
    ///
    /// # Errors
    /// Those of `BlobStore::begin`; the writer is then of no more use.
    pub async fn restart(&mut self) -> Result<Partial, Error> {
        self.ingest.queue().stop();
        self.ingest.queue().idle().await;
        let reason = "begun anew".into();
        self.ingest.give_up(PartialFailureKind::Mismatch, reason);
        let old = self.ingest.clone();
        self.ingest = blocking(move || old.open_anew()).await?;
        Ok(self.partial())
    }

    /// Verifies length and digest, makes the blob durable and gives it its name.
    ///
    /// Readers then get their last bytes. Whatever fails is final: the bytes are deleted, and readers
    /// fail. If the blob is there already, these bytes are dropped in its favour.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::LengthMismatch`]; [`Error::NoSpace`], [`Error::Io`] also
    /// from earlier appends.
    ///
    /// # Cancel safety
    /// Dropped while bytes are unwritten, it gives up and keeps the bytes; later, publishing goes on
    /// unheard and readers see its end.
    pub async fn finish(mut self) -> Result<BlobFile, Error> {
        if let Err(error) = self.flush().await {
            let reason = error.to_string().into();
            self.end(Keep::Nothing, failure_kind(&error), reason).await;
            return Err(error);
        }
        self.is_ended = true;
        let ingest = self.ingest.clone();
        blocking(move || ingest.finish()).await
    }

    /// Gives up for a reason of the caller's; readers fail with it.
    ///
    /// With [`Keep::Bytes`] all that was appended is written first, unless writing is what failed.
    pub async fn fail(mut self, keep: Keep, reason: impl Into<Arc<str>>) {
        let kind = match self.flush().await {
            Ok(()) => PartialFailureKind::GivenUp,
            Err(error) => failure_kind(&error),
        };
        self.end(keep, kind, reason.into()).await;
    }

    async fn end(&mut self, keep: Keep, kind: PartialFailureKind, reason: Arc<str>) {
        self.ingest.queue().stop();
        self.ingest.leave();
        self.ingest.queue().idle().await;
        if keep == Keep::Nothing {
            let ingest = self.ingest.clone();
            let discarded = blocking(move || {
                ingest.discard();
                Ok(())
            });
            // It fails only as the process stops; the partial is then found at the next start.
            discarded.await.ok();
        }
        self.ingest.give_up(kind, reason);
        self.is_ended = true;
    }
}

impl Drop for PartialWriter {
    fn drop(&mut self) {
        if !self.is_ended {
            self.ingest.queue().stop();
            self.ingest.leave();
            let reason = "its writer was dropped".into();
            self.ingest.give_up(PartialFailureKind::GivenUp, reason);
        }
    }
}

impl fmt::Debug for PartialWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartialWriter")
            .field("digest", &self.ingest.digest())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
