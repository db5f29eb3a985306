//! Operations on tags of local repositories: list, tell their history, restore, protect, expire.
//!
//! What was moved, deleted or has expired by mistake is brought back here. Caches are refused: their
//! tags follow what the upstream says, and `content` has the operations on them.

use super::message::{ChangeRow, Expiry, LifetimeRow, LocalTagRow, Row};
use super::repositories::{locate, namespace};
use super::{Failure, Report, RepositoryPath, Target};
use crate::app::assemble::Services;
use crate::model::{Actor, RepositoryId, TagLifetime, Timestamp};
use crate::oci::{Digest, Tag};
use crate::registry;

/// Rows read in one go.
const PAGE: usize = 500;

/// Lists the tags of a repository.
pub(super) async fn list(
    services: &Services,
    path: &RepositoryPath,
    report: &Report,
) -> Result<String, Failure> {
    let repository = local(services, path).await?;
    let mut after: Option<Tag> = None;
    loop {
        let page = services.registry.list_tags(repository, after, PAGE).await?;
        after = page.last().map(|(tag, _)| tag.clone());
        for (tag, record) in page {
            let row = LocalTagRow {
                repository: path.clone(),
                tag,
                digest: record.digest,
                since: record.since,
                by: record.by.to_string(),
                expires: record.expires,
                immutable: record.immutable,
            };
            report.row(Row::LocalTag(row)).await?;
        }
        if after.is_none() {
            return Ok(String::new());
        }
    }
}

/// Lists what the tags of a repository, or one of them, pointed to before.
pub(super) async fn history(
    services: &Services,
    scope: &Target,
    report: &Report,
) -> Result<String, Failure> {
    if scope.digest.is_some() {
        return Err(Failure::refused(format!(
            "{scope}: a history is of a repository or of a tag, not of a digest"
        )));
    }
    let path = path(scope)?;
    let repository = local(services, &path).await?;
    let time_machine = services.registry.time_machine(repository).await?;
    let mut before = None;
    loop {
        let page = lifetimes(services, repository, scope.tag.as_ref(), before).await?;
        before = page.last().map(|(number, _)| *number);
        for (_, lifetime) in page {
            let row = LifetimeRow {
                repository: path.clone(),
                tag: lifetime.tag,
                digest: lifetime.digest,
                from: lifetime.start,
                to: lifetime.end,
                by: lifetime.by.to_string(),
                ended_by: lifetime.ended_by.to_string(),
                until: lifetime.end + time_machine,
                restored: lifetime.restored,
            };
            report.row(Row::Lifetime(row)).await?;
        }
        if before.is_none() {
            return Ok(String::new());
        }
    }
}

async fn lifetimes(
    services: &Services,
    repository: RepositoryId,
    tag: Option<&Tag>,
    before: Option<u64>,
) -> Result<Vec<(u64, TagLifetime)>, registry::Error> {
    let registry = &services.registry;
    match tag {
        Some(tag) => registry.history_of_tag(repository, tag, before, PAGE).await,
        None => registry.tag_history(repository, before, PAGE).await,
    }
}

/// Points a tag at what it pointed to before, or at the manifest of a digest.
pub(super) async fn restore(
    services: &Services,
    target: &Target,
    report: &Report,
) -> Result<String, Failure> {
    let (repository, tag) = located(services, target).await?;
    let registry = &services.registry;
    let digest = match target.digest {
        Some(digest) => digest,
        None => newest_end(services, repository, target, tag).await?,
    };
    let current = registry.lookup_tag(repository, tag).await?;
    if current.is_some_and(|current| current.record.digest == digest) {
        return Err(Failure::refused(format!(
            "{target} points to {digest} as it is; `entrepot tag history` shows what else it \
             pointed to"
        )));
    }
    let restored = registry.restore_tag(repository, tag, &digest, &Actor::System);
    restored.await.map_err(|error| match error {
        registry::Error::ManifestUnknown => Failure::refused(format!(
            "{target} cannot be restored: the repository has no manifest {digest}, or has it no more"
        )),
        other => protected(target, other),
    })?;
    let target = Target {
        digest: Some(digest),
        ..target.clone()
    };
    changed(report, &target, "restored".to_owned()).await?;
    Ok(String::new())
}

/// What a tag pointed to when it was last moved or ended.
async fn newest_end(
    services: &Services,
    repository: RepositoryId,
    target: &Target,
    tag: &Tag,
) -> Result<Digest, Failure> {
    let ended = services.registry.history_of_tag(repository, tag, None, 1);
    let newest = ended.await?.pop();
    newest.map(|(_, lifetime)| lifetime.digest).ok_or_else(|| {
        Failure::refused(format!(
            "{target} has no history: it was never moved or deleted, or longer ago than the time \
             machine reaches"
        ))
    })
}

