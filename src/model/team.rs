//! Teams of organisations.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RobotId, UserId};

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

/// A team.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TeamRecord {
    pub namespace: NamespaceId,
    pub name: String,
    pub role: TeamRole,
    pub description: String,
}

/// Who is in a team.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Member {
    User(UserId),
    Robot(RobotId),
}
