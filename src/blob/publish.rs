//! How names come and go: the order of writes, on the blocking pool.
//!
//! Publishing: bytes verified by the caller → fdatasync → rename → sync of the folder (a new folder
//! is made durable in its parent first). Whatever fails in between is final: the file is thrown
//! away and the error told, since a kernel that failed to sync once may claim success the next time.
//! After a failed sync or rename the store is degraded until the process starts anew.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::oci::{Algorithm, Digest, Hasher};

use super::file::BlobFile;
use super::open::{OnFreed, OpenFile};
use super::shelf::Place;
use super::{Error, Inner, disk};

/// How much is read at once when a file is hashed.
const HASHED_AT_ONCE: usize = 256 * 1024;

/// Bytes that are complete and verified, but without their name.
pub(super) struct Finished<'a> {
    pub(super) written: &'a File,
    pub(super) path: &'a Path,
    pub(super) file: Arc<OpenFile>,
    pub(super) len: u64,
    /// A sync after the last byte has succeeded: another would flush the disk for nothing.
    pub(super) is_durable: bool,
}

impl Inner {
    /// Makes verified bytes durable under their final name; their former name is gone either way.
    pub(super) fn publish(&self, finished: Finished<'_>) -> Result<BlobFile, Error> {
        let path = finished.path;
        let timer = self.metrics.sync_seconds.start_timer();
        let published = self.publish_or_fail(finished);
        match &published {
            Ok(_) => timer.observe_duration(),
            Err(error) => {
                timer.stop_and_discard();
                self.degrade(error);
                self.count_failed(error);
                disk::unlink_quietly(path);
            }
        }
        published
    }

    fn publish_or_fail(&self, finished: Finished<'_>) -> Result<BlobFile, Error> {
        let Finished {
            written,
            path,
            file,
            len,
            is_durable,
        } = finished;
        if !is_durable {
            let synced = written.sync_data();
            synced.map_err(|error| Error::io("sync", path, error))?;
        }
        let digest = file.digest();
        let mut place = self.shelf.place(&digest);
        if let Some(present) = self.open_present(&mut place, &digest, len)? {
            // Whoever gave it the name may have died before the sync of the folder.
            disk::sync_dir(&self.layout.make_shard(&digest)?)?;
            disk::unlink(path)?;
            return Ok(present);
        }
        let (shard, name) = (self.layout.make_shard(&digest)?, self.layout.blob(&digest));
        disk::rename(path, &name)?;
        if let Err(error) = disk::sync_dir(&shard) {
            disk::unlink_quietly(&name);
            return Err(error);
        }
        self.metrics.published.inc();
        Ok(place.put(file, len))
    }

    /// The blob of this length, if its name is taken by one.
    pub(super) fn open_present(
        &self,
        place: &mut Place<'_>,
        digest: &Digest,
        len: u64,
    ) -> Result<Option<BlobFile>, Error> {
        let path = self.layout.blob(digest);
        // Looked at even if somebody holds it open: the name may have been taken away from outside.
        if disk::len_of(&path)? != Some(len) {
            return Ok(None);
        }
        if let Some(file) = place.current() {
            return Ok(Some(file));
        }
        let file = disk::open_for_reading(&path)?;
        Ok(file.map(|file| place.open(file, len)))
    }

    /// Stores content that is in memory, unless it is there already.
    pub(super) fn insert(&self, digest: &Digest, bytes: &[u8]) -> Result<BlobFile, Error> {
        let (expected, len) = (*digest, bytes.len() as u64);
        let found = Digest::with(digest.algorithm(), bytes);
        check_digest(expected, found).inspect_err(|error| self.count_failed(error))?;
        let mut place = self.shelf.place(digest);
        if let Some(present) = self.open_present(&mut place, digest, len)? {
            disk::sync_dir(&self.layout.make_shard(digest)?)?;
            return Ok(present);
        }
        drop(place);
        let path = self.tmp();
        let written = self.write_new(&path, bytes)?;
        let reading = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        self.publish(Finished {
            written: &written,
            path: &path,
            file: OpenFile::new(expected, reading, &self.reads),
            len,
            is_durable: false,
        })
    }

