//! Blobs as stored.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A blob whose bytes are durable: one row and one file, whatever number of repositories name it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlobRecord {
    pub size_bytes: u64,
    pub created: Timestamp,
}

/// That a repository has a blob.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LinkRecord {
    /// When it was last pushed or mounted here: what no manifest names is kept for a while after
    /// that.
    pub since: Timestamp,
    /// It was deleted: there for nobody, and kept only for the manifests that can be restored.
    pub deleted: bool,
}
