//! What is asked of a backup, and the rows of its answer.

use serde::{Deserialize, Serialize};

use crate::backup::Counts;

/// A snapshot to be taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct BackupWish {
    /// With the blobs that only caches have.
    pub(in crate::app) cached: bool,
    /// With the rows of the store, and files held until they are copied; else only the list of blobs.
    pub(in crate::app) rows: bool,
}

/// A file of a backup whose bytes follow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct PartRow {
    pub(in crate::app) name: String,
}

/// What the files of a backup have in them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct SnapshotRow {
    /// The release that answers.
    pub(in crate::app) version: String,
    pub(in crate::app) schema: u64,
    pub(in crate::app) counts: Counts,
}
