//! What can go wrong with a blob file.
//!
//! Every error can be cloned, because one failed fill is told to all who wait for it. Paths are for
//! the log; the doors above decide what a client is told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::oci::{ByteRange, Digest};

use super::partial::PartialFailure;
use super::upload_key::UploadKey;

/// A failure of this room, named for what happened to the caller's wish.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The volume has no byte, no inode or no quota left (ENOSPC, EDQUOT).
    #[error("no space left to {act} {}", path.display())]
    NoSpace {
        /// What was tried, as a verb.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
    },
    /// The volume takes no writes (EROFS).
    #[error("cannot {act} {}: the volume is read-only", path.display())]
    ReadOnly {
        /// What was tried, as a verb.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
    },
    /// The operating system refused a file operation.
    #[error("cannot {act} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The bytes given are not those that the digest stands for; they are gone.
    #[error("bytes given as {expected} have the digest {found}")]
    DigestMismatch {
        /// The digest that was promised.
        expected: Digest,
        /// The digest of the bytes that came; boxed, for errors stay small on the good path.
        found: Box<Digest>,
    },
    /// There are more or fewer bytes than were announced.
    #[error("{digest} has {found} bytes where {expected} were announced")]
    LengthMismatch {
        /// The blob concerned.
        digest: Digest,
        /// The length announced.
        expected: u64,
        /// The length found.
        found: u64,
    },
    /// Somebody is writing this blob at this moment.
    #[error("{digest} is being written by somebody else")]
    Busy {
        /// The blob concerned.
        digest: Digest,
    },
    /// Somebody is writing to this upload at this moment.
    #[error("upload {upload} is being written by somebody else")]
    UploadBusy {
        /// The upload concerned.
        upload: UploadKey,
    },
    /// The blob that was read while it was written will not be completed by its writer.
    #[error("{digest} broke off before byte {offset}: {}", failure.reason)]
    PartialFailed {
        /// The blob concerned.
        digest: Digest,
        /// Offset of the first byte that this reader was not given.
        offset: u64,
        /// Why, and what is left.
        failure: PartialFailure,
    },
    /// A range reaches past the end of its blob: a bug of the caller.
    #[error("bytes {}..{} of {digest}, which has {len_bytes}", range.start, range.end)]
    OutOfRange {
        /// The blob concerned.
        digest: Digest,
        /// The range asked for.
        range: ByteRange,
        /// How long the blob is.
        len_bytes: u64,
    },
    /// A file at rest ended before its length: it was damaged behind our back.
    #[error("the file of {digest} ends at byte {offset} already")]
    Truncated {
        /// The blob concerned.
        digest: Digest,
        /// Where the file ends.
        offset: u64,
    },
    /// The figures of this room are registered already.
    #[error("cannot register the figures of blob files")]
    Metrics(#[source] Arc<prometheus::Error>),
    /// The process is stopping; nothing was decided about the blob.
    #[error("the process is stopping")]
    Stopped,
}

impl Error {
    /// Wraps what the system said when `act` was tried on `path`.
    pub(super) fn io(act: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { act, path }
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { act, path },
            _ => Self::Io {
                act,
                path,
                source: Arc::new(source),
            },
        }
    }

    /// Whether the volume has no room for the bytes, or takes none at all: they can still be passed on.
    pub const fn is_unkept(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::ReadOnly { .. })
    }

    /// Whether bytes at rest are damaged: quarantine the blob and fetch it anew (DK-06).
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Truncated { .. } => true,
            // The kernel reports an unreadable sector as EIO.
            Self::Io { act, source, .. } => {
                *act == "read"
                    && source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
            }
            _ => false,
        }
    }

    /// Whether the bytes were not those of the digest, so that none of them may be believed.
    pub fn is_mismatch(&self) -> bool {
        matches!(
            self,
            Self::DigestMismatch { .. } | Self::LengthMismatch { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_volume_is_told_from_a_broken_one() {
        let error = |errno: rustix::io::Errno| Error::io("read", Path::new("x"), errno);
        assert!(error(rustix::io::Errno::NOSPC).is_unkept());
        assert!(error(rustix::io::Errno::DQUOT).is_unkept());
        assert!(error(rustix::io::Errno::ROFS).is_unkept());
        assert!(!error(rustix::io::Errno::ROFS).is_damage());
        assert!(error(rustix::io::Errno::IO).is_damage());
        assert!(!error(rustix::io::Errno::IO).is_unkept());
        assert!(!error(rustix::io::Errno::MFILE).is_damage());
    }
}
