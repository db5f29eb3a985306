//! What people do to tags through the API: point, expire, protect, delete, restore, forget.
//!
//! Called by the doors of `/api/v1`. Each is one transaction with its line of the usage log, in which tags
//! move through [`Change`] as everywhere. What follows an upstream, and what a client of the registry
//! protocol does, is in `commit`, `push` and `delete`.

use serde_json::{Value, json};

use super::hot::Touched;
use super::pointing::{Change, release, reschedule};
use super::tags::restore;
use super::told::Told;
use super::{Error, Registry};
use crate::model::{
    LogKind, ManifestRecord, Performer, RepositoryId, Review, TagRecord, Timestamp,
};
use crate::oci::{Digest, Tag};
use crate::store::{ReadTx, WriteTx};

/// Lifetimes that are dropped in one transaction.
const AT_ONCE: usize = 500;

/// One change of a tag, inside its transaction.
struct Act<'a> {
    repository: RepositoryId,
    tag: &'a Tag,
    by: &'a Performer,
    change: &'a Change,
    told: &'a Told,
}

impl Act<'_> {
    /// Where the tag points, unless it has ended by itself and nobody has noted that yet.
    fn alive(&self, tx: &ReadTx) -> Result<Option<TagRecord>, Error> {
        let current = tx.tags().current(self.repository, self.tag)?;
        Ok(current.filter(|current| !current.has_expired(self.change.at)))
    }

    /// The same of a tag that has to be there.
    fn current(&self, tx: &ReadTx) -> Result<TagRecord, Error> {
        self.alive(tx)?.ok_or(Error::ManifestUnknown)
    }

    fn immutable(&self) -> Error {
        Error::TagImmutable {
            tag: self.tag.clone(),
        }
    }

    /// Writes the line of what was done; `more` is a JSON object.
    fn tell(&self, tx: &mut WriteTx<'_>, kind: LogKind, more: Value) -> Result<(), Error> {
        let shared = json!({
            "username": self.by.to_string(),
            "repo": self.told.name,
            "namespace": self.told.namespace,
            "tag": self.tag,
        });
        let line = self.told.line(kind, self.change.at, self.by, shared);
        tx.logs().append(&line.with(more))?;
        Ok(())
    }

    fn touched(&self) -> Touched {
        Touched {
            tags: vec![self.tag.clone()],
            digests: vec![],
        }
    }
}

