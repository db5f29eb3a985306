//! The two things that happen to a tag: it is pointed somewhere, or it ends, perhaps by itself.
//!
//! Everything that moves a tag, or says when it ends, comes through here, inside the transaction of its cause, so that the
//! history is complete: what a tag pointed to before becomes a lifetime, which the collector looks at
//! when it can no longer be restored, and an expiring tag is looked at when it expires.

use std::time::Duration;

use crate::model::{
    Actor, ManifestRecord, RepositoryId, Review, TagLifetime, TagRecord, Timestamp,
};
use crate::oci::{Digest, Tag};
use crate::store::{self, ReadTx, WriteTx};

/// When and by whom tags are changed, and for how long that can be undone.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) at: Timestamp,
    pub(super) by: Actor,
    /// What a namespace has that says nothing of its own.
    pub(super) default_time_machine: Duration,
}

impl Change {
    /// Points a tag at what `record` says; tells whether it pointed elsewhere, or nowhere, before.
    pub(super) fn point(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        tag: &Tag,
        record: &TagRecord,
    ) -> Result<bool, store::Error> {
        let before = tx.tags().current(repository, tag)?;
        let moved = before
            .as_ref()
            .is_none_or(|before| before.digest != record.digest);
        if let Some(before) = &before {
            self.forget_expiry(tx, repository, tag, before)?;
        }
        tx.tags().put(repository, tag, record)?;
        // Its place in the history is free only now.
        if let Some(before) = before.filter(|_| moved) {
            self.remember(tx, repository, tag, before)?;
        }
        if let Some(expires) = record.expires {
            let review = Review::Tag {
                repository,
                tag: tag.clone(),
            };
            tx.reviews().put(expires, &review)?;
        }
        Ok(moved)
    }

    /// Ends a tag; returns where it pointed, if there was one.
    pub(super) fn end(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, store::Error> {
        let Some(before) = tx.tags().remove(repository, tag)? else {
            return Ok(None);
        };
        self.forget_expiry(tx, repository, tag, &before)?;
        self.remember(tx, repository, tag, before.clone())?;
        Ok(Some(before))
    }

    /// Ends a tag so that it cannot be restored: what it pointed to is looked at now. Returns where it
    /// pointed, if there was one.
    pub(super) fn vanish(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<TagRecord>, store::Error> {
        let Some(before) = tx.tags().remove(repository, tag)? else {
            return Ok(None);
        };
        self.forget_expiry(tx, repository, tag, &before)?;
        let digest = before.digest;
        release(tx, repository, &digest, before.since)?;
        let review = Review::Manifest { repository, digest };
        tx.reviews().put(self.at, &review)?;
        Ok(Some(before))
    }

    fn forget_expiry(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        tag: &Tag,
        before: &TagRecord,
    ) -> Result<(), store::Error> {
        let Some(expires) = before.expires else {
            return Ok(());
        };
        let review = Review::Tag {
            repository,
            tag: tag.clone(),
        };
        tx.reviews().remove(expires, &review)
    }

    fn remember(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        tag: &Tag,
        before: TagRecord,
    ) -> Result<(), store::Error> {
        let until = self.at + time_machine(tx, repository, self.default_time_machine)?;
        let lifetime = TagLifetime::of(tag.clone(), before, self.at, self.by.clone());
        let sequence = tx.tags().record_lifetime(repository, &lifetime)?;
        let review = Review::Lifetime {
            repository,
            sequence,
        };
        tx.reviews().put(until, &review)
    }
}

/// Has the collector look at a tag when it ends by itself, after what is said of it has changed.
pub(super) fn reschedule(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    tag: &Tag,
    before: &TagRecord,
    after: &TagRecord,
) -> Result<(), store::Error> {
    if before.expires == after.expires {
        return Ok(());
    }
    let review = Review::Tag {
        repository,
        tag: tag.clone(),
    };
    if let Some(expires) = before.expires {
        tx.reviews().remove(expires, &review)?;
    }
    if let Some(expires) = after.expires {
        tx.reviews().put(expires, &review)?;
    }
    Ok(())
}

/// For how long what a tag of the repository pointed to can be restored.
pub(super) fn time_machine(
    tx: &ReadTx,
    repository: RepositoryId,
    default: Duration,
) -> Result<Duration, store::Error> {
    let Some(record) = tx.repositories().record(repository)? else {
        return Ok(default);
    };
    let namespace = tx.namespaces().record(record.namespace)?;
    let seconds = namespace.and_then(|namespace| namespace.tag_expiration_s);
    Ok(seconds.map_or(default, Duration::from_secs))
}

/// Has a manifest that something pointed to since `since` go as soon as nothing does: only what was pushed
/// again since then, for somebody to name, is kept for the grace period.
pub(super) fn release(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
    since: Timestamp,
) -> Result<(), store::Error> {
    let Some(record) = tx.manifests().record(repository, digest)? else {
        return Ok(());
    };
    // One that refers to another waits for that one, by when it was pushed.
    if record.subject.is_some() || record.pushed > since {
        return Ok(());
    }
    let released = ManifestRecord {
        pushed: Timestamp::default(),
        ..record
    };
    tx.manifests().replace(repository, digest, &released)
}
