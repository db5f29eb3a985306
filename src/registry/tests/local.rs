//! A registry with an organization, and what pushes, deletions and time do to it; for the tests of the
//! collector and of the check.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::blob::{BlobStore, Shard};
use crate::model::{
    Actor, BlobRecord, ByteSize, Clock, ManifestRecord, NamespaceId, NamespaceKind,
    NamespaceRecord, RepositoryRecord, Review, TagRecord, Timestamp,
};
use crate::oci::{Digest, Manifest, RawManifest, RepositoryName, Tag};
use crate::quota::{DiskSpace, Ledger};
use crate::registry::gc::{Budget, GcReport};
use crate::registry::session::Owner;
use crate::registry::{Metrics, Parts, Placed, Registry, Rules};
use crate::store::{self, Store};

/// Who pushes in these tests.
const PUSHER: Owner = Owner::of(&Actor::Anonymous);

pub(in crate::registry) const GRACE: Duration = Duration::from_secs(3600);
pub(in crate::registry) const TIME_MACHINE: Duration = Duration::from_secs(86_400);

struct Volume;

impl DiskSpace for Volume {
    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

/// A registry in a folder of its own, with one organization.
pub(in crate::registry) struct Site {
    pub(in crate::registry) registry: Registry,
    pub(in crate::registry) namespace: NamespaceId,
    pub(in crate::registry) clock: Clock,
    pub(in crate::registry) folder: TempDir,
}

/// A manifest with the bytes of its blobs.
#[derive(Clone)]
pub(in crate::registry) struct Image {
    pub(in crate::registry) raw: RawManifest,
    pub(in crate::registry) manifest: Arc<Manifest>,
    pub(in crate::registry) blobs: Vec<Bytes>,
}

impl Image {
    /// An image of one layer for each seed; its config is the same for all.
    pub(in crate::registry) fn new(seeds: &[u32]) -> Self {
        Self::with_subject(seeds, None)
    }

    /// An image that refers to another manifest.
    pub(in crate::registry) fn with_subject(seeds: &[u32], subject: Option<&Self>) -> Self {
        let layers: Vec<Bytes> = seeds
            .iter()
            .map(|seed| Bytes::from(format!("layer {seed}").repeat(10)))
            .collect();
        let config = Bytes::from_static(b"{}");
        let descriptor = |kind: &str, bytes: &Bytes| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let layer = "application/vnd.oci.image.layer.v1.tar";
        let mut document = json!({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|bytes| descriptor(layer, bytes)).collect::<Vec<_>>(),
        });
        if let Some(subject) = subject {
            document["subject"] = json!(subject.raw.descriptor());
        }
        let blobs = std::iter::once(config).chain(layers).collect();
        Self::of(&document, blobs)
    }

    pub(in crate::registry) fn index(children: &[Self], subject: Option<&Self>) -> Self {
        let children: Vec<_> = children
            .iter()
            .map(|child| child.raw.descriptor())
            .collect();
        let mut document = json!({ "schemaVersion": 2, "manifests": children });
        if let Some(subject) = subject {
            document["subject"] = json!(subject.raw.descriptor());
        }
        Self::of(&document, vec![])
    }

    fn of(document: &Value, blobs: Vec<Bytes>) -> Self {
        let bytes = Bytes::from(document.to_string());
        let (raw, manifest) = RawManifest::parse(bytes, None).expect("a valid manifest");
        let manifest = Arc::new(manifest);
        Self {
            raw,
            manifest,
            blobs,
        }
    }

    pub(in crate::registry) fn digest(&self) -> Digest {
        self.raw.digest
    }

    fn record(&self, now: Timestamp) -> ManifestRecord {
        let mut blobs: Vec<_> = self
            .blobs
            .iter()
            .map(|blob| (Digest::of(blob), blob.len() as u64))
            .collect();
        blobs.sort_unstable();
        blobs.dedup();
        let children = self.manifest.manifests.iter();
        ManifestRecord {
            media_type: self.raw.media_type.clone(),
            size_bytes: self.raw.bytes.len() as u64,
            children: children.map(|child| child.digest).collect(),
            blobs,
            subject: self.manifest.subject.as_ref().map(|subject| subject.digest),
            created: now,
            pushed: now,
            deleted: None,
            expires_after_s: None,
            layers_bytes: None,
        }
    }
}

impl Site {
    pub(in crate::registry) async fn new() -> Self {
        let site = Self::of_kind(NamespaceKind::Organization).await;
        // What a restart leaves untouched is another test's.
        site.clock.advance(GRACE);
        site
    }

