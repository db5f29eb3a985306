//! What the collector looks at when its time has come.

use serde::{Deserialize, Serialize};

use super::RepositoryId;
use crate::oci::{Digest, Tag};

/// Something that may have become garbage at a certain time.
///
/// It is noted in the transaction of its cause, so that collection need not search. When it is due
/// it is looked at, not obeyed: it may have been named again.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Review {
    /// A tag that expires.
    Tag { repository: RepositoryId, tag: Tag },
    /// An ended lifetime of a tag, by its number: when it can no longer be restored.
    Lifetime {
        repository: RepositoryId,
        sequence: u64,
    },
    /// A manifest that perhaps nothing names.
    Manifest {
        repository: RepositoryId,
        digest: Digest,
    },
    /// A blob that perhaps no manifest of the repository names.
    Blob {
        repository: RepositoryId,
        digest: Digest,
    },
}

impl Review {
    pub const fn repository(&self) -> RepositoryId {
        match self {
            Self::Tag { repository, .. }
            | Self::Lifetime { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Blob { repository, .. } => *repository,
        }
    }
}
