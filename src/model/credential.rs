//! Secrets that stand for somebody, as stored.

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserId};

/// A secret encrypted under the installation's own key, so that the store alone does not tell it.
///
/// Only `accounts` and `auth` open it.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sealed(pub Vec<u8>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[sealed, {} bytes]", self.0.len())
    }
}

/// A token that a user made for a program; it acts with all rights of the user (Quay: app-specific
/// tokens).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppTokenRecord {
    pub user: UserId,
    /// By which it is named where it can be seen without being used.
    pub uuid: String,
    pub title: String,
    /// The first half of the token, by which it is found; not secret.
    pub lookup: String,
    /// The second half.
    pub secret: Sealed,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub last_accessed: Option<Timestamp>,
}

/// A key that registry tokens are signed with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SigningKeyRecord {
    pub created: Timestamp,
    /// From then on it signs nothing more; tokens it signed are good until they end.
    pub retired: Option<Timestamp>,
    /// PKCS #8.
    pub private_key: Sealed,
}
