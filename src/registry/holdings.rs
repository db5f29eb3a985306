//! What is held, for people: repositories, tags, sizes, last use; and letting go of it by hand.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{Error, Registry};
use crate::model::{NamespaceId, NamespaceName, RepositoryId, TagRecord, Timestamp, Unit};
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{self, ReadTx};

/// Most repositories and tags read in one go.
const PAGE: usize = 1000;

/// What a namespace holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Holding {
    pub namespace: NamespaceName,
    pub held_bytes: u64,
    pub limit_bytes: Option<u64>,
}

/// One tag that is held.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HeldTag {
    pub repository: RepositoryName,
    pub tag: Tag,
    pub digest: Digest,
    /// Bytes of the manifests and blobs here that it leads to, shared ones included.
    pub size_bytes: u64,
    pub validated: Timestamp,
    pub last_used: Option<Timestamp>,
    pub pinned: bool,
}

impl Registry {
    /// Lists namespaces with what they hold.
    ///
    /// # Errors
    /// The store's.
    pub async fn holdings(&self) -> Result<Vec<Holding>, Error> {
        let namespaces = self.inner.store.scan(|tx| tx.namespaces().list()).await?;
        let holding = |(id, record): (NamespaceId, crate::model::NamespaceRecord)| Holding {
            namespace: record.name,
            held_bytes: self.inner.ledger.held(id),
            limit_bytes: self.inner.ledger.limit(id),
        };
        Ok(namespaces.into_iter().map(holding).collect())
    }

    /// Lists repositories of a namespace in byte order, those strictly after `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn repositories(
        &self,
        namespace: NamespaceId,
        after: Option<RepositoryName>,
    ) -> Result<Vec<(RepositoryName, RepositoryId)>, Error> {
        Ok(self
            .inner
            .store
            .scan(move |tx| tx.repositories().list(namespace, after.as_ref(), PAGE))
            .await?)
    }

    /// Tells for each blob a namespace that has a manifest naming it; looks at every repository.
    ///
    /// # Errors
    /// The store's.
    pub async fn namespaces_naming(
        &self,
        blobs: Vec<Digest>,
    ) -> Result<HashMap<Digest, NamespaceId>, Error> {
        let mut found = HashMap::new();
        let namespaces = self.inner.store.scan(|tx| tx.namespaces().list());
        for (namespace, _) in namespaces.await? {
            let mut after = None;
            loop {
                let page = self.repositories(namespace, after).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let blobs = blobs.clone();
                let naming = self.inner.store.scan(move |tx| naming(tx, &page, &blobs));
                found.extend(naming.await?.into_iter().map(|blob| (blob, namespace)));
            }
        }
        Ok(found)
    }

    /// Lists the tags of a repository with what they lead to, those strictly after `after`.
    ///
    /// # Errors
    /// The store's.
    pub async fn held_tags(
        &self,
        namespace: NamespaceId,
        name: RepositoryName,
        repository: RepositoryId,
        after: Option<Tag>,
    ) -> Result<Vec<HeldTag>, Error> {
        self.flush_recency().await?;
        Ok(self
            .inner
            .store
            .scan(move |tx| {
                let tags = tx.tags().list(repository, after.as_ref(), PAGE)?;
                tags.into_iter()
                    .map(|(tag, record)| {
                        let unit = Unit {
                            namespace,
                            repository,
                            digest: record.digest,
                        };
                        held_tag(tx, &name, tag, record, unit)
                    })
                    .collect::<Result<_, store::Error>>()
            })
            .await?)
    }

    /// Lets go of what a tag leads to, unless another tag or index leads there too; then only the tag
    /// goes. Returns the bytes the namespace no longer holds, `None` if there is no such tag.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn drop_tag(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<u64>, Error> {
        let Some(held) = self.lookup_tag(repository, tag).await? else {
            return Ok(None);
        };
        let root = Unit {
            namespace,
            repository,
            digest: held.record.digest,
        };
        self.end_tag(repository, tag).await?;
        let mut freed = 0;
        let mut pending = vec![root];
        while let Some(unit) = pending.pop() {
            if self.is_led_to(&unit).await? {
                continue;
            }
            let children = self.manifest_record(repository, &unit.digest).await?;
            freed += self.evict(unit).await?.held;
            let children = children.into_iter().flat_map(|record| record.children);
            pending.extend(children.map(|digest| Unit { digest, ..unit }));
        }
        Ok(Some(freed))
    }

    /// Lets go of a manifest, the tags that point to it, and the blobs that only it names; returns the
    /// bytes the namespace no longer holds.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn drop_manifest(&self, unit: Unit) -> Result<u64, Error> {
        Ok(self.evict(unit).await?.held)
    }

    async fn is_led_to(&self, unit: &Unit) -> Result<bool, Error> {
        let Unit {
            repository, digest, ..
        } = *unit;
        Ok(self
            .inner
            .store
            .read(|tx| {
                let by_tag = !tx.tags().of_manifest(repository, &digest, 1)?.is_empty();
                Ok::<_, store::Error>(
                    by_tag || !tx.manifests().parents(repository, &digest)?.is_empty(),
                )
            })
            .await?)
    }

    /// Lets go of everything a repository holds; returns the bytes the namespace no longer holds.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn drop_repository(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
    ) -> Result<u64, Error> {
        let mut freed = 0;
        loop {
            let page = self
                .inner
                .store
                .scan(move |tx| {
                    let mut units: Vec<Digest> = tx
                        .manifests()
                        .list(repository, None, PAGE)?
                        .into_iter()
                        .map(|(digest, _)| digest)
                        .collect();
                    if units.is_empty() {
                        units = tx.blobs().linked(repository, None, PAGE)?;
                    }
                    Ok::<_, store::Error>(units)
                })
                .await?;
            if page.is_empty() {
                return Ok(freed);
            }
            for digest in page {
                freed += self
                    .evict(Unit {
                        namespace,
                        repository,
                        digest,
                    })
                    .await?
                    .held;
            }
        }
    }
}

