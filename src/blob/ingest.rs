//! Where appended bytes go: a queue, and a job on the blocking pool that empties it.
//!
//! There is at most one job for a blob. It takes all that waits, writes and hashes it, tells the
//! readers, and ends when nothing waits: so a byte is on its way to disk as soon as it came, and
//! many small pieces cost one hop. The queue is bounded by those who append (`writer.rs`).

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use crate::oci::{Digest, Hasher};

use super::claims::Claim;
use super::file::BlobFile;
use super::open::OpenFile;
use super::partial::{Partial, PartialFailure, PartialFailureKind, Progress};
use super::publish::{self, Finished};
use super::{Error, Inner, disk, lock};

/// Readers hear of new bytes this often at the least while a long queue is written.
const ANNOUNCE_BYTES: u64 = 256 * 1024;
/// Written bytes are sent to the disk this often, so that the last sync finds little to do.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

/// One blob being written.
pub(super) struct Ingest {
    store: Arc<Inner>,
    claim: Arc<Claim>,
    path: PathBuf,
    written: File,
    file: Arc<OpenFile>,
    queue: Mutex<Queue>,
    sink: Mutex<Sink>,
    /// Ticks whenever the queue has become shorter or has ended.
    moved: watch::Sender<()>,
    progress: watch::Sender<Progress>,
    syncing: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    /// Bytes accepted and not yet written.
    waiting: u64,
    accepted: u64,
    total: Option<u64>,
    draining: bool,
    ended: Option<Error>,
}

/// What only the job touches while it runs.
struct Sink {
    hasher: Hasher,
    position: u64,
    announced: u64,
    synced: u64,
}

impl Ingest {
    /// Opens the partial of `digest` and hashes what an earlier writer left in it; blocks.
    pub(super) fn open(
        store: Arc<Inner>,
        claim: Arc<Claim>,
        digest: Digest,
    ) -> Result<Arc<Self>, Error> {
        let path = store.layout.partial(&digest);
        let written = disk::open_for_writing(&path)?;
        let reading = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let len = publish::len_of(&written, &path)?;
        let file = OpenFile::new(digest, reading, &store.reads);
        let hasher = publish::hash(&file, len)?;
        let queue = Queue {
            accepted: len,
            ..Queue::default()
        };
        let sink = Sink {
            hasher,
            position: len,
            announced: len,
            synced: len,
        };
        Ok(Arc::new(Self {
            store,
            claim,
            path,
            written,
            file,
            queue: Mutex::new(queue),
            sink: Mutex::new(sink),
            moved: watch::Sender::new(()),
            progress: watch::Sender::new(Progress::Growing { len, total: None }),
            syncing: Arc::default(),
        }))
    }

    /// The same blob from its first byte, in a new file; blocks.
    pub(super) fn open_anew(&self) -> Result<Arc<Self>, Error> {
        disk::unlink(&self.path)?;
        Self::open(self.store.clone(), self.claim.clone(), self.digest())
    }

    pub(super) fn digest(&self) -> Digest {
        self.file.digest()
    }

    pub(super) fn partial(&self) -> Partial {
        Partial::new(self.file.clone(), self.progress.subscribe())
    }

    /// How many bytes were accepted, the earlier writer's included.
    pub(super) fn accepted(&self) -> u64 {
        lock(&self.queue).accepted
    }

    pub(super) fn announce_total(&self, total: u64) {
        lock(&self.queue).total = Some(total);
        self.progress.send_if_modified(|progress| match progress {
            Progress::Growing { total: known, .. } if *known != Some(total) => {
                *known = Some(total);
                true
            }
            _ => false,
        });
    }

    /// Queues a piece and sees to it that somebody writes it.
    pub(super) fn accept(self: &Arc<Self>, piece: Bytes) -> Result<(), Error> {
        let mut queue = lock(&self.queue);
        if let Some(error) = &queue.ended {
            return Err(error.clone());
        }
        let accepted = queue.accepted + piece.len() as u64;
        check_len(self.digest(), queue.total, accepted, u64::gt)?;
        queue.accepted = accepted;
        queue.waiting += piece.len() as u64;
        queue.pieces.push_back(piece);
        let runs = std::mem::replace(&mut queue.draining, true);
        // A runtime that is stopping drops the job at once, and its guard locks the queue.
        drop(queue);
        if !runs {
            let draining = Draining {
                ingest: self.clone(),
                is_done: false,
            };
            tokio::task::spawn_blocking(move || draining.run());
        }
        Ok(())
    }

    /// Waits until at most `limit` accepted bytes are unwritten.
    pub(super) async fn settle(&self, limit: u64) -> Result<(), Error> {
        self.wait_for(|queue| queue.ended.is_some() || queue.waiting <= limit)
            .await;
        lock(&self.queue).ended.clone().map_or(Ok(()), Err)
    }

    /// Refuses further bytes and drops those that wait; the piece being written is the last.
    pub(super) fn stop(&self) {
        let mut queue = lock(&self.queue);
        queue.pieces.clear();
        queue.ended.get_or_insert(Error::Stopped);
    }

    /// Lets the next writer wait for this one's last write instead of refusing him.
    pub(super) fn leave(&self) {
        self.claim.leave();
    }

    /// Waits until nothing is being written.
    pub(super) async fn idle(&self) {
        self.wait_for(|queue| !queue.draining).await;
    }

    /// The pieces that a failed write left over, in order, the first at the end of what readers see.
    pub(super) fn take_unwritten(&self) -> Vec<Bytes> {
        std::mem::take(&mut lock(&self.queue).pieces).into()
    }

