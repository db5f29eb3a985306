//! Which organisation a request is for, and what its repository is called there and upstream.

use std::sync::Arc;

use super::cache::Cache;
use super::{Error, Proxy, Source};
use crate::model::{NamespaceName, UpstreamName};
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
}

/// Where a request goes.
pub enum Route {
    Source(Source),
    /// `?ns=` names an upstream that no organisation serves: the client falls back at once.
    Unserved,
    UnknownOrganization,
    /// The organisation exists, and not everyone may read it.
    Denied {
        organization: NamespaceName,
    },
}

impl Proxy {
    /// Resolves a name: mirror listener or hostname, then `?ns=`, then the first component.
    ///
    /// Never asks upstream, and makes nothing: only what is configured or held is found.
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
                Some(cache) => Ok(route_to(cache, name.clone(), name)),
                None => {
                    self.held_only(organization.clone(), name.clone(), name)
                        .await
                }
            };
        }
        if let Some(ns) = origin.ns.filter(|ns| !ns.is_empty()) {
            return Ok(route_by_ns(&caches, ns, name));
        }
        let Some((first, rest)) = name.split_first() else {
            return Ok(Route::UnknownOrganization);
        };
        if let Some(cache) = caches.of_organization(first) {
            return Ok(route_to(cache, rest, name));
        }
        match first.parse() {
            Ok(organization) => self.held_only(organization, rest, name).await,
            Err(_) => Ok(Route::UnknownOrganization),
        }
    }

    /// An organisation that is no cache any more serves what it holds.
    async fn held_only(
        &self,
        name: NamespaceName,
        repository: RepositoryName,
        shown: &RepositoryName,
    ) -> Result<Route, Error> {
        let Some((organization, record)) = self.registry().namespace(&name).await? else {
            return Ok(Route::UnknownOrganization);
        };
        if !record.anonymous_pull {
            return Ok(Route::Denied { organization: name });
        }
        Ok(Route::Source(Source {
            organization,
            organization_name: name,
            cache: None,
            name: repository,
            shown: shown.clone(),
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
        return route_to(cache, rest, name);
    }
    let mut of_namespace = None;
    for cache in caches.of_upstream(&wanted.host) {
        match &cache.rule.upstream.namespace {
            None => return route_to(cache, name.clone(), name),
            Some(namespace) => {
                let inside = below(name, namespace).map(|rest| (cache, rest));
                of_namespace = of_namespace.or(inside);
            }
        }
    }
    of_namespace.map_or(Route::Unserved, |(cache, rest)| route_to(cache, rest, name))
}

/// What of `name` lies below `namespace`.
fn below(name: &RepositoryName, namespace: &RepositoryName) -> Option<RepositoryName> {
    name.as_str()
        .strip_prefix(namespace.as_str())?
        .strip_prefix('/')?
        .parse()
        .ok()
}

fn route_to(cache: &Arc<Cache>, name: RepositoryName, shown: &RepositoryName) -> Route {
    if !cache.rule.anonymous_pull {
        return Route::Denied {
            organization: cache.rule.organization.clone(),
        };
    }
    // A name too long for upstream is one that upstream cannot have.
    source_of(cache, name, shown).map_or(Route::UnknownOrganization, Route::Source)
}

/// The repository of that name in a cache, unless the name is too long for its upstream.
pub(super) fn source_of(
    cache: &Arc<Cache>,
    name: RepositoryName,
    shown: &RepositoryName,
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
    })
}
