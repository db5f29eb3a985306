//! The transactions that make content exist.
//!
//! A manifest comes into being in one transaction: record, body, referrer, tag and usage. A blob
//! comes into being when its bytes are durable and one transaction links them to a repository.

use std::sync::{Arc, Mutex, PoisonError};

use super::hot::{HeldManifest, Touched};
use super::pointing::Change;
use super::recency::note_latest;
use super::{Error, Registry, usage};
use crate::blob::{BlobFile, PartialWriter};
use crate::model::{
    Actor, BlobRecord, ManifestRecord, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord,
    RepositoryId, RepositoryRecord, Review, TagRecord, Timestamp, Unit,
};
use crate::oci::{Descriptor, Digest, Manifest, ManifestKind, RawManifest, RepositoryName, Tag};
use crate::quota::{self, Reservation};
use crate::store::{self, WriteTx};

/// Where content is put: a repository of a namespace, made if it does not exist.
#[derive(Clone, Debug)]
pub struct Placed {
    pub namespace: NamespaceId,
    pub repository: RepositoryId,
}

impl Registry {
    /// Returns the namespace of that name, made if it does not exist, with `anonymous_pull` noted.
    ///
    /// # Errors
    /// The store's.
    pub async fn ensure_namespace(
        &self,
        name: &NamespaceName,
        anonymous_pull: bool,
    ) -> Result<NamespaceId, Error> {
        match self.namespace(name).await? {
            Some((id, record)) if record.anonymous_pull == anonymous_pull => return Ok(id),
            _ => {}
        }
        let (name, created) = (name.clone(), self.inner.clock.now());
        let put = move |tx: &mut WriteTx<'_>| match tx.namespaces().by_name(&name)? {
            Some((id, record)) => {
                let record = NamespaceRecord {
                    anonymous_pull,
                    ..record
                };
                tx.namespaces().put(id, &record)?;
                Ok::<_, Error>(id)
            }
            None => {
                let record = NamespaceRecord {
                    anonymous_pull,
                    ..NamespaceRecord::new(name.clone(), NamespaceKind::Cache, created)
                };
                Ok(tx.namespaces().create(&record)?)
            }
        };
        self.inner.store.write(put).await
    }

    /// Returns the repository of that name, made for what upstream has if it does not exist.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] if it was pushed; the store's.
    pub async fn ensure_repository(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
    ) -> Result<RepositoryId, Error> {
        if let Some(id) = self.repository(namespace, name).await? {
            let record = self.repository_record(id).await?;
            return match record.is_some_and(|record| !record.fetched) {
                true => Err(Error::ReadOnly),
                false => Ok(id),
            };
        }
        let created = self.inner.clock.now();
        let record = RepositoryRecord::fetched(namespace, name.clone(), created);
        let create =
            move |tx: &mut WriteTx<'_>| match tx.repositories().by_name(namespace, &record.name)? {
                Some(id) => Ok::<_, Error>(id),
                None => Ok(tx.repositories().create(&record)?),
            };
        self.inner.store.write(create).await
    }

    /// Keeps a manifest fetched from upstream, and moves a tag to it if one is given.
    ///
    /// Its blobs and children may be absent: they are fetched when asked for.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit and nothing can go; the store's.
    pub async fn ingest_manifest(
        &self,
        placed: &Placed,
        raw: RawManifest,
        manifest: &Manifest,
        tag: Option<Tag>,
    ) -> Result<Arc<HeldManifest>, Error> {
        let change = self.change(Actor::System);
        let unit = Unit {
            namespace: placed.namespace,
            repository: placed.repository,
            digest: raw.digest,
        };
        let size = raw.bytes.len() as u64;
        let reservation = self.reserve(placed.namespace, size, &[unit]).await?;
        let record = record_of(manifest, size, change.at);
        let referrer = manifest
            .subject
            .as_ref()
            .map(|subject| (subject.digest, referrer_descriptor(&raw, manifest)));
        let held = Arc::new(HeldManifest::new(raw, unit));
        let registry = self.clone();
        let commit = Commit {
            unit,
            record,
            referrer,
            tag,
            change,
            used: self.use_time(),
            held: held.clone(),
            room: Room::new(reservation),
        };
        self.inner
            .store
            .write(move |tx| commit.apply(tx, &registry))
            .await?;
        Ok(held)
    }

    /// Points a tag at a manifest the repository holds.
    ///
    /// # Errors
    /// The store's; [`Error::Corrupt`] if the repository does not hold the manifest.
    pub async fn move_tag(
        &self,
        repository: RepositoryId,
        digest: Digest,
        tag: Tag,
    ) -> Result<(), Error> {
        let change = self.change(Actor::System);
        let registry = self.clone();
        self.inner
            .store
            .write(move |tx| {
                if tx.manifests().record(repository, &digest)?.is_none() {
                    return Err(Error::Corrupt { digest });
                }
                put_tag(tx, repository, digest, &tag, &change)?;
                let touched = Touched {
                    tags: vec![tag.clone()],
                    digests: vec![],
                };
                let registry = registry.clone();
                tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
                Ok(())
            })
            .await
    }

    /// Publishes a fill: verifies and names its bytes, then links them to a repository.
    ///
    /// The bytes count as held in place of the reservation once they are.
    ///
    /// # Errors
    /// The blob's (wrong digest, disk), then nothing is kept; the store's, then the next sweep
    /// removes the file.
    pub async fn ingest_blob(
        &self,
        placed: &Placed,
        writer: PartialWriter,
        digest: Digest,
        reservation: Reservation,
    ) -> Result<BlobFile, Error> {
        let _guard = self.content_lock(&digest).await;
        let file = writer.finish().await?;
        let room = Room::new(reservation);
        let origin = Origin::Fetched(self.use_time());
        self.link(placed, digest, Some(file.len()), room, origin)
            .await?;
        Ok(file)
    }

    /// Links a blob whose bytes are here to one more repository; `false` if they are not.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if the namespace has no room for it; the store's.
    pub async fn link_held_blob(&self, placed: &Placed, digest: Digest) -> Result<bool, Error> {
        let namespace = placed.namespace;
        let found = self.inner.store.read(|tx| {
            let counts = tx.blobs().is_held_by(namespace, &digest)?;
            let record = tx.blobs().record(&digest)?;
            Ok::<_, store::Error>(record.map(|record| (record, counts)))
        });
        let Some((record, counts)) = found.await? else {
            return Ok(false);
        };
        if self
            .inner
            .blobs
            .open_blob(&digest, record.size_bytes)
            .await?
            .is_none()
        {
            return Ok(false);
        }
        // What another repository of the namespace holds takes no more room (counted once).
        let more = if counts { 0 } else { record.size_bytes };
        let reservation = self.reserve(namespace, more, &[]).await?;
        let (room, origin) = (Room::new(reservation), Origin::Fetched(self.use_time()));
        self.link(placed, digest, None, room, origin).await
    }

    /// One transaction that gives a repository a blob: its row if `size` gives one, the link, usage, and
    /// what its origin asks for; `false` if there is no such blob.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if the repository is gone; the store's.
    pub(super) async fn link(
        &self,
        placed: &Placed,
        digest: Digest,
        size: Option<u64>,
        room: Room,
        origin: Origin,
    ) -> Result<bool, Error> {
        let Placed {
            namespace,
            repository,
        } = *placed;
        let now = self.inner.clock.now();
        let unit = Unit {
            namespace,
            repository,
            digest,
        };
        let (registry, grace) = (self.clone(), self.inner.rules.load().grace);
        self.inner
            .store
            .write(move |tx| {
                if tx.repositories().record(repository)?.is_none() {
                    return Err(Error::NameUnknown);
                }
                let record = match (tx.blobs().record(&digest)?, size) {
                    (Some(record), _) => record,
                    (None, Some(size_bytes)) => BlobRecord {
                        size_bytes,
                        created: now,
                    },
                    (None, None) => return Ok(false),
                };
                tx.blobs().put(&digest, &record)?;
                let change = match origin {
                    Origin::Pushed => {
                        let review = Review::Blob { repository, digest };
                        tx.reviews().put(now + grace, &review)?;
                        tx.blobs().link_since(namespace, repository, &digest, now)?
                    }
                    Origin::Fetched(used) => {
                        note_unnamed(tx, &unit, used)?;
                        tx.blobs().link(namespace, repository, &digest)?
                    }
                };
                let added = match change.first_of_namespace {
                    true => record.size_bytes,
                    false => 0,
                };
                usage::grow(tx, namespace, added, now)?;
                let (registry, room) = (registry.clone(), room.clone());
                tx.after_commit(move || {
                    let touched = Touched {
                        tags: vec![],
                        digests: vec![digest],
                    };
                    registry.inner.hot.changed(repository, &touched);
                    room.hold(added);
                });
                Ok(true)
            })
            .await
    }
}

