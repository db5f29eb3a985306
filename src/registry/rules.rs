//! What the operator says of pushes and of how long things are kept.

use std::time::Duration;

use crate::model::PrunePolicy;

/// Rules that hold for every local repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// For how long what a tag pointed to can be restored, where its namespace says nothing
    /// (`DEFAULT_TAG_EXPIRATION`).
    pub time_machine: Duration,
    /// What a namespace may say instead (`TAG_EXPIRATION_OPTIONS`).
    pub time_machines: Vec<Duration>,
    /// For how long what nothing names yet is kept after its push (`PUSH_TEMP_TAG_EXPIRATION_SEC`).
    pub grace: Duration,
    /// For how long an upload may rest before it is given up.
    pub upload_expiry: Duration,
    /// Image manifests may name blobs that the repository lacks (`ALLOW_SPARSE_IMAGES`).
    pub sparse_images: bool,
    /// Whether anything is collected: not while the registry is closed to writes.
    pub may_collect: bool,
    /// Indexes may name manifests that the repository lacks (`FEATURE_SPARSE_INDEX`).
    pub sparse_indexes: bool,
    /// Shortest and longest time that a tag lives whose end is set (`LABELED_EXPIRATION_MINIMUM`,
    /// `LABELED_EXPIRATION_MAXIMUM`).
    pub labeled: (Duration, Duration),
    /// Whether tags can be deleted for good (`PERMANENTLY_DELETE_TAGS`).
    pub permanently_delete: bool,
    /// What an index named goes with it, however lately it came (`RESET_CHILD_MANIFEST_EXPIRATION`).
    pub reset_children: bool,
    /// Policies and labels make tags immutable (`FEATURE_IMMUTABLE_TAGS`).
    pub immutable_tags: bool,
    /// By what tags of every local namespace end (`DEFAULT_NAMESPACE_AUTOPRUNE_POLICY`).
    pub prune: Option<PrunePolicy>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            time_machine: Duration::from_secs(14 * 86_400),
            time_machines: [0, 1, 7, 14, 28]
                .map(|days| Duration::from_secs(days * 86_400))
                .to_vec(),
            grace: Duration::from_secs(3600),
            upload_expiry: Duration::from_secs(2 * 86_400),
            sparse_images: false,
            may_collect: true,
            sparse_indexes: true,
            labeled: (
                Duration::from_secs(3600),
                Duration::from_secs(104 * 7 * 86_400),
            ),
            permanently_delete: false,
            reset_children: false,
            immutable_tags: true,
            prune: None,
        }
    }
}
