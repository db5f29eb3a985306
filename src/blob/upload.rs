//! An upload: bytes of a client, appended in any number of visits, that become a blob in the end.
//!
//! Opened by `uploads.rs`, fed by `registry`. What it promises: the length that
//! [`UploadWriter::pause`] returns is durable, and so is every byte below it; the file is, in order,
//! what was appended and nothing else. A writer that is dropped leaves what was written, which is
//! made durable behind it, as does a client that is cut off.
//!
//! Where a write or sync fails the upload is given up as a whole and its file deleted at once. To cut
//! it back to what was acknowledged would need a file system that has just failed to do as told; it
//! would keep a full volume full until the session expires (DK-01); and clients that are told of a
//! failure begin anew anyway.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::oci::{Algorithm, Digest, Hasher};

use super::claims::Claim;
use super::early_sync::EarlySync;
use super::file::BlobFile;
use super::open::OpenFile;
use super::publish::{self, Finished};
use super::queue::{Drain, LIMIT_BYTES, Queue};
use super::upload_key::UploadKey;
use super::uploads::Hashed;
use super::{Error, Inner, blocking, disk, lock};

/// The only writer of one upload.
pub struct UploadWriter {
    upload: Arc<Upload>,
    is_ended: bool,
}

/// One upload being written to.
pub(super) struct Upload {
    store: Arc<Inner>,
    key: UploadKey,
    path: PathBuf,
    queue: Queue,
    sink: Mutex<Sink>,
    // Invariant: drops last, so that the next writer finds the file closed.
    claim: Arc<Claim<UploadKey>>,
}

/// What is written to; the job's while it runs.
struct Sink {
    hasher: Hasher,
    algorithm: Algorithm,
    position: u64,
    /// `None` before the first byte, and after the file was deleted.
    target: Option<Target>,
    /// Whether `position` bytes, and the name, are known to be durable.
    is_durable: bool,
    /// Whether the name is.
    is_name_durable: bool,
}

struct Target {
    file: File,
    early_sync: EarlySync,
}

impl UploadWriter {
    pub(super) fn new(upload: Arc<Upload>) -> Self {
        Self {
            upload,
            is_ended: false,
        }
    }

    /// The upload's name.
    pub fn key(&self) -> UploadKey {
        self.upload.key
    }

    /// How many bytes it has, those of earlier visits included: where the next one belongs.
    pub fn len(&self) -> u64 {
        self.upload.queue.accepted()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a piece; returns when at most 1 MiB of all that was appended is still unwritten.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Io`] if this or an earlier piece could not be written. The upload
    /// is gone then, with all its bytes, those of earlier visits included.
    ///
    /// # Cancel safety
    /// The piece is taken at the first poll; dropping the future only drops the wait.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), Error> {
        if !piece.is_empty() {
            Queue::accept(&self.upload, piece, |_| Ok(()))?;
        }
        self.upload.queue.settle(LIMIT_BYTES).await
    }

    /// Whether what has been appended so far are the bytes of a digest of the algorithm it was opened with.
    ///
    /// # Errors
    /// Those of [`UploadWriter::append`].
    pub async fn is(&self, expected: &Digest) -> Result<bool, Error> {
        self.upload.queue.settle(0).await?;
        let hasher = lock(&self.upload.sink).hasher.clone();
        Ok(hasher.finish() == *expected)
    }

    /// Makes everything appended durable and leaves the upload for a later visit; returns its length.
    ///
    /// # Errors
    /// Those of [`UploadWriter::append`]; a failed sync, too, is the end of the upload.
    ///
    /// # Cancel safety
    /// Dropped while bytes are unwritten, these are lost; later, it goes on unheard.
    pub async fn pause(mut self) -> Result<u64, Error> {
        self.upload.queue.settle(0).await?;
        self.is_ended = true;
        self.upload.claim.leave();
        let upload = self.upload.clone();
        blocking(move || upload.rest()).await
    }

    /// Throws away all its bytes, those of earlier visits included; the upload is gone.
    ///
    /// # Cancel safety
    /// Dropped while a piece is being written, the bytes stay as with a dropped writer; later, it goes on unheard.
    pub async fn discard(mut self) {
        self.upload.queue.stop();
        self.upload.queue.idle().await;
        self.is_ended = true;
        self.upload.claim.leave();
        let upload = self.upload.clone();
        let discard = move || {
            lock(&upload.sink).give_up(&upload.path);
            Ok(())
        };
        // What cannot be deleted was told, and is emptied.
        blocking(discard).await.ok();
    }

    /// Verifies the digest, makes the blob durable and gives it its name; the upload is gone.
    ///
    /// A digest of another algorithm than the upload was opened with has the file read again. If the
    /// blob is there already, these bytes are dropped in its favour. Whatever fails is final: the
    /// bytes are deleted, and the upload is gone as well.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`]; [`Error::NoSpace`], [`Error::Io`] also from earlier appends.
    ///
    /// # Cancel safety
    /// Dropped while bytes are unwritten, it is a dropped writer; later, publishing goes on unheard.
    pub async fn finish(mut self, expected: &Digest) -> Result<BlobFile, Error> {
        self.upload.queue.settle(0).await?;
        self.is_ended = true;
        self.upload.claim.leave();
        let (upload, expected) = (self.upload.clone(), *expected);
        blocking(move || upload.finish(expected)).await
    }
}

