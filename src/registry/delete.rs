//! Deletion by clients: tags, manifests, blobs of a local repository.
//!
//! What is deleted is there for nobody from the commit on, and can be brought back through the tag's
//! history until the time machine ends; the collector takes it away then. Immutable tags are refused
//! on every path (AZ-08).

use std::collections::HashSet;

use super::hot::Touched;
use super::metrics::Changed;
use super::pointing::{Change, time_machine};
use super::tracking::Tracked;
use super::{Error, Placed, Registry};
use crate::model::{ManifestRecord, Performer, RepositoryId, Review};
use crate::oci::{Digest, Tag};
use crate::store::{self, ReadTx, WriteTx};

impl Registry {
    /// Deletes a tag; its manifest stays, readable by digest.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag, [`Error::TagImmutable`].
    pub async fn delete_tag(
        &self,
        placed: &Placed,
        tag: &Tag,
        by: &Performer,
    ) -> Result<(), Error> {
        let (registry, tag, by) = (self.clone(), tag.clone(), by.clone());
        let (repository, change) = (placed.repository, self.change(by.actor.clone()));
        self.inner
            .store
            .write(move |tx| {
                let record = tx.tags().current(repository, &tag)?;
                let record = record.ok_or(Error::ManifestUnknown)?;
                if record.immutable {
                    return Err(Error::TagImmutable { tag: tag.clone() });
                }
                change.end(tx, repository, &tag)?;
                let tracked = Tracked {
                    repository,
                    at: change.at,
                    by: &by,
                };
                tracked.deleted(tx, Some(&tag), &record.digest)?;
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, Error>(())
            })
            .await?;
        self.inner.metrics.count(Changed::DeletedTag);
        self.collect_soon();
        Ok(())
    }

    /// Deletes a manifest and every tag that points to it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`], [`Error::TagImmutable`] if one of the tags is, or that of an index
    /// which the manifest is part of.
    pub async fn delete_manifest(
        &self,
        placed: &Placed,
        digest: &Digest,
        by: &Performer,
    ) -> Result<(), Error> {
        let (registry, digest, by) = (self.clone(), *digest, by.clone());
        let (repository, change) = (placed.repository, self.change(by.actor.clone()));
        self.inner
            .store
            .write(move |tx| {
                let live = tx.manifests().record(repository, &digest)?;
                let record = live
                    .filter(ManifestRecord::is_live)
                    .ok_or(Error::ManifestUnknown)?;
                let tags = tx.tags().of_manifest(repository, &digest, usize::MAX)?;
                refuse_immutable(tx, repository, &tags)?;
                refuse_part(tx, repository, &digest)?;
                let tracked = Tracked {
                    repository,
                    at: change.at,
                    by: &by,
                };
                for tag in &tags {
                    change.end(tx, repository, tag)?;
                    tracked.deleted(tx, Some(tag), &digest)?;
                }
                if tags.is_empty() {
                    tracked.deleted(tx, None, &digest)?;
                }
                hide(tx, repository, &digest, record, &change)?;
                let touched = Touched {
                    tags,
                    digests: vec![digest],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, Error>(())
            })
            .await?;
        self.inner.metrics.count(Changed::DeletedManifest);
        self.collect_soon();
        Ok(())
    }

    /// Deletes a blob, in this repository only.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`]; [`Error::BlobInUse`] while a manifest of the repository names it, since a
    /// tag would then point to an image that cannot be pulled.
    pub async fn delete_blob(&self, placed: &Placed, digest: &Digest) -> Result<(), Error> {
        let (registry, digest) = (self.clone(), *digest);
        let (repository, now) = (placed.repository, self.inner.clock.now());
        self.inner
            .store
            .write(move |tx| {
                if !tx.blobs().is_linked(repository, &digest)? {
                    return Err(Error::BlobUnknown);
                }
                for manifest in tx
                    .manifests()
                    .naming_blob(repository, &digest, usize::MAX)?
                {
                    let record = tx.manifests().record(repository, &manifest)?;
                    if record.is_some_and(|record| record.is_live()) {
                        let manifest = Box::new(manifest);
                        return Err(Error::BlobInUse { digest, manifest });
                    }
                }
                tx.blobs().hide(repository, &digest)?;
                tx.reviews()
                    .put(now, &Review::Blob { repository, digest })?;
                let touched = Touched {
                    tags: vec![],
                    digests: vec![digest],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, Error>(())
            })
            .await?;
        self.inner.metrics.count(Changed::DeletedBlob);
        self.collect_soon();
        Ok(())
    }
}

fn refuse_immutable(tx: &ReadTx, repository: RepositoryId, tags: &[Tag]) -> Result<(), Error> {
    for tag in tags {
        let current = tx.tags().current(repository, tag)?;
        if current.is_some_and(|current| current.immutable) {
            return Err(Error::TagImmutable { tag: tag.clone() });
        }
    }
    Ok(())
}

/// Refuses what an index under an immutable tag is made of: without it the tag cannot be pulled.
fn refuse_part(tx: &ReadTx, repository: RepositoryId, part: &Digest) -> Result<(), Error> {
    let mut seen = HashSet::from([*part]);
    let mut parts = vec![*part];
    while let Some(part) = parts.pop() {
        for parent in tx.manifests().parents(repository, &part)? {
            let record = tx.manifests().record(repository, &parent)?;
            if !record.is_some_and(|record| record.is_live()) || !seen.insert(parent) {
                continue;
            }
            let tags = tx.tags().of_manifest(repository, &parent, usize::MAX)?;
            refuse_immutable(tx, repository, &tags)?;
            parts.push(parent);
        }
    }
    Ok(())
}

/// Marks a manifest as deleted and takes it off its subject's list.
fn hide(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    record: ManifestRecord,
    change: &Change,
) -> Result<(), store::Error> {
    if let Some(subject) = &record.subject {
        tx.referrers().remove(repository, subject, digest)?;
    }
    let until = change.at + time_machine(tx, repository, change.default_time_machine)?;
    let record = ManifestRecord {
        deleted: Some(change.at),
        ..record
    };
    tx.manifests().replace(repository, digest, &record)?;
    let review = Review::Manifest {
        repository,
        digest: *digest,
    };
    tx.reviews().put(until, &review)
}
