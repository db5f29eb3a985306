//! What can go wrong with content.

use crate::oci::{Digest, InvalidManifest};
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
