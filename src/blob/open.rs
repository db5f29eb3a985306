//! One descriptor on one file, shared by all who read it.
//!
//! Blobs, partials, streams and mappings hold an [`OpenFile`]; when the last of them lets go, the
//! descriptor is closed and whoever unlinked the file hears that its bytes are free. The blocking
//! reads in here are for the blocking pool.

use std::fmt;
use std::io::IoSliceMut;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use prometheus::{IntCounter, IntGauge};
use rustix::fs::Advice;
use rustix::io::{Errno, ReadWriteFlags};

use crate::oci::Digest;

use super::metrics::Metrics;
use super::pool::Pool;
use super::{Error, lock};

/// How far ahead of a cold read the kernel is asked to read.
const READ_AHEAD_BYTES: u64 = 1024 * 1024;

/// Told once the bytes of an unlinked file are free.
pub(super) type OnFreed = Box<dyn FnOnce() + Send>;

/// What every read needs besides its file.
#[derive(Clone, Debug)]
pub(super) struct Reads {
    pool: Pool,
    cold: IntCounter,
    open: IntGauge,
}

impl Reads {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            pool: Pool::default(),
            cold: metrics.cold_reads.clone(),
            open: metrics.open_files.clone(),
        }
    }
}

/// A file open for reading.
pub(super) struct OpenFile {
    digest: Digest,
    reads: Reads,
    /// Set once the file system has refused `RWF_NOWAIT`.
    must_block: AtomicBool,
    // Invariant: fields drop in this order, so the descriptor is closed before anybody is told.
    fd: Arc<OwnedFd>,
    freed: Freed,
}

struct Freed {
    told: Mutex<Vec<OnFreed>>,
    open: IntGauge,
}

impl Drop for Freed {
    fn drop(&mut self) {
        self.open.dec();
        for tell in lock(&self.told).drain(..) {
            tell();
        }
    }
}

impl OpenFile {
    pub(super) fn new(digest: Digest, fd: impl Into<OwnedFd>, reads: &Reads) -> Arc<Self> {
        reads.open.inc();
        Arc::new(Self {
            digest,
            reads: reads.clone(),
            must_block: AtomicBool::new(false),
            fd: Arc::new(fd.into()),
            freed: Freed {
                told: Mutex::default(),
                open: reads.open.clone(),
            },
        })
    }

    pub(super) fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Has `tell` run when the last holder is gone, on whatever thread that happens.
    pub(super) fn on_freed(&self, tell: OnFreed) {
        lock(&self.freed.told).push(tell);
    }

    /// Reads at `offset` what the page cache has of `want` bytes (one pooled buffer at most).
    ///
    /// `None`: it has nothing there, and [`OpenFile::read_blocking`] must wait for the disk.
    pub(super) fn read_cached(&self, offset: u64, want: u64) -> Result<Option<Bytes>, Error> {
        let mut buffer = self.reads.pool.take(clamp(want));
        let read = self.fill_cached(offset, buffer.as_mut())?;
        Ok(read.map(|len| buffer.freeze(len)))
    }

    /// Whether the page cache has the byte at `offset`.
    pub(super) fn is_cached(&self, offset: u64) -> bool {
        matches!(self.fill_cached(offset, &mut [0]), Ok(Some(_)))
    }

    /// Reads without waiting for the disk; returns how many bytes, or `None` for none.
    fn fill_cached(&self, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        if self.must_block.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let read = rustix::io::retry_on_intr(|| {
            let mut slices = [IoSliceMut::new(buffer)];
            rustix::io::preadv2(&*self.fd, &mut slices, offset, ReadWriteFlags::NOWAIT)
        });
        match read {
            Ok(0) => Err(self.truncated(offset)),
            Ok(len) => Ok(Some(len)),
            Err(Errno::AGAIN) => Ok(None),
            // Some file systems and sandboxes know no RWF_NOWAIT.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.must_block.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// Reads at `offset` all of `want` bytes (one pooled buffer at most), waiting for the disk.
    pub(super) fn read_blocking(&self, offset: u64, want: u64) -> Result<Bytes, Error> {
        self.reads.cold.inc();
        let mut buffer = self.reads.pool.take(clamp(want));
        let len = buffer.as_mut().len();
        self.will_need(offset, len as u64 + READ_AHEAD_BYTES);
        self.fill(offset, buffer.as_mut())?;
        Ok(buffer.freeze(len))
    }

    /// Fills `buffer` from `offset` on, waiting for the disk.
    pub(super) fn fill(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            match rustix::io::pread(&*self.fd, &mut buffer[done..], at) {
                Ok(0) => return Err(self.truncated(at)),
                Ok(len) => done += len,
                Err(Errno::INTR) => {}
                Err(error) => return Err(self.unreadable(error)),
            }
        }
        Ok(())
    }

    /// Asks the kernel to start reading.
    pub(super) fn will_need(&self, offset: u64, len: u64) {
        self.advise(Advice::WillNeed, offset, len);
    }

    /// Lets the kernel forget what it read, unless somebody has it mapped.
    pub(super) fn will_not_need(&self, offset: u64, len: u64) {
        self.advise(Advice::DontNeed, offset, len);
    }

    /// Has the kernel read through this descriptor what is asked for and nothing ahead of it.
    pub(super) fn read_nothing_ahead(&self) {
        self.advise(Advice::Random, 0, 0);
    }

    /// Advice only, so its failure means nothing; a `len` of zero is the rest of the file.
    fn advise(&self, advice: Advice, offset: u64, len: u64) {
        let len = NonZeroU64::new(len);
        rustix::fs::fadvise(&*self.fd, offset, len, advice).ok();
    }

    fn truncated(&self, offset: u64) -> Error {
        Error::Truncated {
            digest: self.digest,
            offset,
        }
    }

    fn unreadable(&self, error: Errno) -> Error {
        Error::io("read", Path::new(&self.digest.to_string()), error)
    }
}

impl fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenFile").field(&self.digest).finish()
    }
}

/// The pool cuts it to its own size.
fn clamp(want: u64) -> usize {
    usize::try_from(want)
        .unwrap_or(usize::MAX)
        .min(super::pool::PIECE_BYTES)
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use crate::blob::reader::ByteStream;
    use crate::oci::ByteRange;

    use super::*;

    /// Some file systems refuse `RWF_NOWAIT`; then every piece takes the way of a cold one.
    #[tokio::test]
    async fn a_stream_that_must_block_yields_the_same_bytes() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n / 7) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let file = OpenFile::new(Digest::of(&bytes), file, &Reads::new(&metrics));
        file.must_block.store(true, Ordering::Relaxed);
        let range = ByteRange {
            start: 3,
            end: 300_000,
        };
        let pieces: Vec<_> = ByteStream::new(file, range).collect().await;
        let read = pieces.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(read.concat(), bytes[3..]);
        assert_eq!(metrics.cold_reads.get(), read.len() as u64);
        assert_eq!(metrics.open_files.get(), 0);
    }
}
