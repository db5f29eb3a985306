//! Which organisation a request is for, and what its repository is called there and upstream.

use std::sync::Arc;

use super::cache::{Cache, Caches, GivenBy};
use super::source::Door;
use super::{Error, Proxy, Source};
use crate::model::{NamespaceId, NamespaceKind, NamespaceName, UpstreamName};
use crate::oci::RepositoryName;

/// What a request says of where it wants to go, beside the repository's name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Organisation of the mirror listener it came in by.
    pub listener: Option<&'a NamespaceName>,
    /// `Host` without its port.
    pub host: Option<&'a str>,
    /// `?ns=`
    pub ns: Option<&'a str>,
    /// The namespace of a name that has none (`LIBRARY_NAMESPACE`).
    pub library: Option<&'a NamespaceName>,
}

/// Where a request goes.
pub enum Route {
    Source(Source),
    /// `?ns=` names an upstream that no organisation serves: the client falls back at once.
    Unserved,
    /// No namespace has that name.
    UnknownNamespace(NamespaceName),
    /// The name has no first component that could be a namespace's.
    NoNamespace,
}

impl Proxy {
    /// Resolves a name: mirror listener or hostname, then `?ns=`, then the first component.
    ///
    /// Never asks upstream, and makes nothing: only what is configured or held is found. Who may do
    /// what there is the caller's to decide.
    ///
    /// # Errors
    /// The store's.
    pub async fn route(&self, origin: &Origin<'_>, name: &RepositoryName) -> Result<Route, Error> {
        let caches = self.inner.caches.load_full();
        let hostnames = self.inner.hostnames.load();
        let mirrored = origin
            .listener
            .or_else(|| origin.host.and_then(|host| hostnames.get(host)));
        if let Some(organization) = mirrored {
            return match caches.of_organization(organization.as_str()) {
                Some(cache) => {
                    self.route_within(cache, name.clone(), name, Door::Mirror)
                        .await
                }
                None => {
                    let organization = organization.clone();
                    self.held_only(organization, name.clone(), name, Door::Mirror)
                        .await
                }
            };
        }
        if let Some(ns) = origin.ns.filter(|ns| !ns.is_empty()) {
            return match find_by_ns(&caches, ns, name) {
                Some((cache, rest)) => self.route_within(cache, rest, name, Door::Mirror).await,
                None => Ok(Route::Unserved),
            };
        }
        let Some((first, rest)) = name.split_first() else {
            return match origin.library {
                Some(library) => {
                    let library = library.clone();
                    self.held_only(library, name.clone(), name, Door::Namespace)
                        .await
                }
                None => Ok(Route::NoNamespace),
            };
        };
        if let Some(cache) = caches.of_organization(first) {
            return self.route_within(cache, rest, name, Door::Namespace).await;
        }
        match first.parse() {
            Ok(organization) => {
                self.held_only(organization, rest, name, Door::Namespace)
                    .await
            }
            Err(_) => Ok(Route::NoNamespace),
        }
    }

    /// A repository of a cache: one that was pushed, where there may be such, or upstream's.
    async fn route_within(
        &self,
        cache: &Arc<Cache>,
        name: RepositoryName,
        shown: &RepositoryName,
        door: Door,
    ) -> Result<Route, Error> {
        if cache.given == GivenBy::Api && !self.is_named(cache).await? {
            let name = &cache.rule.organization;
            return Ok(Route::UnknownNamespace(name.clone()));
        }
        if !cache.is_mixed || self.is_fetched(cache.organization, &name).await? != Some(false) {
            return Ok(route_to(cache, name, shown, door));
        }
        Ok(Route::Source(Source {
            organization: cache.organization,
            organization_name: cache.rule.organization.clone(),
            cache: None,
            name,
            shown: shown.clone(),
            kind: NamespaceKind::Organization,
            fetched: false,
            anonymous_pull: false,
            door,
        }))
    }

