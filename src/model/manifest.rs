//! Manifests as stored.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use crate::oci::{Digest, MediaType};

/// A manifest held in a repository; its bytes are kept once for all repositories.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ManifestRecord {
    pub media_type: MediaType,
    /// Size of the document in bytes.
    pub size_bytes: u64,
    /// Children of an index.
    pub children: Vec<Digest>,
    /// Blobs the registry is expected to hold: config and layers, without foreign layers, with
    /// the size that the manifest states in bytes.
    pub blobs: Vec<(Digest, u64)>,
    pub subject: Option<Digest>,
    pub created: Timestamp,
}
