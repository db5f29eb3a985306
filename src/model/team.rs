//! Teams of organisations, and invitations to them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RobotId, TeamId, Timestamp, UserId};
use crate::oci::ParseError;

/// What a team may do in its whole organisation, weakest first (Quay: team roles).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum TeamRole {
    /// Only what is granted to the team on single repositories.
    Member,
    /// May create repositories.
    Creator,
    /// Everything.
    Admin,
}

impl TeamRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Creator => "creator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for TeamRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TeamRole {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        [Self::Member, Self::Creator, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| ParseError::new("team role", "it is member, creator or admin"))
    }
}

/// A team.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TeamRecord {
    pub namespace: NamespaceId,
    pub name: String,
    pub role: TeamRole,
    pub description: String,
    /// How many users and robots are in it; counted by the store.
    pub members: u64,
    /// On how many repositories something is granted to it; counted by the store.
    pub repositories: u64,
}

impl TeamRecord {
    /// A team as it begins, without description, members and grants.
    pub const fn new(namespace: NamespaceId, name: String, role: TeamRole) -> Self {
        Self {
            namespace,
            name,
            role,
            description: String::new(),
            members: 0,
            repositories: 0,
        }
    }
}

/// Who is in a team.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Member {
    User(UserId),
    Robot(RobotId),
}

/// Who is invited: an account, or whoever has the address.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Invitee {
    User(UserId),
    /// In lower case.
    Email(String),
}

/// An invitation into a team that nobody has answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InvitationRecord {
    /// By which it is accepted or declined, by the invited only.
    pub code: String,
    pub team: TeamId,
    /// The team's.
    pub namespace: NamespaceId,
    pub invitee: Invitee,
    /// Who invited, as far as it was a user.
    pub inviter: Option<UserId>,
    pub created: Timestamp,
}

impl InvitationRecord {
    /// By what the notice of it is found again.
    pub fn notice_about(&self) -> String {
        format!("team_invite/{}", self.code)
    }
}
