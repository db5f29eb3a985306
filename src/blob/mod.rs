//! Blob files: the bytes of layers, configs and everything else that has a digest.
//!
//! The only room that knows where they lie (`layout.rs`). A blob is one file, whatever number of
//! repositories name it; who may read it is decided above. This room promises:
//!
//! - what has a blob's name is complete, was verified, and is durable (`publish.rs`);
//! - an upload keeps every byte whose durability was told, at the offset told (`upload.rs`);
//! - a blob being written is readable at once by many (`partial.rs`, `follow.rs`), but for its last
//!   byte, which waits for the verification;
//! - an unlinked blob stays readable for whoever holds it, and the one who unlinked it is told when
//!   its bytes are free (`open.rs`);
//! - no worker of the runtime waits for the disk: file calls run on the blocking pool, but for reads
//!   that the page cache answers (`reader.rs`).
//!
//! It keeps no account of sizes or of who needs what: rows are `store`'s, quotas `quota`'s. One
//! process owns the folder; `store`'s lock sees to that, so it is to be taken first.

mod claims;
mod disk;
mod early_sync;
mod error;
mod file;
mod follow;
mod ingest;
mod layout;
mod metrics;
mod open;
mod partial;
mod pool;
mod publish;
mod queue;
mod reader;
mod residency;
mod shelf;
mod upload;
mod upload_key;
mod uploads;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::JoinError;

use crate::model::Timestamp;
use crate::oci::Digest;

use claims::{Claim, Claims, LeaveUnlessKept};
use ingest::Ingest;
use layout::Layout;
use metrics::Metrics;
use open::Reads;
use shelf::Shelf;
use uploads::Uploads;

pub use disk::Disk;
pub use error::Error;
pub use file::{BlobFile, Region};
pub use follow::PartialStream;
pub use layout::{Shard, place_of};
pub use partial::{Partial, PartialFailure, PartialFailureKind, Progress};
pub use reader::ByteStream;
pub use upload::UploadWriter;
pub use upload_key::UploadKey;
pub use uploads::LeftUpload;
pub use verify::Verified;
pub use writer::{Keep, PartialWriter};

/// The blob files of one `DATA_DIR`; clones share them.
#[derive(Clone)]
pub struct BlobStore(Arc<Inner>);

struct Inner {
    layout: Layout,
    shelf: Shelf,
    claims: Arc<Claims<Digest>>,
    uploads: Uploads,
    reads: Reads,
    metrics: Metrics,
    next_tmp: AtomicU64,
    degraded: AtomicBool,
}

/// A blob file as a sweep finds it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Held {
    /// The digest that its name tells.
    pub digest: Digest,
    /// How large the file is.
    pub size_bytes: u64,
    /// When its last byte was written. Its row may still be on the way for a moment after that.
    pub written: Timestamp,
}

impl BlobStore {
    /// Opens the blob files under `root`, makes the folders that are missing and empties `tmp/`.
    ///
    /// Blocks, for as long as a few syncs take; whatever number of blobs there are is not looked at.
    pub fn open(root: &Path, metrics: &prometheus::Registry) -> Result<Self, Error> {
        Self::over(Layout::open(root)?, metrics)
    }

    /// Opens the blob files under `root` for a look: no folder is made, nothing is emptied.
    pub fn open_read_only(root: &Path, metrics: &prometheus::Registry) -> Result<Self, Error> {
        Self::over(Layout::existing(root), metrics)
    }

    fn over(layout: Layout, metrics: &prometheus::Registry) -> Result<Self, Error> {
        let metrics = Metrics::new(metrics).map_err(|error| Error::Metrics(Arc::new(error)))?;
        let reads = Reads::new(&metrics);
        Ok(Self(Arc::new(Inner {
            layout,
            shelf: Shelf::new(reads.clone()),
            claims: Arc::default(),
            uploads: Uploads::new(),
            reads,
            metrics,
            next_tmp: AtomicU64::new(0),
            degraded: AtomicBool::new(false),
        })))
    }

