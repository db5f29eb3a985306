//! A hold on blob files: while a backup copies what its snapshot names, nothing of that is unlinked.
//!
//! Rows go as ever; only the names of files stay until the last hold has ended, and then go unless their
//! digests were named again. In between their bytes count as lingering, as those of a file that somebody
//! still reads, so no cap is passed. What a crash leaves is a file without a row, which the sweep finds.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Registry;
use super::remove::Unnamed;

/// How many holds there are, and what waits for their end.
#[derive(Default)]
pub(super) struct Holds(Mutex<Held>);

#[derive(Default)]
struct Held {
    holders: usize,
    waiting: Vec<Unnamed>,
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether files stay for now. Asked after the row was looked at: a row that a snapshot has, which
    /// was begun under a hold, was there when the hold began.
    pub(super) fn any(&self) -> bool {
        self.lock().holders > 0
    }

    /// Keeps a file for later if there is a hold; else it is the caller's to unlink.
    pub(super) fn defer(&self, blob: Unnamed) -> Option<Unnamed> {
        let mut held = self.lock();
        if held.holders == 0 {
            return Some(blob);
        }
        held.waiting.push(blob);
        None
    }
}

/// Keeps every blob file that a row names, or named while this lived.
pub struct Hold(Registry);

impl Registry {
    /// Has no file of a blob unlinked until the hold is dropped.
    pub fn hold_files(&self) -> Hold {
        self.inner.holds.lock().holders += 1;
        Hold(self.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let waiting = {
            let mut held = self.0.inner.holds.lock();
            held.holders -= 1;
            match held.holders {
                0 => std::mem::take(&mut held.waiting),
                _ => return,
            }
        };
        // Without a runtime the process ends, and the next sweep finds them.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let registry = self.0.clone();
        if !waiting.is_empty() {
            let _removing = runtime.spawn(async move {
                for blob in waiting {
                    if let Err(error) = registry.unlink(blob).await {
                        tracing::warn!(%error, "a file that a backup held stays until the next sweep");
                    }
                }
            });
        }
    }
}
