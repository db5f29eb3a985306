//! Tags as stored.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::oci::Digest;

/// Where a tag points now.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagRecord {
    pub digest: Digest,
    /// When it began to point there.
    pub since: Timestamp,
    /// When upstream last confirmed it; of local tags, `since`.
    pub validated: Timestamp,
    /// When upstream first answered 404 for it, if that is the newest answer.
    pub missing_since: Option<Timestamp>,
    /// Never evicted.
    pub pinned: bool,
}

/// One line of a repository's tag history, under its sequence number.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TagEvent {
    pub tag: crate::oci::Tag,
    pub at: Timestamp,
    /// Where the tag pointed from then on; `None` when it ended.
    pub digest: Option<Digest>,
}