    /// Opens a blob that is known to have `size` bytes, or `None` if it is not there.
    ///
    /// A file of another length is damaged: it is put into quarantine and is not there (CR-05).
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] if the file is good and `size` wrong.
    pub async fn open_blob(&self, digest: &Digest, size: u64) -> Result<Option<BlobFile>, Error> {
        if let Some(file) = self.0.shelf.cached(digest)
            && file.len() == size
        {
            return Ok(Some(file));
        }
        let (inner, digest) = (self.0.clone(), *digest);
        blocking(move || inner.open(&digest, size)).await
    }

    /// Begins to write a blob, after the bytes that an earlier writer left; hashes those.
    ///
    /// # Errors
    /// [`Error::Busy`] while somebody else writes it.
    ///
    /// # Cancel safety
    /// If the future is dropped, the next caller waits for the hashing to end and begins then.
    pub async fn begin(&self, digest: &Digest) -> Result<(PartialWriter, Partial), Error> {
        let claim = Arc::new(self.0.claim(digest).await?);
        let leaving = LeaveUnlessKept::new(&claim);
        let (inner, digest) = (self.0.clone(), *digest);
        let ingest = blocking(move || {
            match Ingest::open(inner.clone(), claim.clone(), digest) {
                // What an earlier writer left is unreadable: do without it.
                Err(error) if error.is_damage() => {
                    disk::unlink(&inner.layout.partial(&digest))?;
                    Ingest::open(inner, claim, digest)
                }
                opened => opened,
            }
        })
        .await?;
        leaving.keep();
        let partial = ingest.partial();
        Ok((PartialWriter::new(ingest), partial))
    }

    /// Stores small content that is in memory already, in the same order of writes.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] if `bytes` are not those of `digest`.
    pub async fn insert(&self, digest: &Digest, bytes: &[u8]) -> Result<BlobFile, Error> {
        let (inner, digest) = (self.0.clone(), *digest);
        let bytes = Bytes::copy_from_slice(bytes);
        blocking(move || inner.insert(&digest, &bytes)).await
    }

    /// Deletes a blob; it is no error if there is none. Call it after the row is gone.
    ///
    /// `freed` runs once its bytes are free: at once, or when the last handle, region or stream of it
    /// is dropped, on that thread; so it must be quick. If unlinking fails it never runs.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the deletion to go on unheard.
    pub async fn remove(
        &self,
        digest: &Digest,
        freed: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let (inner, digest) = (self.0.clone(), *digest);
        blocking(move || inner.unlink(&digest, Box::new(freed))).await
    }

    /// Puts a blob that was found damaged out of the way; it is no error if there is none (DK-06).
    pub async fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        let (inner, digest) = (self.0.clone(), *digest);
        blocking(move || inner.quarantine(&digest)).await
    }

    /// Deletes everything in quarantine; returns how many bytes that were.
    pub async fn clear_quarantine(&self) -> Result<u64, Error> {
        let inner = self.0.clone();
        blocking(move || {
            let mut freed = 0;
            for path in inner.layout.quarantined()? {
                freed += disk::len_of(&path)?.unwrap_or(0);
                disk::unlink(&path)?;
            }
            Ok(freed)
        })
        .await
    }

    /// The bytes that earlier writers left, with their lengths; not those being written.
    pub async fn partials(&self) -> Result<Vec<(Digest, u64)>, Error> {
        let inner = self.0.clone();
        blocking(move || {
            let mut left = Vec::new();
            for (digest, path) in inner.layout.partials()? {
                if inner.claims.is_claimed(&digest) {
                    continue;
                }
                if let Some(len) = disk::len_of(&path)? {
                    left.push((digest, len));
                }
            }
            Ok(left)
        })
        .await
    }

    /// Deletes what an earlier writer left of a blob; returns how many bytes that were.
    ///
    /// # Errors
    /// [`Error::Busy`] while somebody writes it.
    pub async fn discard_partial(&self, digest: &Digest) -> Result<u64, Error> {
        let claim = self.0.claim(digest).await?;
        claim.leave();
        let (inner, digest) = (self.0.clone(), *digest);
        blocking(move || {
            let _claim = claim;
            let path = inner.layout.partial(&digest);
            let len = disk::len_of(&path)?.unwrap_or(0);
            disk::unlink(&path)?;
            Ok(len)
        })
        .await
    }

    /// Lists the blobs of one folder out of [`Shard::all`], in no order: a page of a sweep.
    pub async fn list(&self, shard: Shard) -> Result<Vec<Held>, Error> {
        let inner = self.0.clone();
        blocking(move || inner.list(shard)).await
    }

    /// Asks the volume for its space; quick enough for any thread.
    pub fn disk(&self) -> Result<Disk, Error> {
        Disk::of(self.0.layout.root())
    }

    /// Whether a sync or rename has failed since the start: the volume needs a look (DK-05).
    pub fn is_degraded(&self) -> bool {
        self.0.degraded.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for BlobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlobStore")
            .field(&self.0.layout.root())
            .finish()
    }
}

impl Inner {
    async fn claim(&self, digest: &Digest) -> Result<Claim<Digest>, Error> {
        let claim = self.claims.claim(digest).await;
        claim.ok_or(Error::Busy { digest: *digest })
    }

    fn list(&self, shard: Shard) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        for (digest, path) in self.layout.blobs(shard)? {
            // Gone since it was listed, or no file: nothing that a sweep could delete.
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            held.push(Held {
                digest,
                size_bytes: metadata.len(),
                written: written(&metadata),
            });
        }
        Ok(held)
    }

    fn count_failed(&self, error: &Error) {
        match error {
            Error::NoSpace { .. } => self.metrics.failed_no_space.inc(),
            _ if error.is_mismatch() => self.metrics.failed_mismatch.inc(),
            _ => self.metrics.failed_io.inc(),
        }
    }

    /// Notes a failure that says something about the volume rather than about the bytes.
    fn degrade(&self, error: &Error) {
        if matches!(error, Error::Io { .. }) {
            self.degraded.store(true, Ordering::Relaxed);
            self.metrics.degraded.set(1);
        }
    }

    /// A name in `tmp/` that nobody else has.
    fn tmp(&self) -> PathBuf {
        let number = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        self.layout.tmp(number)
    }
}

/// When the last byte was written to a file.
fn written(metadata: &Metadata) -> Timestamp {
    Timestamp::from_millis(metadata.mtime() * 1000 + metadata.mtime_nsec() / 1_000_000)
}

/// Runs `work` on the blocking pool; a panic goes on in the caller.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// The outcome of a job on the blocking pool; one that was never run met the end of the process.
fn joined<T>(outcome: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    match outcome {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopped),
        },
    }
}

/// Locks what no panic leaves half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
