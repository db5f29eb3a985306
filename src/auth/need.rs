//! What a door of the API demands of its caller, as data.
//!
//! Every row of the route table has one. The doors are guarded by it, the API description tells it, and
//! the test that tries every door as everybody is made from it. What else decides (whose account it is,
//! which namespace a repository is made in) a door asks for itself, beyond its row.

use super::scope::Scope;
use crate::model::Role;

/// What a door demands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nothing: anybody may come in, and the door looks for itself.
    Anyone,
    /// Somebody who is known, with credentials for that.
    User(Scope),
    /// A role on the repository of the path.
    Repository(Role),
    /// A part in the organisation of the path.
    Organization(Part),
    /// A superuser; who may only read everything comes in to doors that change nothing.
    Superuser,
}

/// What somebody is to an organisation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// In any of its teams.
    Member,
    /// In a team that administers it.
    Admin,
}

impl Need {
    /// What an OAuth token must be for, if one is shown.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Self::Anyone => None,
            Self::User(scope) => Some(scope),
            Self::Repository(Role::Read) => Some(Scope::RepoRead),
            Self::Repository(Role::Write) => Some(Scope::RepoWrite),
            Self::Repository(Role::Admin) => Some(Scope::RepoAdmin),
            Self::Organization(_) => Some(Scope::OrgAdmin),
            Self::Superuser => Some(Scope::SuperUser),
        }
    }

    /// In words, for the description of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::User(_) => "user",
            Self::Repository(Role::Read) => "repository:read",
            Self::Repository(Role::Write) => "repository:write",
            Self::Repository(Role::Admin) => "repository:admin",
            Self::Organization(Part::Member) => "organization:member",
            Self::Organization(Part::Admin) => "organization:admin",
            Self::Superuser => "superuser",
        }
    }
}
