//! Reading a blob back to see whether it is still what its name says, for scrubs (DK-07, DK-08).
//!
//! Reads in pieces on the blocking pool, at the pace of the caller, and leaves the page cache as it
//! was: what the disk had to be asked for is forgotten again, what was hot stays. It judges and
//! changes nothing; what becomes of a damaged blob is the caller's to decide.

use std::sync::Arc;

use crate::oci::{Digest, Hasher};

use super::open::OpenFile;
use super::{BlobStore, Error, Inner, blocking, disk, publish};

/// How much is read between two waits of the caller's.
const STEP_BYTES: u64 = 1024 * 1024;
/// Distance of the bytes probed in the page cache.
const PROBE_BYTES: usize = 64 * 1024;

/// What a blob was found to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verified {
    /// Every byte was read and has the digest.
    Good,
    /// There is no file.
    Absent,
    /// Its bytes have another digest, or cannot be read.
    Damaged,
}

/// A blob half read.
struct Reading {
    // Its own descriptor, whose advice to the kernel concerns nobody else.
    file: Arc<OpenFile>,
    // Whoever unlinks the blob is told that its bytes are free when this, too, is gone.
    _held: Option<Arc<OpenFile>>,
    hasher: Hasher,
    buffer: Vec<u8>,
    position: u64,
    len: u64,
}

impl BlobStore {
    /// Reads a blob that is known to have `size` bytes, and compares it with its digest.
    ///
    /// After each MiB at most, `pace` is told how many bytes were read and waited for.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] if the bytes are good and `size` is wrong; [`Error::Io`] where nothing
    /// could be found out.
    ///
    /// # Cancel safety
    /// Dropping the future ends it after the piece being read.
    pub async fn verify<F>(
        &self,
        digest: &Digest,
        size: u64,
        mut pace: impl FnMut(u64) -> F,
    ) -> Result<Verified, Error>
    where
        F: Future<Output = ()>,
    {
        let (inner, digest) = (self.0.clone(), *digest);
        let opened = blocking(move || Reading::open(&inner, digest, size)).await?;
        let Some(mut reading) = opened else {
            return Ok(Verified::Absent);
        };
        while reading.position < reading.len {
            let start = reading.position;
            reading = match blocking(move || reading.step()).await {
                Ok(read) => read,
                Err(error) if error.is_damage() => return Ok(Verified::Damaged),
                Err(error) => return Err(error),
            };
            pace(reading.position - start).await;
        }
        reading.judge(digest, size)
    }
}

impl Reading {
    fn open(inner: &Inner, digest: Digest, size: u64) -> Result<Option<Self>, Error> {
        let path = inner.layout.blob(&digest);
        let mut place = inner.shelf.place(&digest);
        let Some(file) = disk::open_for_reading(&path)? else {
            return Ok(None);
        };
        let len = publish::len_of(&file, &path)?;
        let mut held = place.held();
        // A file of another length is not to be found by others; they would believe in it.
        if held.is_none() && len == size {
            let second = disk::open_for_reading(&path)?;
            held = second.map(|second| place.lend(second, len));
        }
        let file = OpenFile::new(digest, file, &inner.reads);
        // Otherwise what was read ahead for this would pass for hot.
        file.read_nothing_ahead();
        Ok(Some(Self {
            file,
            _held: held,
            hasher: Hasher::new(digest.algorithm()),
            buffer: Vec::new(),
            position: 0,
            len,
        }))
    }

    /// Reads and hashes one piece; blocks.
    fn step(mut self) -> Result<Self, Error> {
        let len = STEP_BYTES.min(self.len - self.position);
        let end = self.position + len;
        let was_hot = (self.position..end)
            .step_by(PROBE_BYTES)
            .all(|offset| self.file.is_cached(offset));
        let want = usize::try_from(len).expect("a step fits into memory");
        self.buffer.resize(want, 0);
        let read = self.file.fill(self.position, &mut self.buffer);
        if !was_hot {
            self.file.will_not_need(self.position, len);
        }
        read?;
        self.hasher.update(&self.buffer);
        self.position = end;
        Ok(self)
    }

    fn judge(self, digest: Digest, size: u64) -> Result<Verified, Error> {
        if self.hasher.finish() != digest {
            return Ok(Verified::Damaged);
        }
        if self.len == size {
            return Ok(Verified::Good);
        }
        Err(Error::LengthMismatch {
            digest,
            expected: size,
            found: self.len,
        })
    }
}
