//! What a tag of the source is made of: manifests, and the blobs that they name.
//!
//! Small documents only; of blobs it is found out whether they have to come. A plan ends here.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::BytesMut;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::throttle::Patience;
use super::work::Work;
use super::{Error, SourceReference};
use crate::model::RepositoryId;
use crate::oci::{
    Descriptor, Digest, InvalidManifest, Manifest, ManifestKind, MediaType, Platform, RawManifest,
    Reference,
};
use crate::store::ReadTx;
use crate::upstream;

/// Indexes in indexes, and referrers of referrers.
const DEPTH: usize = 5;

/// Most manifests of one tag, and most bytes of them.
const MANIFESTS: usize = 2_000;
const BYTES: usize = 64 << 20;

/// Most bytes of an image's config that is read to find out its platform.
const CONFIG_BYTES: u64 = 4 << 20;

/// What one tag is made of.
#[derive(Default)]
pub(super) struct Tree {
    /// Parts before what names them; the last is what the tag points to.
    pub(super) manifests: Vec<(RawManifest, Manifest)>,
    /// Each once.
    pub(super) blobs: Vec<Descriptor>,
    seen: HashSet<Digest>,
    bytes: usize,
}

/// Manifests that were fetched a moment ago, since several tags may lead to the same.
#[derive(Default)]
pub(super) struct Memo(Mutex<Kept>);

type Cell = Arc<OnceCell<(RawManifest, Manifest)>>;

#[derive(Default)]
struct Kept {
    cells: HashMap<Digest, Cell>,
    bytes: usize,
}

impl Memo {
    fn cell(&self, digest: Digest) -> Cell {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.cells.len() >= MANIFESTS || kept.bytes > BYTES {
            *kept = Kept::default();
        }
        Arc::clone(kept.cells.entry(digest).or_default())
    }

    fn note(&self, bytes: usize) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes = kept.bytes.saturating_add(bytes);
    }
}

/// How a blob gets into the repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    Held,
    /// It is here, and this mirror has a right to it.
    Adopt,
    Fetch,
}

/// What of a manifest's parts is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parts {
    /// Children of the platforms that are asked for.
    Asked,
    All,
}

impl Tree {
    pub(super) fn root(&self) -> Option<&Digest> {
        self.manifests.last().map(|(raw, _)| &raw.digest)
    }

    /// Everything that a signature may be of.
    pub(super) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.manifests.iter().map(|(raw, _)| raw.digest)
    }

    fn add_blob(&mut self, blob: &Descriptor) {
        if self.seen.insert(blob.digest) {
            self.blobs.push(blob.clone());
        }
    }

    fn add_manifest(&mut self, raw: RawManifest, manifest: Manifest) -> Result<(), Error> {
        self.bytes += raw.bytes.len();
        if self.manifests.len() >= MANIFESTS || self.bytes > BYTES {
            return Err(upstream::Error::TooLarge {
                what: "what one tag is made of",
                limit_bytes: BYTES,
            }
            .into());
        }
        self.manifests.push((raw, manifest));
        Ok(())
    }
}

impl Work {
    /// What a tag is made of; `None` if it is an image of a platform that is not asked for.
    ///
    /// # Errors
    /// What kept the source from telling; [`Error::Setting`] for an index without any platform that is asked for.
    pub(super) async fn survey(
        &self,
        reference: Reference,
        parts: Parts,
        patience: &Patience,
    ) -> Result<Option<Tree>, Error> {
        let mut tree = Tree::default();
        let (raw, manifest) = self.manifest(&reference, patience).await?;
        if parts == Parts::Asked && !self.is_asked_for(&manifest, patience).await? {
            return Ok(None);
        }
        tree.seen.insert(raw.digest);
        self.visit((raw, manifest), (parts, DEPTH), &mut tree, patience)
            .await?;
        Ok(Some(tree))
    }

