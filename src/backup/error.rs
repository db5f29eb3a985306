//! Why a backup is not made, or not taken.

use std::io;
use std::path::{Path, PathBuf};

use crate::store;

/// What is told to the operator.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Refused(String),
    /// LC-07: a bit that flipped, a file that is gone or was changed.
    #[error("{}: {reason}; take another generation, or another copy of the backup", path.display())]
    Damaged { path: PathBuf, reason: String },
    /// DO-06: something that no backup of ours has.
    #[error("{}: {reason}; a backup never has that, so nothing of it is taken", path.display())]
    Hostile { path: PathBuf, reason: String },
    #[error("cannot {act} {}", path.display())]
    File {
        act: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.to_owned(), reason.into());
        Self::Damaged { path, reason }
    }

    pub(super) fn hostile(path: &Path, reason: impl Into<String>) -> Self {
        let (path, reason) = (path.to_owned(), reason.into());
        Self::Hostile { path, reason }
    }

    pub(super) fn file(act: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        Self::File { act, path, source }
    }
}
