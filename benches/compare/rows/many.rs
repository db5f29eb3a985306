//! A data directory with very many blobs, manifests and tags, for the rows that need one.
//!
//! It is written through the store, between two runs of the server, since pushing a million of each
//! would take an hour. What nothing names has a file each, for the collector to unlink; the other
//! blobs are rows only, as nobody reads them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use entrepot::model::{
    Actor, BlobRecord, ManifestRecord, NamespaceId, NamespaceName, RepositoryId, RepositoryRecord,
    Review, TagRecord, Timestamp, Unit,
};
use entrepot::oci::{Digest, MediaType, Tag};
use entrepot::quota;
use entrepot::store::{self, Options, Store, WriteTx};

use crate::content::{Blob, REPOSITORY, manifest};
use crate::failure::{Doing as _, Failure, Outcome};
use crate::load::verify;
use crate::servers::{LOCAL, Ours, Settings};
use crate::site::Site;

/// Blobs, and tags, of one repository; they are written in one commit.
const A_REPOSITORY: u32 = 10_000;
/// So many of its blobs are named by its manifests.
const NAMED: u32 = 9_000;
/// Every so many repositories one is a cache's.
const CACHED: u32 = 10;
/// When all of it was pushed, in milliseconds: long ago.
const PUSHED: i64 = 1_700_000_000_000;

/// The data directory, filled when it is first asked for. Its server does not run.
pub(super) async fn data(site: &Site) -> Outcome<&Ours> {
    site.many.get_or_try_init(|| fill(site)).await
}

/// Blobs of the data directory that nothing names and the collector may take.
pub(super) fn unnamed(site: &Site) -> u64 {
    let local = repositories(site).filter(|number| !is_cached(*number));
    local.count() as u64 * u64::from(A_REPOSITORY - NAMED)
}

/// Blobs of the data directory that the collector has to look at.
pub(super) fn examined(site: &Site) -> u64 {
    let local = repositories(site).filter(|number| !is_cached(*number));
    local.count() as u64 * u64::from(A_REPOSITORY)
}

/// A manifest of a local repository, asked for by its digest, with its length.
pub(super) fn manifest_path(place: u32) -> (String, u64) {
    let (config, layer) = (blob(0, place % NAMED), blob(0, (place + 1) % NAMED));
    let document = Blob::of(manifest(&config, [&layer].into_iter()).to_string().into());
    let path = format!("/v2/{LOCAL}/{}/manifests/{}", name(0), document.digest);
    (path, document.len())
}

/// Tags of all local repositories together, if each has no more than `most`.
pub(super) fn tags_at_most(site: &Site, most: u32) -> u64 {
    let local = repositories(site).filter(|number| !is_cached(*number));
    local.count() as u64 * u64::from(most.min(A_REPOSITORY))
}

/// The store's file.
pub(super) fn store_path(ours: &Ours) -> PathBuf {
    ours.data().join("entrepot.redb")
}

fn repositories(site: &Site) -> impl Iterator<Item = u32> + use<> {
    0..site.options.many.div_ceil(A_REPOSITORY)
}

const fn is_cached(number: u32) -> bool {
    number % CACHED == CACHED - 1
}

async fn fill(site: &Site) -> Outcome<Ours> {
    let ours = Ours::new(site.folder("many"))?;
    // The first start makes the organisations, the first pull a manifest that can be held.
    let settings = Settings::local(site.upstream.address());
    let server = ours.start(&settings).await?;
    let digest = &site.content.manifest.digest;
    verify(&server.target, &site.content.by_tag(), digest).await?;
    drop(server);
    let store = open(&ours)?;
    for number in repositories(site) {
        write_files(&ours.data(), number)?;
        let written = store.write(move |tx| write_repository(tx, number)).await;
        written.doing("fill the store")?;
    }
    close(store).await;
    Ok(ours)
}

/// Waits until the file is free for a server.
async fn close(store: Store) {
    let closed = store.closed();
    drop(store);
    closed.await;
}

/// Opens the store of a server that does not run.
fn open(ours: &Ours) -> Outcome<Store> {
    let path = store_path(ours);
    if !fs::exists(&path).doing("look for the store")? {
        return Err(Failure::new(
            "the store is not where this program expects it",
        ));
    }
    let options = Options {
        cache_bytes: 512 << 20,
    };
    Store::open(&path, &options, &prometheus::Registry::new()).doing("open the store")
}

/// Writes the blobs that nothing names where `blob` has them (its `layout.rs`).
fn write_files(data: &Path, number: u32) -> Outcome<()> {
    if is_cached(number) {
        return Ok(());
    }
    for place in NAMED..A_REPOSITORY {
        let blob = blob(number, place);
        let hex = blob.digest.hex();
        let folder = data.join("blobs/sha256").join(&hex[..2]);
        fs::create_dir_all(&folder).doing("make a folder of blobs")?;
        fs::write(folder.join(hex), &blob.bytes).doing("write a blob")?;
    }
    Ok(())
}

fn name(number: u32) -> String {
    format!("many/{number}")
}

fn blob(number: u32, place: u32) -> Blob {
    Blob::of(format!("blob {place} of repository {number}").into())
}

