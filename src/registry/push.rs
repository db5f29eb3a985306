//! A client's manifest: what it names is looked for, then it exists, in one transaction.
//!
//! Called by the `/v2/` doors. A manifest of a local repository names only what the repository has, as
//! far as the rules ask for that, checked in the transaction that publishes it (PR-08); its tags move
//! in the same one, so that a reader sees either all or nothing of a push.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::commit::{Room, record_of, referrer_descriptor};
use super::hot::{HeldManifest, Touched};
use super::metrics::Changed;
use super::pointing::Change;
use super::session::Owner;
use super::told::Told;
use super::tracking::Tracked;
use super::{Error, Note, Placed, Registry, Rules, labels};
use crate::model::{
    LabelRecord, LogKind, ManifestRecord, Performer, RepositoryId, Review, TagRecord, Unit, Uuid,
};
use crate::oci::{Descriptor, Digest, Manifest, ManifestKind, RawManifest, Tag};
use crate::store::{ReadTx, WriteTx};

/// A manifest that a client pushes.
#[derive(Clone, Debug)]
pub struct Push {
    /// Its bytes, whose digest was checked.
    pub raw: RawManifest,
    pub manifest: Manifest,
    /// Tags to point at it; none for a push by digest.
    pub tags: Vec<Tag>,
    pub by: Performer,
    /// What must be true of every one of the tags.
    pub condition: Condition,
}

/// RFC 9110 §13.1.1, §13.1.2: what a conditional push asks of a tag.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Condition {
    #[default]
    None,
    /// It points to one of these now (`If-Match`).
    PointsTo(Vec<Digest>),
    /// There is such a tag, whatever it points to (`If-Match: *`).
    Present,
    /// There is no such tag (`If-None-Match: *`).
    Absent,
}

impl Condition {
    fn holds(&self, current: Option<&TagRecord>) -> bool {
        match self {
            Self::None => true,
            Self::PointsTo(digests) => {
                current.is_some_and(|current| digests.contains(&current.digest))
            }
            Self::Present => current.is_some(),
            Self::Absent => current.is_none(),
        }
    }
}

/// One manifest's way into a local repository.
struct Publication {
    push: Push,
    unit: Unit,
    rules: Arc<Rules>,
    change: Change,
    expires_after_s: Option<u64>,
    labels: Vec<(Uuid, LabelRecord)>,
    held: Arc<HeldManifest>,
    room: Room,
    note: Option<Note>,
}

impl Registry {
    /// Puts a manifest into a local repository and points its tags at it.
    ///
    /// # Errors
    /// [`Error::ManifestBlobUnknown`] and [`Error::SizeInvalid`] for what it names,
    /// [`Error::TagImmutable`], [`Error::Precondition`], [`Error::QuotaExceeded`], [`Error::NoRoom`]; nothing has changed then.
    pub async fn push_manifest(&self, placed: &Placed, push: Push) -> Result<(), Error> {
        self.push_noting(placed, push, None).await
    }

    /// The same, with something of the caller's written in the same transaction.
    ///
    /// # Errors
    /// As [`Registry::push_manifest`], and what `note` fails with.
    pub async fn push_noting(
        &self,
        placed: &Placed,
        push: Push,
        note: Option<Note>,
    ) -> Result<(), Error> {
        let unit = Unit {
            namespace: placed.namespace,
            repository: placed.repository,
            digest: push.raw.digest,
        };
        let (expires_after_s, labels) = match push.manifest.kind {
            ManifestKind::Image => self.said_by(placed, &push).await?,
            ManifestKind::Index | ManifestKind::Opaque => (None, Vec::new()),
        };
        let size = push.raw.bytes.len() as u64;
        let reservation = self.reserve(placed.namespace, size, &[]).await?;
        let publication = Publication {
            unit,
            rules: self.inner.rules.load_full(),
            change: self.change(push.by.actor.clone()),
            expires_after_s,
            labels,
            held: Arc::new(HeldManifest::new(push.raw.clone(), unit)),
            room: Room::new(reservation),
            note,
            push,
        };
        let owner = Owner::of(&publication.push.by.actor);
        let blobs: Vec<Digest> = publication
            .push
            .manifest
            .held_blobs()
            .map(|blob| blob.digest)
            .collect();
        let registry = self.clone();
        self.inner
            .store
            .write(move |tx| publication.apply(tx, &registry))
            .await?;
        let touches = &self.inner.touches;
        touches.settle(placed.repository, blobs.into_iter(), owner);
        self.inner.metrics.count(Changed::PushedManifest);
        Ok(())
    }