    /// Whether the organisation still has the name that it became a cache under: it may be gone, or another
    /// may have its name, before the caches are taken over anew.
    async fn is_named(&self, cache: &Cache) -> Result<bool, Error> {
        let found = self.registry().namespace(&cache.rule.organization).await?;
        Ok(found.is_some_and(|(id, _)| id == cache.organization))
    }

    /// Whether a repository holds what an upstream has; `None` if there is none of that name.
    async fn is_fetched(
        &self,
        organization: NamespaceId,
        name: &RepositoryName,
    ) -> Result<Option<bool>, Error> {
        let registry = self.registry();
        let Some(id) = registry.repository(organization, name).await? else {
            return Ok(None);
        };
        let record = registry.repository_record(id).await?;
        Ok(record.map(|record| record.fetched))
    }

    /// A local namespace, or one that is no cache any more, serves what it holds.
    async fn held_only(
        &self,
        name: NamespaceName,
        repository: RepositoryName,
        shown: &RepositoryName,
        door: Door,
    ) -> Result<Route, Error> {
        let Some((organization, record)) = self.registry().namespace(&name).await? else {
            return Ok(Route::UnknownNamespace(name));
        };
        let fetched = record.kind == NamespaceKind::Cache
            || self.is_fetched(organization, &repository).await? == Some(true);
        Ok(Route::Source(Source {
            organization,
            organization_name: name,
            cache: None,
            name: repository,
            shown: shown.clone(),
            kind: record.kind,
            fetched,
            anonymous_pull: record.anonymous_pull,
            door,
        }))
    }
}

/// A prefix that names an organisation with that upstream is taken off; else the upstream's own
/// organisation is found by the upstream.
fn find_by_ns<'a>(
    caches: &'a Caches,
    ns: &str,
    name: &RepositoryName,
) -> Option<(&'a Arc<Cache>, RepositoryName)> {
    let host = ns.split_once("://").map_or(ns, |(_, host)| host);
    let wanted = host.parse::<UpstreamName>().ok()?;
    if let Some((first, rest)) = name.split_first()
        && let Some(cache) = caches.of_organization(first)
        && cache.rule.upstream.host == wanted.host
    {
        return Some((cache, rest));
    }
    let mut of_namespace = None;
    for cache in caches.of_upstream(&wanted.host) {
        match &cache.rule.upstream.namespace {
            None => return Some((cache, name.clone())),
            Some(namespace) => {
                let inside = below(name, namespace).map(|rest| (cache, rest));
                of_namespace = of_namespace.or(inside);
            }
        }
    }
    of_namespace
}

/// What of `name` lies below `namespace`.
fn below(name: &RepositoryName, namespace: &RepositoryName) -> Option<RepositoryName> {
    name.as_str()
        .strip_prefix(namespace.as_str())?
        .strip_prefix('/')?
        .parse()
        .ok()
}

fn route_to(cache: &Arc<Cache>, name: RepositoryName, shown: &RepositoryName, door: Door) -> Route {
    // A name too long for upstream is one that upstream cannot have.
    let source = source_of(cache, name, shown, door);
    source.map_or(Route::NoNamespace, Route::Source)
}

/// The repository of that name in a cache, unless the name is too long for its upstream.
pub(super) fn source_of(
    cache: &Arc<Cache>,
    name: RepositoryName,
    shown: &RepositoryName,
    door: Door,
) -> Option<Source> {
    let remote = cache.rule.upstream.remote_name(&name).ok()?;
    // `alpine` and `library/alpine` of docker.io are one repository here too.
    let name = if cache.rule.upstream.namespace.is_none() {
        remote
    } else {
        name
    };
    Some(Source {
        organization: cache.organization,
        organization_name: cache.rule.organization.clone(),
        cache: Some(cache.clone()),
        name,
        shown: shown.clone(),
        kind: cache.kind(),
        fetched: true,
        anonymous_pull: cache.rule.anonymous_pull,
        door,
    })
}
