//! Operations on what caches hold: list, remove, refresh, pin.

use super::message::{ChangeRow, Row, TagRow};
use super::{Failure, Report, Target};
use crate::app::assemble::Services;
use crate::model::{ByteSize, NamespaceId, NamespaceName, RepositoryId, Unit};
use crate::oci::{RepositoryName, Tag};

/// A target whose organisation and repository exist.
struct Located {
    organization: NamespaceId,
    name: RepositoryName,
    repository: RepositoryId,
}

/// Lists organisations with what they hold.
pub(super) async fn list_organizations(
    services: &Services,
    report: &Report,
) -> Result<String, Failure> {
    for holding in services.registry.holdings().await? {
        report.row(Row::Organization(holding)).await?;
    }
    Ok(String::new())
}

/// Lists the tags of an organisation, of a repository, or one.
pub(super) async fn list_tags(
    services: &Services,
    scope: &Target,
    report: &Report,
) -> Result<String, Failure> {
    if scope.repository.is_some() {
        let located = locate(services, scope).await?;
        list_repository(services, scope, &located, report).await?;
        return Ok(String::new());
    }
    let organization = organization(services, &scope.organization).await?;
    let mut after = None;
    loop {
        let page = services.registry.repositories(organization, after).await?;
        after = page.last().map(|(name, _)| name.clone());
        for (name, repository) in page {
            let located = Located {
                organization,
                name,
                repository,
            };
            list_repository(services, scope, &located, report).await?;
        }
        if after.is_none() {
            return Ok(String::new());
        }
    }
}

