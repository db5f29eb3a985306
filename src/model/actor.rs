//! Who does something.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NamespaceName, RobotId, RobotName, UserId};

/// Who did or does something; names are those of that time.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Actor {
    /// The server by itself: expiry, collection, a cache that follows its upstream.
    #[default]
    System,
    /// Nobody who told a name.
    Anonymous,
    User {
        id: UserId,
        name: NamespaceName,
    },
    Robot {
        id: RobotId,
        name: RobotName,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("(system)"),
            Self::Anonymous => f.write_str("(anonymous)"),
            Self::User { name, .. } => name.fmt(f),
            Self::Robot { name, .. } => name.fmt(f),
        }
    }
}
