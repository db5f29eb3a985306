//! One review, looked at and carried out inside a transaction.
//!
//! The same code runs in a transaction that is committed (`collect`) and in one that never is
//! (`collectable`). What becomes garbage by it is put on the agenda for now, so that no step grows
//! with what follows from it.

use std::collections::HashMap;
use std::time::Duration;

use super::report::GcReport;
use super::verdict::{Moment, Place, Verdict};
use crate::model::{Actor, ManifestRecord, RepositoryId, Review, Timestamp, Unit};
use crate::oci::{Digest, Tag};
use crate::registry::pointing::{Change, release};
use crate::registry::remove::{Gone, remove_manifest, unlink_blob};
use crate::store::{self, ReadTx, WriteTx};

/// Names and referrers of a manifest that goes in one transaction.
pub(super) const LARGE: usize = 256;

/// When a tag that should end but is immutable is looked at again.
const FIXED: Duration = Duration::from_secs(24 * 3600);

/// Reviews carried out in one transaction.
pub(super) struct Run<'a> {
    moment: &'a Moment,
    /// Manifests with more names or referrers are left as they are.
    large: usize,
    places: HashMap<RepositoryId, Option<Place>>,
    pub(super) report: GcReport,
    pub(super) gone: Vec<Gone>,
}

impl<'a> Run<'a> {
    pub(super) fn new(moment: &'a Moment, large: usize) -> Self {
        Self {
            moment,
            large,
            places: HashMap::new(),
            report: GcReport::default(),
            gone: Vec::new(),
        }
    }

    /// Looks at something whose time has come; takes its review off, or puts it off.
    pub(super) fn look(
        &mut self,
        tx: &mut WriteTx<'_>,
        due: Timestamp,
        review: &Review,
    ) -> Result<(), store::Error> {
        self.report.reviewed += 1;
        tx.reviews().remove(due, review)?;
        let Some(place) = self.place(tx, review.repository())? else {
            return Ok(());
        };
        match review {
            Review::Tag { tag, .. } if place.is_local => self.look_at_tag(tx, &place, tag, review),
            Review::Lifetime { sequence, .. } => {
                self.look_at_lifetime(tx, &place, *sequence, review)
            }
            Review::Manifest { digest, .. } if place.is_local => {
                self.look_at_manifest(tx, &place, digest, (due, review))
            }
            Review::Blob { digest, .. } if place.is_local => {
                self.look_at_blob(tx, &place, digest, review)
            }
            // What came from upstream goes by its use, not by its age (GC-05 is for what was pushed).
            _ => Ok(()),
        }
    }

    fn place(
        &mut self,
        tx: &ReadTx,
        repository: RepositoryId,
    ) -> Result<Option<Place>, store::Error> {
        if let Some(place) = self.places.get(&repository) {
            return Ok(*place);
        }
        let place = self.moment.place(tx, repository)?;
        self.places.insert(repository, place);
        Ok(place)
    }

    fn look_at_tag(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        tag: &Tag,
        review: &Review,
    ) -> Result<(), store::Error> {
        let record = tx.tags().current(place.repository, tag)?;
        // A tag that was moved in the meantime is another matter.
        let Some(record) = record else { return Ok(()) };
        let Some(expires) = record.expires else {
            return Ok(());
        };
        if record.immutable {
            return tx.reviews().put(self.moment.now + FIXED, review);
        }
        if expires > self.moment.now {
            return tx.reviews().put(expires, review);
        }
        let change = Change {
            at: expires,
            by: Actor::System,
            default_time_machine: self.moment.rules.time_machine,
        };
        change.end(tx, place.repository, tag)?;
        let mut gone = Gone::of(place.namespace, place.repository);
        gone.touched.tags.push(tag.clone());
        self.note(gone);
        self.report.expired_tags += 1;
        Ok(())
    }

    fn look_at_lifetime(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        sequence: u64,
        review: &Review,
    ) -> Result<(), store::Error> {
        let repository = place.repository;
        let Some(lifetime) = tx.tags().lifetime(repository, sequence)? else {
            return Ok(());
        };
        // The namespace may have got a longer time machine since.
        let until = lifetime.end + place.time_machine;
        if until > self.moment.now {
            return tx.reviews().put(until, review);
        }
        tx.tags().drop_lifetime(repository, sequence)?;
        self.report.lifetimes += 1;
        if place.is_local {
            let digest = lifetime.digest;
            release(tx, repository, &digest, lifetime.start)?;
            self.suspect_manifest(tx, repository, digest)?;
        }
        Ok(())
    }

