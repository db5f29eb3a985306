//! `GET /v2/_catalog`: the repositories that anyone may pull and that are held.
//!
//! Not part of the distribution specification, but crane, skopeo and web pages ask for it. As in Quay it
//! is empty unless `FEATURE_PUBLIC_CATALOG` is on. A mirror listener shows its own organisation's, by
//! the names that it serves them under.

use std::sync::atomic::Ordering;

use serde::Serialize;

use super::error::Failure;
use super::{Visit, json_listing};
use crate::api::headers;
use crate::api::page::{PageRequest, next_link};
use crate::http::{Response, response};
use crate::model::NamespaceName;
use crate::oci::RepositoryName;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

/// Answers with a page of the repositories, ordered by organisation and name.
pub(super) async fn list_repositories(visit: &Visit<'_>) -> Result<Response, Failure> {
    let page = PageRequest::of(visit.query)?;
    let limit = page.limit();
    let mut repositories = Vec::new();
    if visit.api.public_catalog.load(Ordering::Relaxed) && limit > 0 {
        // One more than the page, which tells whether there is more.
        repositories = collect(visit, page.last.as_deref(), limit + 1).await?;
    }
    let more = repositories.len() > limit;
    repositories.truncate(limit);
    let link = repositories.last().filter(|_| more).map(|last| {
        let n = limit.to_string();
        headers::plain(next_link(
            "/v2/_catalog",
            &[("last", Some(last)), ("n", Some(&n))],
        ))
    });
    Ok(json_listing(&Catalog { repositories }, response::JSON, link, None).response)
}

async fn collect(
    visit: &Visit<'_>,
    last: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for organization in organizations(visit) {
        let after = match visit.listener {
            Some(_) => last.and_then(|last| last.parse().ok()),
            None => match after_in(&organization, last) {
                After::All => None,
                After::Name(name) => Some(name),
                After::None => continue,
            },
        };
        list_into(visit, &organization, after, limit, &mut found).await?;
        if found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    Ok(found)
}

/// The organisations shown at this entrance, in byte order.
fn organizations(visit: &Visit<'_>) -> Vec<NamespaceName> {
    let caches = visit.api.proxy.caches();
    let public = caches.iter().filter(|cache| cache.rule.anonymous_pull);
    let mut names: Vec<_> = public
        .map(|cache| cache.rule.organization.clone())
        .filter(|name| visit.listener.is_none_or(|listener| listener == name))
        .collect();
    names.sort_unstable();
    names
}

/// Which part of an organisation follows a name in the catalogue's order.
#[derive(Debug, PartialEq)]
enum After {
    All,
    Name(RepositoryName),
    None,
}

fn after_in(organization: &NamespaceName, last: Option<&str>) -> After {
    let Some(last) = last else { return After::All };
    let (first, rest) = last.split_once('/').unwrap_or((last, ""));
    match first.cmp(organization.as_str()) {
        std::cmp::Ordering::Less => After::All,
        std::cmp::Ordering::Greater => After::None,
        std::cmp::Ordering::Equal => rest.parse().map_or(After::All, After::Name),
    }
}

async fn list_into(
    visit: &Visit<'_>,
    organization: &NamespaceName,
    mut after: Option<RepositoryName>,
    limit: usize,
    found: &mut Vec<String>,
) -> Result<(), Failure> {
    let registry = &visit.api.registry;
    let Some((id, _)) = registry.namespace(organization).await? else {
        return Ok(());
    };
    while found.len() < limit {
        let page = registry.repositories(id, after.clone()).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        found.extend(page.iter().map(|(name, _)| match visit.listener {
            Some(_) => name.to_string(),
            None => format!("{organization}/{name}"),
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_go_on_inside_and_behind_an_organisation() {
        let after = |last| after_in(&"ghcr.io".parse().unwrap(), last);
        assert_eq!(after(None), After::All);
        assert_eq!(after(Some("docker.io/z")), After::All);
        assert_eq!(
            after(Some("ghcr.io/a/b")),
            After::Name("a/b".parse().unwrap())
        );
        assert_eq!(after(Some("ghcr.io")), After::All);
        assert_eq!(after(Some("quay.io/a")), After::None);
    }
}
