//! Accounts of people.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, NamespaceName, Timestamp};

/// A person's account, which owns the namespace of its name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct UserRecord {
    pub name: NamespaceName,
    /// The namespace of the same name.
    pub namespace: NamespaceId,
    pub email: Option<String>,
    /// PHC string of the password's hash; `None` for an account that logs in by other means only.
    pub password: Option<String>,
    /// A disabled account keeps its content and can do nothing.
    pub enabled: bool,
    /// Beside those that the configuration names.
    pub superuser: bool,
    pub created: Timestamp,
    /// Sessions that began under another number have ended: moved by sign-out and a new password.
    pub session_epoch: u64,
}
