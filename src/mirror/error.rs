//! Why a mirror could not do what it was to.

use crate::oci::ParseError;
use crate::{blob, registry, store, upstream};

/// Why a run, a plan or a look at a source came to nothing. Texts are fit for the usage log: no credentials.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such repository, or it is no mirror.
    #[error("the repository is no mirror")]
    NoMirror,
    #[error("mirrors do not run now: {0}")]
    Off(&'static str),
    /// A run of it is under way in this process.
    #[error("the mirror is being synchronized")]
    Busy,
    /// Somebody ended the run, or another run has begun.
    #[error("the run was cancelled")]
    Cancelled,
    #[error("{0}")]
    Reference(#[from] ParseError),
    #[error("the account was sealed by another installation: give it again")]
    Sealed,
    #[error("the robot of the mirror was deleted")]
    NoRobot,
    /// A setting that cannot be followed.
    #[error("{0}")]
    Setting(String),
    #[error("the source {0}")]
    Upstream(#[from] upstream::Error),
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Blob(#[from] blob::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Registry(error.into())
    }
}
