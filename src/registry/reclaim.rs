//! Making room: carries out what `quota` decides about the least recently used units.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::evict::Freed;
use super::{Error, Registry};
use crate::model::{NamespaceId, RecencyRecord, Timestamp, Unit};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::quota::{self, Candidate, Policy, Reservation, Shortage, Verdict};
use crate::store::{self, ReadTx};

/// Units looked at in one go.
const PAGE: usize = 64;

/// Children of an index looked at for their last use.
const CHILDREN: usize = 1000;

/// Whose content may go.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Namespace(NamespaceId),
    /// Every cache: the disk is short.
    Disk,
}

/// Units that running fills work for; they are not evicted.
#[derive(Clone, Default)]
pub(super) struct InFlight {
    units: Arc<Mutex<HashMap<Unit, usize>>>,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<Unit, usize>> {
        // Counts only: a panic elsewhere leaves them whole.
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps units from being evicted until it is dropped.
pub struct Protected {
    in_flight: InFlight,
    units: Vec<Unit>,
}

impl Drop for Protected {
    fn drop(&mut self) {
        let mut counts = self.in_flight.lock();
        for unit in &self.units {
            match counts.get_mut(unit) {
                Some(1) => _ = counts.remove(unit),
                Some(count) => *count -= 1,
                None => {}
            }
        }
    }
}

impl Registry {
    /// Keeps `units` from being evicted while the guard lives.
    pub fn protect(&self, units: Vec<Unit>) -> Protected {
        let in_flight = self.inner.in_flight.clone();
        let mut counts = in_flight.lock();
        for unit in &units {
            *counts.entry(*unit).or_default() += 1;
        }
        drop(counts);
        Protected { in_flight, units }
    }

    /// Takes `bytes` for new content of a namespace, evicting older content where needed.
    ///
    /// # Errors
    /// As [`Registry::cover`].
    pub async fn reserve(
        &self,
        namespace: NamespaceId,
        bytes: u64,
        needed_for: &[Unit],
    ) -> Result<Reservation, Error> {
        let mut reservation = self.inner.ledger.nothing(namespace);
        self.cover(&mut reservation, bytes, needed_for).await?;
        Ok(reservation)
    }

    /// Makes a reservation cover `total` bytes, evicting older content where needed.
    ///
    /// `needed_for` are the units that the content belongs to: they do not go to make room for it.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit and nothing more can go, [`Error::QuotaExceeded`] if that is
    /// a namespace's limit; then it covers what it did before. The store's or the disk's.
    pub async fn cover(
        &self,
        reservation: &mut Reservation,
        total: u64,
        needed_for: &[Unit],
    ) -> Result<(), Error> {
        if reservation.cover(total).is_ok() {
            return Ok(());
        }
        let _turn = self.inner.reclaiming.lock().await;
        let _protected = self.protect(needed_for.to_vec());
        loop {
            let Err(shortage) = reservation.cover(total) else {
                return Ok(());
            };
            let scope = match shortage {
                Shortage::Disk { .. } => Scope::Disk,
                Shortage::Quota { .. } | Shortage::Never { .. } => {
                    Scope::Namespace(reservation.namespace())
                }
            };
            let Some(missing) = shortage.missing() else {
                return Err(self.refused(reservation.namespace(), shortage).await);
            };
            if self.free(scope, missing).await? == 0 {
                return Err(self.refused(reservation.namespace(), shortage).await);
            }
        }
    }

    /// Brings the disk back over its reserve and every cache under its cap, for when others filled
    /// the disk or a cap was lowered; returns the bytes it freed.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn relieve(&self) -> Result<u64, Error> {
        let _turn = self.inner.reclaiming.lock().await;
        let mut freed = 0;
        for namespace in self.inner.policies.load().keys() {
            let excess = self.inner.ledger.excess(*namespace);
            if excess > 0 {
                freed += self.free(Scope::Namespace(*namespace), excess).await?;
            }
        }
        let deficit = self.inner.ledger.disk_deficit();
        if deficit > 0 {
            freed += self.free(Scope::Disk, deficit).await?;
        }
        Ok(freed)
    }

    /// Evicts until `missing` bytes are freed or nothing more may go; returns what was freed.
    async fn free(&self, scope: Scope, missing: u64) -> Result<u64, Error> {
        self.flush_recency().await?;
        let counted = |freed: Freed| match scope {
            Scope::Namespace(_) => freed.held,
            Scope::Disk => freed.on_disk,
        };
        let mut freed = 0;
        let mut seen = HashSet::new();
        let mut cursors = HashMap::new();
        let (mut passed_over, mut second_round) = (false, false);
        loop {
            let page = self.candidates(scope, &mut cursors, &mut seen).await?;
            if page.is_empty() {
                if freed > 0 || !passed_over {
                    return Ok(freed);
                }
                // All there is was passed over once: now it goes, the first of it first.
                passed_over = false;
                seen.clear();
                cursors.clear();
                second_round = true;
            }
            for candidate in page {
                if freed >= missing {
                    return Ok(freed);
                }
                let done = self.carry_out(&candidate).await?;
                passed_over |= done.is_none() && !second_round;
                freed += done.map_or(0, counted);
            }
        }
    }

    /// Lets a candidate go or keeps it; `None` if it was passed over, for this time only.
    async fn carry_out(&self, candidate: &Candidate) -> Result<Option<Freed>, Error> {
        let now = self.use_time();
        // Looked up again: a fill may have begun since the page was read.
        let in_flight = self.inner.in_flight.lock().contains_key(&candidate.unit);
        let used = self.inner.recency.used_at(&candidate.unit).is_some();
        let candidate = Candidate {
            in_flight: in_flight || used,
            ..*candidate
        };
        let moved = match quota::verdict(&candidate, now) {
            Verdict::Evict => return self.evict(candidate.unit).await.map(Some),
            Verdict::Keep => return Ok(Some(Freed::default())),
            Verdict::Spare => quota::spared(candidate.recency, now),
            Verdict::Postpone(until) => RecencyRecord {
                last_used: until,
                ..candidate.recency
            },
        };
        self.inner
            .store
            .write(move |tx| tx.recency().put(&candidate.unit, &moved))
            .await?;
        Ok(None)
    }

    /// The next page of the scope's oldest units, each seen once.
    async fn candidates(
        &self,
        scope: Scope,
        cursors: &mut HashMap<NamespaceId, (Timestamp, Unit)>,
        seen: &mut HashSet<Unit>,
    ) -> Result<Vec<Candidate>, Error> {
        let policies = self.inner.policies.load_full();
        let now = self.inner.clock.now();
        let namespaces: Vec<_> = match scope {
            Scope::Namespace(namespace) => vec![namespace],
            Scope::Disk => policies.keys().copied().collect(),
        };
        let mut found = Vec::new();
        for namespace in namespaces {
            // What is no cache is never evicted (GC-05).
            let Some(policy) = policies.get(&namespace).cloned() else {
                continue;
            };
            let after = cursors.get(&namespace).copied();
            found.extend(
                self.inner
                    .store
                    .scan(move |tx| page(tx, namespace, after, &policy, now))
                    .await?,
            );
        }
        found.sort_by_key(|candidate| candidate.recency.last_used);
        found.truncate(PAGE);
        for candidate in &found {
            let place = (candidate.recency.last_used, candidate.unit);
            cursors.insert(candidate.unit.namespace, place);
        }
        found.retain(|candidate| seen.insert(candidate.unit));
        quota::order(&mut found);
        Ok(found)
    }
}

fn page(
    tx: &ReadTx,
    namespace: NamespaceId,
    after: Option<(Timestamp, Unit)>,
    policy: &Policy,
    now: Timestamp,
) -> Result<Vec<Candidate>, store::Error> {
    let oldest = tx.recency().oldest(namespace, after, PAGE)?;
    oldest
        .into_iter()
        .map(|(unit, recency)| candidate(tx, unit, recency, policy, now))
        .collect()
}

fn candidate(
    tx: &ReadTx,
    unit: Unit,
    recency: RecencyRecord,
    policy: &Policy,
    now: Timestamp,
) -> Result<Candidate, store::Error> {
    let tags = tags_leading_to(tx, &unit)?;
    let record = tx.repositories().record(unit.repository)?;
    // What was pushed is never evicted, also where it lies in a cache (GC-05).
    let pinned =
        record.is_some_and(|record| !record.fetched || is_pinned(&tags, &record.name, policy));
    let validated = tags.iter().map(|(_, record)| record.validated).max();
    Ok(Candidate {
        unit,
        recency,
        pinned,
        in_flight: false,
        newest_child: newest_child(tx, &unit)?,
        expired: policy.is_expired(validated.unwrap_or(recency.last_used), now),
    })
}

fn is_pinned(
    tags: &[(Tag, crate::model::TagRecord)],
    repository: &RepositoryName,
    policy: &Policy,
) -> bool {
    tags.iter()
        .any(|(tag, record)| record.pinned || policy.pins.matches(repository, tag))
}

/// The tags of a manifest and of the indexes that name it.
fn tags_leading_to(
    tx: &ReadTx,
    unit: &Unit,
) -> Result<Vec<(Tag, crate::model::TagRecord)>, store::Error> {
    let mut digests: Vec<Digest> = tx.manifests().parents(unit.repository, &unit.digest)?;
    digests.push(unit.digest);
    let mut found = Vec::new();
    for digest in digests {
        for tag in tx.tags().of_manifest(unit.repository, &digest, CHILDREN)? {
            if let Some(record) = tx.tags().current(unit.repository, &tag)? {
                found.push((tag, record));
            }
        }
    }
    Ok(found)
}

fn newest_child(tx: &ReadTx, unit: &Unit) -> Result<Option<Timestamp>, store::Error> {
    let Some(record) = tx.manifests().record(unit.repository, &unit.digest)? else {
        return Ok(None);
    };
    let mut newest = None;
    for child in record.children.iter().take(CHILDREN) {
        let child = Unit {
            digest: *child,
            ..*unit
        };
        newest = newest.max(
            tx.recency()
                .record(&child)?
                .map(|recency| recency.last_used),
        );
    }
    Ok(newest)
}
