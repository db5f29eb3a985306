//! What can go wrong with accounts.

use std::fmt;

use super::name::NameFault;
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
    /// A name that is not in its one form.
    #[error("the {noun}'s name {name:?} is not valid: {}", fault.rule())]
    InvalidName {
        noun: Noun,
        name: String,
        fault: NameFault,
    },
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
    /// Who asks would no longer rule the organisation by any team.
    #[error("{user} rules {organization} by the team {team} only")]
    OwnLastAdminTeam {
        user: NamespaceName,
        team: String,
        organization: NamespaceName,
    },
    #[error("nobody else rules the organisation")]
    LastAdmin,
    #[error("{name} is in the team {team} already")]
    InTeam { name: String, team: String },
    #[error("{name} is not in the team {team}")]
    NotInTeam { name: String, team: String },
    /// An invitation is answered by whom it is for.
    #[error("the invitation is for {invited}")]
    InvitedOther { invited: String },
    #[error("an organisation has at most {limit} default permissions")]
    TooManyPrototypes { limit: usize },
    #[error("nobody is in more than {limit} teams of one organisation")]
    TooManyTeams { limit: usize },
    /// The first user is made once.
    #[error("there is a user already")]
    HasUsers,
    #[error("Token limit reached: maximum {limit} non-expired tokens per application")]
    TokenLimit { limit: u64 },
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
    pub(super) const fn unknown(noun: Noun) -> Self {
        Self::Unknown { noun }
    }

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
    Organization,
    Invitation,
    Prototype,
    AppToken,
    Application,
    OauthToken,
    Assignment,
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
            Self::Organization => "organisation",
            Self::Invitation => "invitation",
            Self::Prototype => "default permission",
            Self::AppToken => "app token",
            Self::Application => "application",
            Self::OauthToken => "token of an application",
            Self::Assignment => "assignment",
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
