//! Prune runs that an operator asks for: what would go and why, or its end now.

use super::message::{PrunedRow, Row};
use super::{Failure, Report, RepositoryPath, Target};
use crate::app::assemble::Services;
use crate::model::{NamespaceId, NamespaceName};
use crate::registry::{Follow, Prune, PruneWalk};
use crate::store::{self, ReadTx};

/// Namespaces read in one go.
const NAMESPACES: usize = 500;

/// Tags looked at between two words about how far the work has come.
const WORD: u64 = 100_000;

/// Follows every policy in a scope, or everywhere, and tells of every tag that goes.
pub(super) async fn prune(
    services: &Services,
    scope: Option<&Target>,
    mode: Prune,
    report: &Report,
) -> Result<String, Failure> {
    if !services.prune_times.enabled {
        let reason = "nothing is pruned while FEATURE_AUTO_PRUNE is off";
        return Err(Failure::refused(reason));
    }
    if mode == Prune::End && !services.registry.rules().may_collect {
        let reason = "nothing is pruned while the registry is closed to writes \
                      (REGISTRY_STATE, DISABLE_PUSHES)";
        return Err(Failure::refused(reason));
    }
    let mut count = Count::default();
    match scope {
        Some(scope) => {
            let (name, walk) = walk_of(services, scope).await?;
            go(services, (&name, walk), mode, &mut count, report).await?;
        }
        None => {
            let mut after = None;
            loop {
                let page = namespaces(services, after).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(*last);
                for (id, name) in page {
                    let walk = PruneWalk::of(id);
                    go(services, (&name, walk), mode, &mut count, report).await?;
                }
            }
        }
    }
    let (tags, examined) = (count.tags, count.examined);
    Ok(match mode {
        Prune::Tell => format!("{tags} tags of {examined} would end"),
        Prune::End => format!("{tags} tags of {examined} ended; they can be restored for a while"),
    })
}

#[derive(Default)]
struct Count {
    examined: u64,
    tags: u64,
}

async fn go(
    services: &Services,
    (namespace, walk): (&NamespaceName, PruneWalk),
    mode: Prune,
    count: &mut Count,
    report: &Report,
) -> Result<(), Failure> {
    let mut pruning = services.registry.prune(walk, Follow::All, mode)?;
    while let Some(step) = pruning.step().await? {
        let before = count.examined;
        count.examined += step.examined;
        count.tags += step.tags.len() as u64;
        for pruned in step.tags {
            let reason = pruned.reason();
            let row = PrunedRow {
                repository: RepositoryPath {
                    namespace: namespace.clone(),
                    name: pruned.repository,
                },
                tag: pruned.tag,
                digest: pruned.digest,
                since: pruned.since,
                reason,
            };
            report.row(Row::Pruned(row)).await?;
        }
        if before / WORD != count.examined / WORD {
            let text = format!("{} tags looked at", count.examined);
            report.progress(text).await?;
        }
    }
    Ok(())
}

/// The walk through what a command names: a namespace, or a repository.
async fn walk_of(
    services: &Services,
    scope: &Target,
) -> Result<(NamespaceName, PruneWalk), Failure> {
    if scope.tag.is_some() || scope.digest.is_some() {
        return Err(Failure::refused(format!(
            "{scope}: what is pruned is a namespace or a repository"
        )));
    }
    let name = &scope.organization;
    let unknown = || Failure::refused(format!("there is no {scope}"));
    let found = services.registry.namespace(name).await?;
    let (id, record) = found.ok_or_else(unknown)?;
    if !record.is_local() {
        return Err(Failure::refused(format!(
            "{name} is a cache: what is not used there goes by itself"
        )));
    }
    let only = scope.repository.clone();
    if let Some(repository) = only.clone() {
        let read = move |tx: &ReadTx| tx.repositories().by_name(id, &repository);
        let found: Result<_, store::Error> = services.registry.store().read(read).await;
        found
            .map_err(crate::registry::Error::from)?
            .ok_or_else(unknown)?;
    }
    let walk = PruneWalk {
        only,
        ..PruneWalk::of(id)
    };
    Ok((name.clone(), walk))
}

async fn namespaces(
    services: &Services,
    after: Option<NamespaceId>,
) -> Result<Vec<(NamespaceId, NamespaceName)>, Failure> {
    let read = move |tx: &ReadTx| tx.namespaces().list_after(after, NAMESPACES);
    let page: Result<Vec<_>, store::Error> = services.registry.store().scan(read).await;
    let page = page.map_err(crate::registry::Error::from)?;
    let named = page.into_iter().map(|(id, record)| (id, record.name));
    Ok(named.collect())
}