    /// What an image says of its tags, and its labels; the config of one that is here was read when it
    /// came.
    async fn said_by(
        &self,
        placed: &Placed,
        push: &Push,
    ) -> Result<(Option<u64>, Vec<(Uuid, LabelRecord)>), Error> {
        let (repository, digest) = (placed.repository, push.raw.digest);
        let held = self
            .inner
            .store
            .read(|tx| tx.manifests().record(repository, &digest));
        match held.await? {
            // A sparse one may have come before its config.
            Some(held) if !self.inner.rules.load().sparse_images => {
                Ok((held.expires_after_s, Vec::new()))
            }
            _ => {
                let said = self.said(placed, &push.manifest).await?;
                let labels = labels::kept(repository, &digest, &said);
                Ok((labels::expires_after(&said), labels))
            }
        }
    }
}

impl Publication {
    fn apply(&self, tx: &mut WriteTx<'_>, registry: &Registry) -> Result<(), Error> {
        let Unit {
            repository, digest, ..
        } = self.unit;
        if tx.repositories().record(repository)?.is_none() {
            return Err(Error::NameUnknown);
        }
        self.check_tags(tx)?;
        self.check_blobs(tx)?;
        self.check_children(tx)?;
        let before = tx.manifests().record(repository, &digest)?;
        let record = self.record(tx, before.as_ref())?;
        tx.manifests()
            .put(repository, &digest, &record, &self.push.raw.bytes)?;
        if let Some(subject) = &self.push.manifest.subject {
            let descriptor = referrer_descriptor(&self.push.raw, &self.push.manifest);
            tx.referrers()
                .put(repository, &subject.digest, &descriptor)?;
        }
        for (id, label) in &self.labels {
            tx.labels().put(repository, &digest, *id, label)?;
        }
        self.point_tags(tx, registry, &record)?;
        if self.push.tags.is_empty() {
            let review = Review::Manifest { repository, digest };
            tx.reviews().put(self.grace(&record)?, &review)?;
        }
        self.tell(tx, &record)?;
        if let Some(note) = &self.note {
            note(tx)?;
        }
        self.announce(tx, registry, &record);
        Ok(())
    }

    /// `quay-log-kinds` 2.3: `push_repo`, a line a tag; a push by digest is told as well.
    fn tell(&self, tx: &mut WriteTx<'_>, record: &ManifestRecord) -> Result<(), Error> {
        let tracked = Tracked {
            repository: self.unit.repository,
            at: self.change.at,
            by: &self.push.by,
        };
        let media_type = record.media_type.as_str();
        if self.push.tags.is_empty() {
            let digest = self.unit.digest.to_string();
            let more = json!({"manifest_digest": digest, "mediaType": media_type});
            return tracked.tell(tx, LogKind::PushRepo, more);
        }
        for tag in &self.push.tags {
            let more = json!({"tag": tag.as_str(), "mediaType": media_type});
            tracked.tell(tx, LogKind::PushRepo, more)?;
        }
        Ok(())
    }

    /// When what nothing names is looked at; what refers to something has as long as a tag that ended.
    fn grace(&self, record: &ManifestRecord) -> Result<crate::model::Timestamp, Error> {
        let wait = match record.subject {
            Some(_) => self.rules.grace.max(self.change.default_time_machine),
            None => self.rules.grace,
        };
        Ok(self.change.at + wait)
    }

    fn check_tags(&self, tx: &ReadTx) -> Result<(), Error> {
        for tag in &self.push.tags {
            let current = self.alive(tx, tag)?;
            if !self.push.condition.holds(current.as_ref()) {
                return Err(Error::Precondition { tag: tag.clone() });
            }
            let is_moved = |current: &TagRecord| current.digest != self.unit.digest;
            if current.is_some_and(|current| current.immutable && is_moved(&current)) {
                return Err(Error::TagImmutable { tag: tag.clone() });
            }
        }
        Ok(())
    }

    /// A tag, unless it has expired and only nobody has noted that yet.
    fn alive(&self, tx: &ReadTx, tag: &Tag) -> Result<Option<TagRecord>, Error> {
        let current = tx.tags().current(self.unit.repository, tag)?;
        Ok(current.filter(|current| !current.has_expired(self.change.at)))
    }

    /// PR-08, PR-09: every blob is here, with the size that the manifest states.
    fn check_blobs(&self, tx: &ReadTx) -> Result<(), Error> {
        for blob in self.push.manifest.held_blobs() {
            let is_here = tx.blobs().is_linked(self.unit.repository, &blob.digest)?;
            let record = match is_here {
                true => tx.blobs().record(&blob.digest)?,
                false => None,
            };
            match record {
                Some(record) if record.size_bytes == blob.size => {}
                Some(record) => return Err(size_invalid(blob, record.size_bytes)),
                None if self.rules.sparse_images => {}
                None => {
                    return Err(Error::ManifestBlobUnknown {
                        digest: blob.digest,
                    });
                }
            }
        }
        Ok(())
    }

