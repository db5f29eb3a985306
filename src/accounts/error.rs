//! What can go wrong with accounts.

use std::fmt;

use crate::model::{NamespaceKind, NamespaceName};
use crate::store;

/// Why an account could not be read, made or changed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A user's or organisation's name that is a namespace's already.
    #[error("the name {name} is taken by {}", kind_of(*kind))]
    NameTaken {
        name: NamespaceName,
        kind: NamespaceKind,
    },
    /// A robot, team or e-mail address that should be new and exists.
    #[error("the {noun} {name} exists already")]
    Exists { noun: Noun, name: String },
    #[error("{what} is not valid: {reason}")]
    Invalid {
        what: &'static str,
        reason: &'static str,
    },
    #[error("there is no such {noun}")]
    Unknown { noun: Noun },
    /// A robot or team of one namespace cannot be used in another.
    #[error("the {noun} belongs to another namespace")]
    Foreign { noun: Noun },
    /// Only organisations have teams.
    #[error("{name} is a user's namespace and has no teams")]
    NoOrganization { name: NamespaceName },
    /// The owner of a namespace has every right in it; no grant changes that.
    #[error("the owner of a repository has every right on it already")]
    GrantToOwner,
    #[error("an organisation keeps at least one team with the role admin")]
    LastAdminTeam,
    #[error("nobody is in more than {limit} teams of one organisation")]
    TooManyTeams { limit: usize },
    /// A user whose repositories would be left without an owner.
    #[error("{name} still owns repositories")]
    OwnsRepositories { name: NamespaceName },
    /// A secret at rest was sealed under another key, or was damaged. Trying again cannot help.
    #[error("the secret of this {noun} cannot be opened with the installation's key")]
    SealBroken { noun: Noun },
    /// The runtime shuts down.
    #[error("the server is stopping")]
    Stopping,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// The error of a noun whose name the store found taken.
    pub(super) fn exists(noun: Noun, error: store::Error) -> Self {
        match error {
            store::Error::Exists { name } => Self::Exists { noun, name },
            error => Self::Store(error),
        }
    }
}

/// What an error is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Noun {
    User,
    Email,
    Robot,
    Team,
    AppToken,
    Namespace,
    Repository,
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Email => "e-mail address",
            Self::Robot => "robot",
            Self::Team => "team",
            Self::AppToken => "app token",
            Self::Namespace => "namespace",
            Self::Repository => "repository",
        })
    }
}

const fn kind_of(kind: NamespaceKind) -> &'static str {
    match kind {
        NamespaceKind::Cache => "a cache",
        NamespaceKind::Organization => "an organisation",
        NamespaceKind::User(_) => "a user",
    }
}
