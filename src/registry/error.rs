//! What can go wrong with content.

use crate::oci::{Digest, InvalidManifest, Tag};
use crate::quota::Shortage;
use crate::{blob, store};

/// Why content could not be read, kept or removed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("manifest {digest} is not valid: {reason}")]
    ManifestInvalid {
        digest: Digest,
        reason: InvalidManifest,
    },
    /// A row without its bytes, or bytes that are not what the row says.
    #[error("the bytes of {digest} are damaged or gone")]
    Corrupt { digest: Digest },
    #[error("there is no such repository")]
    NameUnknown,
    #[error("there is no such manifest")]
    ManifestUnknown,
    #[error("there is no such blob")]
    BlobUnknown,
    #[error("the manifest names {digest}, which the repository does not have")]
    ManifestBlobUnknown { digest: Digest },
    /// PR-09.
    #[error("the manifest states {stated} bytes for {digest}, which has {found}")]
    SizeInvalid {
        digest: Digest,
        stated: u64,
        found: u64,
    },
    #[error("the tag {tag} is immutable")]
    TagImmutable { tag: Tag },
    /// A conditional push whose condition does not hold.
    #[error("the tag {tag} is there already, or points elsewhere than the request expects")]
    Precondition { tag: Tag },
    #[error("{digest} is part of the manifest {manifest}; delete that first")]
    BlobInUse {
        digest: Digest,
        /// Boxed: errors stay small on the good path.
        manifest: Box<Digest>,
    },
    /// No such session of this person in this repository, or it has ended.
    #[error("there is no such upload")]
    UploadUnknown,
    /// The namespace is, or was, a cache: nobody pushes into it.
    #[error("the namespace is not pushed into")]
    ReadOnly,
    #[error("the system gives no random bytes")]
    NoRandomness,
    #[error("no room: {0}")]
    NoRoom(#[from] Shortage),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Blob(#[from] blob::Error),
}

impl Error {
    /// Whether there was no room, in an account or on the disk: content can still be passed on.
    pub const fn is_no_room(&self) -> bool {
        matches!(
            self,
            Self::NoRoom(_) | Self::Blob(blob::Error::NoSpace { .. })
        )
    }
}
