//! Whether something is still needed, or until when it is kept. Looks, and changes nothing.
//!
//! A manifest is needed while a tag or a lifetime of the history points to it, while an index that is
//! held names it, and while its subject is held. Indexes go before their children and subjects before
//! their referrers, so that what is named again in between is whole. Digests cannot name each other in
//! a circle, but an index can have one of its children as its subject: such a circle that nothing
//! else needs is not needed.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::touches::Touches;
use crate::model::{ManifestRecord, NamespaceId, RepositoryId, Timestamp};
use crate::oci::Digest;
use crate::registry::Rules;
use crate::registry::pointing::time_machine;
use crate::store::{self, ReadTx};

/// Indexes looked at for each manifest, and manifests on the way up from one; beyond, it is kept.
const PARENTS: usize = 64;
const ANCESTORS: usize = 256;

/// The time of deletion of a manifest that is being removed in several writes: no tag can be restored
/// to it, and nobody's tag or time machine brings it back.
pub(in crate::registry) const CONDEMNED: Timestamp = Timestamp::from_millis(i64::MIN);

/// What a run of the collector goes by.
#[derive(Clone)]
pub(in crate::registry) struct Moment {
    pub(in crate::registry) now: Timestamp,
    pub(super) rules: Arc<Rules>,
    pub(super) touches: Arc<Touches>,
}

/// Where content lies.
#[derive(Clone, Copy, Debug)]
pub(in crate::registry) struct Place {
    pub(in crate::registry) namespace: NamespaceId,
    pub(in crate::registry) repository: RepositoryId,
    /// Its content was pushed: caches are left to eviction.
    pub(in crate::registry) is_local: bool,
    pub(super) time_machine: Duration,
}

/// What is to become of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::registry) enum Verdict {
    /// It is needed, or is not there: whoever ends the need has it looked at.
    Keep,
    /// Nothing needs it, and it is kept until then all the same.
    Until(Timestamp),
    Garbage,
}

/// What a manifest has by itself, whoever names it.
enum Standing {
    /// A tag, or a lifetime that can be restored.
    Pointed,
    Until(Timestamp),
    /// It depends on who names it.
    Loose,
    /// It was deleted, and can no longer be restored.
    Deleted,
}

impl Moment {
    pub(in crate::registry) fn place(
        &self,
        tx: &ReadTx,
        repository: RepositoryId,
    ) -> Result<Option<Place>, store::Error> {
        let Some(record) = tx.repositories().record(repository)? else {
            return Ok(None);
        };
        Ok(Some(Place {
            namespace: record.namespace,
            repository,
            is_local: !record.fetched,
            time_machine: time_machine(tx, repository, self.rules.time_machine)?,
        }))
    }

    /// Keeps until `until`, if that lies ahead.
    fn until(&self, until: Timestamp) -> Option<Timestamp> {
        Some(until).filter(|until| *until > self.now)
    }

    /// What is to become of a manifest that the repository holds.
    pub(in crate::registry) fn manifest(
        &self,
        tx: &ReadTx,
        place: &Place,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<Verdict, store::Error> {
        match self.standing(tx, place, digest, record)? {
            Standing::Pointed => return Ok(Verdict::Keep),
            Standing::Until(until) => return Ok(Verdict::Until(until)),
            Standing::Deleted => return Ok(Verdict::Garbage),
            Standing::Loose => {}
        }
        let supporters = supporters(tx, place.repository, digest, record)?;
        if !supporters.is_empty() {
            let circle = self.is_circle(tx, place, digest, supporters)?;
            return Ok(if circle {
                Verdict::Garbage
            } else {
                Verdict::Keep
            });
        }
        // A referrer may come before its subject (distribution-spec v1.1, "Pushing Manifests with
        // Subject"); one whose subject never comes goes after some time.
        let waits = record.subject.map(|_| record.pushed + place.time_machine);
        let waits = waits.and_then(|until| self.until(until));
        Ok(waits.map_or(Verdict::Garbage, Verdict::Until))
    }

    fn standing(
        &self,
        tx: &ReadTx,
        place: &Place,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<Standing, store::Error> {
        let repository = place.repository;
        let pointed = !tx.tags().of_manifest(repository, digest, 1)?.is_empty()
            || !tx
                .tags()
                .lifetimes_of_manifest(repository, digest, 1)?
                .is_empty();
        if pointed {
            return Ok(Standing::Pointed);
        }
        let (until, otherwise) = match record.deleted {
            Some(CONDEMNED) => return Ok(Standing::Deleted),
            Some(deleted) => (deleted + place.time_machine, Standing::Deleted),
            None => (record.pushed + self.rules.grace, Standing::Loose),
        };
        Ok(self.until(until).map_or(otherwise, Standing::Until))
    }

    /// Whether a manifest is needed by nobody but those whom it needs itself.
    fn is_circle(
        &self,
        tx: &ReadTx,
        place: &Place,
        digest: &Digest,
        mut pending: Vec<Digest>,
    ) -> Result<bool, store::Error> {
        let mut seen = HashSet::new();
        let mut circle = false;
        while let Some(ancestor) = pending.pop() {
            if ancestor == *digest {
                circle = true;
                continue;
            }
            if !seen.insert(ancestor) {
                continue;
            }
            if seen.len() > ANCESTORS {
                return Ok(false);
            }
            let Some(record) = tx.manifests().record(place.repository, &ancestor)? else {
                continue;
            };
            match self.standing(tx, place, &ancestor, &record)? {
                Standing::Pointed | Standing::Until(_) => return Ok(false),
                Standing::Deleted => {}
                Standing::Loose => {
                    pending.extend(supporters(tx, place.repository, &ancestor, &record)?);
                }
            }
        }
        Ok(circle)
    }

    /// What is to become of a blob of a repository.
    pub(in crate::registry) fn blob(
        &self,
        tx: &ReadTx,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Verdict, store::Error> {
        let Some(link) = tx.blobs().link_record(repository, digest)? else {
            return Ok(Verdict::Keep);
        };
        if !tx
            .manifests()
            .naming_blob(repository, digest, 1)?
            .is_empty()
        {
            return Ok(Verdict::Keep);
        }
        if link.deleted {
            return Ok(Verdict::Garbage);
        }
        // Whoever sent it has touched it, and takes that back when he names it: what was named and no
        // longer is goes at once, unless another is about to name it.
        let wanted = self.touches.last(&(repository, *digest));
        let until = self.until(wanted + self.rules.grace);
        Ok(until.map_or(Verdict::Garbage, Verdict::Until))
    }
}

/// Indexes that name a manifest, and its subject, as far as the repository holds them.
fn supporters(
    tx: &ReadTx,
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
) -> Result<Vec<Digest>, store::Error> {
    let mut found = tx.manifests().some_parents(repository, digest, PARENTS)?;
    if let Some(subject) = &record.subject {
        let subject_record = tx.manifests().record(repository, subject)?;
        if subject_record.is_some_and(|record| record.deleted != Some(CONDEMNED)) {
            found.push(*subject);
        }
    }
    Ok(found)
}
