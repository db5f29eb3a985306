//! A complete blob, open for reading: by region for sendfile, by stream for everything else.
//!
//! [`BlobFile`] is a cheap handle. Its descriptor and its mapping, made at the first
//! [`BlobFile::region`], are shared by all handles of the blob; an unlinked blob stays readable for
//! as long as one of them, a region or a stream is held. Nobody maps a file but this one, and it maps
//! only what is complete, verified and never written again.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

use crate::oci::{ByteRange, Digest};

use super::open::OpenFile;
use super::reader::ByteStream;
use super::residency::Seen;
use super::{Error, blocking};

/// Distance of the bytes probed in the page cache: half the kernel's usual read-ahead.
const PROBE_BYTES: u64 = 64 * 1024;
/// How many bytes a probe looks at; a larger range is probed more coarsely.
const PROBES: u64 = 256;

/// A complete, verified blob.
#[derive(Clone)]
pub struct BlobFile(Arc<Inner>);

struct Inner {
    digest: Digest,
    len: u64,
    seen: Seen,
    // Invariant: the mapping goes before the file, whose last holder tells that the bytes are free.
    mapping: OnceLock<Bytes>,
    file: Arc<OpenFile>,
}

/// Bytes of a blob, both as memory and as a piece of a file.
#[derive(Clone, Debug)]
pub struct Region {
    /// The bytes, owned by the mapping of the file: it lives as long as any part of them.
    pub bytes: Bytes,
    /// The file to give to sendfile(2).
    pub file: Arc<OwnedFd>,
    /// Where in the file `bytes` begin.
    pub offset: u64,
}

/// The mapping, and the file whose last holder it may be.
struct Mapped {
    map: Mmap,
    _file: Arc<OpenFile>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

impl BlobFile {
    /// Invariant: `file` has `len` bytes, and nobody will write to it again.
    pub(super) fn new(file: Arc<OpenFile>, len: u64) -> Self {
        Self(Arc::new(Inner {
            digest: file.digest(),
            len,
            seen: Seen::nothing(len),
            mapping: OnceLock::new(),
            file,
        }))
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.0.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.len == 0
    }

    /// All of it, as a range; empty for the empty blob.
    pub fn whole(&self) -> ByteRange {
        ByteRange {
            start: 0,
            end: self.0.len,
        }
    }

    /// Returns `range` as memory and as a piece of the file, without reading either.
    ///
    /// Whoever touches the memory, or sends the file, waits for the disk where the page cache lacks
    /// it: see [`BlobFile::is_resident`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`], or what the kernel says to the mapping.
    pub fn region(&self, range: ByteRange) -> Result<Region, Error> {
        self.check(range)?;
        let fits = |offset: u64| usize::try_from(offset).map_err(|_| self.unmappable());
        let (start, end) = (fits(range.start)?, fits(range.end)?);
        Ok(Region {
            bytes: self.mapping()?.slice(start..end),
            file: self.0.file.fd().clone(),
            offset: range.start,
        })
    }

    /// Streams `range` in pieces; the blocking pool is used only for what the page cache lacks.
    ///
    /// A range past the end yields [`Error::OutOfRange`] as its only item.
    pub fn stream(&self, range: ByteRange) -> ByteStream {
        match self.check(range) {
            Ok(()) => ByteStream::new(self.0.file.clone(), range),
            Err(error) => ByteStream::failing(self.0.file.clone(), error),
        }
    }

    /// Whether the page cache seems to have all of `range`, so that sending it would not block.
    ///
    /// A sample, made for pieces of a few MiB: a few hundred nanoseconds for each 64 KiB that was not
    /// looked at within the last two seconds.
    pub fn is_resident(&self, range: ByteRange) -> bool {
        let look = |part| probes(part).all(|offset| self.0.file.is_cached(offset));
        self.check(range).is_ok() && self.0.seen.all(range, look)
    }

    /// Waits until the page cache has `range`, reading it on the blocking pool.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Io`] and [`Error::Truncated`] if the disk fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the reading to go on unheard.
    pub async fn make_resident(&self, range: ByteRange) -> Result<(), Error> {
        self.check(range)?;
        let file = self.0.file.clone();
        blocking(move || {
            file.will_need(range.start, range.len());
            probes(range).try_for_each(|offset| file.fill(offset, &mut [0]))
        })
        .await
    }

    pub(super) fn file(&self) -> &Arc<OpenFile> {
        &self.0.file
    }

    fn check(&self, range: ByteRange) -> Result<(), Error> {
        if range.start <= range.end && range.end <= self.0.len {
            return Ok(());
        }
        Err(Error::OutOfRange {
            digest: self.0.digest,
            range,
            len_bytes: self.0.len,
        })
    }

    fn mapping(&self) -> Result<&Bytes, Error> {
        if self.0.mapping.get().is_none() {
            // Two may map at once; one of the mappings is dropped again.
            self.0.mapping.set(self.map()?).ok();
        }
        Ok(self.0.mapping.get().expect("the mapping was just set"))
    }

    #[expect(
        unsafe_code,
        reason = "the one mapping: of a complete, verified file that nobody writes or truncates"
    )]
    fn map(&self) -> Result<Bytes, Error> {
        if self.is_empty() {
            return Ok(Bytes::new());
        }
        let len = usize::try_from(self.0.len).map_err(|_| self.unmappable())?;
        // SAFETY: a blob gets its name by rename after its last write (`publish.rs`); from then on
        // this process only renames or unlinks it, and DATA_DIR belongs to this process alone.
        let map = unsafe { MmapOptions::new().len(len).map(&**self.0.file.fd()) }
            .map_err(|error| Error::io("map", Path::new(&self.0.digest.to_string()), error))?;
        Ok(Bytes::from_owner(Mapped {
            map,
            _file: self.0.file.clone(),
        }))
    }

    /// A blob larger than the address space (32-bit machines) can only be streamed.
    fn unmappable(&self) -> Error {
        let path = self.0.digest.to_string();
        let source = io::Error::from(io::ErrorKind::FileTooLarge);
        Error::io("map", Path::new(&path), source)
    }
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFile")
            .field("digest", &self.0.digest)
            .field("len", &self.0.len)
            .finish()
    }
}

/// Offsets to look at: both ends of the range and points between.
fn probes(range: ByteRange) -> impl Iterator<Item = u64> {
    let step = PROBE_BYTES.max(range.len() / PROBES);
    let last = range.end.saturating_sub(1);
    (range.start..range.end)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .chain((!range.is_empty()).then_some(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_touch_both_ends_and_are_bounded() {
        let probed = |start, end| probes(ByteRange { start, end }).collect::<Vec<_>>();
        assert!(probed(0, 0).is_empty());
        assert_eq!(probed(5, 6), [5, 5]);
        assert_eq!(probed(0, PROBE_BYTES + 1), [0, PROBE_BYTES, PROBE_BYTES]);
        assert!(probed(0, 1 << 40).len() <= 2 + PROBES as usize);
    }
}