    pub(in crate::registry) async fn of_kind(kind: NamespaceKind) -> Self {
        let folder = TempDir::new().unwrap();
        let metrics = prometheus::Registry::new();
        let options = store::Options {
            cache_bytes: 4 << 20,
        };
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let registry = Registry::new(Parts {
            store: Store::open(&folder.path().join("store.redb"), &options, &metrics).unwrap(),
            blobs: BlobStore::open(&folder.path().join("data"), &metrics).unwrap(),
            ledger: Ledger::new(Arc::new(Volume), 0),
            clock: clock.clone(),
            hot_cache: ByteSize::mib(1),
            session_secret: [7; 32],
            rules: Rules {
                grace: GRACE,
                time_machine: TIME_MACHINE,
                ..Rules::default()
            },
            metrics: Metrics::new(&metrics).unwrap(),
        });
        let record = NamespaceRecord::new("org".parse().unwrap(), kind, clock.now());
        let create = move |tx: &mut store::WriteTx<'_>| tx.namespaces().create(&record);
        let namespace = registry.store().write(create).await.unwrap();
        Self {
            registry,
            namespace,
            clock,
            folder,
        }
    }

    pub(in crate::registry) async fn place(&self, name: &str) -> Placed {
        let (namespace, now) = (self.namespace, self.clock.now());
        let name: RepositoryName = name.parse().unwrap();
        let create = move |tx: &mut store::WriteTx<'_>| {
            let kind = tx.namespaces().record(namespace)?.map(|record| record.kind);
            tx.repositories().create(&match kind {
                Some(NamespaceKind::Cache) => {
                    RepositoryRecord::fetched(namespace, name.clone(), now)
                }
                _ => RepositoryRecord::new(namespace, name.clone(), now),
            })
        };
        let repository = self.registry.store().write(create).await.unwrap();
        Placed {
            namespace: self.namespace,
            repository,
        }
    }

    /// Pushes a blob as a client does: bytes, row and link, and what is to be looked at later.
    pub(in crate::registry) async fn push_blob(&self, placed: &Placed, bytes: &Bytes) {
        let (digest, now) = (Digest::of(bytes), self.clock.now());
        let blob = (placed.repository, digest);
        self.registry.inner.touches.touch(blob, PUSHER, now).await;
        let _guard = self.registry.content_lock(&digest).await;
        self.registry.blobs().insert(&digest, bytes).await.unwrap();
        let (namespace, repository, size_bytes) =
            (self.namespace, placed.repository, bytes.len() as u64);
        let first = self.registry.store().write(move |tx| {
            let record = BlobRecord {
                size_bytes,
                created: now,
            };
            tx.blobs().put(&digest, &record)?;
            let change = tx.blobs().link_since(namespace, repository, &digest, now)?;
            let review = Review::Blob { repository, digest };
            tx.reviews().put(now + GRACE, &review)?;
            if change.first_of_namespace {
                tx.usage().add(namespace, size_bytes)?;
            }
            Ok::<_, store::Error>(change.first_of_namespace)
        });
        if first.await.unwrap() {
            let ledger = self.registry.ledger();
            ledger.nothing(namespace).hold(size_bytes);
        }
    }

    /// Puts a manifest; `false` if the repository lacks a blob of it.
    pub(in crate::registry) async fn put(
        &self,
        placed: &Placed,
        image: &Image,
        tag: Option<&str>,
    ) -> bool {
        let (namespace, repository, digest) = (self.namespace, placed.repository, image.digest());
        let (image, change) = (image.clone(), self.registry.change(Actor::Anonymous));
        let tag = tag.map(|tag| tag.parse::<Tag>().unwrap());
        let record = image.record(change.at);
        let blobs: Vec<Digest> = record.blobs.iter().map(|(blob, _)| *blob).collect();
        let put = self.registry.store().write(move |tx| {
            for (blob, _) in &record.blobs {
                if !tx.blobs().is_linked(repository, blob)? {
                    return Ok(None);
                }
            }
            let is_new = tx.manifests().record(repository, &digest)?.is_none();
            tx.manifests()
                .put(repository, &digest, &record, &image.raw.bytes)?;
            let bytes = tx.manifests().counted(repository, &record)?;
            if is_new {
                tx.usage().add(namespace, bytes)?;
            }
            if let Some(subject) = &record.subject {
                let descriptor = image.raw.descriptor();
                tx.referrers().put(repository, subject, &descriptor)?;
            }
            let review = Review::Manifest { repository, digest };
            tx.reviews().put(change.at + GRACE, &review)?;
            if let Some(tag) = &tag {
                let record = TagRecord::new(digest, change.at, Actor::Anonymous);
                change.point(tx, repository, tag, &record)?;
            }
            Ok::<_, store::Error>(Some(if is_new { bytes } else { 0 }))
        });
        let put = put.await.unwrap();
        if let Some(bytes) = put {
            self.registry.ledger().nothing(namespace).hold(bytes);
            let touches = &self.registry.inner.touches;
            touches.settle(repository, blobs.into_iter(), PUSHER);
        }
        put.is_some()
    }

    pub(in crate::registry) async fn push(
        &self,
        placed: &Placed,
        image: &Image,
        tag: Option<&str>,
    ) {
        for blob in &image.blobs {
            self.push_blob(placed, blob).await;
        }
        assert!(self.put(placed, image, tag).await);
    }

    pub(in crate::registry) async fn end(&self, placed: &Placed, tag: &str) -> bool {
        let tag = tag.parse().unwrap();
        let ended = self.registry.end_tag(placed.repository, &tag).await;
        ended.unwrap()
    }

    /// Deletes a manifest by its digest; it can be restored for a while.
    pub(in crate::registry) async fn delete(&self, placed: &Placed, digest: Digest) {
        let (repository, change) = (placed.repository, self.registry.change(Actor::Anonymous));
        let delete = self.registry.store().write(move |tx| {
            let record = tx.manifests().record(repository, &digest)?;
            let Some(record) = record.filter(ManifestRecord::is_live) else {
                return Ok(());
            };
            for tag in tx.tags().of_manifest(repository, &digest, 1000)? {
                change.end(tx, repository, &tag)?;
            }
            let record = ManifestRecord {
                deleted: Some(change.at),
                ..record
            };
            tx.manifests().put(repository, &digest, &record, b"")?;
            let review = Review::Manifest { repository, digest };
            tx.reviews().put(change.at + TIME_MACHINE, &review)
        });
        delete.await.unwrap();
    }

    pub(in crate::registry) async fn collect(&self) -> GcReport {
        let report = self.registry.collect(Budget::UNBOUNDED).await.unwrap();
        assert!(report.complete && report.failed == 0, "{report:?}");
        report
    }

    pub(in crate::registry) async fn later(&self, by: Duration) -> GcReport {
        self.clock.advance(by);
        self.collect().await
    }

    pub(in crate::registry) async fn manifests(&self, placed: &Placed) -> BTreeSet<Digest> {
        let repository = placed.repository;
        let listed = self
            .registry
            .store()
            .scan(move |tx| tx.manifests().list(repository, None, 10_000));
        let listed = listed.await.unwrap();
        listed.into_iter().map(|(digest, _)| digest).collect()
    }

    pub(in crate::registry) async fn blobs(&self, placed: &Placed) -> BTreeSet<Digest> {
        let repository = placed.repository;
        let listed = self
            .registry
            .store()
            .scan(move |tx| tx.blobs().linked(repository, None, 10_000));
        listed.await.unwrap().into_iter().collect()
    }

    /// Whether the image with all its blobs can be read.
    pub(in crate::registry) async fn holds(&self, placed: &Placed, image: &Image) -> bool {
        if !self.manifests(placed).await.contains(&image.digest()) {
            return false;
        }
        for blob in &image.blobs {
            let found = self
                .registry
                .lookup_blob(self.namespace, placed.repository, &Digest::of(blob))
                .await;
            if found.unwrap().is_none() {
                return false;
            }
        }
        true
    }

    pub(in crate::registry) async fn files(&self) -> HashSet<Digest> {
        let mut found = HashSet::new();
        for shard in Shard::all() {
            let held = self.registry.blobs().list(shard).await.unwrap();
            found.extend(held.into_iter().map(|held| held.digest));
        }
        found
    }

    /// GC-06: counters, rows and files agree.
    pub(in crate::registry) async fn assert_accounts(&self) {
        let namespace = self.namespace;
        let counted = self.registry.store().scan(move |tx| {
            let (mut blobs, mut manifests) = (BTreeMap::new(), 0);
            for (_, repository) in tx.repositories().list(namespace, None, 1000)? {
                for (_, record) in tx.manifests().list(repository, None, 10_000)? {
                    manifests += tx.manifests().counted(repository, &record)?;
                }
                for digest in tx.blobs().linked(repository, None, 10_000)? {
                    let record = tx.blobs().record(&digest)?;
                    blobs.insert(digest, record.expect("a linked blob has a row").size_bytes);
                }
            }
            let rows = tx.blobs().list(None, 10_000)?;
            let stored = tx.usage().held(namespace)?;
            let total = manifests + blobs.values().sum::<u64>();
            Ok::<_, store::Error>((total, stored, rows))
        });
        let (total, stored, rows) = counted.await.unwrap();
        assert_eq!(total, stored);
        let ledger = self.registry.ledger();
        assert_eq!(
            (ledger.held(namespace), ledger.used(namespace)),
            (total, total)
        );
        let rows: HashSet<_> = rows.into_iter().map(|(digest, _)| digest).collect();
        assert_eq!(self.files().await, rows);
    }
}
