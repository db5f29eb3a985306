//! Behaviour of the registry over a real store and real files.

mod accounts;
mod api;
mod content;
mod evict;
mod keep;
mod tags;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;

use super::{HeldManifest, Metrics, Parts, Placed, Registry};
use crate::blob::BlobStore;
use crate::model::{ByteSize, Clock, NamespaceId, Timestamp, Unit};
use crate::oci::{Digest, RawManifest, Tag};
use crate::quota::{DiskSpace, Ledger, Policy};
use crate::store::{self, Store};

/// A volume whose free space a test sets.
struct Volume(AtomicU64);

impl DiskSpace for Volume {
    fn free_bytes(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

/// A registry in a folder of its own, with one cache namespace.
struct Site {
    registry: Registry,
    namespace: NamespaceId,
    clock: Clock,
    volume: Arc<Volume>,
    _folder: TempDir,
}

/// An image of one config and some layers.
struct Image {
    raw: RawManifest,
    manifest: crate::oci::Manifest,
    blobs: Vec<Bytes>,
}

impl Image {
    fn new(layers: &[Bytes]) -> Self {
        let config = Bytes::from(json!({ "layers": layers.len() }).to_string());
        let descriptor = |kind: &str, bytes: &Bytes| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let layer = "application/vnd.oci.image.layer.v1.tar";
        let document = json!({
            "schemaVersion": 2,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|bytes| descriptor(layer, bytes)).collect::<Vec<_>>(),
        });
        Self::of(
            &document,
            std::iter::once(config)
                .chain(layers.iter().cloned())
                .collect(),
        )
    }

    fn index(children: &[&Self]) -> Self {
        let children: Vec<_> = children
            .iter()
            .map(|child| child.raw.descriptor())
            .collect();
        Self::of(
            &json!({ "schemaVersion": 2, "manifests": children }),
            vec![],
        )
    }

    fn of(document: &serde_json::Value, blobs: Vec<Bytes>) -> Self {
        let (raw, manifest) =
            RawManifest::parse(Bytes::from(document.to_string()), None).expect("a valid manifest");
        Self {
            raw,
            manifest,
            blobs,
        }
    }

    fn digest(&self) -> Digest {
        self.raw.digest
    }

    /// Bytes of the manifest and of its blobs.
    fn size(&self) -> u64 {
        let blobs: usize = self.blobs.iter().map(Bytes::len).sum();
        (self.raw.bytes.len() + blobs) as u64
    }
}

/// A registry over a store and a folder of blobs, with metrics and an account of its own.
fn registry_in(
    store: &Path,
    data: &Path,
    clock: &Clock,
    volume: Arc<Volume>,
    rules: crate::registry::Rules,
) -> Registry {
    let metrics = prometheus::Registry::new();
    let options = store::Options {
        cache_bytes: 1 << 20,
    };
    Registry::new(Parts {
        store: Store::open(store, &options, &metrics).unwrap(),
        blobs: BlobStore::open(data, &metrics).unwrap(),
        ledger: Ledger::new(volume, 0),
        clock: clock.clone(),
        hot_cache: ByteSize::mib(1),
        rules,
        session_secret: [7; 32],
        metrics: Metrics::new(&metrics).unwrap(),
    })
}

fn layer(seed: u8, len: usize) -> Bytes {
    Bytes::from(vec![seed; len])
}

impl Site {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let volume = Arc::new(Volume(AtomicU64::new(1 << 40)));
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let (store, data) = (folder.path().join("store.redb"), folder.path().join("data"));
        let rules = crate::registry::Rules::default();
        let registry = registry_in(&store, &data, &clock, volume.clone(), rules);
        let name = "cache".parse().unwrap();
        let namespace = registry.ensure_namespace(&name, true).await.unwrap();
        registry.set_policies(HashMap::from([(namespace, Policy::default())]));
        Self {
            registry,
            namespace,
            clock,
            volume,
            _folder: folder,
        }
    }

    async fn place(&self, name: &str) -> Placed {
        let name = name.parse().unwrap();
        let repository = self
            .registry
            .ensure_repository(self.namespace, &name)
            .await
            .unwrap();
        Placed {
            namespace: self.namespace,
            repository,
        }
    }

    fn unit(&self, placed: &Placed, digest: Digest) -> Unit {
        Unit {
            namespace: self.namespace,
            repository: placed.repository,
            digest,
        }
    }

    /// Brings an image in as a pull does: manifest first, then its blobs. Time moves on by a second.
    async fn pull(&self, placed: &Placed, image: &Image, tag: Option<&str>) -> Arc<HeldManifest> {
        self.clock.advance(Duration::from_secs(1));
        let tag = tag.map(|tag| tag.parse::<Tag>().unwrap());
        let held = self
            .registry
            .ingest_manifest(placed, image.raw.clone(), &image.manifest, tag)
            .await
            .unwrap();
        for bytes in &image.blobs {
            self.bring(placed, bytes, &[held.unit]).await.unwrap();
        }
        held
    }

    async fn bring(
        &self,
        placed: &Placed,
        bytes: &Bytes,
        units: &[Unit],
    ) -> Result<(), super::Error> {
        let digest = Digest::of(bytes);
        if self.registry.link_held_blob(placed, digest).await? {
            return Ok(());
        }
        let room = bytes.len() as u64;
        let reservation = self.registry.reserve(self.namespace, room, units).await?;
        let (mut writer, _) = self.registry.blobs().begin(&digest).await?;
        writer.append(bytes.clone()).await?;
        self.registry
            .ingest_blob(placed, writer, digest, reservation)
            .await?;
        Ok(())
    }

    async fn holds(&self, placed: &Placed, digest: Digest) -> bool {
        let (registry, namespace) = (&self.registry, self.namespace);
        let manifest = registry
            .lookup_manifest(namespace, placed.repository, &digest)
            .await;
        let blob = registry
            .lookup_blob(namespace, placed.repository, &digest)
            .await;
        manifest.unwrap().is_some() || blob.unwrap().is_some()
    }

    async fn holds_all(&self, placed: &Placed, image: &Image) -> bool {
        for digest in image
            .blobs
            .iter()
            .map(|bytes| Digest::of(bytes))
            .chain([image.digest()])
        {
            if !self.holds(placed, digest).await {
                return false;
            }
        }
        true
    }

    /// What the namespace holds by the rows, counted afresh.
    async fn recount(&self) -> u64 {
        let namespace = self.namespace;
        let counted = self.registry.store().scan(move |tx| {
            let mut blobs = BTreeMap::new();
            let mut manifests = 0;
            for (_, repository) in tx.repositories().list(namespace, None, 1000)? {
                for (_, record) in tx.manifests().list(repository, None, 1000)? {
                    manifests += record.size_bytes;
                }
                for digest in tx.blobs().linked(repository, None, 1000)? {
                    let record = tx.blobs().record(&digest)?;
                    blobs.insert(digest, record.expect("a linked blob has a row").size_bytes);
                }
            }
            Ok::<_, store::Error>(manifests + blobs.values().sum::<u64>())
        });
        counted.await.unwrap()
    }

    async fn stored_usage(&self) -> u64 {
        let namespace = self.namespace;
        self.registry
            .store()
            .read(|tx| tx.usage().held(namespace))
            .await
            .unwrap()
    }

    /// Digests with a file.
    async fn files(&self) -> HashSet<Digest> {
        let mut found = HashSet::new();
        for shard in crate::blob::Shard::all() {
            let held = self.registry.blobs().list(shard).await.unwrap();
            found.extend(held.into_iter().map(|held| held.digest));
        }
        found
    }
}
