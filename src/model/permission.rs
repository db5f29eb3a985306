//! What is granted on single repositories.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Member, NamespaceId, RobotId, TeamId, UserId};
use crate::oci::ParseError;

/// What a grant allows on its repository; each includes those before it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Role {
    /// Pull.
    Read,
    /// Push and delete.
    Write,
    /// Change settings and grants.
    Admin,
}

impl Role {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| ParseError::new("role", "it is read, write or admin"))
    }
}

/// Whom a repository is opened to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Grantee {
    User(UserId),
    Robot(RobotId),
    Team(TeamId),
}

impl From<Member> for Grantee {
    fn from(member: Member) -> Self {
        match member {
            Member::User(user) => Self::User(user),
            Member::Robot(robot) => Self::Robot(robot),
        }
    }
}

/// A grant that is made whenever somebody makes a repository in the organisation (Quay: prototypes, default
/// permissions).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PrototypeRecord {
    pub namespace: NamespaceId,
    /// Its id in the API.
    pub uuid: String,
    /// Whose repositories it is for; `None` for everyone's.
    pub activating: Option<Member>,
    pub delegate: Grantee,
    pub role: Role,
}
