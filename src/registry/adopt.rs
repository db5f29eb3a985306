//! Content that arrives as a whole from another registry: its blobs first, then its manifests, and then
//! all tags of a repository in one transaction, so that a reader sees either the old set or the new one.
//!
//! Called by `bundle`, which has compared every digest and looked whether everything is there. Into local
//! repositories it comes as if pushed, into those of a cache as if fetched, with its tags pinned: what an
//! upstream cannot give again is not to be evicted.

use serde_json::json;

use super::commit::{Origin, Room};
use super::hot::Touched;
use super::told::Told;
use super::tracking::Tracked;
use super::{Error, Placed, Registry};
use crate::blob::UploadKey;
use crate::model::{
    LogKind, ManifestRecord, NamespaceId, Performer, RepositoryId, TagRecord, Timestamp,
};
use crate::oci::{Digest, Manifest, RawManifest, Tag};
use crate::store::{ReadTx, WriteTx};

/// Where what arrives goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Arrived {
    /// As if pushed.
    Local,
    /// As if fetched from upstream.
    Cached,
}

/// Tags of a repository that are to be set, and ended, together.
#[derive(Clone, Debug, Default)]
pub struct TagSet {
    pub tags: Vec<(Tag, Digest)>,
    pub ended: Vec<Tag>,
    pub by: Performer,
}

impl Registry {
    /// Bytes of the given blobs that a namespace does not hold yet.
    ///
    /// # Errors
    /// The store's.
    pub async fn growth(
        &self,
        namespace: NamespaceId,
        blobs: Vec<(Digest, u64)>,
    ) -> Result<u64, Error> {
        let count = move |tx: &ReadTx| {
            let mut bytes = 0;
            for (digest, size) in &blobs {
                if !tx.blobs().is_held_by(namespace, digest)? {
                    bytes += size;
                }
            }
            Ok::<_, Error>(bytes)
        };
        self.inner.store.scan(count).await
    }

    /// Gives a repository a blob whose bytes are here: linked by another one, or lying whole in an upload.
    /// `false` if they are not.
    ///
    /// # Errors
    /// The blob's wrong digest, with which the upload is gone; [`Error::NoRoom`]; the store's or the disk's.
    pub async fn adopt_staged(
        &self,
        placed: &Placed,
        digest: Digest,
        staged: UploadKey,
        arrived: Arrived,
    ) -> Result<bool, Error> {
        if self.shows(placed.repository, &digest).await?
            && self.unlinked_blob(&digest).await?.is_some()
        {
            return Ok(true);
        }
        let origin = match arrived {
            Arrived::Local => Origin::Pushed,
            Arrived::Cached => Origin::Fetched(self.use_time()),
        };
        if let Some(file) = self.unlinked_blob(&digest).await? {
            let more = self
                .growth(placed.namespace, vec![(digest, file.len())])
                .await?;
            let reservation = self.reserve(placed.namespace, more, &[]).await?;
            return self
                .link(placed, digest, None, Room::new(reservation), origin)
                .await;
        }
        let is_empty = digest == Digest::with(digest.algorithm(), b"");
        if !is_empty && self.inner.blobs.upload_len(&staged).await?.is_none() {
            return Ok(false);
        }
        let _guard = self.content_lock(&digest).await;
        let writer = self
            .inner
            .blobs
            .open_upload(&staged, digest.algorithm())
            .await?;
        // It lies on the disk already, so it counts whether it fits or not; that it fits was looked at
        // before its first byte was read.
        let room = self.inner.ledger.adopt(placed.namespace, writer.len());
        let file = writer.finish(&digest).await?;
        self.link(placed, digest, Some(file.len()), Room::new(room), origin)
            .await
    }

    /// Gives a repository of a cache a manifest, as if it had been fetched, without a tag.
    ///
    /// # Errors
    /// As [`Registry::ingest_manifest`].
    pub async fn adopt_fetched(
        &self,
        placed: &Placed,
        raw: RawManifest,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        self.ingest_manifest(placed, raw, manifest, None)
            .await
            .map(drop)
    }

