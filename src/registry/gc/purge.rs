//! The removal of what is left of deleted repositories.
//!
//! Called by `jobs` before each collection. A deleted repository is there for nobody; its rows go in as many
//! short transactions as it takes, rows before files, and its record goes last, so that a run that is cut
//! off goes on where it was. Its immutable tags go with it. Reviews of it find nothing and drop themselves.

use std::time::Instant;

use super::step::LARGE;
use super::verdict::CONDEMNED;
use super::{Registry, STOP};
use crate::model::{NamespaceId, PolicyScope, RepositoryId, Unit};
use crate::oci::Digest;
use crate::registry::Error;
use crate::registry::remove::{Gone, remove_manifest, unlink_blob};
use crate::store::{self, WriteTx};

/// Rows of one kind that are read in one go.
const AT_ONCE: usize = 64;

/// Deleted repositories that are read in one go.
const REPOSITORIES: usize = 500;

impl Registry {
    /// Removes the rows of every deleted repository, and the files that nobody else names; returns how many
    /// repositories are gone for good. One run at a time, and none beside the collector.
    ///
    /// # Errors
    /// The store's; what was done stays done, and the next run goes on.
    pub async fn purge(&self) -> Result<u64, Error> {
        let _turn = self.inner.collecting.lock().await;
        let mut purged = 0;
        loop {
            let doomed = |tx: &store::ReadTx| tx.repositories().doomed(None, REPOSITORIES);
            let page: Vec<(NamespaceId, RepositoryId)> = self.inner.store.scan(doomed).await?;
            if page.is_empty() {
                return Ok(purged);
            }
            for (namespace, repository) in page {
                while !self.purge_some(namespace, repository).await? {}
                purged += 1;
            }
        }
    }

    /// One transaction's worth of a repository; whether nothing of it is left.
    async fn purge_some(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
    ) -> Result<bool, Error> {
        let (done, unnamed) = self
            .write_timed(move |tx| {
                let begun = Instant::now();
                let mut gone = Gone::of(namespace, repository);
                let mut done = false;
                while !done && begun.elapsed() < STOP {
                    done = purge_rows(tx, &mut gone)?;
                }
                Ok((done, vec![gone]))
            })
            .await?;
        self.unlink_all(unnamed).await;
        Ok(done)
    }
}

/// Removes some rows of a repository; whether that was all.
fn purge_rows(tx: &mut WriteTx<'_>, gone: &mut Gone) -> Result<bool, store::Error> {
    Ok(!purge_tags(tx, gone.repository)?
        && !purge_content(tx, gone)?
        && !purge_people(tx, gone.repository)?
        && tx.mirrors().remove(gone.repository, AT_ONCE)? < AT_ONCE
        && {
            let scope = PolicyScope::Repository(gone.repository);
            tx.immutability().clear(scope)?;
            tx.prune_policies().clear(scope)?;
            tx.repositories().remove(gone.repository)?;
            true
        })
}

/// Removes some tags, or lines of their history; `false` if there is none.
fn purge_tags(tx: &mut WriteTx<'_>, repository: RepositoryId) -> Result<bool, store::Error> {
    let tags = tx.tags().list(repository, None, AT_ONCE)?;
    for (tag, _) in &tags {
        tx.tags().remove(repository, tag)?;
    }
    if !tags.is_empty() {
        return Ok(true);
    }
    let lifetimes = tx.tags().lifetimes(repository, None, AT_ONCE)?;
    for (number, _) in &lifetimes {
        tx.tags().drop_lifetime(repository, *number)?;
    }
    Ok(!lifetimes.is_empty())
}

/// Removes a manifest, or a part of a large one, or some blobs; `false` if there is none.
fn purge_content(tx: &mut WriteTx<'_>, gone: &mut Gone) -> Result<bool, store::Error> {
    let repository = gone.repository;
    if let Some((digest, record)) = tx.manifests().list(repository, None, 1)?.pop() {
        if record.blobs.len() + record.children.len() > LARGE {
            tx.manifests()
                .dismantle(repository, &digest, CONDEMNED, LARGE)?;
            return Ok(true);
        }
        remove_manifest(tx, gone, &digest)?;
        forget(tx, gone, digest)?;
        return Ok(true);
    }
    let blobs = tx.blobs().linked(repository, None, AT_ONCE)?;
    for digest in &blobs {
        unlink_blob(tx, gone, *digest)?;
        forget(tx, gone, *digest)?;
    }
    Ok(!blobs.is_empty())
}

fn forget(tx: &mut WriteTx<'_>, gone: &Gone, digest: Digest) -> Result<(), store::Error> {
    let (namespace, repository) = (gone.namespace, gone.repository);
    tx.recency().remove(&Unit {
        namespace,
        repository,
        digest,
    })
}

/// Removes some stars, or some grants; `false` if there is none.
fn purge_people(tx: &mut WriteTx<'_>, repository: RepositoryId) -> Result<bool, store::Error> {
    let gazers = tx.stars().gazers(repository, AT_ONCE)?;
    for user in &gazers {
        tx.stars().remove(*user, repository)?;
    }
    if !gazers.is_empty() {
        return Ok(true);
    }
    let grants = tx.permissions().of_repository(repository, None, AT_ONCE)?;
    for (grantee, _) in &grants {
        tx.permissions().remove(repository, *grantee)?;
    }
    Ok(!grants.is_empty())
}