    /// The same of what an index names, which may be missing if the rules say so.
    fn check_children(&self, tx: &ReadTx) -> Result<(), Error> {
        for child in &self.push.manifest.manifests {
            match self.child_bytes(tx, child)? {
                Some(found) if found == child.size => {}
                Some(found) => return Err(size_invalid(child, found)),
                None if self.rules.sparse_indexes || child.is_foreign() => {}
                None => {
                    return Err(Error::ManifestBlobUnknown {
                        digest: child.digest,
                    });
                }
            }
        }
        Ok(())
    }

    /// How large what an index names is, if the repository has it.
    fn child_bytes(&self, tx: &ReadTx, child: &Descriptor) -> Result<Option<u64>, Error> {
        let repository = self.unit.repository;
        if child.media_type.is_manifest() {
            let record = tx.manifests().record(repository, &child.digest)?;
            let live = record.filter(ManifestRecord::is_live);
            return Ok(live.map(|record| record.size_bytes));
        }
        // BuildKit's cache is an index of layers.
        if !tx.blobs().is_linked(repository, &child.digest)? {
            return Ok(None);
        }
        let record = tx.blobs().record(&child.digest)?;
        Ok(record.map(|record| record.size_bytes))
    }

    fn record(
        &self,
        tx: &ReadTx,
        before: Option<&ManifestRecord>,
    ) -> Result<ManifestRecord, Error> {
        let now = self.change.at;
        let size = self.push.raw.bytes.len() as u64;
        let record = record_of(&self.push.manifest, size, now);
        let expires_after_s = match self.push.manifest.kind {
            ManifestKind::Index => self.agreed_expiry(tx, &record)?,
            ManifestKind::Image | ManifestKind::Opaque => self.expires_after_s,
        };
        Ok(ManifestRecord {
            created: before.map_or(now, |before| before.created),
            expires_after_s,
            ..record
        })
    }

    /// Quay: tags of an index expire if all of its images say the same.
    fn agreed_expiry(&self, tx: &ReadTx, index: &ManifestRecord) -> Result<Option<u64>, Error> {
        let mut agreed = None;
        for child in &index.children {
            let child = tx.manifests().record(self.unit.repository, child)?;
            let says = child.and_then(|child| child.expires_after_s);
            if says.is_none() || agreed.is_some_and(|agreed| says != Some(agreed)) {
                return Ok(None);
            }
            agreed = says;
        }
        Ok(agreed)
    }

    fn point_tags(
        &self,
        tx: &mut WriteTx<'_>,
        registry: &Registry,
        record: &ManifestRecord,
    ) -> Result<(), Error> {
        let now = self.change.at;
        let (repository, digest) = (self.unit.repository, self.unit.digest);
        let protects = self.rules.immutable_tags && says_immutable(tx, repository, &digest)?;
        let expires = record.expires_after_s.map(|s| now + Duration::from_secs(s));
        for tag in &self.push.tags {
            let before = self.alive(tx, tag)?;
            let same = before.filter(|before| before.digest == self.unit.digest);
            let is_covered = same.is_none() && registry.covers(tx, &self.unit, tag)?;
            let tagged = TagRecord {
                expires: expires.or_else(|| same.as_ref()?.expires),
                immutable: same.as_ref().is_some_and(|same| same.immutable)
                    || protects
                    || is_covered,
                pinned: same.as_ref().is_some_and(|same| same.pinned),
                since: same.map_or(now, |same| same.since),
                ..TagRecord::new(self.unit.digest, now, self.change.by.clone())
            };
            self.change.point(tx, self.unit.repository, tag, &tagged)?;
            if is_covered {
                let told = Told::of(tx, repository)?;
                registry.tell_covered(tx, &told, tag, now, &self.push.by)?;
            }
        }
        Ok(())
    }

    /// After the commit: readers see it.
    fn announce(&self, tx: &mut WriteTx<'_>, registry: &Registry, record: &ManifestRecord) {
        let blobs = record.blobs.iter().map(|(digest, _)| *digest);
        let touched = Touched {
            tags: self.push.tags.clone(),
            digests: std::iter::once(self.unit.digest).chain(blobs).collect(),
        };
        let (registry, held, room) = (registry.clone(), self.held.clone(), self.room.clone());
        let repository = self.unit.repository;
        tx.after_commit(move || {
            let hot = &registry.inner.hot;
            hot.changed(repository, &touched);
            hot.fill_manifest(hot.generation(repository), held);
            // The document of a pushed manifest does not count (Quay); its room was for the moment.
            room.hold(0);
        });
    }
}

/// Whether an image says that its tags are to be protected.
fn says_immutable(tx: &ReadTx, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
    let id = labels::label_id(repository, digest, labels::IMMUTABLE);
    let label = tx.labels().record(repository, digest, id)?;
    Ok(label.is_some_and(|label| label.value == "true"))
}

fn size_invalid(blob: &Descriptor, found: u64) -> Error {
    Error::SizeInvalid {
        digest: blob.digest,
        stated: blob.size,
        found,
    }
}
