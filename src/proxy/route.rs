//! Which organisation a request is for, and what its repository is called there and upstream.

use std::sync::Arc;

use super::cache::Cache;
use super::source::Door;
use super::{Error, Proxy, Source};
use crate::model::{NamespaceKind, NamespaceName, UpstreamName};
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
                Some(cache) => Ok(route_to(cache, name.clone(), name, Door::Mirror)),
                None => {
                    let organization = organization.clone();
                    self.held_only(organization, name.clone(), name, Door::Mirror)
                        .await
                }
            };
        }
        if let Some(ns) = origin.ns.filter(|ns| !ns.is_empty()) {
            return Ok(route_by_ns(&caches, ns, name));
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
            return Ok(route_to(cache, rest, name, Door::Namespace));
        }
        match first.parse() {
            Ok(organization) => {
                self.held_only(organization, rest, name, Door::Namespace)
                    .await
            }
            Err(_) => Ok(Route::NoNamespace),
        }
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
        Ok(Route::Source(Source {
            organization,
            organization_name: name,
            cache: None,
            name: repository,
            shown: shown.clone(),
            kind: record.kind,
            anonymous_pull: record.anonymous_pull,
            door,
        }))
    }
}

/// A prefix that names an organisation with that upstream is taken off; else the upstream's own
/// organisation is found by the upstream.
fn route_by_ns(caches: &super::cache::Caches, ns: &str, name: &RepositoryName) -> Route {
    let host = ns.split_once("://").map_or(ns, |(_, host)| host);
    let Ok(wanted) = host.parse::<UpstreamName>() else {
        return Route::Unserved;
    };
    if let Some((first, rest)) = name.split_first()
        && let Some(cache) = caches.of_organization(first)
        && cache.rule.upstream.host == wanted.host
    {
        return route_to(cache, rest, name, Door::Mirror);
    }
    let mut of_namespace = None;
    for cache in caches.of_upstream(&wanted.host) {
        match &cache.rule.upstream.namespace {
            None => return route_to(cache, name.clone(), name, Door::Mirror),
            Some(namespace) => {
                let inside = below(name, namespace).map(|rest| (cache, rest));
                of_namespace = of_namespace.or(inside);
            }
        }
    }
    of_namespace.map_or(Route::Unserved, |(cache, rest)| {
        route_to(cache, rest, name, Door::Mirror)
    })
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
        kind: NamespaceKind::Cache,
        anonymous_pull: cache.rule.anonymous_pull,
        door,
    })
}
