//! Policies by which tags become immutable.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, RepositoryId};

/// What a policy holds for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PolicyScope {
    /// Every repository of a namespace.
    Namespace(NamespaceId),
    Repository(RepositoryId),
}

/// Tags of a scope that nobody may move or delete (Quay: tag immutability policies).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ImmutabilityPolicy {
    /// A regular expression over the whole tag.
    pub tag_pattern: String,
    /// Whether the tags that match are immutable, or those that do not.
    pub matches: bool,
}
