//! Tags of a repository: list, pin, take note of upstream's 404, end, restore, protect, expire.

use std::time::Duration;

use super::commit::referrer_descriptor;
use super::gc::CONDEMNED;
use super::hot::Touched;
use super::pointing::{Change, reschedule, time_machine};
use super::{Error, Registry};
use crate::model::{Actor, ManifestRecord, RepositoryId, TagLifetime, TagRecord, Timestamp};
use crate::oci::{Digest, Manifest, RawManifest, Tag};
use crate::store::{self, WriteTx};

/// Most rows read in one go.
const PAGE: usize = 1000;

impl Registry {
    /// Lists a page of a repository's tags in byte order, those strictly after `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn list_tags(
        &self,
        repository: RepositoryId,
        after: Option<Tag>,
        limit: usize,
    ) -> Result<Vec<(Tag, TagRecord)>, Error> {
        let limit = limit.min(PAGE);
        Ok(self
            .inner
            .store
            .scan(move |tx| tx.tags().list(repository, after.as_ref(), limit))
            .await?)
    }

    /// Lists all tags of a repository that have not expired in byte order, read page by page.
    ///
    /// # Errors
    /// The store's.
    pub async fn all_tags(&self, repository: RepositoryId) -> Result<Vec<Tag>, Error> {
        let now = self.inner.clock.now();
        let (mut tags, mut after) = (Vec::new(), None);
        loop {
            let page = self.list_tags(repository, after, PAGE).await?;
            let last = page.len() < PAGE;
            after = page.last().map(|(tag, _)| tag.clone());
            let alive = page
                .into_iter()
                .filter(|(_, record)| !record.has_expired(now));
            tags.extend(alive.map(|(tag, _)| tag));
            if last {
                return Ok(tags);
            }
        }
    }

    /// Changes a tag's row in place; `false` if the tag does not exist.
    async fn change_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        change: impl Fn(&mut TagRecord) -> Result<(), Error> + Send + 'static,
    ) -> Result<bool, Error> {
        let (registry, tag) = (self.clone(), tag.clone());
        self.inner
            .store
            .write(move |tx| {
                let Some(before) = tx.tags().current(repository, &tag)? else {
                    return Ok(false);
                };
                let mut record = before.clone();
                change(&mut record)?;
                tx.tags().put(repository, &tag, &record)?;
                reschedule(tx, repository, &tag, &before, &record)?;
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok(true)
            })
            .await
    }

    /// Pins a tag, so that what it leads to is never evicted, or unpins it; `false` if there is no
    /// such tag.
    ///
    /// # Errors
    /// The store's.
    pub async fn pin_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        pinned: bool,
    ) -> Result<bool, Error> {
        self.change_tag(repository, tag, move |record| {
            record.pinned = pinned;
            Ok(())
        })
        .await
    }

    /// Notes that upstream answered 404 for a tag; the first such answer since it last confirmed the
    /// tag, at `validated`, counts.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_missing(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        validated: Timestamp,
    ) -> Result<(), Error> {
        let now = self.inner.clock.now();
        self.change_tag(repository, tag, move |record| {
            let before = record.missing_since.filter(|first| *first >= validated);
            record.missing_since = before.or(Some(now));
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Ends a tag; its manifest stays, readable by digest. `false` if there is no such tag.
    ///
    /// # Errors
    /// The store's.
    pub async fn end_tag(&self, repository: RepositoryId, tag: &Tag) -> Result<bool, Error> {
        let change = self.change(Actor::System);
        let (registry, tag) = (self.clone(), tag.clone());
        Ok(self
            .inner
            .store
            .write(move |tx| {
                if change.end(tx, repository, &tag)?.is_none() {
                    return Ok(false);
                }
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok::<_, store::Error>(true)
            })
            .await?)
    }

    /// Whether a tag of this name has been here and could be restored (Quay: `TAG_EXPIRED`).
    ///
    /// # Errors
    /// The store's.
    pub async fn has_ended(&self, repository: RepositoryId, tag: &Tag) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        let look = |tx: &store::ReadTx| {
            let current = tx.tags().current(repository, tag)?;
            if current.is_some_and(|current| current.has_expired(now)) {
                return Ok::<_, store::Error>(true);
            }
            let ended = tx.tags().lifetimes_of_tag(repository, tag, None, 1)?;
            Ok(!ended.is_empty())
        };
        Ok(self.inner.store.read(look).await?)
    }

    /// Lists a page of the ended lifetimes of a repository's tags, the one that ended last first,
    /// behind the number `before`.
    ///
    /// # Errors
    /// The store's.
    pub async fn tag_history(
        &self,
        repository: RepositoryId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, TagLifetime)>, Error> {
        let limit = limit.min(PAGE);
        Ok(self
            .inner
            .store
            .scan(move |tx| tx.tags().lifetimes(repository, before, limit))
            .await?)
    }

    /// Lists a page of the ended lifetimes of one tag, the one that ended last first, behind the number
    /// `before`.
    ///
    /// # Errors
    /// The store's.
    pub async fn history_of_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, TagLifetime)>, Error> {
        let (tag, limit) = (tag.clone(), limit.min(PAGE));
        let read = move |tx: &store::ReadTx| {
            let numbers = tx
                .tags()
                .lifetimes_of_tag(repository, &tag, before, limit)?;
            let mut page = Vec::with_capacity(numbers.len());
            for number in numbers {
                let lifetime = tx.tags().lifetime(repository, number)?;
                page.extend(lifetime.map(|lifetime| (number, lifetime)));
            }
            Ok::<_, store::Error>(page)
        };
        Ok(self.inner.store.scan(read).await?)
    }

    /// For how long after its end a lifetime of one of the repository's tags can be restored.
    ///
    /// # Errors
    /// The store's.
    pub async fn time_machine(&self, repository: RepositoryId) -> Result<Duration, Error> {
        let default = self.rules().time_machine;
        let read = |tx: &store::ReadTx| time_machine(tx, repository, default);
        Ok(self.inner.store.read(read).await?)
    }

    /// Points a tag at a manifest again that it, or another tag, pointed to before; a deleted manifest
    /// is back with it. A tag that points there stays as it is.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if the manifest is gone for good, [`Error::TagImmutable`].
    pub async fn restore_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        digest: &Digest,
        by: &Actor,
    ) -> Result<(), Error> {
        let (registry, tag, digest) = (self.clone(), tag.clone(), *digest);
        let change = self.change(by.clone());
        self.inner
            .store
            .write(move |tx| {
                let restored = restore(tx, repository, &tag, digest, &change)?;
                if let Some(touched) = restored {
                    let registry = registry.clone();
                    tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                }
                Ok(())
            })
            .await
    }

    /// Says whether a tag may be moved or deleted; `false` if there is no such tag.
    ///
    /// An immutable tag does not expire (AZ-08). An expiry that passed in the meantime is forgotten
    /// rather than made up for: the tag would end with its time machine already over.
    ///
    /// # Errors
    /// The store's.
    pub async fn set_tag_immutable(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        immutable: bool,
    ) -> Result<bool, Error> {
        let now = self.inner.clock.now();
        self.change_tag(repository, tag, move |record| {
            if record.immutable && !immutable {
                record.expires = record.expires.filter(|expires| *expires > now);
            }
            record.immutable = immutable;
            Ok(())
        })
        .await
    }

    /// Says when a tag ends by itself, or that it does not; `false` if there is no such tag.
    ///
    /// A time that has passed has it end at the next collection.
    ///
    /// # Errors
    /// [`Error::TagImmutable`] if it is to end and may not (AZ-08).
    pub async fn set_tag_expiry(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        expires: Option<Timestamp>,
    ) -> Result<bool, Error> {
        let name = tag.clone();
        self.change_tag(repository, tag, move |record| {
            if record.immutable && expires.is_some() {
                return Err(Error::TagImmutable { tag: name.clone() });
            }
            record.expires = expires;
            Ok(())
        })
        .await
    }
}

