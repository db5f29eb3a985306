//! Where a pull's content comes from: a repository of an organisation, with its cache if it is one.

use std::sync::Arc;

use super::cache::Cache;
use crate::model::{NamespaceId, NamespaceKind, NamespaceName};
use crate::oci::RepositoryName;

/// A repository as a request named it, resolved.
#[derive(Clone)]
pub struct Source {
    pub(super) organization: NamespaceId,
    pub(super) organization_name: NamespaceName,
    /// `None` for a namespace that is no cache, or no more: what is held is all there is.
    pub(super) cache: Option<Arc<Cache>>,
    /// The repository below the organisation; `upstream` knows what it is called there.
    pub(super) name: RepositoryName,
    pub(super) shown: RepositoryName,
    pub(super) kind: NamespaceKind,
    /// Its content comes, or came, from an upstream.
    pub(super) fetched: bool,
    pub(super) anonymous_pull: bool,
    pub(super) door: Door,
}

/// How a request came to its namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// By a mirror's listener or host name, or by `?ns=`: as a mirror of an upstream.
    Mirror,
    /// By the name.
    Namespace,
}

impl Source {
    /// The name as the client wrote it, for `Link` and listings.
    pub const fn shown(&self) -> &RepositoryName {
        &self.shown
    }

    pub const fn organization(&self) -> &NamespaceName {
        &self.organization_name
    }

    /// The repository's name below its organisation.
    pub const fn name(&self) -> &RepositoryName {
        &self.name
    }

    pub const fn organization_id(&self) -> NamespaceId {
        self.organization
    }

    pub const fn is_cache(&self) -> bool {
        self.cache.is_some()
    }

    /// What the namespace is: a cache, an organisation, a person's.
    pub const fn kind(&self) -> NamespaceKind {
        self.kind
    }

    /// Of a cache: whether anyone who reaches the port may read it.
    pub const fn is_public(&self) -> bool {
        self.anonymous_pull
    }

    /// Whether content comes from pushes here, rather than from an upstream.
    pub const fn is_local(&self) -> bool {
        !self.fetched
    }

    pub const fn door(&self) -> Door {
        self.door
    }
}