impl Registry {
    /// Runs a change of one tag in a transaction; what it touched is forgotten by readers afterwards.
    async fn act<T: Send + 'static>(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        by: &Performer,
        act: impl Fn(&mut WriteTx<'_>, &Act<'_>) -> Result<(T, Touched), Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (registry, tag, by) = (self.clone(), tag.clone(), by.clone());
        let change = self.change(by.actor.clone());
        let write = move |tx: &mut WriteTx<'_>| {
            let told = Told::of(tx, repository)?;
            let this = Act {
                repository,
                tag: &tag,
                by: &by,
                change: &change,
                told: &told,
            };
            let (outcome, touched) = act(tx, &this)?;
            let registry = registry.clone();
            tx.after_commit(move || registry.inner.hot.changed(repository, &touched));
            Ok::<_, Error>(outcome)
        };
        let outcome = self.inner.store.write(write).await?;
        self.collect_soon();
        Ok(outcome)
    }

    /// Points a tag at a manifest that the repository has; it is made if it is not there.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`], [`Error::TagImmutable`].
    pub async fn retag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        digest: &Digest,
        by: &Performer,
    ) -> Result<(), Error> {
        let (registry, digest) = (self.clone(), *digest);
        self.act(repository, tag, by, move |tx, act| {
            let manifest = tx.manifests().record(repository, &digest)?;
            if !manifest.is_some_and(|manifest| manifest.is_live()) {
                return Err(Error::ManifestUnknown);
            }
            let before = act.alive(tx)?;
            match &before {
                Some(before) if before.digest == digest => return Ok(((), Touched::default())),
                Some(before) if before.immutable => return Err(act.immutable()),
                _ => {}
            }
            let record = TagRecord {
                immutable: registry.is_covered(tx, act.told, act.tag, repository)?,
                ..TagRecord::new(digest, act.change.at, act.by.actor.clone())
            };
            act.change.point(tx, repository, act.tag, &record)?;
            let kind = match before {
                Some(_) => LogKind::MoveTag,
                None => LogKind::CreateTag,
            };
            let original = before.map(|before| before.digest);
            let more = json!({"manifest_digest": digest, "original_manifest_digest": original});
            act.tell(tx, kind, more)?;
            if record.immutable {
                registry.tell_covered(tx, act.told, act.tag, act.change.at, act.by)?;
            }
            Ok(((), act.touched()))
        })
        .await
    }

    /// Says when a tag ends by itself, or that it does not. The time is kept between the shortest and the
    /// longest that a tag may live, counted from its beginning (Quay).
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag, [`Error::ExpiryPast`],
    /// [`Error::TagImmutable`] if it is to end and may not (AZ-08).
    pub async fn expire_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        expires: Option<Timestamp>,
        by: &Performer,
    ) -> Result<(), Error> {
        let (least, most) = self.rules().labeled;
        self.act(repository, tag, by, move |tx, act| {
            let before = act.current(tx)?;
            if expires.is_some_and(|expires| expires <= act.change.at) {
                return Err(Error::ExpiryPast);
            }
            if before.immutable && expires.is_some() {
                return Err(act.immutable());
            }
            let bounds = (before.since + least, before.since + most);
            let expires = expires.map(|expires| expires.clamp(bounds.0, bounds.1));
            let record = TagRecord {
                expires,
                ..before.clone()
            };
            tx.tags().put(repository, act.tag, &record)?;
            reschedule(tx, repository, act.tag, &before, &record)?;
            if before.expires.is_some() || expires.is_some() {
                let more = json!({
                    "expiration_date": expires.map(|time| time.to_string()),
                    "old_expiration_date": before.expires.map(|time| time.to_string()),
                });
                act.tell(tx, LogKind::ChangeTagExpiration, more)?;
            }
            Ok(((), act.touched()))
        })
        .await
    }

    /// Says whether a tag may be moved, deleted and expire.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag.
    pub async fn protect_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        immutable: bool,
        by: &Performer,
    ) -> Result<(), Error> {
        self.act(repository, tag, by, move |tx, act| {
            let before = act.current(tx)?;
            if before.immutable == immutable {
                return Ok(((), Touched::default()));
            }
            let ahead = before
                .expires
                .filter(|expires| immutable || *expires > act.change.at);
            let record = TagRecord {
                immutable,
                expires: ahead,
                ..before.clone()
            };
            tx.tags().put(repository, act.tag, &record)?;
            reschedule(tx, repository, act.tag, &before, &record)?;
            let more = json!({"immutable": immutable, "previous_immutable": before.immutable});
            act.tell(tx, LogKind::ChangeTagImmutability, more)?;
            Ok(((), act.touched()))
        })
        .await
    }

    /// Ends a tag; it can be restored for as long as the time machine goes back.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag, [`Error::TagImmutable`].
    pub async fn remove_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        by: &Performer,
    ) -> Result<(), Error> {
        self.act(repository, tag, by, move |tx, act| {
            if act.current(tx)?.immutable {
                return Err(act.immutable());
            }
            act.change.end(tx, repository, act.tag)?;
            act.tell(tx, LogKind::DeleteTag, json!({}))?;
            Ok(((), act.touched()))
        })
        .await
    }

    /// Points a tag at a manifest again that was deleted, or that the tag no longer points to.
    ///
    /// # Errors
    /// As [`Registry::restore_tag`].
    pub async fn revert_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        digest: &Digest,
        by: &Performer,
    ) -> Result<(), Error> {
        let digest = *digest;
        self.act(repository, tag, by, move |tx, act| {
            let restored = restore(tx, repository, act.tag, digest, act.change)?;
            let Some(touched) = restored else {
                return Ok(((), Touched::default()));
            };
            act.tell(tx, LogKind::RevertTag, json!({"manifest_digest": digest}))?;
            Ok(((), touched))
        })
        .await
    }

    /// Ends a tag for good: it cannot be restored, and what nothing else needs goes at the next collection.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag, or it does not point to `digest`;
    /// [`Error::TagImmutable`].
    pub async fn forget_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        digest: Option<Digest>,
        by: &Performer,
    ) -> Result<(), Error> {
        self.act(repository, tag, by, move |tx, act| {
            let current = act.current(tx)?;
            if digest.is_some_and(|digest| digest != current.digest) {
                return Err(Error::ManifestUnknown);
            }
            if current.immutable {
                return Err(act.immutable());
            }
            act.change.vanish(tx, repository, act.tag)?;
            let more = json!({"manifest_digest": current.digest});
            act.tell(tx, LogKind::PermanentlyDeleteTag, more)?;
            Ok(((), act.touched()))
        })
        .await
    }

    /// Forgets that a tag ever pointed to a manifest: it can no longer be restored to it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if it never did, or nobody remembers.
    pub async fn forget_lifetimes(
        &self,
        repository: RepositoryId,
        tag: &Tag,
        digest: &Digest,
        by: &Performer,
    ) -> Result<(), Error> {
        let digest = *digest;
        let mut is_first = true;
        loop {
            let forget = move |tx: &mut WriteTx<'_>, act: &Act<'_>| {
                let dropped = drop_lifetimes(tx, act, &digest)?;
                if dropped > 0 && is_first {
                    let review = Review::Manifest { repository, digest };
                    tx.reviews().put(act.change.at, &review)?;
                    let more = json!({"manifest_digest": digest});
                    act.tell(tx, LogKind::PermanentlyDeleteTag, more)?;
                }
                Ok((dropped, Touched::default()))
            };
            match self.act(repository, tag, by, forget).await? {
                0 if is_first => return Err(Error::ManifestUnknown),
                AT_ONCE => is_first = false,
                _ => return Ok(()),
            }
        }
    }

    /// Whether a manifest is held, deleted or not, as long as a tag can be restored to it.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_kept(&self, repository: RepositoryId, digest: &Digest) -> Result<bool, Error> {
        let kept = |tx: &ReadTx| tx.manifests().record(repository, digest);
        let kept: Option<ManifestRecord> = self.inner.store.read(kept).await?;
        Ok(kept.is_some())
    }
}

/// Drops some of the lifetimes in which the tag pointed to a manifest; tells how many.
fn drop_lifetimes(tx: &mut WriteTx<'_>, act: &Act<'_>, digest: &Digest) -> Result<usize, Error> {
    let (mut before, mut dropped) = (None, 0);
    loop {
        let page = tx
            .tags()
            .lifetimes_of_tag(act.repository, act.tag, before, AT_ONCE)?;
        let Some(last) = page.last() else {
            return Ok(dropped);
        };
        before = Some(*last);
        for number in page {
            let lifetime = tx.tags().lifetime(act.repository, number)?;
            if let Some(lifetime) = lifetime.filter(|lifetime| lifetime.digest == *digest) {
                release(tx, act.repository, digest, lifetime.start)?;
                tx.tags().drop_lifetime(act.repository, number)?;
                dropped += 1;
                if dropped == AT_ONCE {
                    return Ok(dropped);
                }
            }
        }
    }
}