    /// Sets and ends tags of a repository in one transaction.
    ///
    /// # Errors
    /// [`Error::TagImmutable`], [`Error::ManifestUnknown`]; nothing has changed then.
    pub async fn set_tags(
        &self,
        repository: RepositoryId,
        set: TagSet,
        arrived: Arrived,
    ) -> Result<(), Error> {
        let (registry, change) = (self.clone(), self.change(set.by.actor.clone()));
        let touched = Touched {
            tags: set
                .tags
                .iter()
                .map(|(tag, _)| tag)
                .chain(&set.ended)
                .cloned()
                .collect(),
            digests: vec![],
        };
        let write = move |tx: &mut WriteTx<'_>| {
            let told = Told::of(tx, repository)?;
            let place = (repository, &told);
            for (tag, digest) in &set.tags {
                registry.set_one(tx, place, (tag, digest), &change, arrived, &set.by)?;
            }
            for tag in &set.ended {
                let current = alive(tx, repository, tag, change.at)?;
                let Some(current) = current else { continue };
                if current.immutable {
                    return Err(Error::TagImmutable { tag: tag.clone() });
                }
                change.end(tx, repository, tag)?;
                let tracked = Tracked {
                    repository,
                    at: change.at,
                    by: &set.by,
                };
                tracked.deleted(tx, Some(tag), &current.digest)?;
            }
            let (registry, touched) = (registry.clone(), touched.clone());
            tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
            Ok::<_, Error>(())
        };
        self.inner.store.write(write).await?;
        self.collect_soon();
        Ok(())
    }

    fn set_one(
        &self,
        tx: &mut WriteTx<'_>,
        (repository, told): (RepositoryId, &Told),
        (tag, digest): (&Tag, &Digest),
        change: &super::pointing::Change,
        arrived: Arrived,
        by: &Performer,
    ) -> Result<(), Error> {
        let manifest = tx.manifests().record(repository, digest)?;
        let manifest = manifest
            .filter(ManifestRecord::is_live)
            .ok_or(Error::ManifestUnknown)?;
        let before = alive(tx, repository, tag, change.at)?;
        if before
            .as_ref()
            .is_some_and(|before| before.digest == *digest)
        {
            return Ok(());
        }
        if before.as_ref().is_some_and(|before| before.immutable) {
            return Err(Error::TagImmutable { tag: tag.clone() });
        }
        let is_local = arrived == Arrived::Local;
        let immutable = is_local && self.is_covered(tx, told, tag, repository)?;
        let life = manifest.expires_after_s.filter(|_| is_local);
        let record = TagRecord {
            immutable,
            pinned: !is_local,
            expires: life.map(|s| change.at + std::time::Duration::from_secs(s)),
            ..TagRecord::new(*digest, change.at, by.actor.clone())
        };
        change.point(tx, repository, tag, &record)?;
        let kind = match before {
            Some(_) => LogKind::MoveTag,
            None => LogKind::CreateTag,
        };
        let original = before.map(|before| before.digest);
        let more = json!({
            "username": by.to_string(),
            "repo": told.name,
            "namespace": told.namespace,
            "tag": tag,
            "manifest_digest": digest,
            "original_manifest_digest": original,
        });
        tx.logs().append(&told.line(kind, change.at, by, more))?;
        if immutable {
            self.tell_covered(tx, told, tag, change.at, by)?;
        }
        Ok(())
    }
}

/// A tag, unless it has ended by itself and nobody has noted that yet.
fn alive(
    tx: &ReadTx,
    repository: RepositoryId,
    tag: &Tag,
    now: Timestamp,
) -> Result<Option<TagRecord>, Error> {
    let current = tx.tags().current(repository, tag)?;
    Ok(current.filter(|current| !current.has_expired(now)))
}
