//! What is deleted and not yet removed.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, UserId};

/// A deleted namespace or user, of which rows are left that nobody can reach.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Doomed {
    Namespace(NamespaceId),
    User(UserId),
}
