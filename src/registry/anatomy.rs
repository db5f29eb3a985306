//! What a manifest leads to, for people: its parts, which of them are here, and whose else they are.
//!
//! Called by `app` for `entrepot explain`. A look at the rows and nothing else: no file is opened, no use is
//! noted. Large images are told in part, which is said.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Error, Registry};
use crate::model::{NamespaceId, NamespaceKind, RepositoryId, Timestamp, Unit};
use crate::oci::{Digest, MediaType};
use crate::store::{self, ReadTx};

/// Most manifests, and most blobs, that are told of: what is told fits into a line of the control socket.
const PARTS: usize = 300;

/// Most repositories that are told of for having some of the same blobs, and most that are looked at for it.
const SHARERS: usize = 50;
const SHARERS_SEEN: usize = 1000;

/// Most repositories, and most namespaces, looked at for having a blob.
const HOLDERS: usize = 100;

/// Most links that are looked up in repositories of caches, of which no index says what they have.
const LOOKUPS: usize = 20_000;

/// Repositories listed in one go.
const PAGE: usize = 100;

/// What a manifest is made of.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Anatomy {
    /// The manifest itself, then those that it is an index of.
    pub manifests: Vec<ManifestPart>,
    pub blobs: Vec<BlobPart>,
    /// Bytes that nothing else names: what would be freed if it were evicted with all that it leads to.
    pub alone_bytes: u64,
    /// Repositories that have some of the same blobs, most bytes first.
    pub shared_with: Vec<Sharer>,
    pub last_used: Option<Timestamp>,
    /// Whether this is all of it.
    pub complete: bool,
}

/// A manifest, here or not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ManifestPart {
    pub digest: Digest,
    pub held: bool,
    pub size_bytes: Option<u64>,
    pub media_type: Option<MediaType>,
}

/// A blob, here or not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct BlobPart {
    pub digest: Digest,
    /// As the manifest states it.
    pub size_bytes: u64,
    pub held: bool,
    /// Other repositories have it.
    pub shared: bool,
}

/// A repository that has some of the same blobs.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sharer {
    /// With its namespace.
    pub repository: String,
    pub bytes: u64,
}

impl Registry {
    /// Takes a manifest of a repository apart; every part is told, whether it is here or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn anatomy(&self, unit: Unit) -> Result<Anatomy, Error> {
        self.flush_recency().await?;
        let read = move |tx: &ReadTx| Dissection::new(tx, unit).finish();
        let found: Result<Anatomy, store::Error> = self.inner.store.scan(read).await;
        Ok(found?)
    }
}

/// A look that is under way.
struct Dissection<'a> {
    tx: &'a ReadTx,
    repository: RepositoryId,
    unit: Unit,
    anatomy: Anatomy,
    /// The manifests that are here.
    seen: HashSet<Digest>,
    blobs: HashSet<Digest>,
    sharers: BTreeMap<RepositoryId, u64>,
    /// Blobs that repositories of these namespaces share, which may be caches.
    shared: BTreeMap<NamespaceId, Vec<(Digest, u64)>>,
}

impl<'a> Dissection<'a> {
    fn new(tx: &'a ReadTx, unit: Unit) -> Self {
        Self {
            tx,
            unit,
            repository: unit.repository,
            anatomy: Anatomy {
                complete: true,
                ..Anatomy::default()
            },
            seen: HashSet::new(),
            blobs: HashSet::new(),
            sharers: BTreeMap::new(),
            shared: BTreeMap::new(),
        }
    }

    fn finish(mut self) -> Result<Anatomy, store::Error> {
        let named = self.manifests()?;
        let alone = self.alone()?;
        for manifest in &self.anatomy.manifests {
            let counts = manifest.held && alone.contains(&manifest.digest);
            if counts
                && !self
                    .tx
                    .manifests()
                    .is_shared(self.repository, &manifest.digest)?
            {
                self.anatomy.alone_bytes += manifest.size_bytes.unwrap_or(0);
            }
        }
        for (digest, size_bytes) in named {
            self.blob(digest, size_bytes, &alone)?;
        }
        self.cached_sharers()?;
        self.anatomy.last_used = self
            .tx
            .recency()
            .record(&self.unit)?
            .map(|recency| recency.last_used);
        self.anatomy.shared_with = self.sharers()?;
        Ok(self.anatomy)
    }

    /// Walks from the manifest down, and returns the blobs that are named.
    fn manifests(&mut self) -> Result<Vec<(Digest, u64)>, store::Error> {
        let mut pending = vec![self.unit.digest];
        let mut named = Vec::new();
        while let Some(digest) = pending.pop() {
            if self.anatomy.manifests.len() + named.len() >= PARTS {
                self.anatomy.complete = false;
                break;
            }
            if !self.seen.insert(digest) {
                continue;
            }
            let record = self.tx.manifests().record(self.repository, &digest)?;
            let record = record.filter(|record| record.is_live());
            self.anatomy.manifests.push(ManifestPart {
                digest,
                held: record.is_some(),
                size_bytes: record.as_ref().map(|record| record.size_bytes),
                media_type: record.as_ref().map(|record| record.media_type.clone()),
            });
            if let Some(record) = record {
                pending.extend(record.children.into_iter().rev());
                named.extend(record.blobs);
            }
        }
        if named.len() > PARTS {
            self.anatomy.complete = false;
            named.truncate(PARTS);
        }
        Ok(named)
    }

