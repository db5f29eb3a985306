//! Blobs as stored.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A blob whose bytes are durable: one row and one file, whatever number of repositories name it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlobRecord {
    pub size_bytes: u64,
    pub created: Timestamp,
}
