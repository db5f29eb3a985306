//! Who asks, once that is known.

use std::fmt;

use crate::accounts::Principal;
use crate::model::{Actor, NamespaceId, NamespaceName, RobotId, RobotName, UserId};

/// Who a request is from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Identity {
    /// Nobody who told a name.
    Anonymous,
    User {
        id: UserId,
        name: NamespaceName,
        /// By the configuration or by the account itself.
        superuser: bool,
    },
    Robot {
        id: RobotId,
        name: RobotName,
        /// The namespace that the robot belongs to; it has rights in no other.
        namespace: NamespaceId,
    },
}

/// Whom a token names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Holder {
    Anonymous,
    User(UserId),
    Robot(RobotId),
}

impl Identity {
    /// The same for records of who did what.
    pub fn actor(&self) -> Actor {
        match self {
            Self::Anonymous => Actor::Anonymous,
            Self::User { id, name, .. } => Actor::User {
                id: *id,
                name: name.clone(),
            },
            Self::Robot { id, name, .. } => Actor::Robot {
                id: *id,
                name: name.clone(),
            },
        }
    }

    /// Whom rights are granted to; nobody for the anonymous.
    pub const fn principal(&self) -> Option<Principal> {
        match self {
            Self::Anonymous => None,
            Self::User { id, .. } => Some(Principal::User(*id)),
            Self::Robot { id, .. } => Some(Principal::Robot(*id)),
        }
    }

    pub const fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    pub const fn is_superuser(&self) -> bool {
        matches!(
            self,
            Self::User {
                superuser: true,
                ..
            }
        )
    }

    pub(super) const fn holder(&self) -> Holder {
        match self {
            Self::Anonymous => Holder::Anonymous,
            Self::User { id, .. } => Holder::User(*id),
            Self::Robot { id, .. } => Holder::Robot(*id),
        }
    }
}

/// The name, or `(anonymous)` (Quay: the `sub` of its tokens).
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("(anonymous)"),
            Self::User { name, .. } => name.fmt(f),
            Self::Robot { name, .. } => name.fmt(f),
        }
    }
}