impl Drop for UploadWriter {
    fn drop(&mut self) {
        if self.is_ended {
            return;
        }
        self.upload.queue.stop();
        self.upload.claim.leave();
        let upload = self.upload.clone();
        // Without a runtime the process is stopping; the next one hashes and syncs what it finds.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                upload.queue.idle().await;
                // Nobody is left to be told; the failure was counted.
                blocking(move || upload.rest()).await.ok();
            });
        }
    }
}

impl fmt::Debug for UploadWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadWriter")
            .field("key", &self.key())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// Opens what is there of `key`, and hashes it unless that was kept; blocks.
    pub(super) fn open(
        store: Arc<Inner>,
        claim: Arc<Claim<UploadKey>>,
        key: UploadKey,
        algorithm: Algorithm,
    ) -> Result<Arc<Self>, Error> {
        let path = store.layout.upload(&key);
        let kept = store.uploads.take_hashed(&key);
        let sink = match Sink::open(&path, algorithm, kept) {
            Err(error) if error.is_damage() => {
                disk::unlink_quietly(&path);
                return Err(error);
            }
            opened => opened?,
        };
        Ok(Arc::new(Self {
            store,
            claim,
            key,
            path,
            queue: Queue::new(sink.position),
            sink: Mutex::new(sink),
        }))
    }

    /// Makes what was written durable and keeps its hash state; blocks.
    fn rest(&self) -> Result<u64, Error> {
        let mut sink = lock(&self.sink);
        if let Err(error) = sink.make_durable(self) {
            // Never tried again: the kernel may claim success the next time (DK-05).
            self.store.degrade(&error);
            self.store.count_failed(&error);
            sink.give_up(&self.path);
            return Err(error);
        }
        if sink.target.is_some() {
            self.store.uploads.keep_hashed(self.key, sink.hashed());
        }
        Ok(sink.position)
    }

    /// Verifies what was written and publishes it, or throws it away; blocks.
    fn finish(&self, expected: Digest) -> Result<BlobFile, Error> {
        let mut sink = lock(&self.sink);
        let Some(target) = sink.target.take() else {
            return self.store.insert(&expected, b"");
        };
        let verified = sink.verify(self, expected);
        let file = verified.inspect_err(|error| {
            self.store.count_failed(error);
            disk::unlink_quietly(&self.path);
        })?;
        self.store.publish(Finished {
            written: &target.file,
            path: &self.path,
            file,
            len: sink.position,
            is_durable: sink.is_durable,
        })
    }
}