    fn visit<'a>(
        &'a self,
        (raw, manifest): (RawManifest, Manifest),
        (parts, depth): (Parts, usize),
        tree: &'a mut Tree,
        patience: &'a Patience,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let Some(depth) = depth.checked_sub(1) else {
                let reason = "manifests within manifests, too deep".to_owned();
                return Err(upstream::Error::Unexpected(reason).into());
            };
            manifest.held_blobs().for_each(|blob| tree.add_blob(blob));
            let children = match parts {
                Parts::Asked => self.platforms.children(&manifest.manifests),
                Parts::All => manifest.manifests.iter().collect(),
            };
            for child in children.into_iter().filter(|child| !child.is_foreign()) {
                if !child.media_type.is_manifest() {
                    // BuildKit's cache is an index of layers.
                    tree.add_blob(child);
                } else if tree.seen.insert(child.digest) {
                    let reference = Reference::Digest(child.digest);
                    let found = self.manifest(&reference, patience).await?;
                    self.visit(found, (parts, depth), tree, patience).await?;
                }
            }
            for referrer in self.missing_referrers(&raw.digest, patience).await? {
                if tree.seen.insert(referrer) {
                    let reference = Reference::Digest(referrer);
                    let found = self.manifest(&reference, patience).await?;
                    self.visit(found, (Parts::All, depth), tree, patience)
                        .await?;
                }
            }
            tree.add_manifest(raw, manifest)
        })
    }

    /// A manifest: ours if we have it, else the source's, fetched once however many tags lead to it.
    async fn manifest(
        &self,
        reference: &Reference,
        patience: &Patience,
    ) -> Result<(RawManifest, Manifest), Error> {
        if let Reference::Digest(digest) = reference
            && let Some(held) = self.held(digest).await?
        {
            return Ok(held);
        }
        let Reference::Digest(digest) = reference else {
            return self.fetch_manifest(reference, patience).await;
        };
        let cell = self.memo.cell(*digest);
        let found = cell.get_or_try_init(|| self.fetch_manifest(reference, patience));
        let found = found.await?.clone();
        self.memo.note(found.0.bytes.len());
        Ok(found)
    }

    async fn fetch_manifest(
        &self,
        reference: &Reference,
        patience: &Patience,
    ) -> Result<(RawManifest, Manifest), Error> {
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let ask = move || upstream.fetch_manifest(name, reference);
        let (raw, manifest) = self.source.patiently(patience, ask).await?;
        self.took(raw.bytes.len() as u64);
        if manifest.is_schema1() {
            return Err(upstream::Error::from(InvalidManifest::Schema1).into());
        }
        Ok((raw, manifest))
    }

    async fn held(&self, digest: &Digest) -> Result<Option<(RawManifest, Manifest)>, Error> {
        let (namespace, repository) = (self.placed.namespace, self.placed.repository);
        let held = self
            .registry()
            .lookup_manifest(namespace, repository, digest);
        let Ok(Some(held)) = held.await else {
            // What is damaged is fetched again.
            return Ok(None);
        };
        let raw = held.raw.clone();
        let manifest = Manifest::parse(&raw.bytes, Some(&raw.media_type));
        Ok(manifest.ok().map(|manifest| (raw, manifest)))
    }

    /// Notes bytes that came from the source.
    pub(super) fn took(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        self.metrics.received(bytes);
    }

    /// What refers to a manifest at the source and is not here, by the referrers API; what the tags of the
    /// listing stand for comes with those.
    pub(super) async fn missing_referrers(
        &self,
        digest: &Digest,
        patience: &Patience,
    ) -> Result<Vec<Digest>, Error> {
        if !self.record.options.referrers || self.lacks_referrers_api.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let ask = move || upstream.referrers_of_api(name, digest);
        let Some(referrers) = self.source.patiently(patience, ask).await? else {
            self.lacks_referrers_api.store(true, Ordering::Relaxed);
            return Ok(Vec::new());
        };
        let mut missing = Vec::new();
        for referrer in referrers {
            let repository = self.placed.repository;
            let held = self
                .registry()
                .manifest_record(repository, &referrer.digest);
            if held.await?.is_none() {
                missing.push(referrer.digest);
            }
        }
        Ok(missing)
    }

    /// Whether a tag has anything for the platforms that are asked for.
    async fn is_asked_for(&self, manifest: &Manifest, patience: &Patience) -> Result<bool, Error> {
        if self.platforms.is_all() {
            return Ok(true);
        }
        match manifest.kind {
            ManifestKind::Index if self.platforms.any_of(&manifest.manifests) => Ok(true),
            ManifestKind::Index => {
                let text = "the index has none of the platforms that are asked for";
                Err(Error::Setting(text.to_owned()))
            }
            ManifestKind::Opaque => Ok(true),
            ManifestKind::Image => match self.platform(manifest, patience).await? {
                Some(platform) => Ok(self.platforms.accepts(&platform)),
                None => Ok(true),
            },
        }
    }

    /// For which platform an image is, as its config says; `None` for what is no image of a system.
    async fn platform(
        &self,
        manifest: &Manifest,
        patience: &Patience,
    ) -> Result<Option<Platform>, Error> {
        let is_config = |media_type: &MediaType| {
            [MediaType::OCI_CONFIG, MediaType::DOCKER_CONFIG].contains(media_type)
        };
        let config = manifest.config.as_ref();
        let Some(config) = config.filter(|it| is_config(&it.media_type) && it.size <= CONFIG_BYTES)
        else {
            return Ok(None);
        };
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let read = move || async move {
            let mut body = upstream.open_blob(name, &config.digest, 0).await?;
            let mut bytes = BytesMut::new();
            while let Some(piece) = body.next().await {
                bytes.extend_from_slice(&piece?);
                if bytes.len() as u64 > config.size {
                    break;
                }
            }
            Ok(bytes)
        };
        let bytes = self.source.patiently(patience, read).await?;
        self.took(bytes.len() as u64);
        let found = Digest::with(config.digest.algorithm(), &bytes);
        if found != config.digest {
            return Err(upstream::Error::Digest {
                expected: Box::new(config.digest),
                found: Box::new(found),
            }
            .into());
        }
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// How a blob gets here. Bytes that only others may read come from the source, which proves by sending them
    /// that whoever made this mirror has a right to them (AZ-02): but for a mirror that the operator made, and
    /// for blobs that came here from the same host, which only has to say that our repository has them too.
    pub(super) async fn need(&self, blob: &Descriptor) -> Result<Need, Error> {
        let (registry, placed) = (self.registry(), &self.placed);
        let digest = &blob.digest;
        if registry.keep_blob(placed, digest, self.actor()).await? {
            return Ok(Need::Held);
        }
        let Some(holders) = registry.holders(placed.namespace, digest).await? else {
            return Ok(Need::Fetch);
        };
        if self.record.configured || holders.is_open {
            return Ok(Need::Adopt);
        }
        let is_known_there = self.are_of_our_host(holders.repositories).await?
            && self
                .source
                .upstream
                .confirms_blob(self.source.name(), digest)
                .await;
        match is_known_there {
            true => Ok(Need::Adopt),
            false => Ok(Need::Fetch),
        }
    }

    /// Whether one of these repositories is a mirror of the same host.
    async fn are_of_our_host(&self, repositories: Vec<RepositoryId>) -> Result<bool, Error> {
        let host = self.source.reference.host.clone();
        let look = move |tx: &ReadTx| {
            for repository in repositories {
                let record = super::seat::seated(tx, repository)?;
                let reference = record.map(|it| it.record.source.reference.parse());
                let reference: Option<Result<SourceReference, _>> = reference;
                if let Some(Ok(reference)) = reference
                    && reference.host == host
                {
                    return Ok(true);
                }
            }
            Ok::<_, Error>(false)
        };
        self.registry().store().read(look).await
    }
}
