//! What can go wrong in the store.

use std::path::PathBuf;
use std::sync::Arc;

/// Why the store did not do what it was asked.
///
/// Cloned into every answer of a batch that failed as one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process, or another handle of this one, has the file open.
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },
    /// A newer release wrote the file; it was not touched.
    #[error(
        "{} was written by a newer release (schema {found}, this one knows {known}) and is left as it is",
        path.display()
    )]
    NewerSchema {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    /// An older release wrote the file, which is only looked at.
    #[error(
        "{} was written by an earlier release (schema {found}); the next start brings it to schema {known}",
        path.display()
    )]
    OlderSchema {
        path: PathBuf,
        found: u64,
        known: u64,
    },
    /// The file cannot be looked at as it is.
    #[error(
        "{} was not closed (a power cut, or a process that was killed); the next start brings it to its last commit",
        path.display()
    )]
    NotClosed { path: PathBuf },
    /// Bringing the file to this release's schema takes space for a copy.
    #[error(
        "{} is to be brought to a newer schema, of which a copy is kept: that takes {} bytes, and the disk has {} \
         free; nothing was changed",
        path.display(), needed, free
    )]
    NoRoomToUpgrade {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    /// A file that is no store: another program's, or damaged beyond opening.
    #[error("{} cannot be opened as a store", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The disk or redb failed, in this call or before it. The store takes no more writes; only
    /// opening it again, in a fresh process, may help.
    #[error("the store failed and takes no more writes: {reason}")]
    Failed { reason: Arc<str> },
    /// A row holds bytes that we did not write. Trying again cannot help; other rows are fine.
    #[error("a row of {table} is damaged: {reason}")]
    Corrupt { table: &'static str, reason: String },
    /// The file cannot be read to its end; the store goes on with what can be.
    #[error("the store cannot be read: {reason}; `entrepot doctor` tells more")]
    Unreadable { reason: String },
    /// Bytes that a store is to be made of are not those of one.
    #[error("these are not the rows of a store: {reason}")]
    Dump { reason: String },
    /// A name that should be free is taken.
    #[error("{name} exists")]
    Exists { name: String },
    /// The closure panicked; nothing of it was kept.
    #[error("the transaction panicked, nothing of it was kept")]
    Panicked,
    /// The store was closed before the transaction ran.
    #[error("the store is closed")]
    Closed,
    /// So much waits to be written that there was no place for more in time (DK-11); nothing was done.
    #[error("too much waits to be written, try again later")]
    Busy,
    /// The volume takes no writes (DK-10); nothing was done, and what is held can be read.
    #[error("the data volume is read-only: nothing can be changed until it takes writes again")]
    ReadOnly,
    /// A metric of the store is registered already.
    #[error("the store's metrics cannot be registered")]
    Metrics(#[source] Arc<prometheus::Error>),
}

impl Error {
    /// Whether trying again later is all there is to do.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy | Self::ReadOnly)
    }

    /// Whether the volume takes no writes.
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::ReadOnly)
    }

    pub(super) fn unreadable(reason: impl ToString) -> Self {
        Self::Unreadable {
            reason: reason.to_string(),
        }
    }

    /// The error of `path`, which redb would not open.
    pub(super) fn opening(path: &std::path::Path, error: redb::DatabaseError) -> Self {
        let path = path.to_owned();
        match error {
            redb::DatabaseError::DatabaseAlreadyOpen => Self::InUse { path },
            error => Self::Open {
                path,
                source: Arc::new(error),
            },
        }
    }

    /// The error of `path`, whose file could not be made or looked into.
    pub(super) fn file(
        path: &std::path::Path,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Open {
            path: path.to_owned(),
            source: Arc::new(error),
        }
    }
}