impl Drain for Upload {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn write(&self, batch: &mut VecDeque<Bytes>) -> Result<u64, Error> {
        let mut sink = lock(&self.sink);
        let start = sink.position;
        while let Some(piece) = batch.front() {
            if let Err(error) = sink.write(&self.path, piece) {
                self.store.count_failed(&error);
                sink.give_up(&self.path);
                return Err(error);
            }
            batch.pop_front();
        }
        let len = sink.position - start;
        self.store.metrics.written_bytes.inc_by(len);
        Ok(len)
    }
}

impl Sink {
    fn open(path: &Path, algorithm: Algorithm, kept: Option<Hashed>) -> Result<Self, Error> {
        let Some(reading) = disk::open_for_reading(path)? else {
            return Ok(Self {
                hasher: Hasher::new(algorithm),
                algorithm,
                position: 0,
                target: None,
                is_durable: true,
                is_name_durable: false,
            });
        };
        let len = publish::len_of(&reading, path)?;
        let kept = kept.filter(|kept| (kept.algorithm, kept.len) == (algorithm, len));
        // Whoever left it otherwise may have died before the syncs.
        let is_durable = kept.is_some();
        let hasher = match kept {
            Some(kept) => kept.hasher,
            None => publish::hash_with(algorithm, len, |offset, buffer| {
                let read = reading.read_exact_at(buffer, offset);
                read.map_err(|error| Error::io("read", path, error))
            })?,
        };
        let file = disk::open_for_writing(path)?;
        Ok(Self {
            hasher,
            algorithm,
            position: len,
            target: Some(Target::new(file, reading, len)),
            is_durable,
            is_name_durable: is_durable,
        })
    }

    fn write(&mut self, path: &Path, piece: &[u8]) -> Result<(), Error> {
        let target = match &mut self.target {
            Some(target) => target,
            none => none.insert(Target::make(path)?),
        };
        self.is_durable = false;
        let written = target.file.write_all_at(piece, self.position);
        written.map_err(|error| Error::io("write", path, error))?;
        self.hasher.update(piece);
        self.position += piece.len() as u64;
        target.early_sync.reach(self.position);
        Ok(())
    }

    fn make_durable(&mut self, upload: &Upload) -> Result<(), Error> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        if !self.is_durable {
            let synced = target.file.sync_data();
            synced.map_err(|error| Error::io("sync", &upload.path, error))?;
        }
        if !self.is_name_durable {
            disk::sync_dir(&upload.store.layout.uploads())?;
        }
        (self.is_durable, self.is_name_durable) = (true, true);
        Ok(())
    }

    /// The file for readers, if its bytes are those of `expected`.
    fn verify(&self, upload: &Upload, expected: Digest) -> Result<Arc<OpenFile>, Error> {
        let reading = File::open(&upload.path);
        let reading = reading.map_err(|error| Error::io("open", &upload.path, error))?;
        let file = OpenFile::new(expected, reading, &upload.store.reads);
        let hasher = if expected.algorithm() == self.algorithm {
            self.hasher.clone()
        } else {
            publish::hash(&file, self.position)?
        };
        publish::check_digest(expected, hasher.finish())?;
        Ok(file)
    }

    fn hashed(&self) -> Hashed {
        Hashed {
            hasher: self.hasher.clone(),
            algorithm: self.algorithm,
            len: self.position,
        }
    }

    /// Deletes the file; where even that fails, empties it: no offset is to be believed.
    fn give_up(&mut self, path: &Path) {
        self.position = 0;
        let Some(target) = self.target.take() else {
            return;
        };
        if let Err(error) = disk::unlink(path) {
            tracing::warn!(file.path = %path.display(), %error, "a failed upload is not deleted");
            target.file.set_len(0).ok();
        }
    }
}

impl Target {
    fn make(path: &Path) -> Result<Self, Error> {
        let file = disk::open_for_writing(path)?;
        let reading = File::open(path).inspect_err(|_| disk::unlink_quietly(path));
        let reading = reading.map_err(|error| Error::io("open", path, error))?;
        Ok(Self::new(file, reading, 0))
    }

    fn new(file: File, reading: impl Into<OwnedFd>, len: u64) -> Self {
        Self {
            file,
            early_sync: EarlySync::new(Arc::new(reading.into()), len),
        }
    }
}
