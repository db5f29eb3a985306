//! Reference to manifest, digest to blob: hot first, then the store, read inline.

use std::sync::Arc;

use super::hot::{HeldManifest, HotBlob, HotTag};
use super::{Error, Registry};
use crate::blob::BlobFile;
use crate::model::{
    ManifestRecord, NamespaceId, NamespaceName, NamespaceRecord, RepositoryId, Unit,
};
use crate::oci::{Descriptor, Digest, RawManifest, RepositoryName, Tag};
use crate::store;

/// Namespaces looked at to find one that everyone may read.
const HOLDERS: usize = 1000;

/// A blob that a repository links and whose bytes are here.
#[derive(Clone)]
pub struct HeldBlob {
    pub file: BlobFile,
    /// The unit that a use of it is a use of.
    pub unit: Option<Unit>,
}

impl Registry {
    /// Returns the namespace of that name, or `None`.
    ///
    /// # Errors
    /// The store's.
    pub async fn namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(NamespaceId, NamespaceRecord)>, Error> {
        self.inner
            .store
            .read(|tx| Ok(tx.namespaces().by_name(name)?))
            .await
    }

    /// Returns the repository of that name, or `None`.
    ///
    /// # Errors
    /// The store's.
    pub async fn repository(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryId>, Error> {
        let key = (namespace, name.clone());
        if let Some(id) = self.inner.hot.repository(&key) {
            return Ok(Some(id));
        }
        let read = self.inner.hot.names();
        let found = self
            .inner
            .store
            .read(|tx| tx.repositories().by_name(namespace, name))
            .await?;
        if let Some(id) = found {
            self.inner.hot.fill_repository(read, key, id);
        }
        Ok(found)
    }

    /// Returns where a tag points, with its newest validation, or `None`. One that has expired is none,
    /// whether the collector has come by or not.
    ///
    /// # Errors
    /// The store's.
    pub async fn lookup_tag(
        &self,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<Arc<HotTag>>, Error> {
        let found = self.tag_as_written(repository, tag).await?;
        let now = self.inner.clock.now();
        Ok(found.filter(|found| !found.record.has_expired(now)))
    }

    async fn tag_as_written(
        &self,
        repository: RepositoryId,
        tag: &Tag,
    ) -> Result<Option<Arc<HotTag>>, Error> {
        let key = (repository, tag.clone());
        if let Some(hot) = self.inner.hot.tag(&key) {
            return Ok(Some(hot));
        }
        let read = self.inner.hot.generation(repository);
        let Some(record) = self
            .inner
            .store
            .read(|tx| tx.tags().current(repository, tag))
            .await?
        else {
            return Ok(None);
        };
        let noted = self.inner.recency.validated_at(&key);
        let validated = noted.map_or(record.validated, |noted| noted.max(record.validated));
        let hot = Arc::new(HotTag::new(record, validated));
        self.inner.hot.fill_tag(read, key, hot.clone());
        Ok(Some(hot))
    }

    /// Returns a manifest of a repository, checked against its digest when it comes from disk, or
    /// `None`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes at rest are not what the digest says (DK-07).
    pub async fn lookup_manifest(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<Arc<HeldManifest>>, Error> {
        if let Some(hot) = self.inner.hot.manifest(&(repository, *digest)) {
            return Ok(Some(hot));
        }
        let read = self.inner.hot.generation(repository);
        let found = self.inner.store.read(|tx| {
            let record = tx.manifests().record(repository, digest)?;
            let Some(record) = record.filter(ManifestRecord::is_live) else {
                return Ok(None);
            };
            Ok::<_, store::Error>(Some((record, tx.manifests().body(digest)?)))
        });
        let (record, body) = match found.await {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            // The store hashes a document when it reads it.
            Err(store::Error::Corrupt { .. }) => return Err(Error::Corrupt { digest: *digest }),
            Err(error) => return Err(error.into()),
        };
        let bytes = body.ok_or(Error::Corrupt { digest: *digest })?;
        let raw = RawManifest {
            bytes,
            digest: *digest,
            media_type: record.media_type,
        };
        let unit = Unit {
            namespace,
            repository,
            digest: *digest,
        };
        let held = Arc::new(HeldManifest::new(raw, unit));
        self.inner.hot.fill_manifest(read, held.clone());
        Ok(Some(held))
    }

    /// Returns what the store says of a manifest: its parts and sizes.
    ///
    /// # Errors
    /// The store's.
    pub async fn manifest_record(
        &self,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Error> {
        self.inner
            .store
            .read(|tx| {
                let record = tx.manifests().record(repository, digest)?;
                Ok(record.filter(ManifestRecord::is_live))
            })
            .await
    }

    /// Opens a blob that the repository links, or `None` if it does not or the bytes are gone: a row
    /// without its file counts as absent, so that it is fetched again (CR-08).
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn lookup_blob(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<HeldBlob>, Error> {
        let key = (repository, *digest);
        let hot = match self.inner.hot.blob(&key) {
            Some(hot) => hot,
            None => match self.read_blob(namespace, repository, digest).await? {
                Some(hot) => hot,
                None => return Ok(None),
            },
        };
        match self.inner.blobs.open_blob(digest, hot.size_bytes).await? {
            Some(file) => Ok(Some(HeldBlob {
                file,
                unit: hot.unit,
            })),
            None => {
                self.inner.hot.forget_blob(&key);
                self.inner.metrics.damaged.inc();
                tracing::warn!(blob.digest = %digest, "a blob's file is gone or damaged");
                Ok(None)
            }
        }
    }

    /// Opens a blob whose bytes are here, whoever links it, for a caller who has proved a right to it.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn unlinked_blob(&self, digest: &Digest) -> Result<Option<BlobFile>, Error> {
        let record = self
            .inner
            .store
            .read(|tx| tx.blobs().record(digest))
            .await?;
        match record {
            Some(record) => Ok(self
                .inner
                .blobs
                .open_blob(digest, record.size_bytes)
                .await?),
            None => Ok(None),
        }
    }

    /// Whether a blob is here and only namespaces hold it that not everyone may read, the cached content
    /// of `namespace` not among them: then a manifest that names it is no right to its bytes.
    ///
    /// # Errors
    /// The store's.
    pub async fn is_private_elsewhere(
        &self,
        namespace: NamespaceId,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let look = |tx: &store::ReadTx| {
            let holders = tx.blobs().namespaces(digest, HOLDERS)?;
            for holder in &holders {
                let record = tx.namespaces().record(*holder)?;
                let is_open = match *holder == namespace {
                    true => !is_pushed_to(tx, namespace, digest)?,
                    false => record.is_some_and(|record| record.anonymous_pull),
                };
                if is_open {
                    return Ok(false);
                }
            }
            Ok::<_, Error>(!holders.is_empty())
        };
        self.inner.store.read(look).await
    }

    async fn read_blob(
        &self,
        namespace: NamespaceId,
        repository: RepositoryId,
        digest: &Digest,
    ) -> Result<Option<HotBlob>, Error> {
        let read = self.inner.hot.generation(repository);
        let hot = self
            .inner
            .store
            .read(|tx| {
                if !tx.blobs().is_linked(repository, digest)? {
                    return Ok(None);
                }
                let Some(record) = tx.blobs().record(digest)? else {
                    return Ok(None);
                };
                let naming = tx.manifests().naming_blob(repository, digest, 2)?;
                let of = |digest: Digest| Unit {
                    namespace,
                    repository,
                    digest,
                };
                let unit = match naming.as_slice() {
                    [] => Some(of(*digest)),
                    [only] => Some(of(*only)),
                    // Shared layers keep no image alive: its manifest was asked for, or it was not.
                    _ => None,
                };
                let size_bytes = record.size_bytes;
                Ok::<_, store::Error>(Some(HotBlob { size_bytes, unit }))
            })
            .await?;
        if let Some(hot) = hot {
            self.inner.hot.fill_blob(read, (repository, *digest), hot);
        }
        Ok(hot)
    }

    /// What the repository's manifests say of a blob: who names it, and the size they state.
    ///
    /// # Errors
    /// The store's.
    pub async fn naming_manifests(
        &self,
        repository: RepositoryId,
        blob: &Digest,
    ) -> Result<Vec<(Digest, ManifestRecord)>, Error> {
        self.inner
            .store
            .read(|tx| {
                let mut found = Vec::new();
                for digest in tx.manifests().naming_blob(repository, blob, 4)? {
                    if let Some(record) = tx.manifests().record(repository, &digest)? {
                        found.push((digest, record));
                    }
                }
                Ok(found)
            })
            .await
    }

    /// Referrers of a subject that the repository holds, at most 1,000.
    ///
    /// # Errors
    /// The store's.
    pub async fn referrers(
        &self,
        repository: RepositoryId,
        subject: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        self.inner
            .store
            .read(|tx| Ok(tx.referrers().list(repository, subject, 1000)?))
            .await
    }
}

/// Whether a blob was pushed into a repository of the namespace, which not every reader of what the
/// namespace caches may read.
fn is_pushed_to(
    tx: &store::ReadTx,
    namespace: NamespaceId,
    digest: &Digest,
) -> Result<bool, store::Error> {
    for holder in tx.blobs().holders(digest, HOLDERS)? {
        let record = tx.repositories().record(holder)?;
        if record.is_some_and(|record| record.namespace == namespace) {
            return Ok(true);
        }
    }
    Ok(false)
}
