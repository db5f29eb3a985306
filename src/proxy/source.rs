//! Where a pull's content comes from: a repository of an organisation, with its cache if it is one.

use std::sync::Arc;

use super::cache::Cache;
use crate::model::{NamespaceId, NamespaceName};
use crate::oci::RepositoryName;

/// A repository as a request named it, resolved.
#[derive(Clone)]
pub struct Source {
    pub(super) organization: NamespaceId,
    pub(super) organization_name: NamespaceName,
    /// `None` for an organisation that is no cache any more: what is held is all there is.
    pub(super) cache: Option<Arc<Cache>>,
    /// The repository below the organisation; `upstream` knows what it is called there.
    pub(super) name: RepositoryName,
    pub(super) shown: RepositoryName,
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

    /// Whether anyone who reaches the port may read it.
    pub fn is_public(&self) -> bool {
        self.cache
            .as_ref()
            .is_none_or(|cache| cache.rule.anonymous_pull)
    }
}
