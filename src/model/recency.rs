//! When content was last used.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RepositoryId, Timestamp};
use crate::oci::Digest;

/// What eviction takes or leaves as one: a manifest of a repository with the blobs only it needs,
/// or a blob that no manifest of the repository names.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Unit {
    pub namespace: NamespaceId,
    pub repository: RepositoryId,
    pub digest: Digest,
}

/// How recently, and in how many windows, a unit was used.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecencyRecord {
    pub last_used: Timestamp,
    /// Number of the newest window it was used in.
    pub window: u64,
    /// Bit n: used in the window n before `window`.
    pub windows: u8,
    /// Passed over by eviction since its last use.
    pub spared: bool,
}