/// Where a blob came from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A client pushed or mounted it: it is looked at whether a manifest has come to name it.
    Pushed,
    /// From upstream, and used at that time.
    Fetched(Timestamp),
}

/// A blob that no manifest of its repository names is used by itself.
fn note_unnamed(tx: &mut WriteTx<'_>, unit: &Unit, used: Timestamp) -> Result<(), store::Error> {
    let namers = tx
        .manifests()
        .naming_blob(unit.repository, &unit.digest, 1)?;
    if !namers.is_empty() {
        return Ok(());
    }
    note_latest(tx, used)?;
    let before = tx.recency().record(unit)?;
    tx.recency().put(unit, &quota::used(before, used))
}

/// One manifest's way into the store.
struct Commit {
    unit: Unit,
    record: ManifestRecord,
    /// Subject, and how a referrers list names this manifest.
    referrer: Option<(Digest, Descriptor)>,
    tag: Option<Tag>,
    change: Change,
    used: Timestamp,
    held: Arc<HeldManifest>,
    room: Room,
}

/// The reservation of content that is being committed: a write may run more than once, and the hook of
/// the run that counts takes it.
#[derive(Clone)]
pub(super) struct Room(Arc<Mutex<Option<Reservation>>>);

impl Room {
    pub(super) fn new(reservation: Reservation) -> Self {
        Self(Arc::new(Mutex::new(Some(reservation))))
    }

