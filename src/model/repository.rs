//! Namespaces and repositories as stored.

use serde::{Deserialize, Serialize};

use super::{NamespaceId, NamespaceName, Timestamp};
use crate::oci::RepositoryName;

/// A namespace that owns repositories.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NamespaceRecord {
    pub name: NamespaceName,
    pub created: Timestamp,
    /// Whether anyone who reaches the port may pull what it holds, also when it is no cache any more.
    pub anonymous_pull: bool,
}

/// A repository of a namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RepositoryRecord {
    pub namespace: NamespaceId,
    /// The name below the namespace: `library/alpine` of `docker.io/library/alpine`.
    pub name: RepositoryName,
    pub created: Timestamp,
}