/// Those of `blobs` that a manifest of one of the repositories names.
fn naming(
    tx: &ReadTx,
    repositories: &[(RepositoryName, RepositoryId)],
    blobs: &[Digest],
) -> Result<Vec<Digest>, store::Error> {
    let mut found = Vec::new();
    for (_, repository) in repositories {
        for blob in blobs {
            if !tx.manifests().naming_blob(*repository, blob, 1)?.is_empty() {
                found.push(*blob);
            }
        }
    }
    Ok(found)
}

fn held_tag(
    tx: &ReadTx,
    repository: &RepositoryName,
    tag: Tag,
    record: TagRecord,
    unit: Unit,
) -> Result<HeldTag, store::Error> {
    let mut blobs = HashSet::new();
    let mut size_bytes = 0;
    let mut seen = HashSet::new();
    let mut pending = vec![unit.digest];
    while let Some(digest) = pending.pop() {
        if !seen.insert(digest) {
            continue;
        }
        let Some(manifest) = tx.manifests().record(unit.repository, &digest)? else {
            continue;
        };
        size_bytes += manifest.size_bytes;
        pending.extend(manifest.children);
        for (blob, _) in manifest.blobs {
            if blobs.insert(blob)
                && tx.blobs().is_linked(unit.repository, &blob)?
                && let Some(blob) = tx.blobs().record(&blob)?
            {
                size_bytes += blob.size_bytes;
            }
        }
    }
    Ok(HeldTag {
        repository: repository.clone(),
        tag,
        digest: record.digest,
        size_bytes,
        validated: record.validated,
        last_used: tx.recency().record(&unit)?.map(|recency| recency.last_used),
        pinned: record.pinned,
    })
}
