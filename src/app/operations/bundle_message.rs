//! What is asked of bundles and warm-ups, and the rows of their answers.

use serde::{Deserialize, Serialize};

use crate::bundle::Signatures;
use crate::model::Timestamp;
use crate::oci::{Digest, Platform};

/// A bundle to be written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct ExportWish {
    pub(in crate::app) patterns: Vec<String>,
    /// Most bytes of a volume.
    pub(in crate::app) split: Option<u64>,
    pub(in crate::app) keep_going: bool,
    pub(in crate::app) dry_run: bool,
    pub(in crate::app) created: Option<Timestamp>,
    pub(in crate::app) sequence: Option<u64>,
    pub(in crate::app) by: Option<String>,
    /// The name of the file that says what the receiver has; its bytes follow the request.
    pub(in crate::app) since: Option<String>,
    /// Where an export that broke off goes on.
    pub(in crate::app) resume: Option<Resume>,
}

/// How far an export came.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct Resume {
    pub(in crate::app) bundle: Digest,
    /// The first volume that is not complete.
    pub(in crate::app) volume: u32,
    /// How many bytes of it are there.
    pub(in crate::app) bytes: u64,
}

/// Volumes to be read.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct ImportWish {
    /// Their names, for messages; their bytes follow the request.
    pub(in crate::app) files: Vec<String>,
    pub(in crate::app) signatures: Option<Signatures>,
    pub(in crate::app) into: Option<String>,
    pub(in crate::app) map: Vec<(String, String)>,
    pub(in crate::app) apply_removals: bool,
    pub(in crate::app) allow_older: bool,
    pub(in crate::app) keep_going: bool,
    pub(in crate::app) dry_run: bool,
}

/// References to be fetched; the list follows the request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct WarmWish {
    pub(in crate::app) file: String,
    /// None: as the cache's configuration says, or else all.
    pub(in crate::app) platforms: Vec<Platform>,
    /// Images fetched side by side.
    pub(in crate::app) parallel: u16,
}

/// What a bundle comes to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ExportRow {
    pub(in crate::app) bundle: Digest,
    pub(in crate::app) sequence: u64,
    pub(in crate::app) created: Timestamp,
    pub(in crate::app) repositories: u64,
    pub(in crate::app) tags: u64,
    pub(in crate::app) manifests: u64,
    pub(in crate::app) blobs: u64,
    /// Blobs that the receiver has.
    pub(in crate::app) known: u64,
    pub(in crate::app) known_bytes: u64,
    pub(in crate::app) removed_tags: u64,
    /// Bytes of each volume.
    pub(in crate::app) volumes: Vec<u64>,
    pub(in crate::app) signed_by: Option<String>,
    /// How many images are not here whole.
    pub(in crate::app) missing: u64,
}

/// A volume whose bytes follow.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct VolumeRow {
    pub(in crate::app) number: u32,
    pub(in crate::app) bytes: u64,
    /// Bytes of it that do not follow, since they were written before.
    pub(in crate::app) from: u64,
}

/// Something that is not complete.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct LeftRow {
    pub(in crate::app) image: String,
    pub(in crate::app) missing: Vec<Digest>,
}

/// What an import came to.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(in crate::app) struct ImportRow {
    pub(in crate::app) bundle: String,
    pub(in crate::app) by: String,
    pub(in crate::app) sequence: u64,
    pub(in crate::app) signed_by: Option<String>,
    pub(in crate::app) repositories: u64,
    pub(in crate::app) tags: u64,
    pub(in crate::app) manifests: u64,
    /// Blobs that were not here.
    pub(in crate::app) blobs: u64,
    pub(in crate::app) blob_bytes: u64,
    /// Tags that the sender has ended.
    pub(in crate::app) removals: Vec<String>,
    /// Whether they were ended here too.
    pub(in crate::app) removed: bool,
    /// Whether everything was taken, or would be.
    pub(in crate::app) complete: bool,
}

/// What came of one reference.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct WarmedRow {
    pub(in crate::app) image: String,
    pub(in crate::app) digest: Option<Digest>,
    pub(in crate::app) manifests: u64,
    pub(in crate::app) blobs: u64,
    /// Of those blobs, and how many bytes of that had to be fetched.
    pub(in crate::app) bytes: u64,
    pub(in crate::app) fetched_bytes: u64,
    pub(in crate::app) error: Option<String>,
}