/// Points a tag at a manifest again; tells what that touched, or `None` if it points there as it is.
///
/// # Errors
/// [`Error::ManifestUnknown`] if the manifest is gone for good, [`Error::TagImmutable`].
pub(super) fn restore(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    tag: &Tag,
    digest: Digest,
    change: &Change,
) -> Result<Option<Touched>, Error> {
    match tx.tags().current(repository, tag)? {
        // It would lose its expiry, and its protection.
        Some(current) if current.digest == digest => return Ok(None),
        Some(current) if current.immutable => {
            return Err(Error::TagImmutable { tag: tag.clone() });
        }
        _ => {}
    }
    let blobs = revive(tx, repository, &digest)?;
    let record = TagRecord {
        restored: true,
        ..TagRecord::new(digest, change.at, change.by.clone())
    };
    change.point(tx, repository, tag, &record)?;
    Ok(Some(Touched {
        tags: vec![tag.clone()],
        digests: std::iter::once(digest).chain(blobs).collect(),
    }))
}

/// Has a manifest that was deleted be there again, with what it names; returns its blobs.
fn revive(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    root: &Digest,
) -> Result<Vec<Digest>, Error> {
    let mut touched = Vec::new();
    let mut pending = vec![*root];
    while let Some(digest) = pending.pop() {
        let record = tx.manifests().record(repository, &digest)?;
        // One that is being taken apart no longer names all that it needs.
        let record = record.filter(|record| record.deleted != Some(CONDEMNED));
        let Some(record) = record else {
            if digest == *root {
                return Err(Error::ManifestUnknown);
            }
            continue;
        };
        let can_be = record.is_live() || is_restorable(tx, repository, &digest, &record)?;
        match (digest == *root, can_be) {
            (true, false) => return Err(Error::ManifestUnknown),
            (false, _) if record.is_live() || !can_be => continue,
            _ => {}
        }
        for (blob, _) in &record.blobs {
            tx.blobs().show(repository, blob)?;
            touched.push(*blob);
        }
        pending.extend(&record.children);
        touched.push(digest);
        if !record.is_live() {
            let live = ManifestRecord {
                deleted: None,
                ..record
            };
            tx.manifests().replace(repository, &digest, &live)?;
            relist(tx, repository, &digest, &live)?;
        }
    }
    Ok(touched)
}

/// Whether a deleted manifest is whole: the collector takes no part of one away that the history, or an
/// index in it, leads to.
fn is_restorable(
    tx: &store::ReadTx,
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
) -> Result<bool, Error> {
    if record.deleted == Some(CONDEMNED) {
        return Ok(false);
    }
    let named = tx.tags().lifetimes_of_manifest(repository, digest, 1)?;
    let parents = tx.manifests().parents(repository, digest)?;
    Ok(!named.is_empty() || !parents.is_empty())
}

/// Puts a manifest back on its subject's list.
pub(super) fn relist(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
) -> Result<(), Error> {
    let Some(subject) = &record.subject else {
        return Ok(());
    };
    let bytes = tx
        .manifests()
        .body(digest)?
        .ok_or(Error::Corrupt { digest: *digest })?;
    let manifest = Manifest::parse(&bytes, Some(&record.media_type));
    let manifest = manifest.map_err(|reason| Error::ManifestInvalid {
        digest: *digest,
        reason,
    })?;
    let raw = RawManifest {
        bytes,
        digest: *digest,
        media_type: record.media_type.clone(),
    };
    let descriptor = referrer_descriptor(&raw, &manifest);
    tx.referrers().put(repository, subject, &descriptor)?;
    Ok(())
}
