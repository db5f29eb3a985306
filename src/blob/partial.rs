//! A blob that is being written, as its readers see it.
//!
//! A [`Partial`] is a cheap handle on a growing file: how far it is, how long it will be, and streams
//! that follow it (`follow.rs`). It never holds the writer up, and it stays useful after the end:
//! then it leads to the finished blob, or tells why there is none.

use std::sync::Arc;

use tokio::sync::watch;

use crate::oci::{ByteRange, Digest, Hasher};

use super::file::BlobFile;
use super::follow::PartialStream;
use super::open::OpenFile;
use super::publish;
use super::reader::ByteStream;
use super::{Error, blocking};

/// How far a blob being written has come.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Bytes are still to come.
    Growing {
        /// How many bytes the file has.
        len: u64,
        /// How many it will have, once that is known.
        total: Option<u64>,
    },
    /// It is verified, durable and has its name.
    Complete(BlobFile),
    /// Its writer gave up.
    Failed(PartialFailure),
}

/// Why a writer gave up, and what it left.
#[derive(Clone, Debug)]
pub struct PartialFailure {
    /// What sort of failure it was.
    pub kind: PartialFailureKind,
    /// The same in words, for the log.
    pub reason: Arc<str>,
    /// How many bytes had been written.
    pub len: u64,
}

/// What a reader of a failed partial may conclude.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PartialFailureKind {
    /// The bytes were wrong: what was read of them must not be believed, and not be added to.
    Mismatch,
    /// This machine failed to store them: the volume is full or broken.
    Storage,
    /// The writer ended or was dropped for reasons of its own; what was read is still good as far as
    /// anybody knows.
    GivenUp,
}

/// A blob that is being written, for reading.
#[derive(Clone, Debug)]
pub struct Partial {
    file: Arc<OpenFile>,
    progress: watch::Receiver<Progress>,
}

impl Partial {
    pub(super) fn new(file: Arc<OpenFile>, progress: watch::Receiver<Progress>) -> Self {
        Self { file, progress }
    }

    /// The digest that its bytes will have, if it is ever complete.
    pub fn digest(&self) -> Digest {
        self.file.digest()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// A watch of how far it is, for callers who wait for a state of their own choice.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until its length is known; `None` if it failed before.
    ///
    /// # Cancel safety
    /// Holds nothing.
    pub async fn total(&self) -> Option<u64> {
        let known = |progress: &Progress| match progress {
            Progress::Growing { total, .. } => total.is_some(),
            Progress::Complete(_) | Progress::Failed(_) => true,
        };
        let mut watch = self.watch();
        // The sender always ends with a final state, which is kept after it is gone.
        let progress = watch.wait_for(known).await.ok()?;
        match &*progress {
            Progress::Growing { total, .. } => *total,
            Progress::Complete(file) => Some(file.len()),
            Progress::Failed(_) => None,
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// [`Error::PartialFailed`] if it is never completed.
    ///
    /// # Cancel safety
    /// Holds nothing.
    pub async fn finished(&self) -> Result<BlobFile, Error> {
        let ended = |progress: &Progress| !matches!(progress, Progress::Growing { .. });
        let mut watch = self.watch();
        let progress = watch.wait_for(ended).await.map_err(|_| Error::Stopped)?;
        match &*progress {
            Progress::Complete(file) => Ok(file.clone()),
            Progress::Failed(failure) => Err(Error::PartialFailed {
                digest: self.digest(),
                offset: failure.len,
                failure: failure.clone(),
            }),
            Progress::Growing { .. } => Err(Error::Stopped),
        }
    }

    /// Streams `range` as its bytes come to be; an end past the blob's stands for the blob's end.
    ///
    /// The last byte of the whole blob is yielded only when the blob is complete, and so is the end
    /// of a range that reaches the end, even where the range is empty. Fails with
    /// [`Error::PartialFailed`], which tells how far this stream has come.
    pub fn stream(&self, range: ByteRange) -> PartialStream {
        PartialStream::new(self.file.clone(), self.watch(), range)
    }

    /// Streams the first `len` bytes as they were written, verified or not, whatever has become of
    /// the writer; for a caller who completes the blob elsewhere and verifies it himself.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if fewer bytes have been written.
    pub fn read_prefix(&self, len: u64) -> Result<ByteStream, Error> {
        let range = ByteRange { start: 0, end: len };
        let len_bytes = match &*self.progress.borrow() {
            Progress::Growing { len, .. } => *len,
            Progress::Complete(file) => file.len(),
            Progress::Failed(failure) => failure.len,
        };
        if len > len_bytes {
            return Err(Error::OutOfRange {
                digest: self.digest(),
                range,
                len_bytes,
            });
        }
        Ok(ByteStream::new(self.file.clone(), range))
    }

    /// Returns a hasher that has seen the first `len` bytes, for the caller of
    /// [`Partial::read_prefix`]; reads the file on the blocking pool.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if fewer bytes have been written.
    pub async fn hash_prefix(&self, len: u64) -> Result<Hasher, Error> {
        self.read_prefix(len)?;
        let file = self.file.clone();
        blocking(move || publish::hash(&file, len)).await
    }
}
