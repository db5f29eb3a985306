//! Sending written bytes to the disk while more come, so that the last sync finds little to do.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Written bytes are sent to the disk this often.
const EVERY_BYTES: u64 = 32 * 1024 * 1024;

/// Syncs one growing file now and then, one sync at a time.
pub(super) struct EarlySync {
    fd: Arc<OwnedFd>,
    started_at: u64,
    is_running: Arc<AtomicBool>,
}

impl EarlySync {
    /// For a file that has `len` bytes.
    ///
    /// `fd` is a descriptor of its own, opened for reading: a failure is kept for each descriptor, so
    /// the sync that counts, of the one for writing, still sees it.
    pub(super) fn new(fd: Arc<OwnedFd>, len: u64) -> Self {
        Self {
            fd,
            started_at: len,
            is_running: Arc::default(),
        }
    }

    /// Hears that the file has `len` bytes, and starts the disk on them if they are many.
    pub(super) fn reach(&mut self, len: u64) {
        if len - self.started_at < EVERY_BYTES {
            return;
        }
        self.started_at = len;
        if self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (fd, is_running) = (self.fd.clone(), self.is_running.clone());
        tokio::task::spawn_blocking(move || {
            rustix::fs::fdatasync(&*fd).ok();
            is_running.store(false, Ordering::Release);
        });
    }
}