    fn write_new(&self, path: &Path, bytes: &[u8]) -> Result<File, Error> {
        let file = disk::open_for_writing(path)?;
        if let Err(error) = file.write_all_at(bytes, 0) {
            let error = Error::io("write", path, error);
            self.count_failed(&error);
            disk::unlink_quietly(path);
            return Err(error);
        }
        self.metrics.written_bytes.inc_by(bytes.len() as u64);
        Ok(file)
    }

    /// Opens a blob that is to have `size` bytes; a damaged one is put into quarantine.
    pub(super) fn open(&self, digest: &Digest, size: u64) -> Result<Option<BlobFile>, Error> {
        let path = self.layout.blob(digest);
        let mut place = self.shelf.place(digest);
        if let Some(file) = place.current() {
            return check_size(file, size).map(Some);
        }
        let Some(file) = disk::open_for_reading(&path)? else {
            return Ok(None);
        };
        let found = len_of(&file, &path)?;
        if found == size {
            return Ok(Some(place.open(file, size)));
        }
        // Either the file is damaged or the caller errs; a good blob must not go for a wrong size.
        let opened = OpenFile::new(*digest, file, &self.reads);
        if hash(&opened, found)?.finish() == *digest {
            return check_size(place.put(opened, found), size).map(Some);
        }
        self.put_away(&mut place, digest)?;
        Ok(None)
    }

    /// Moves a damaged blob out of the way; whoever reads it goes on reading it.
    pub(super) fn quarantine(&self, digest: &Digest) -> Result<(), Error> {
        self.put_away(&mut self.shelf.place(digest), digest)
    }

    fn put_away(&self, place: &mut Place<'_>, digest: &Digest) -> Result<(), Error> {
        let path = self.layout.blob(digest);
        if disk::len_of(&path)?.is_none() {
            return Ok(());
        }
        disk::rename(&path, &self.layout.quarantine(digest))?;
        place.forget();
        self.metrics.quarantined.inc();
        tracing::error!(blob.digest = %digest, "a damaged blob was put into quarantine");
        Ok(())
    }

    /// Takes a blob's name away; `freed` runs at once if nobody holds the file.
    pub(super) fn unlink(&self, digest: &Digest, freed: OnFreed) -> Result<(), Error> {
        let path = self.layout.blob(digest);
        let mut place = self.shelf.place(digest);
        let had_name = disk::unlink(&path)?;
        let held = place.forget();
        drop(place);
        match held {
            Some(file) => file.on_freed(freed),
            None => freed(),
        }
        if had_name {
            self.metrics.removed.inc();
            disk::sync_dir(path.parent().expect("a blob lies in a folder"))?;
        }
        Ok(())
    }
}

/// Hashes the first `len` bytes of a file.
pub(super) fn hash(file: &OpenFile, len: u64) -> Result<Hasher, Error> {
    let algorithm = file.digest().algorithm();
    hash_with(algorithm, len, |offset, buffer| file.fill(offset, buffer))
}

/// Hashes the first `len` bytes of whatever `fill` reads.
pub(super) fn hash_with(
    algorithm: Algorithm,
    len: u64,
    fill: impl Fn(u64, &mut [u8]) -> Result<(), Error>,
) -> Result<Hasher, Error> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; HASHED_AT_ONCE];
    let mut offset = 0;
    while offset < len {
        let want = usize::try_from(len - offset).map_or(HASHED_AT_ONCE, |n| n.min(HASHED_AT_ONCE));
        fill(offset, &mut buffer[..want])?;
        hasher.update(&buffer[..want]);
        offset += want as u64;
    }
    Ok(hasher)
}

/// Refuses bytes whose digest is not the one that was promised.
pub(super) fn check_digest(expected: Digest, found: Digest) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    let found = Box::new(found);
    Err(Error::DigestMismatch { expected, found })
}

pub(super) fn len_of(file: &File, path: &Path) -> Result<u64, Error> {
    let metadata = file.metadata();
    let metadata = metadata.map_err(|error| Error::io("look at", path, error))?;
    Ok(metadata.len())
}

fn check_size(file: BlobFile, size: u64) -> Result<BlobFile, Error> {
    if file.len() == size {
        return Ok(file);
    }
    Err(Error::LengthMismatch {
        digest: file.digest(),
        expected: size,
        found: file.len(),
    })
}
