//! Whether the volume under the store takes writes (DK-10).
//!
//! File systems turn read-only under a running process, when they meet an error or by their operator's
//! hand. Redb would take the refusal of a write for a failure, which is final; so the volume is asked
//! before each commit, and a commit that it would refuse is not begun: readers notice nothing, and
//! writers go on once it takes writes again.
//!
//! A store that was opened on a volume that takes none is kept in memory as far as it changes
//! (`overlay.rs`). What the start of a process settles stays there; from [`Volume::seal`] on nothing is
//! changed any more.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::IntGauge;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};
use rustix::io::Errno;

use super::Error;

/// How often a volume that took no writes at the start is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// The volume of one open store.
pub(super) struct Volume {
    path: PathBuf,
    kind: Kind,
    is_read_only: AtomicBool,
    gauge: IntGauge,
}

enum Kind {
    /// The store's file, opened for writing; without it the volume is believed to take writes.
    Writable(Option<File>),
    /// Changes stay in memory.
    Overlaid,
}

impl Volume {
    pub(super) fn writable(path: &Path, gauge: IntGauge) -> Self {
        let file = OpenOptions::new().write(true).open(path).ok();
        Self::new(path, Kind::Writable(file), gauge)
    }

    pub(super) fn overlaid(path: &Path, gauge: IntGauge) -> Self {
        Self::new(path, Kind::Overlaid, gauge)
    }

    fn new(path: &Path, kind: Kind, gauge: IntGauge) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            is_read_only: AtomicBool::new(false),
            gauge,
        }
    }

    /// Asks whether a commit would be taken.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    pub(super) fn check(&self) -> Result<(), Error> {
        if let Kind::Writable(Some(file)) = &self.kind {
            self.note(refuses(file));
        }
        match self.is_read_only.load(Ordering::Relaxed) {
            true => Err(Error::ReadOnly),
            false => Ok(()),
        }
    }

    /// From here on an overlaid store stays as it is.
    pub(super) fn seal(&self) {
        if matches!(self.kind, Kind::Overlaid) {
            self.note(true);
        }
    }

    /// Returns once a store that had to be overlaid could be opened for writing.
    pub(super) async fn wait_writable(&self) {
        match self.kind {
            Kind::Writable(_) => std::future::pending().await,
            Kind::Overlaid => {
                while takes_none(&self.path) {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn note(&self, is_read_only: bool) {
        if self.is_read_only.swap(is_read_only, Ordering::Relaxed) == is_read_only {
            return;
        }
        self.gauge.set(i64::from(is_read_only));
        match is_read_only {
            true => tracing::error!(
                file.path = %self.path.display(),
                "the data volume is read-only: what is held is served, and nothing is written"
            ),
            false => tracing::info!("the data volume takes writes again"),
        }
    }
}

/// Whether the file at `path` is on a volume that takes no writes. Anything else that keeps it from being
/// opened is for whoever opens it to tell.
pub(super) fn takes_none(path: &Path) -> bool {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) => refuses(&file),
        Err(error) => error.raw_os_error() == Some(Errno::ROFS.raw_os_error()),
    }
}

/// Whether a write to the file would be refused. What the kernel tells of the mount is not enough: an ext4
/// that has stopped after an error is still said to be mounted for writing. So its times are set, which the
/// next commit does in any case; to the present both, which needs no more than leave to write.
fn refuses(file: &File) -> bool {
    let now = || Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now(),
        last_modification: now(),
    };
    futimens(file, &times) == Err(Errno::ROFS)
}