    /// Tells the readers that there will be no blob.
    pub(super) fn give_up(&self, kind: PartialFailureKind, reason: Arc<str>) {
        self.progress.send_if_modified(|progress| {
            let Progress::Growing { len, .. } = *progress else {
                return false;
            };
            *progress = Progress::Failed(PartialFailure { kind, reason, len });
            true
        });
    }

    /// Takes the bytes' name away; blocks.
    pub(super) fn discard(&self) {
        disk::unlink_quietly(&self.path);
    }

    /// Verifies what was written and publishes it, or throws it away; tells the readers; blocks.
    pub(super) fn finish(&self) -> Result<BlobFile, Error> {
        let finished = self.verify().and_then(|len| {
            self.store.publish(Finished {
                written: &self.written,
                path: &self.path,
                file: self.file.clone(),
                len,
            })
        });
        self.leave();
        match &finished {
            Ok(file) => {
                self.progress.send_replace(Progress::Complete(file.clone()));
            }
            Err(error) => self.give_up(failure_kind(error), error.to_string().into()),
        }
        finished
    }

    fn verify(&self) -> Result<u64, Error> {
        let (len, found) = {
            let sink = lock(&self.sink);
            (sink.position, sink.hasher.clone().finish())
        };
        let (expected, total) = (self.digest(), lock(&self.queue).total);
        let verified = check_len(expected, total, len, u64::ne).and_then(|()| {
            if found == expected {
                return Ok(len);
            }
            let found = Box::new(found);
            Err(Error::DigestMismatch { expected, found })
        });
        if let Err(error) = &verified {
            self.store.count_failed(error);
            self.discard();
        }
        verified
    }

    async fn wait_for(&self, is_reached: impl Fn(&Queue) -> bool) {
        let mut moved = self.moved.subscribe();
        while !is_reached(&lock(&self.queue)) {
            // Its sender is `self`, so it cannot close.
            moved.changed().await.ok();
        }
    }

    // === the job ===

    fn drain(&self) {
        while let Some(mut batch) = self.next_batch() {
            let written = lock(&self.sink).write(self, &mut batch);
            let mut queue = lock(&self.queue);
            match written {
                Ok(len) => queue.waiting -= len,
                Err(error) => {
                    self.store.count_failed(&error);
                    batch.append(&mut queue.pieces);
                    queue.pieces = batch;
                    queue.ended.get_or_insert(error);
                }
            }
            drop(queue);
            self.moved.send_replace(());
        }
    }

    /// All that waits; once nothing does, the job counts as ended.
    fn next_batch(&self) -> Option<VecDeque<Bytes>> {
        let mut queue = lock(&self.queue);
        if queue.pieces.is_empty() || queue.ended.is_some() {
            queue.draining = false;
            return None;
        }
        Some(std::mem::take(&mut queue.pieces))
    }

    fn announce(&self, position: u64) {
        self.progress.send_if_modified(|progress| match progress {
            Progress::Growing { len, .. } => {
                *len = position;
                true
            }
            _ => false,
        });
    }

    /// Starts the disk on what was written so far.
    ///
    /// The descriptor for reading is synced: a failure is kept for each descriptor, so the sync that
    /// counts, of the one for writing, still sees it.
    fn start_sync(&self) {
        if self.syncing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (file, syncing) = (self.file.clone(), self.syncing.clone());
        tokio::task::spawn_blocking(move || {
            rustix::fs::fdatasync(&**file.fd()).ok();
            syncing.store(false, Ordering::Release);
        });
    }
}

impl Sink {
    /// Writes a batch; what is not wholly written stays in it.
    fn write(&mut self, ingest: &Ingest, batch: &mut VecDeque<Bytes>) -> Result<u64, Error> {
        let start = self.position;
        while let Some(piece) = batch.front() {
            if let Err(error) = ingest.written.write_all_at(piece, self.position) {
                ingest.announce(self.position);
                return Err(Error::io("write", &ingest.path, error));
            }
            self.hasher.update(piece);
            self.position += piece.len() as u64;
            batch.pop_front();
            self.tell(ingest, batch.is_empty());
        }
        let len = self.position - start;
        ingest.store.metrics.written_bytes.inc_by(len);
        Ok(len)
    }

    fn tell(&mut self, ingest: &Ingest, is_last: bool) {
        if is_last || self.position - self.announced >= ANNOUNCE_BYTES {
            ingest.announce(self.position);
            self.announced = self.position;
        }
        if self.position - self.synced >= SYNC_BYTES {
            ingest.start_sync();
            self.synced = self.position;
        }
    }
}

/// The job, which ends the queue if it panics or is never run, so that nobody waits for it.
struct Draining {
    ingest: Arc<Ingest>,
    // Not told from `Queue::draining`: the next job may have begun when this one is dropped.
    is_done: bool,
}

impl Draining {
    fn run(mut self) {
        self.ingest.drain();
        self.is_done = true;
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        if !self.is_done {
            let mut queue = lock(&self.ingest.queue);
            queue.draining = false;
            queue.ended.get_or_insert(Error::Stopped);
        }
        self.ingest.moved.send_replace(());
    }
}

pub(super) fn failure_kind(error: &Error) -> PartialFailureKind {
    match error {
        Error::DigestMismatch { .. } | Error::LengthMismatch { .. } => PartialFailureKind::Mismatch,
        Error::NoSpace { .. } | Error::Io { .. } | Error::Truncated { .. } => {
            PartialFailureKind::Storage
        }
        _ => PartialFailureKind::GivenUp,
    }
}

fn check_len(
    digest: Digest,
    total: Option<u64>,
    found: u64,
    is_wrong: fn(&u64, &u64) -> bool,
) -> Result<(), Error> {
    match total {
        Some(expected) if is_wrong(&found, &expected) => Err(Error::LengthMismatch {
            digest,
            expected,
            found,
        }),
        _ => Ok(()),
    }
}