    /// Which of the manifests nothing else leads to.
    fn alone(&self) -> Result<HashSet<Digest>, store::Error> {
        let mut alone = HashSet::new();
        for ManifestPart { digest, .. } in &self.anatomy.manifests {
            let parents = self
                .tx
                .manifests()
                .some_parents(self.repository, digest, PARTS)?;
            let tagged = *digest != self.unit.digest
                && !self
                    .tx
                    .tags()
                    .of_manifest(self.repository, digest, 1)?
                    .is_empty();
            if !tagged && parents.iter().all(|parent| self.seen.contains(parent)) {
                alone.insert(*digest);
            }
        }
        Ok(alone)
    }

    fn blob(
        &mut self,
        digest: Digest,
        stated: u64,
        alone: &HashSet<Digest>,
    ) -> Result<(), store::Error> {
        if !self.blobs.insert(digest) {
            return Ok(());
        }
        let link = self.tx.blobs().link_record(self.repository, &digest)?;
        let is_linked = link.as_ref().is_some_and(|link| !link.deleted);
        let record = self.tx.blobs().record(&digest)?.filter(|_| is_linked);
        let shared = self.note_sharers(digest, stated, link.is_some())?;
        if let Some(record) = &record
            && !shared
        {
            let namers = self
                .tx
                .manifests()
                .naming_blob(self.repository, &digest, PARTS)?;
            if namers.iter().all(|namer| alone.contains(namer)) {
                self.anatomy.alone_bytes += record.size_bytes;
            }
        }
        self.anatomy.blobs.push(BlobPart {
            digest,
            size_bytes: record.as_ref().map_or(stated, |record| record.size_bytes),
            held: record.is_some(),
            shared,
        });
        Ok(())
    }

    /// Notes who else has a blob; says whether anybody does.
    fn note_sharers(
        &mut self,
        digest: Digest,
        stated: u64,
        is_ours: bool,
    ) -> Result<bool, store::Error> {
        let blobs = self.tx.blobs();
        let mut links = 0;
        for namespace in blobs.namespaces(&digest, HOLDERS)? {
            let here = blobs.links_of(namespace, &digest)?;
            links += here;
            let is_own = is_ours && namespace == self.unit.namespace;
            if here > u64::from(is_own) {
                let shared = self.shared.entry(namespace).or_default();
                shared.push((digest, stated));
            }
        }
        let holders = blobs.holders(&digest, HOLDERS)?;
        for other in holders.iter().filter(|other| **other != self.repository) {
            if self.sharers.len() < SHARERS_SEEN || self.sharers.contains_key(other) {
                *self.sharers.entry(*other).or_default() += stated;
            }
        }
        Ok(links > u64::from(is_ours))
    }

    /// Finds the repositories of caches that have some of the shared blobs.
    fn cached_sharers(&mut self) -> Result<(), store::Error> {
        let mut lookups = LOOKUPS;
        for (namespace, shared) in std::mem::take(&mut self.shared) {
            let owner = self.tx.namespaces().record(namespace)?;
            if owner.is_none_or(|owner| owner.kind != NamespaceKind::Cache) {
                continue;
            }
            let mut after = None;
            loop {
                let page = self
                    .tx
                    .repositories()
                    .list(namespace, after.as_ref(), PAGE)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (_, other) in page {
                    if lookups < shared.len() || self.sharers.len() >= SHARERS_SEEN {
                        self.anatomy.complete = false;
                        return Ok(());
                    }
                    lookups -= shared.len();
                    self.note_cached(other, &shared)?;
                }
            }
        }
        Ok(())
    }

    fn note_cached(
        &mut self,
        other: RepositoryId,
        shared: &[(Digest, u64)],
    ) -> Result<(), store::Error> {
        // What was pushed has been found by its holders.
        let record = self.tx.repositories().record(other)?;
        if other == self.repository || record.is_none_or(|record| !record.fetched) {
            return Ok(());
        }
        for (digest, stated) in shared {
            if self.tx.blobs().link_record(other, digest)?.is_some() {
                *self.sharers.entry(other).or_default() += stated;
            }
        }
        Ok(())
    }

    fn sharers(&self) -> Result<Vec<Sharer>, store::Error> {
        let mut named = Vec::new();
        for (id, bytes) in &self.sharers {
            let Some(record) = self.tx.repositories().record(*id)? else {
                continue;
            };
            let owner = self.tx.namespaces().record(record.namespace)?;
            named.extend(owner.map(|owner| Sharer {
                repository: format!("{}/{}", owner.name, record.name),
                bytes: *bytes,
            }));
        }
        named.sort_by(|a, b| {
            b.bytes
                .cmp(&a.bytes)
                .then_with(|| a.repository.cmp(&b.repository))
        });
        named.truncate(SHARERS);
        Ok(named)
    }
}
