//! The blobs that are open: found by digest, at most one descriptor a file.
//!
//! A moka cache keeps the descriptors (and mappings) in use; beside it lies, in stripes, a weak
//! entry for every file that anybody still holds. The mutex of a stripe is held while a name is
//! given, opened or taken away: so a blob is never opened between its unlinking and the search for
//! its readers. It is held over file calls, so only the blocking pool may lock it; a worker uses
//! [`Shelf::cached`].

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use arc_swap::ArcSwapOption;

use crate::oci::Digest;

use super::file::BlobFile;
use super::lock;
use super::open::{OpenFile, Reads};

/// How many descriptors are kept open for blobs that nobody reads at the moment.
const KEPT: u64 = 512;
const STRIPES: usize = 256;
/// A stripe with this many entries is swept of dead ones before it grows.
const SWEEP_AT: usize = 64;

/// A place in the cache that can be emptied at once: moka frees what it evicts when it likes, but a
/// removed blob's descriptor must close now.
type Slot = Arc<ArcSwapOption<BlobFile>>;

pub(super) struct Shelf {
    cache: moka::sync::Cache<Digest, Slot>,
    stripes: Box<[Mutex<HashMap<Digest, Entry>>]>,
    reads: Reads,
}

struct Entry {
    file: Weak<OpenFile>,
    len: u64,
}

/// The right to change what name a digest's file has.
pub(super) struct Place<'a> {
    shelf: &'a Shelf,
    entries: MutexGuard<'a, HashMap<Digest, Entry>>,
    digest: Digest,
}

impl Shelf {
    pub(super) fn new(reads: Reads) -> Self {
        let cache = moka::sync::Cache::builder()
            .max_capacity(KEPT)
            .eviction_listener(|_, slot: Slot, _| slot.store(None))
            .build();
        Self {
            cache,
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            reads,
        }
    }

    /// The blob, if its descriptor is kept; never waits for the disk.
    pub(super) fn cached(&self, digest: &Digest) -> Option<BlobFile> {
        let slot = self.cache.get(digest)?;
        slot.load().as_deref().cloned()
    }

    /// Carries out what the cache has put off.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.cache.run_pending_tasks();
    }

    /// Locks what concerns `digest`, for the blocking pool.
    pub(super) fn place(&self, digest: &Digest) -> Place<'_> {
        // The second byte: the first chooses the folder, and a sweep goes folder by folder.
        let stripe = &self.stripes[usize::from(digest.hash()[1]) % STRIPES];
        Place {
            shelf: self,
            entries: lock(stripe),
            digest: *digest,
        }
    }
}

impl Place<'_> {
    /// The blob as somebody holds it open.
    pub(super) fn current(&self) -> Option<BlobFile> {
        if let Some(file) = self.shelf.cached(&self.digest) {
            return Some(file);
        }
        let entry = self.entries.get(&self.digest)?;
        let file = BlobFile::new(entry.file.upgrade()?, entry.len);
        self.keep(&file);
        Some(file)
    }

    /// Notes that the blob's name leads to `fd`.
    pub(super) fn open(&mut self, fd: impl Into<OwnedFd>, len: u64) -> BlobFile {
        let file = OpenFile::new(self.digest, fd, &self.shelf.reads);
        self.put(file, len)
    }

    /// Notes that the blob's name leads to `file`.
    pub(super) fn put(&mut self, file: Arc<OpenFile>, len: u64) -> BlobFile {
        self.note(&file, len);
        let file = BlobFile::new(file, len);
        self.keep(&file);
        file
    }

    /// The file that somebody holds open, whoever unlinks it waits for.
    pub(super) fn held(&self) -> Option<Arc<OpenFile>> {
        self.entries.get(&self.digest)?.file.upgrade()
    }

    /// Notes that the blob's name leads to `fd`, without keeping it open for the next reader.
    pub(super) fn lend(&mut self, fd: impl Into<OwnedFd>, len: u64) -> Arc<OpenFile> {
        let file = OpenFile::new(self.digest, fd, &self.shelf.reads);
        self.note(&file, len);
        file
    }

    fn note(&mut self, file: &Arc<OpenFile>, len: u64) {
        if self.entries.len() >= SWEEP_AT {
            self.entries
                .retain(|_, entry| entry.file.strong_count() > 0);
        }
        let entry = Entry {
            file: Arc::downgrade(file),
            len,
        };
        self.entries.insert(self.digest, entry);
    }

    /// Notes that the name leads nowhere; returns the file if anybody still holds it.
    pub(super) fn forget(&mut self) -> Option<Arc<OpenFile>> {
        if let Some(slot) = self.shelf.cache.remove(&self.digest) {
            slot.store(None);
        }
        self.entries.remove(&self.digest)?.file.upgrade()
    }

    fn keep(&self, file: &BlobFile) {
        let slot = Arc::new(ArcSwapOption::from_pointee(file.clone()));
        self.shelf.cache.insert(self.digest, slot);
    }
}
