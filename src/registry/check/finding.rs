//! What a check tells of.

use crate::model::{NamespaceId, RepositoryId, Review};
use crate::oci::{Digest, Tag};
use crate::store::{Fault, WrongCount, WrongNumber, WrongRow};

/// Whether the check changes anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repair {
    /// It only tells.
    No,
    Yes,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// A blob has a row and no file: it counts as absent until it is fetched or pushed again (CR-08).
    MissingFile { digest: Digest, size_bytes: u64 },
    /// A blob's file has another length than its row says. Repaired: it is put into quarantine.
    WrongLength {
        digest: Digest,
        row_bytes: u64,
        file_bytes: u64,
    },
    /// A file has no row (CR-07). Repaired: it is removed.
    OrphanFile { digest: Digest, size_bytes: u64 },
    /// No repository links a blob. Repaired: its row and file are removed.
    UnlinkedBlob { digest: Digest },
    /// A namespace is said to hold another number of bytes than it does (GC-06). Repaired.
    WrongUsage {
        namespace: NamespaceId,
        stored_bytes: u64,
        counted_bytes: u64,
    },
    /// All blobs together are said to have another number of bytes than they do. Repaired.
    WrongTotal {
        stored_bytes: u64,
        counted_bytes: u64,
    },
    /// The document of a manifest is gone or is not the one of its digest (DK-07).
    DamagedManifest {
        repository: RepositoryId,
        digest: Digest,
    },
    /// A tag points to a manifest that its repository does not hold.
    DanglingTag {
        repository: RepositoryId,
        tag: Tag,
        digest: Digest,
    },
    /// Nothing needs it, and the collector was not told. Repaired: it is put on the agenda.
    Forgotten { review: Review },
    /// A row has not what an index should say of it. Repaired: it is written; a referrer whose
    /// document is damaged stays off its subject's list.
    MissingIndexRow { fault: Fault },
    /// An index has a row that nothing stands behind. Repaired: it is removed.
    StrayIndexRow { fault: Fault },
    /// A namespace is said to link a blob another number of times than it does. Repaired.
    WrongLinkCount { wrong: WrongCount },
    /// A number that is kept about a repository is not what is counted. Repaired.
    WrongNumber { wrong: WrongNumber },
    /// A row cannot be read, or is about something that is gone. Repaired: it is removed.
    WrongRow { wrong: WrongRow },
}

impl Finding {
    /// Whether a repair makes it good.
    pub const fn is_repairable(&self) -> bool {
        match self {
            Self::WrongLength { .. }
            | Self::OrphanFile { .. }
            | Self::UnlinkedBlob { .. }
            | Self::WrongUsage { .. }
            | Self::WrongTotal { .. }
            | Self::Forgotten { .. }
            | Self::MissingIndexRow { .. }
            | Self::StrayIndexRow { .. }
            | Self::WrongLinkCount { .. }
            | Self::WrongNumber { .. }
            | Self::WrongRow { .. } => true,
            Self::MissingFile { .. } | Self::DamagedManifest { .. } | Self::DanglingTag { .. } => {
                false
            }
        }
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CheckReport {
    pub blobs: u64,
    pub manifests: u64,
    /// Namespaces and repositories whose bytes were counted anew.
    pub namespaces: u64,
    pub repositories: u64,
    pub findings: u64,
    pub repaired: u64,
}
