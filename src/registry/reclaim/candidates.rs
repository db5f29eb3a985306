//! Who may go, oldest first, with the facts that decide.

use std::collections::{HashMap, HashSet};

use super::Scope;
use crate::model::{NamespaceId, RecencyRecord, TagRecord, Timestamp, Unit};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::quota::{self, Candidate, Policy};
use crate::registry::{Error, Registry};
use crate::store::{self, ReadTx};

/// Units looked at in one go.
const PAGE: usize = 64;

/// Children of an index looked at for their last use.
const CHILDREN: usize = 1000;

/// How far a walk has come in each namespace's order of use.
#[derive(Debug, Default)]
pub(super) struct Place {
    cursors: HashMap<NamespaceId, (Timestamp, Unit)>,
    seen: HashSet<Unit>,
}

impl Place {
    /// The next page of the scope's oldest units, each seen once; empty at the end.
    pub(super) async fn next_page(
        &mut self,
        registry: &Registry,
        scope: Scope,
    ) -> Result<Vec<Candidate>, Error> {
        loop {
            let mut found = self.oldest(registry, scope).await?;
            let is_end = found.is_empty();
            // One that was moved behind the cursor is met again.
            found.retain(|candidate| self.seen.insert(candidate.unit));
            if is_end || !found.is_empty() {
                quota::order(&mut found);
                return Ok(found);
            }
        }
    }

    async fn oldest(&mut self, registry: &Registry, scope: Scope) -> Result<Vec<Candidate>, Error> {
        let policies = registry.inner.policies.load_full();
        let now = registry.inner.clock.now();
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
            let after = self.cursors.get(&namespace).copied();
            let store = &registry.inner.store;
            let page = store.scan(move |tx| page(tx, namespace, after, &policy, now));
            found.extend(page.await?);
        }
        found.sort_by_key(|candidate| candidate.recency.last_used);
        found.truncate(PAGE);
        for candidate in &found {
            let place = (candidate.recency.last_used, candidate.unit);
            self.cursors.insert(candidate.unit.namespace, place);
        }
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

fn is_pinned(tags: &[(Tag, TagRecord)], repository: &RepositoryName, policy: &Policy) -> bool {
    tags.iter()
        .any(|(tag, record)| record.pinned || policy.pins.matches(repository, tag))
}

/// The tags of a manifest and of the indexes that name it.
fn tags_leading_to(tx: &ReadTx, unit: &Unit) -> Result<Vec<(Tag, TagRecord)>, store::Error> {
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