    /// After the commit: `bytes` count as held, and the reservation no longer.
    pub(super) fn hold(&self, bytes: u64) {
        let reservation = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reservation) = reservation {
            reservation.hold(bytes);
        }
    }
}

impl Commit {
    fn apply(&self, tx: &mut WriteTx<'_>, registry: &Registry) -> Result<(), Error> {
        let Unit {
            namespace,
            repository,
            digest,
        } = self.unit;
        if tx.repositories().record(repository)?.is_none() {
            return Err(Error::NameUnknown);
        }
        let is_new = tx.manifests().record(repository, &digest)?.is_none();
        if is_new {
            tx.manifests()
                .put(repository, &digest, &self.record, &self.held.raw.bytes)?;
            usage::grow(tx, namespace, self.record.size_bytes, self.change.at)?;
            if let Some((subject, descriptor)) = &self.referrer {
                tx.referrers().put(repository, subject, descriptor)?;
            }
            adopt_blobs(tx, &self.unit, &self.record)?;
        }
        note_latest(tx, self.used)?;
        let before = tx.recency().record(&self.unit)?;
        tx.recency()
            .put(&self.unit, &quota::used(before, self.used))?;
        let mut touched = Touched {
            tags: vec![],
            digests: vec![],
        };
        if is_new {
            touched.digests.push(digest);
            touched
                .digests
                .extend(self.record.blobs.iter().map(|(digest, _)| *digest));
        }
        if let Some(tag) = &self.tag {
            put_tag(tx, repository, digest, tag, &self.change)?;
            touched.tags.push(tag.clone());
        }
        let (registry, held, room) = (registry.clone(), self.held.clone(), self.room.clone());
        let added = if is_new { self.record.size_bytes } else { 0 };
        tx.after_commit(move || {
            let hot = &registry.inner.hot;
            hot.changed(repository, &touched);
            hot.fill_manifest(hot.generation(repository), held);
            room.hold(added);
        });
        Ok(())
    }
}

/// Blobs that were linked before their manifest came stop being units of their own.
fn adopt_blobs(
    tx: &mut WriteTx<'_>,
    unit: &Unit,
    record: &ManifestRecord,
) -> Result<(), store::Error> {
    for (digest, _) in &record.blobs {
        tx.recency().remove(&Unit {
            digest: *digest,
            ..*unit
        })?;
    }
    Ok(())
}

/// Points a tag of a cache at what upstream says it is.
fn put_tag(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: Digest,
    tag: &Tag,
    change: &Change,
) -> Result<(), store::Error> {
    let before = tx.tags().current(repository, tag)?;
    let since = match &before {
        Some(before) if before.digest == digest => before.since,
        _ => change.at,
    };
    let record = TagRecord {
        validated: change.at,
        pinned: before.is_some_and(|before| before.pinned),
        ..TagRecord::new(digest, since, change.by.clone())
    };
    change.point(tx, repository, tag, &record).map(drop)
}

pub(super) fn record_of(
    manifest: &Manifest,
    size_bytes: u64,
    created: Timestamp,
) -> ManifestRecord {
    // oci-registry 11.11: BuildKit's cache is an index that names layers.
    let listed = manifest
        .manifests
        .iter()
        .filter(|child| !child.media_type.is_manifest() && !child.is_foreign());
    let mut blobs: Vec<(Digest, u64)> = manifest
        .held_blobs()
        .chain(listed)
        .map(|blob| (blob.digest, blob.size))
        .collect();
    blobs.sort_unstable();
    blobs.dedup_by_key(|(digest, _)| *digest);
    let mut children: Vec<Digest> = manifest
        .manifests
        .iter()
        .map(|child| child.digest)
        .collect();
    children.sort_unstable();
    children.dedup();
    ManifestRecord {
        media_type: manifest.media_type.clone(),
        size_bytes,
        children,
        blobs,
        subject: manifest.subject.as_ref().map(|subject| subject.digest),
        created,
        pushed: created,
        deleted: None,
        expires_after_s: None,
        layers_bytes: (manifest.kind == ManifestKind::Image).then(|| {
            let layers = manifest.layers.iter();
            layers.fold(0, |sum: u64, layer| sum.saturating_add(layer.size))
        }),
    }
}

/// distribution-spec, "Listing Referrers": type, size, artifact type and annotations of the referrer.
pub(super) fn referrer_descriptor(raw: &RawManifest, manifest: &Manifest) -> Descriptor {
    Descriptor {
        artifact_type: manifest.effective_artifact_type().map(str::to_owned),
        annotations: manifest.annotations.clone(),
        ..raw.descriptor()
    }
}
