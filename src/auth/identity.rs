//! Who asks, once that is known.

use std::fmt;

use super::scope::{Scope, Scopes};
use crate::accounts::Principal;
use crate::model::{
    Actor, AppTokenId, NamespaceId, NamespaceName, OauthTokenId, RobotId, RobotName, UserId,
};

/// Who a request is from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Identity {
    /// Nobody who told a name.
    Anonymous,
    User {
        id: UserId,
        name: NamespaceName,
        /// By the configuration or by the account itself; [`Identity::is_superuser`] tells whether
        /// that counts here.
        superuser: bool,
        /// `GLOBAL_READONLY_SUPER_USERS`: reads everything and changes nothing.
        global_readonly: bool,
        /// `FEATURE_RESTRICTED_USERS`: owns nothing.
        restricted: bool,
        /// What of the user's rights the credentials are for.
        scopes: Scopes,
        /// The token that was shown in place of a password, if one was.
        token: Option<ShownToken>,
    },
    Robot {
        id: RobotId,
        name: RobotName,
        /// The namespace that the robot belongs to; it has rights in no other.
        namespace: NamespaceId,
        /// Whether that is the namespace of a restricted user.
        restricted: bool,
    },
}

/// A token that stands for a user.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ShownToken {
    Oauth(OauthTokenId),
    App(AppTokenId),
}

/// Whom a token names.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Holder {
    Anonymous,
    User(UserId),
    Robot(RobotId),
    /// The user of that token, within its scopes.
    Token(OauthTokenId),
    /// The user of that token, as long as there is one.
    AppToken(AppTokenId),
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

    /// Whether this is a superuser, with credentials that are for that. One that may only read is
    /// none: of the two lists the narrower wins (Quay).
    pub fn is_superuser(&self) -> bool {
        match self {
            Self::User {
                superuser,
                global_readonly,
                scopes,
                ..
            } => *superuser && !global_readonly && scopes.contains(Scope::SuperUser),
            Self::Anonymous | Self::Robot { .. } => false,
        }
    }

    /// Whether this is somebody who reads everything, within the scopes, and changes nothing.
    pub const fn is_global_readonly(&self) -> bool {
        matches!(
            self,
            Self::User {
                global_readonly: true,
                ..
            }
        )
    }

    /// Whether this is somebody who can own nothing.
    pub const fn is_restricted(&self) -> bool {
        match self {
            Self::User { restricted, .. } | Self::Robot { restricted, .. } => *restricted,
            Self::Anonymous => false,
        }
    }

    /// What of the rights the credentials are for.
    pub const fn scopes(&self) -> Scopes {
        match self {
            Self::User { scopes, .. } => *scopes,
            Self::Anonymous | Self::Robot { .. } => Scopes::ALL,
        }
    }

    /// The same user with a token that is for those scopes.
    pub(super) fn through(self, shown: ShownToken, bounds: Scopes) -> Self {
        match self {
            Self::User {
                id,
                name,
                superuser,
                global_readonly,
                restricted,
                ..
            } => Self::User {
                id,
                name,
                superuser,
                global_readonly,
                restricted,
                scopes: bounds,
                token: Some(shown),
            },
            identity @ (Self::Anonymous | Self::Robot { .. }) => identity,
        }
    }

    /// The user, if it is one.
    pub const fn user(&self) -> Option<(UserId, &NamespaceName)> {
        match self {
            Self::User { id, name, .. } => Some((*id, name)),
            Self::Anonymous | Self::Robot { .. } => None,
        }
    }

    pub(super) const fn holder(&self) -> Holder {
        match self {
            Self::Anonymous => Holder::Anonymous,
            Self::User {
                token: Some(ShownToken::Oauth(token)),
                ..
            } => Holder::Token(*token),
            Self::User {
                token: Some(ShownToken::App(token)),
                ..
            } => Holder::AppToken(*token),
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
