//! Why somebody is not believed.

use std::time::Duration;

use crate::model::{NamespaceName, RobotName};
use crate::{accounts, store};

/// Why credentials or a token gave no identity, or rights could not be told.
///
/// Every text but those of the last four is for the client as it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Unknown name or wrong password: one answer for both.
    #[error("Invalid Username or Password")]
    PasswordRefused,
    #[error("Could not find robot with specified username and token")]
    RobotRefused,
    #[error("Invalid app token: it is unknown, revoked or expired")]
    AppTokenRefused,
    #[error("Invalid OAuth token: it is unknown, revoked or expired")]
    OauthTokenRefused,
    /// `ROBOTS_DISALLOW`; Quay's words (SC-066).
    #[error("Robot accounts have been disabled. Please contact your administrator.")]
    RobotsDisallowed,
    /// `FEATURE_REQUIRE_ENCRYPTED_BASIC_AUTH`; told before any password is looked at.
    #[error(
        "Client login with unencrypted passwords is disabled. Please generate an encrypted password \
         in the user admin panel for use here."
    )]
    PlainPasswordRefused,
    /// Credentials of a kind that nothing here takes.
    #[error("{0}")]
    KindRefused(RefusedKind),
    /// The password was right.
    #[error("The account {name} is disabled")]
    Disabled { name: NamespaceName },
    /// The robot's token was right.
    #[error("The robot {robot} belongs to a disabled account")]
    OwnerDisabled { robot: RobotName },
    #[error("Too many failed logins: try again in {} s", .retry_after.as_secs().max(1))]
    Throttled { retry_after: Duration },
    #[error("the token is not valid: {0}")]
    Token(#[from] TokenFault),
    /// More was asked for than a token can hold.
    #[error("too many scopes for one token")]
    TokenTooLong,
    /// A key could not be made, or refuses to sign.
    #[error("tokens cannot be signed: {0}")]
    Signing(&'static str),
    #[error(transparent)]
    Accounts(#[from] accounts::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the caller is to blame, rather than this server or its disk.
    ///
    /// What is false here must never be answered as if somebody had, or lacked, a right (AZ-15).
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Signing(_) | Self::Accounts(_) | Self::Store(_))
    }
}

/// Credentials that are understood and not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusedKind {
    /// `$token`
    AccessToken,
    /// `$app`, while `FEATURE_APP_SPECIFIC_TOKENS` is off.
    AppToken,
}

impl std::fmt::Display for RefusedKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AccessToken => {
                "Access tokens ($token) are not accepted here; use a robot account or an app token"
            }
            Self::AppToken => "App tokens are switched off (FEATURE_APP_SPECIFIC_TOKENS)",
        })
    }
}

/// What is wrong with a bearer token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenFault {
    #[error("it is too long")]
    TooLong,
    #[error("it is not a token of this registry's form")]
    Malformed,
    #[error("it is not signed with ES256")]
    Algorithm,
    #[error("its key is not known")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("it was issued by somebody else")]
    Issuer,
    #[error("it is for another service")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
    #[error("it is valid for too long")]
    Lifetime,
    #[error("it names nobody")]
    Subject,
    /// The account is gone or disabled.
    #[error("its account is gone or disabled")]
    Holder,
}
