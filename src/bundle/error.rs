//! Why a bundle is not written, or not taken.

use crate::model::ByteSize;
use crate::oci::{Digest, InvalidManifest, RepositoryName, Tag};
use crate::{accounts, registry, store};

/// What is told to the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(String),
    #[error("{file}: {reason}")]
    Hostile { file: String, reason: String },
    #[error("{file} ends before it is complete")]
    Cut { file: String },
    /// AG-03: a flipped bit.
    #[error("{file}: the bytes of {digest} are not those of its digest; take the volume anew")]
    Tampered { file: String, digest: Digest },
    /// The same of a blob of which each volume has a piece.
    #[error(
        "the bytes of {digest}, whose pieces are in the volumes {volumes}, are not those of its digest; \
         `sha256sum -c` tells which volume to take anew"
    )]
    TamperedPiece { digest: Digest, volumes: String },
    #[error("{name}@{digest} is no manifest that can be kept: {reason}")]
    Manifest {
        /// Boxed: errors stay small on the good path.
        name: Box<RepositoryName>,
        digest: Digest,
        reason: InvalidManifest,
    },
    #[error("the disk has too little room: {} are missing", ByteSize(*.missing))]
    NoRoom { missing: u64 },
    #[error(
        "{digest} went away while it was written out; begin again, the export goes on where it was"
    )]
    Vanished { digest: Digest },
    #[error("the tag {name}:{tag} is immutable and points elsewhere")]
    Immutable { name: String, tag: Tag },
    #[error("{name}: {source}")]
    Applying {
        name: String,
        #[source]
        source: Box<registry::Error>,
    },
    /// The other end of the channel is gone.
    #[error("nobody listens any more")]
    Unheard,
    #[error("cannot {act} {path}: {source}")]
    File {
        act: &'static str,
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Blob(#[from] crate::blob::Error),
}

impl Error {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    pub(super) fn hostile(file: &str, reason: impl Into<String>) -> Self {
        let (file, reason) = (file.to_owned(), reason.into());
        Self::Hostile { file, reason }
    }

    pub(super) fn file(act: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        let path = path.display().to_string();
        Self::File { act, path, source }
    }
}
