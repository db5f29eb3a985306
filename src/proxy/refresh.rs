//! Validation at an operator's word, for any cache whoever may pull from it.

use super::route::source_of;
use super::source::Door;
use super::{Ask, CacheStatus, Error, Proxy, Source};
use crate::model::NamespaceName;
use crate::oci::{Reference, RepositoryName, Tag};

impl Proxy {
    /// A repository of a configured cache, for its operator; `None` if there is no such cache.
    pub fn operated(&self, organization: &NamespaceName, name: &RepositoryName) -> Option<Source> {
        let caches = self.inner.caches.load();
        let cache = caches.of_organization(organization.as_str())?;
        source_of(cache, name.clone(), name, Door::Namespace)
    }

    /// Asks upstream now where a tag points, and fetches what has changed.
    ///
    /// # Errors
    /// As [`Proxy::manifest`].
    pub async fn refresh(&self, source: &Source, tag: &Tag) -> Result<CacheStatus, Error> {
        let reference = Reference::Tag(tag.clone());
        Ok(self
            .manifest(source, &reference, Ask::Validate)
            .await?
            .cache)
    }
}
