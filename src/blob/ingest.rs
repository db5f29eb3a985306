//! A blob being written by its digest, with readers at its heels.
//!
//! What `queue.rs` takes is written, hashed, and told to the readers (`partial.rs`); the end is a
//! blob that was verified and published, or nothing. The writing end is `writer.rs`.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use crate::oci::{Digest, Hasher};

use super::claims::Claim;
use super::early_sync::EarlySync;
use super::file::BlobFile;
use super::open::OpenFile;
use super::partial::{Partial, PartialFailure, PartialFailureKind, Progress};
use super::publish::{self, Finished};
use super::queue::{Drain, Queue};
use super::{Error, Inner, disk, lock};

/// Readers hear of new bytes this often at the least while a long queue is written.
const ANNOUNCE_BYTES: u64 = 256 * 1024;

/// One blob being written.
pub(super) struct Ingest {
    store: Arc<Inner>,
    path: PathBuf,
    written: File,
    file: Arc<OpenFile>,
    queue: Queue,
    sink: Mutex<Sink>,
    progress: watch::Sender<Progress>,
    // Invariant: drops last, so that the next writer finds the file closed.
    claim: Arc<Claim<Digest>>,
}

/// What only the job touches while it runs.
struct Sink {
    hasher: Hasher,
    position: u64,
    announced: u64,
    early_sync: EarlySync,
}

impl Ingest {
    /// Opens the partial of `digest` and hashes what an earlier writer left in it; blocks.
    pub(super) fn open(
        store: Arc<Inner>,
        claim: Arc<Claim<Digest>>,
        digest: Digest,
    ) -> Result<Arc<Self>, Error> {
        let path = store.layout.partial(&digest);
        let written = disk::open_for_writing(&path)?;
        let reading = File::open(&path).map_err(|error| Error::io("open", &path, error))?;
        let len = publish::len_of(&written, &path)?;
        let file = OpenFile::new(digest, reading, &store.reads);
        let hasher = publish::hash(&file, len)?;
        let sink = Sink {
            hasher,
            position: len,
            announced: len,
            early_sync: EarlySync::new(file.fd().clone(), len),
        };
        Ok(Arc::new(Self {
            store,
            claim,
            path,
            written,
            file,
            queue: Queue::new(len),
            sink: Mutex::new(sink),
            progress: watch::Sender::new(Progress::Growing { len, total: None }),
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

    pub(super) fn announce_total(&self, total: u64) {
        self.progress.send_if_modified(|progress| match progress {
            Progress::Growing { total: known, .. } if *known != Some(total) => {
                *known = Some(total);
                true
            }
            _ => false,
        });
    }

    /// Queues a piece, unless it passes the announced total.
    pub(super) fn accept(self: &Arc<Self>, piece: Bytes) -> Result<(), Error> {
        Queue::accept(self, piece, |accepted| {
            check_len(self.digest(), self.total(), accepted, u64::gt)
        })
    }

    /// Lets the next writer wait for this one's last write instead of refusing him.
    pub(super) fn leave(&self) {
        self.claim.leave();
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
                is_durable: false,
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
        let expected = self.digest();
        let verified = check_len(expected, self.total(), len, u64::ne)
            .and_then(|()| publish::check_digest(expected, found))
            .map(|()| len);
        if let Err(error) = &verified {
            self.store.count_failed(error);
            self.discard();
        }
        verified
    }

    /// The length announced, while the blob may still come to be.
    fn total(&self) -> Option<u64> {
        match *self.progress.borrow() {
            Progress::Growing { total, .. } => total,
            Progress::Complete(_) | Progress::Failed(_) => None,
        }
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
}

impl Drain for Ingest {
    fn queue(&self) -> &Queue {
        &self.queue
    }

    fn write(&self, batch: &mut VecDeque<Bytes>) -> Result<u64, Error> {
        let written = lock(&self.sink).write(self, batch);
        if let Err(error) = &written {
            self.store.count_failed(error);
        }
        written
    }
}

impl Sink {
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
        self.early_sync.reach(self.position);
    }
}

pub(super) fn failure_kind(error: &Error) -> PartialFailureKind {
    match error {
        Error::DigestMismatch { .. } | Error::LengthMismatch { .. } => PartialFailureKind::Mismatch,
        Error::NoSpace { .. }
        | Error::ReadOnly { .. }
        | Error::Io { .. }
        | Error::Truncated { .. } => PartialFailureKind::Storage,
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
