//! `entrepot restore`.

use std::path::Path;

use futures_util::StreamExt as _;

use super::transfer::Meter;
use super::{Output, Site, Stop, runtime};
use crate::app::cli::RestoreArgs;
use crate::app::operations::describe_finding;
use crate::app::{Error, lock, offline};
use crate::backup::{Folder, GenerationName, Manifest, Restored, Restoring};
use crate::config::Config;
use crate::model::{ByteSize, NamespaceId, NamespaceKind, RepositoryId};
use crate::registry::{Finding, Registry, Repair};
use crate::store::ReadTx;

/// Repositories of caches that are emptied side by side, so that their commits go together.
const SIDE_BY_SIDE: usize = 32;

pub(super) fn run(given: &RestoreArgs, site: &Site, output: &Output) -> Result<(), Stop> {
    let config = site.config(output)?;
    let target = given.to.as_deref().unwrap_or(&config.data_dir);
    let folder = Folder::existing(&given.dir)?;
    let generation = folder.generation(given.generation.as_ref())?;
    let name = generation.name.clone();
    output.progress(format_args!("looking at the backup {name}"));
    let restoring = Restoring::begin(&given.dir, generation, target)?;
    let _lock = lock::Lock::create(target)?;
    let bytes = restoring.manifest().counts.blob_bytes;
    let mut meter = Meter::new(bytes, "restored");
    let restored = restoring.blobs(&mut |bytes| meter.count(bytes))?;
    restoring.files()?;
    let store = restoring.store()?;
    output.progress("comparing the result with itself");
    let manifest = restoring.manifest().clone();
    let findings = runtime()?.block_on(look_at(&store, target, &config, &manifest))?;
    restoring.finish()?;
    tell(
        &name,
        &manifest,
        restored,
        &findings,
        (given.json, target),
        output,
    );
    match findings.is_empty() {
        true => Ok(()),
        false => Err(Stop::Partial),
    }
}

/// Lets go of what caches held if the backup has no bytes of it, and checks the result; returns what is
/// wrong with it, in words.
async fn look_at(
    store: &Path,
    target: &Path,
    config: &Config,
    manifest: &Manifest,
) -> Result<Vec<String>, Error> {
    let registry = offline::open(store.to_owned(), target, config).await?;
    let closed = registry.store().closed();
    if !manifest.cached {
        empty_caches(&registry).await?;
    }
    let mut found = Vec::new();
    let note = |finding: &Finding| found.push(finding.clone());
    registry.check(Repair::No, note).await?;
    let mut words = Vec::new();
    for finding in found {
        let text = describe_finding(&registry, &finding).await;
        words.push(text.map_err(|error| Error::Refused(error.to_string()))?);
    }
    drop(registry);
    closed.await;
    Ok(words)
}

/// What caches hold is fetched again when somebody asks for it.
async fn empty_caches(registry: &Registry) -> Result<(), Error> {
    let fetched = fetched(registry).await?;
    let emptied = futures_util::stream::iter(fetched)
        .map(|(namespace, repository)| registry.drop_repository(namespace, repository))
        .buffer_unordered(SIDE_BY_SIDE);
    let outcomes: Vec<_> = emptied.collect().await;
    for outcome in outcomes {
        outcome?;
    }
    Ok(())
}

/// The repositories of caches that were filled from upstream.
async fn fetched(registry: &Registry) -> Result<Vec<(NamespaceId, RepositoryId)>, Error> {
    let namespaces = registry.store().scan(|tx: &ReadTx| tx.namespaces().list());
    let mut fetched = Vec::new();
    for (namespace, record) in namespaces.await? {
        if record.kind != NamespaceKind::Cache {
            continue;
        }
        let mut after = None;
        loop {
            let page = registry.repositories(namespace, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, repository) in page {
                let read = |tx: &ReadTx| tx.repositories().record(repository);
                let record = registry.store().read(read).await?;
                if record.is_some_and(|record| record.fetched) {
                    fetched.push((namespace, repository));
                }
            }
        }
    }
    Ok(fetched)
}

fn tell(
    name: &GenerationName,
    manifest: &Manifest,
    restored: Restored,
    findings: &[String],
    (json, target): (bool, &Path),
    output: &Output,
) {
    if json {
        output.line(serde_json::json!({
            "generation": name.to_string(),
            "data_dir": target.display().to_string(),
            "counts": manifest.counts,
            "blobs": restored.blobs,
            "blob_bytes": restored.blob_bytes,
            "absent": manifest.absent,
            "secrets": manifest.secrets,
            "cached": manifest.cached,
            "findings": findings,
        }));
    } else {
        output.line(format_args!(
            "{} restored from {name}: {} tags of {} repositories, {} blobs ({})",
            target.display(),
            manifest.counts.tags,
            manifest.counts.repositories,
            restored.blobs,
            ByteSize(restored.blob_bytes)
        ));
        findings.iter().for_each(|finding| output.line(finding));
    }
    if !manifest.cached {
        output.progress("caches are empty; they fill again as images are asked for");
    }
    if !manifest.secrets {
        output.progress(super::backup::LOST);
    }
}
