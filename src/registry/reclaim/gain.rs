//! What going would give back: of the blobs that a unit names, those that nothing names which stays.
//!
//! A unit whose layers all belong to others too gives back next to nothing; it is held back in a walk
//! until the last of those others goes, and then goes before it. So nothing is let go for nothing.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use super::Scope;
use crate::model::{RepositoryId, Unit};
use crate::oci::Digest;
use crate::quota;
use crate::store::{self, ReadTx};

/// Namespaces looked at for holding a blob; one that more hold stays.
const NAMESPACES: usize = 64;

/// What a unit's going gives back, and which of those held back have to go with it for that.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    pub(super) gain: quota::Gain,
    /// Oldest first.
    pub(super) with: Vec<Unit>,
    /// The blobs that it names and that are held.
    pub(super) blobs: Vec<Digest>,
}

/// Units that a walk has held back, oldest first.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    units: VecDeque<Unit>,
    naming: HashMap<Digest, Vec<Unit>>,
    /// Bytes that their going would free one by one.
    pub(super) bytes: u64,
}

impl HeldBack {
    pub(super) fn len(&self) -> usize {
        self.units.len()
    }

    pub(super) fn push(&mut self, unit: Unit, weighed: &Weighed) {
        for blob in &weighed.blobs {
            self.naming.entry(*blob).or_default().push(unit);
        }
        self.units.push_back(unit);
        self.bytes += weighed.gain.freed;
    }

    /// The oldest of them, held back no longer.
    pub(super) fn pop(&mut self) -> Option<Unit> {
        let unit = self.units.pop_front()?;
        self.forget(&unit);
        Some(unit)
    }

    /// Forgets what goes.
    pub(super) fn remove(&mut self, units: &[Unit]) {
        self.units.retain(|unit| !units.contains(unit));
        for unit in units {
            self.forget(unit);
        }
    }

    fn forget(&mut self, gone: &Unit) {
        self.naming.retain(|_, units| {
            units.retain(|unit| unit != gone);
            !units.is_empty()
        });
    }

    fn naming(&self, blob: &Digest) -> &[Unit] {
        self.naming.get(blob).map_or(&[], Vec::as_slice)
    }
}

/// Weighs what the going of `unit` would give back: by itself, and if that is next to nothing with those
/// held back that share what is large of it.
pub(super) fn weigh(
    tx: &ReadTx,
    scope: Scope,
    unit: &Unit,
    held_back: &HeldBack,
) -> Result<Weighed, store::Error> {
    let record = tx.manifests().record(unit.repository, &unit.digest)?;
    let mut gain = quota::Gain::default();
    if let (Some(record), Scope::Namespace(_)) = (&record, scope) {
        gain.freed = tx.manifests().counted(unit.repository, record)?;
        gain.named = gain.freed;
    }
    let named = record.map_or_else(
        || vec![unit.digest],
        |record| record.blobs.into_iter().map(|(blob, _)| blob).collect(),
    );
    let mut shared = Vec::new();
    let mut blobs = Vec::new();
    for blob in named {
        let link = tx.blobs().link_record(unit.repository, &blob)?;
        let (Some(_), Some(record)) = (link, tx.blobs().record(&blob)?) else {
            continue;
        };
        blobs.push(blob);
        gain.named += record.size_bytes;
        match is_freed(tx, scope, unit, &blob, &[])? {
            true => gain.freed += record.size_bytes,
            false => shared.push((blob, record.size_bytes)),
        }
    }
    let mut sharers = HashSet::new();
    if gain.is_negligible() {
        let named = gain.named;
        shared.retain(|&(_, freed)| !quota::Gain { freed, named }.is_negligible());
        for (blob, bytes) in shared {
            let naming = held_back.naming(&blob);
            if is_freed(tx, scope, unit, &blob, naming)? {
                gain.freed += bytes;
                sharers.extend(naming.iter().copied());
            }
        }
    }
    let with = held_back.units.iter().filter(|held| sharers.contains(held));
    Ok(Weighed {
        gain,
        with: with.copied().collect(),
        blobs,
    })
}

/// Whether nothing in the scope names the blob any more once `unit` and `sharers` are gone.
fn is_freed(
    tx: &ReadTx,
    scope: Scope,
    unit: &Unit,
    blob: &Digest,
    sharers: &[Unit],
) -> Result<bool, store::Error> {
    let Some(mut links) = links(tx, scope, blob)? else {
        return Ok(false);
    };
    let mut going: BTreeMap<RepositoryId, Vec<Digest>> = BTreeMap::new();
    for unit in sharers.iter().chain([unit]) {
        going.entry(unit.repository).or_default().push(unit.digest);
    }
    for (repository, going) in going {
        let namers = tx
            .manifests()
            .naming_blob(repository, blob, going.len() + 1)?;
        if namers.iter().all(|namer| going.contains(namer)) {
            links = links.saturating_sub(1);
        }
    }
    Ok(links == 0)
}

/// Repositories in the scope that link the blob; `None` if there are too many to tell.
fn links(tx: &ReadTx, scope: Scope, blob: &Digest) -> Result<Option<u64>, store::Error> {
    if let Scope::Namespace(namespace) = scope {
        return tx.blobs().links_of(namespace, blob).map(Some);
    }
    let namespaces = tx.blobs().namespaces(blob, NAMESPACES)?;
    if namespaces.len() == NAMESPACES {
        return Ok(None);
    }
    let mut links = 0;
    for namespace in namespaces {
        links += tx.blobs().links_of(namespace, blob)?;
    }
    Ok(Some(links))
}