/// Protects tags from being moved, deleted and expired, or no more.
pub(super) async fn set_immutable(
    services: &Services,
    targets: &[Target],
    immutable: bool,
    report: &Report,
) -> Result<String, Failure> {
    for target in targets {
        let (repository, tag) = located(services, target).await?;
        let registry = &services.registry;
        if !registry
            .set_tag_immutable(repository, tag, immutable)
            .await?
        {
            return Err(unknown(target));
        }
        let outcome = if immutable { "immutable" } else { "mutable" };
        changed(report, target, outcome.to_owned()).await?;
    }
    Ok(String::new())
}

/// Says when tags end by themselves.
pub(super) async fn set_expiry(
    services: &Services,
    targets: &[Target],
    expiry: &Expiry,
    report: &Report,
) -> Result<String, Failure> {
    let expires = due(expiry, services.registry.clock().now())?;
    for target in targets {
        let (repository, tag) = located(services, target).await?;
        let set = services.registry.set_tag_expiry(repository, tag, expires);
        if !set.await.map_err(|error| protected(target, error))? {
            return Err(unknown(target));
        }
        let outcome = match expires {
            Some(time) => format!("expires {time}"),
            None => "does not expire".to_owned(),
        };
        changed(report, target, outcome).await?;
    }
    Ok(String::new())
}

/// When a tag is to end; a time that has passed would be a deletion by mistake.
fn due(expiry: &Expiry, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let time = match expiry {
        Expiry::At { time } => *time,
        Expiry::After { duration } => now + *duration,
        Expiry::Never {} => return Ok(None),
    };
    if time <= now {
        let reason = format!("{time} has passed: say a time to come, or delete the tag");
        return Err(Failure::refused(reason));
    }
    Ok(Some(time))
}

async fn changed(report: &Report, target: &Target, outcome: String) -> Result<(), Failure> {
    let row = ChangeRow {
        target: target.clone(),
        outcome,
        freed_bytes: None,
    };
    Ok(report.row(Row::Change(row)).await?)
}

/// The repository and the tag that a target names.
async fn located<'a>(
    services: &Services,
    target: &'a Target,
) -> Result<(RepositoryId, &'a Tag), Failure> {
    let tag = target.tag.as_ref();
    let tag = tag.ok_or_else(|| Failure::refused(format!("{target} names no tag")))?;
    Ok((local(services, &path(target)?).await?, tag))
}

fn path(target: &Target) -> Result<RepositoryPath, Failure> {
    let name = target.repository.clone();
    let name = name.ok_or_else(|| Failure::refused(format!("{target} names no repository")))?;
    Ok(RepositoryPath {
        namespace: target.organization.clone(),
        name,
    })
}

/// The repository of that name, if it is pushed to.
async fn local(services: &Services, path: &RepositoryPath) -> Result<RepositoryId, Failure> {
    let name = &path.namespace;
    let of_cache = || {
        Failure::refused(format!(
            "{name} is a cache: where its tags point, and for how long, is its upstream's to say; \
             `entrepot cache ls {path}` shows them"
        ))
    };
    if !namespace(services, name).await?.record.is_local() {
        return Err(of_cache());
    }
    let id = locate(services, path).await?.id;
    let record = services.registry.repository_record(id).await?;
    match record.is_some_and(|record| record.fetched) {
        true => Err(of_cache()),
        false => Ok(id),
    }
}

fn unknown(target: &Target) -> Failure {
    Failure::refused(format!(
        "there is no tag {target}; `entrepot tag restore` brings back one that was deleted"
    ))
}

fn protected(target: &Target, error: registry::Error) -> Failure {
    match error {
        registry::Error::TagImmutable { .. } => Failure::refused(format!(
            "{target} is immutable; `entrepot tag mutable` lets it be changed"
        )),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_tag_ends_in_the_time_to_come_or_never() {
        let now = Timestamp::from_millis(1_000);
        let after = |millis| Expiry::After {
            duration: Duration::from_millis(millis),
        };
        let later = Timestamp::from_millis(1_001);
        assert_eq!(due(&after(1), now).unwrap(), Some(later));
        assert_eq!(due(&Expiry::At { time: later }, now).unwrap(), Some(later));
        assert_eq!(due(&Expiry::Never {}, now).unwrap(), None);
        assert!(due(&after(0), now).is_err());
        assert!(due(&Expiry::At { time: now }, now).is_err());
    }
}