async fn list_repository(
    services: &Services,
    scope: &Target,
    located: &Located,
    report: &Report,
) -> Result<(), Failure> {
    let Located {
        organization,
        name,
        repository,
    } = located;
    let mut after = None;
    loop {
        let registry = &services.registry;
        let page = registry
            .held_tags(*organization, name.clone(), *repository, after)
            .await?;
        after = page.last().map(|held| held.tag.clone());
        let wanted = |held: &Tag| scope.tag.as_ref().is_none_or(|tag| tag == held);
        for tag in page.into_iter().filter(|held| wanted(&held.tag)) {
            let organization = scope.organization.clone();
            report.row(Row::Tag(TagRow { organization, tag })).await?;
        }
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Lets go of tags, manifests, repositories, organisations.
pub(super) async fn remove(
    services: &Services,
    targets: &[Target],
    all: bool,
    report: &Report,
) -> Result<String, Failure> {
    let whole = targets.iter().find(|target| target.repository.is_none());
    if let Some(target) = whole.filter(|_| !all) {
        let reason =
            format!("{target} is a whole organization; say --all to let go of all it holds");
        return Err(Failure::Refused(reason));
    }
    let mut freed = 0;
    for target in targets {
        let bytes = match target.repository {
            None => remove_organization(services, target, report).await?,
            Some(_) => remove_one(services, target).await?,
        };
        changed(report, target, "removed", Some(bytes)).await?;
        freed += bytes;
    }
    Ok(format!("{} let go in all", ByteSize(freed)))
}

async fn remove_organization(
    services: &Services,
    target: &Target,
    report: &Report,
) -> Result<u64, Failure> {
    let organization = organization(services, &target.organization).await?;
    let (mut freed, mut after) = (0, None);
    loop {
        let page = services.registry.repositories(organization, after).await?;
        after = page.last().map(|(name, _)| name.clone());
        for (name, repository) in page {
            let bytes = services
                .registry
                .drop_repository(organization, repository)
                .await?;
            report
                .progress(format!("{target}/{name}: {} let go", ByteSize(bytes)))
                .await?;
            freed += bytes;
        }
        if after.is_none() {
            return Ok(freed);
        }
    }
}

async fn remove_one(services: &Services, target: &Target) -> Result<u64, Failure> {
    let Located {
        organization,
        repository,
        ..
    } = locate(services, target).await?;
    let registry = &services.registry;
    match (&target.tag, target.digest) {
        (None, None) => Ok(registry.drop_repository(organization, repository).await?),
        (None, Some(digest)) => {
            let held = registry.manifest_record(repository, &digest).await?;
            held.ok_or_else(|| not_held(target))?;
            Ok(registry
                .drop_manifest(Unit {
                    namespace: organization,
                    repository,
                    digest,
                })
                .await?)
        }
        (Some(tag), digest) => {
            let held = registry.lookup_tag(repository, tag).await?;
            let held = held.ok_or_else(|| not_held(target))?;
            if digest.is_some_and(|digest| digest != held.record.digest) {
                let reason = format!("{target}: the tag points to {}", held.record.digest);
                return Err(Failure::Refused(reason));
            }
            let freed = registry.drop_tag(organization, repository, tag).await?;
            freed.ok_or_else(|| not_held(target))
        }
    }
}

/// Asks upstream where tags point.
pub(super) async fn refresh(
    services: &Services,
    targets: &[Target],
    report: &Report,
) -> Result<String, Failure> {
    for target in targets {
        let (Some(repository), Some(tag)) = (&target.repository, &target.tag) else {
            let reason = format!("{target} names no tag; only tags can be refreshed");
            return Err(Failure::Refused(reason));
        };
        let source = services.proxy.operated(&target.organization, repository);
        let source = source.ok_or_else(|| {
            Failure::Refused(format!(
                "{} is not the cache of an upstream",
                target.organization
            ))
        })?;
        let status = services.proxy.refresh(&source, tag).await?;
        changed(report, target, status.outcome().as_str(), None).await?;
    }
    Ok(String::new())
}

/// Keeps what tags lead to from eviction, or no more.
pub(super) async fn pin(
    services: &Services,
    targets: &[Target],
    pinned: bool,
    report: &Report,
) -> Result<String, Failure> {
    let done = if pinned { "pinned" } else { "unpinned" };
    for target in targets {
        let Some(tag) = &target.tag else {
            let reason = format!("{target} names no tag; only tags can be {done}");
            return Err(Failure::Refused(reason));
        };
        let located = locate(services, target).await?;
        if !services
            .registry
            .pin_tag(located.repository, tag, pinned)
            .await?
        {
            return Err(not_held(target));
        }
        changed(report, target, done, None).await?;
    }
    Ok(String::new())
}

async fn changed(
    report: &Report,
    target: &Target,
    outcome: &str,
    freed_bytes: Option<u64>,
) -> Result<(), Failure> {
    let row = ChangeRow {
        target: target.clone(),
        outcome: outcome.to_owned(),
        freed_bytes,
    };
    Ok(report.row(Row::Change(row)).await?)
}

async fn organization(services: &Services, name: &NamespaceName) -> Result<NamespaceId, Failure> {
    let found = services.registry.namespace(name).await?;
    found
        .map(|(id, _)| id)
        .ok_or_else(|| Failure::Refused(format!("there is no organization {name}")))
}

async fn locate(services: &Services, target: &Target) -> Result<Located, Failure> {
    let organization = organization(services, &target.organization).await?;
    let name = target.repository.clone().ok_or_else(|| not_held(target))?;
    let name = local_name(services, &target.organization, name);
    let repository = services.registry.repository(organization, &name).await?;
    let repository = repository.ok_or_else(|| not_held(target))?;
    Ok(Located {
        organization,
        name,
        repository,
    })
}

/// The name a repository has here: `alpine` of docker.io is `library/alpine`.
fn local_name(
    services: &Services,
    organization: &NamespaceName,
    name: RepositoryName,
) -> RepositoryName {
    let source = services.proxy.operated(organization, &name);
    source.map_or(name, |source| source.name().clone())
}

fn not_held(target: &Target) -> Failure {
    Failure::Refused(format!("{target} is not held"))
}
