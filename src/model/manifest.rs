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
    /// When it was first put here.
    pub created: Timestamp,
    /// When it was last put here: what nothing names is kept for a while after that.
    pub pushed: Timestamp,
    /// When it was deleted by its digest. It is there for nobody, until a tag is restored to it or it
    /// is pushed again; it is kept as long as a tag can be restored to it.
    pub deleted: Option<Timestamp>,
    /// Seconds after which tags that are pushed to it end (label `quay.expires-after`).
    pub expires_after_s: Option<u64>,
    /// Bytes of an image's layers as the manifest states them; `None` for what has no layers, and for what
    /// an earlier release kept.
    pub layers_bytes: Option<u64>,
}

impl ManifestRecord {
    /// Whether it is there for who asks.
    pub const fn is_live(&self) -> bool {
        self.deleted.is_none()
    }
}
