//! What a run did, or would do.

use serde::{Deserialize, Serialize};

/// How much a run of the collector may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budget {
    /// Reviews looked at before the run ends, a batch more or less.
    pub reviews: u64,
}

impl Budget {
    /// Until nothing is due.
    pub const UNBOUNDED: Self = Self { reviews: u64::MAX };
}

/// What a run of the collector did, or would do.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct GcReport {
    /// Reviews that were due and were looked at.
    pub reviewed: u64,
    /// Tags that had expired.
    pub expired_tags: u64,
    /// Ended lifetimes of tags that could no longer be restored.
    pub lifetimes: u64,
    /// Manifests that nothing needed.
    pub manifests: u64,
    /// Blobs taken out of repositories where no manifest named them.
    pub blobs: u64,
    /// Bytes that namespaces no longer hold, manifests and blobs, each counted once a namespace.
    pub held_bytes: u64,
    /// Files that no repository needed any more, and their bytes.
    pub files: u64,
    pub file_bytes: u64,
    /// Reviews that could not be carried out since a row is damaged; they are put off by a day.
    pub failed: u64,
    /// Nothing that was due is left. If not, there is at least as much as this tells.
    pub complete: bool,
}

impl GcReport {
    /// Adds what another part of the run did.
    pub(super) const fn add(&mut self, other: &Self) {
        self.reviewed += other.reviewed;
        self.expired_tags += other.expired_tags;
        self.lifetimes += other.lifetimes;
        self.manifests += other.manifests;
        self.blobs += other.blobs;
        self.held_bytes += other.held_bytes;
        self.files += other.files;
        self.file_bytes += other.file_bytes;
        self.failed += other.failed;
    }
}