fn write_repository(tx: &mut WriteTx<'_>, number: u32) -> Result<(), Unfilled> {
    let organization = if is_cached(number) {
        REPOSITORY.split('/').next().unwrap_or_default()
    } else {
        LOCAL
    };
    let organization: NamespaceName = organization.parse().map_err(|_| Unfilled::Name)?;
    let namespace = tx.namespaces().by_name(&organization)?;
    let namespace = namespace.ok_or(Unfilled::Name)?.0;
    let repository = Repository::create(tx, namespace, &name(number), is_cached(number))?;
    let blobs: Vec<Blob> = (0..A_REPOSITORY).map(|place| blob(number, place)).collect();
    for blob in &blobs {
        repository.put_blob(tx, blob)?;
    }
    let (named, _) = blobs.split_at(NAMED as usize);
    let layers = named.iter().cycle().skip(1);
    let images = named.iter().cycle().zip(layers);
    for (place, (config, layer)) in (0..A_REPOSITORY).zip(images) {
        let document = manifest(config, [layer].into_iter());
        let document = Blob::of(document.to_string().into());
        repository.put_manifest(tx, &document, &[config, layer])?;
        repository.put_tag(tx, &format!("v1.{place}"), &document.digest)?;
        if repository.is_cached {
            repository.put_use(tx, place, document.digest)?;
        }
    }
    Ok(())
}

/// Why the store could not be filled.
#[derive(Debug, thiserror::Error)]
enum Unfilled {
    #[error("a name is refused or unknown")]
    Name,
    #[error(transparent)]
    Store(#[from] store::Error),
}

// === The seam: rows as the registry would have written them ===

/// A repository that is being filled.
struct Repository {
    namespace: NamespaceId,
    id: RepositoryId,
    is_cached: bool,
}

impl Repository {
    fn create(
        tx: &mut WriteTx<'_>,
        namespace: NamespaceId,
        name: &str,
        is_cached: bool,
    ) -> Result<Self, Unfilled> {
        let name = name.parse().map_err(|_| Unfilled::Name)?;
        let record = match is_cached {
            true => RepositoryRecord::fetched(namespace, name, pushed()),
            false => RepositoryRecord::new(namespace, name, pushed()),
        };
        let id = tx.repositories().create(&record)?;
        Ok(Self {
            namespace,
            id,
            is_cached,
        })
    }

    fn put_blob(&self, tx: &mut WriteTx<'_>, blob: &Blob) -> Result<(), Unfilled> {
        let record = BlobRecord {
            size_bytes: blob.len(),
            created: pushed(),
        };
        tx.blobs().put(&blob.digest, &record)?;
        let (namespace, id) = (self.namespace, self.id);
        match self.is_cached {
            true => tx.blobs().link(namespace, id, &blob.digest)?,
            false => tx
                .blobs()
                .link_since(namespace, id, &blob.digest, pushed())?,
        };
        tx.usage().add(self.namespace, blob.len())?;
        Ok(())
    }

    fn put_manifest(
        &self,
        tx: &mut WriteTx<'_>,
        document: &Blob,
        named: &[&Blob],
    ) -> Result<(), Unfilled> {
        let named = named.iter().map(|blob| (blob.digest, blob.len()));
        let record = ManifestRecord {
            media_type: MediaType::OCI_MANIFEST,
            size_bytes: document.len(),
            children: Vec::new(),
            blobs: named.collect(),
            subject: None,
            created: pushed(),
            pushed: pushed(),
            deleted: None,
            expires_after_s: None,
            layers_bytes: None,
        };
        let (id, digest) = (self.id, &document.digest);
        if tx.manifests().record(id, digest)?.is_none() {
            tx.manifests().put(id, digest, &record, &document.bytes)?;
            tx.usage().add(self.namespace, document.len())?;
        }
        Ok(())
    }

    fn put_tag(&self, tx: &mut WriteTx<'_>, tag: &str, digest: &Digest) -> Result<(), Unfilled> {
        let tag: Tag = tag.parse().map_err(|_| Unfilled::Name)?;
        let record = TagRecord::new(*digest, pushed(), Actor::Anonymous);
        tx.tags().put(self.id, &tag, &record)?;
        Ok(())
    }

    /// Used once, one after the other.
    fn put_use(&self, tx: &mut WriteTx<'_>, place: u32, digest: Digest) -> Result<(), Unfilled> {
        let unit = Unit {
            namespace: self.namespace,
            repository: self.id,
            digest,
        };
        let at = pushed() + Duration::from_millis(u64::from(place));
        tx.recency().put(&unit, &quota::used(None, at))?;
        Ok(())
    }
}

/// Has every blob of the local repositories looked at when the server starts next.
pub(super) async fn make_due(site: &Site, ours: &Ours) -> Outcome<()> {
    let store = open(ours)?;
    for number in repositories(site).filter(|number| !is_cached(*number)) {
        let written = store.write(move |tx| review(tx, number)).await;
        written.doing("note what is due")?;
    }
    close(store).await;
    Ok(())
}

fn review(tx: &mut WriteTx<'_>, number: u32) -> Result<(), Unfilled> {
    let organization: NamespaceName = LOCAL.parse().map_err(|_| Unfilled::Name)?;
    let namespace = tx.namespaces().by_name(&organization)?;
    let (namespace, _) = namespace.ok_or(Unfilled::Name)?;
    let name = name(number).parse().map_err(|_| Unfilled::Name)?;
    let repository = tx.repositories().by_name(namespace, &name)?;
    let repository = repository.ok_or(Unfilled::Name)?;
    for place in 0..A_REPOSITORY {
        let digest = blob(number, place).digest;
        tx.reviews()
            .put(pushed(), &Review::Blob { repository, digest })?;
    }
    Ok(())
}

const fn pushed() -> Timestamp {
    Timestamp::from_millis(PUSHED)
}