    fn look_at_manifest(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        digest: &Digest,
        (due, review): (Timestamp, &Review),
    ) -> Result<(), store::Error> {
        let Some(record) = tx.manifests().record(place.repository, digest)? else {
            return Ok(());
        };
        match self.moment.manifest(tx, place, digest, &record)? {
            Verdict::Keep => Ok(()),
            Verdict::Until(until) => tx.reviews().put(until, review),
            // It was small when it was looked at before: it is taken as what it is the next time.
            Verdict::Garbage if is_large(tx, place, digest, &record, self.large)? => {
                self.report.reviewed -= 1;
                tx.reviews().put(due, review)
            }
            Verdict::Garbage => self.remove(tx, place, digest, &record),
        }
    }

    /// Removes a manifest, and has looked at what that leaves unnamed.
    fn remove(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        digest: &Digest,
        record: &ManifestRecord,
    ) -> Result<(), store::Error> {
        self.remove_alone(tx, place, digest)?;
        self.release_children(tx, place.repository, &record.children)?;
        let blobs: Vec<Digest> = record.blobs.iter().map(|(blob, _)| *blob).collect();
        self.suspect(tx, place.repository, &record.children, &blobs)?;
        self.suspect_referrers(tx, place.repository, digest, None, self.large)?;
        Ok(())
    }

    /// `RESET_CHILD_MANIFEST_EXPIRATION`: what an index named does not wait to be named by another.
    pub(super) fn release_children(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        children: &[Digest],
    ) -> Result<(), store::Error> {
        if !self.moment.rules.reset_children {
            return Ok(());
        }
        for child in children {
            release(tx, repository, child, self.moment.now)?;
        }
        Ok(())
    }

    /// Removes a manifest, without a look at what it named.
    pub(super) fn remove_alone(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        digest: &Digest,
    ) -> Result<(), store::Error> {
        let mut gone = Gone::of(place.namespace, place.repository);
        remove_manifest(tx, &mut gone, digest)?;
        tx.recency().remove(&Unit {
            namespace: place.namespace,
            repository: place.repository,
            digest: *digest,
        })?;
        self.note(gone);
        self.report.manifests += 1;
        Ok(())
    }

    /// Has what a manifest named looked at now.
    pub(super) fn suspect(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        children: &[Digest],
        blobs: &[Digest],
    ) -> Result<(), store::Error> {
        for child in children {
            self.suspect_manifest(tx, repository, *child)?;
        }
        for blob in blobs {
            let digest = *blob;
            if tx.manifests().naming_blob(repository, blob, 1)?.is_empty() {
                let review = Review::Blob { repository, digest };
                tx.reviews().put(self.moment.now, &review)?;
            }
        }
        Ok(())
    }

    /// Has up to `most` referrers of a manifest that goes looked at now; returns the last of them.
    pub(super) fn suspect_referrers(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        subject: &Digest,
        after: Option<&Digest>,
        most: usize,
    ) -> Result<Option<Digest>, store::Error> {
        let referrers = tx.referrers().digests(repository, subject, after, most)?;
        for referrer in &referrers {
            self.suspect_manifest(tx, repository, *referrer)?;
        }
        Ok(referrers.last().copied())
    }

    fn suspect_manifest(
        &self,
        tx: &mut WriteTx<'_>,
        repository: RepositoryId,
        digest: Digest,
    ) -> Result<(), store::Error> {
        if tx.manifests().record(repository, &digest)?.is_none() {
            return Ok(());
        }
        let review = Review::Manifest { repository, digest };
        tx.reviews().put(self.moment.now, &review)
    }

    fn look_at_blob(
        &mut self,
        tx: &mut WriteTx<'_>,
        place: &Place,
        digest: &Digest,
        review: &Review,
    ) -> Result<(), store::Error> {
        match self.moment.blob(tx, place.repository, digest)? {
            Verdict::Keep => Ok(()),
            Verdict::Until(until) => tx.reviews().put(until, review),
            Verdict::Garbage => {
                let mut gone = Gone::of(place.namespace, place.repository);
                let had = unlink_blob(tx, &mut gone, *digest)?;
                tx.recency().remove(&Unit {
                    namespace: place.namespace,
                    repository: place.repository,
                    digest: *digest,
                })?;
                self.note(gone);
                self.report.blobs += u64::from(had);
                Ok(())
            }
        }
    }

    fn note(&mut self, gone: Gone) {
        self.report.held_bytes += gone.held;
        self.report.files += gone.blobs.len() as u64;
        self.report.file_bytes += gone.blobs.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.gone.push(gone);
    }
}

/// Whether a manifest names more, or has more referrers, than one transaction should touch.
pub(super) fn is_large(
    tx: &ReadTx,
    place: &Place,
    digest: &Digest,
    record: &ManifestRecord,
    large: usize,
) -> Result<bool, store::Error> {
    if large == usize::MAX {
        return Ok(false);
    }
    let repository = place.repository;
    Ok(record.blobs.len() + record.children.len() > large
        || tx
            .referrers()
            .digests(repository, digest, None, large + 1)?
            .len()
            > large)
}
