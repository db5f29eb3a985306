//! A bundle written: planned first, then streamed, a volume at a time (AG-02: nothing is copied aside).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use tokio::sync::mpsc;

use super::choose::{Found, Missing, Pattern};
use super::inventory::{Content, HOLDINGS, Has, Have, Inventory, Listed};
use super::plan::{Bytes_, Layout, Planned, lay_out, volume_bytes};
use super::{Bundles, Error, layout, tar};
use crate::model::{RepositoryId, Timestamp};
use crate::oci::{ByteRange, Digest, RepositoryName, Tag};
use crate::registry::Protected;

/// Rows read in one go.
const PAGE: usize = 500;

/// What is to be written.
#[derive(Clone, Debug, Default)]
pub struct ExportOptions {
    /// Which repositories and tags.
    pub patterns: Vec<String>,
    /// Most bytes of a volume.
    pub split: Option<u64>,
    /// Leave out what is not here whole, instead of failing.
    pub keep_going: bool,
    /// Only plan.
    pub dry_run: bool,
    /// The time that the description tells, instead of now.
    pub created: Option<Timestamp>,
    /// The number that it tells, instead of the next.
    pub sequence: Option<u64>,
    /// Who it says it is from.
    pub by: String,
}

/// A bundle that can be written.
pub struct Export {
    bundles: Bundles,
    layout: Layout,
    found: BTreeMap<Digest, Found>,
    missing: Vec<Missing>,
    signer: Option<String>,
    /// What is to be written is not evicted meanwhile.
    _protected: Protected,
}

/// What a bundle comes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExportSummary {
    pub bundle: Digest,
    pub sequence: u64,
    pub created: Timestamp,
    pub repositories: u64,
    pub tags: u64,
    pub manifests: u64,
    pub blobs: u64,
    /// Blobs that the receiver has already.
    pub known: u64,
    pub known_bytes: u64,
    pub removed_tags: u64,
    /// Bytes of each volume.
    pub volumes: Vec<u64>,
    /// The number of the key that signed it.
    pub signer: Option<String>,
    /// What is not here whole: its name, and what is missing.
    pub missing: Vec<(String, Vec<Digest>)>,
}

impl Bundles {
    /// Plans a bundle of what the receiver lacks who sent `since`.
    ///
    /// # Errors
    /// [`Error::Refused`] if a pattern chooses nothing, or volumes are too small. What is not here whole
    /// is in the summary; whether that is an error is the caller's to say.
    pub async fn export(
        &self,
        options: &ExportOptions,
        since: Option<(&str, &[u8])>,
    ) -> Result<Export, Error> {
        let have = since.map(|(name, bytes)| Have::read(name, bytes));
        let have = have.transpose()?;
        let patterns = options.patterns.iter().map(|text| Pattern::read(text));
        let patterns = patterns.collect::<Result<Vec<_>, _>>()?;
        let mut gathered = self.gather(&patterns).await?;
        let protected = self.registry.protect(std::mem::take(&mut gathered.units));
        if let Some(have) = &have {
            for listed in &mut gathered.repositories {
                self.note_removed(listed, have).await?;
            }
        }
        let by_name = |one: &Listed, other: &Listed| one.name.cmp(&other.name);
        gathered.repositories.sort_by(by_name);
        let index = layout::index(&gathered.repositories, &gathered.content);
        let folder = self.folder.clone();
        let read = move || Ok((folder.sequence()?, folder.signing_key()?));
        let (last, key) = self.blocking(read).await?;
        let mut options = options.clone();
        let now = self.registry.clock().now();
        let sequence = *options.sequence.get_or_insert(last + 1);
        options.created.get_or_insert(now);
        let repositories = std::mem::take(&mut gathered.repositories);
        let inventory = describe(&options, repositories, &gathered.content, &index);
        let known = have.map(|have| have.digests).unwrap_or_default();
        let carried = |content: &Content| !known.contains(&content.digest);
        let laid = lay_out(inventory, index, carried, options.split, key.as_ref())?;
        if !options.dry_run && sequence > last {
            let folder = self.folder.clone();
            self.blocking(move || folder.keep_sequence(sequence))
                .await?;
        }
        Ok(Export {
            bundles: self.clone(),
            layout: laid,
            found: gathered.content,
            missing: gathered.missing,
            signer: key.map(|key| key.public().id.to_string()),
            _protected: protected,
        })
    }

    /// AG-14: the tags of a repository that its receiver got and that are here no more.
    async fn note_removed(&self, listed: &mut Listed, have: &Have) -> Result<(), Error> {
        for tag in have.received(&listed.name) {
            // It may be here and not be chosen.
            if !listed.tags.contains_key(tag) && self.is_gone(&listed.name, tag).await? {
                listed.removed.push(tag.clone());
            }
        }
        listed.removed.sort_unstable();
        listed.removed.dedup();
        Ok(())
    }

    /// Whether a tag is not here, rather than merely not chosen.
    async fn is_gone(&self, name: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        let Some(repository) = self.find(name).await? else {
            return Ok(false);
        };
        Ok(self.registry.lookup_tag(repository, tag).await?.is_none())
    }

    /// The repository of a full name.
    pub(super) async fn find(&self, name: &RepositoryName) -> Result<Option<RepositoryId>, Error> {
        let Some((namespace, below)) = name.split_first() else {
            return Ok(None);
        };
        let Ok(namespace) = namespace.parse() else {
            return Ok(None);
        };
        match self.registry.namespace(&namespace).await? {
            Some((id, _)) => Ok(self.registry.repository(id, &below).await?),
            None => Ok(None),
        }
    }

    /// What this registry has, for `--since`: every blob of every repository, in pieces of JSON.
    pub async fn inventory(&self, by: &str, out: &mpsc::Sender<Bytes>) -> Result<(), Error> {
        let have = Have {
            format: HOLDINGS.to_owned(),
            by: by.to_owned(),
            created: self.registry.clock().now().to_string(),
            bundle: None,
            sequence: None,
            repositories: self.all_repositories().await?,
            digests: self.all_blobs().await?,
        };
        let mut bytes = serde_json::to_vec(&have).expect("names and digests are always JSON");
        bytes.push(b'\n');
        send_bytes(out, bytes.into()).await
    }

    async fn all_blobs(&self) -> Result<BTreeSet<Digest>, Error> {
        let mut digests = BTreeSet::new();
        let mut after = None;
        loop {
            let store = self.registry.store();
            let page = store.scan(move |tx| tx.blobs().list(after.as_ref(), PAGE));
            let page: Vec<_> = page.await?;
            let Some((last, _)) = page.last() else {
                return Ok(digests);
            };
            after = Some(*last);
            digests.extend(page.into_iter().map(|(digest, _)| digest));
        }
    }

    async fn all_repositories(&self) -> Result<Vec<Has>, Error> {
        let mut repositories = Vec::new();
        let mut behind = String::new();
        loop {
            let page = self.registry.catalogue(&behind, PAGE).await?;
            for found in page.repositories {
                let Ok(name) = found.full_name().parse() else {
                    continue;
                };
                let mut tags = BTreeMap::new();
                for tag in self.registry.all_tags(found.repository).await? {
                    let held = self.registry.lookup_tag(found.repository, &tag).await?;
                    tags.extend(held.map(|held| (tag, held.record.digest)));
                }
                let here = None;
                repositories.push(Has { name, here, tags });
            }
            match page.next {
                Some(next) => behind = next,
                None => return Ok(repositories),
            }
        }
    }
}

/// The description of what was gathered, which says nothing yet of volumes.
fn describe(
    options: &ExportOptions,
    repositories: Vec<Listed>,
    content: &BTreeMap<Digest, Found>,
    index: &[u8],
) -> Inventory {
    let content = content.iter().map(|(digest, found)| Content {
        digest: *digest,
        size: found.size,
        media_type: found.media_type.clone(),
        volume: None,
        pieces: Vec::new(),
    });
    Inventory {
        format: Inventory::format(),
        sequence: options.sequence.unwrap_or_default(),
        created: options.created.unwrap_or_default().to_string(),
        by: options.by.clone(),
        index: Digest::of(index),
        volumes: 1,
        repositories,
        content: content.collect(),
    }
}

/// Sends bytes in pieces of bounded length.
pub async fn send_bytes(out: &mpsc::Sender<Bytes>, mut bytes: Bytes) -> Result<(), Error> {
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(256 * 1024));
        out.send(piece).await.map_err(|_| Error::Unheard)?;
    }
    Ok(())
}

impl Export {
    /// What it comes to.
    pub fn summary(&self) -> ExportSummary {
        let inventory = &self.layout.inventory;
        let blobs = || {
            inventory
                .content
                .iter()
                .filter(|content| content.media_type.is_none())
        };
        let known = || blobs().filter(|content| !content.is_carried());
        let count = |number: usize| number as u64;
        ExportSummary {
            bundle: self.layout.id,
            sequence: inventory.sequence,
            created: inventory.created.parse().unwrap_or_default(),
            repositories: count(inventory.repositories.len()),
            tags: inventory
                .repositories
                .iter()
                .map(|it| count(it.tags.len()))
                .sum(),
            manifests: count(inventory.content.len() - blobs().count()),
            blobs: count(blobs().count() - known().count()),
            known: count(known().count()),
            known_bytes: known().map(|content| content.size).sum(),
            removed_tags: inventory
                .repositories
                .iter()
                .map(|it| count(it.removed.len()))
                .sum(),
            volumes: self
                .layout
                .volumes
                .iter()
                .map(|members| volume_bytes(members))
                .collect(),
            signer: self.signer.clone(),
            missing: self
                .missing
                .iter()
                .map(|it| (it.name.clone(), it.digests.clone()))
                .collect(),
        }
    }

    /// Writes a volume, numbered from 1, without its first `from` bytes.
    ///
    /// # Errors
    /// [`Error::Vanished`] if content went away meanwhile; [`Error::Unheard`].
    pub async fn write(
        &self,
        volume: u32,
        from: u64,
        out: &mpsc::Sender<Bytes>,
    ) -> Result<(), Error> {
        let at = (volume as usize).wrapping_sub(1);
        let Some(members) = self.layout.volumes.get(at) else {
            return Err(Error::refused(format!("there is no volume {volume}")));
        };
        let mut writer = Writer { out, skip: from };
        for member in members {
            let total = member.total();
            if writer.skip >= total {
                writer.skip -= total;
                continue;
            }
            writer
                .put(tar::head(&member.path, member.size).into())
                .await?;
            self.content(member, &mut writer).await?;
            let padding = tar::padded(member.size) - member.size;
            writer.empty(padding).await?;
        }
        writer.empty(tar::END_BYTES).await
    }

    async fn content(&self, member: &Planned, writer: &mut Writer<'_>) -> Result<(), Error> {
        match &member.bytes {
            Bytes_::Here(bytes) => writer.put(bytes.clone()).await,
            Bytes_::Manifest(digest) => {
                let found = self.found(digest)?;
                let registry = &self.bundles.registry;
                let held = registry.lookup_manifest(found.namespace, found.repository, digest);
                let held = held.await?.ok_or(Error::Vanished { digest: *digest })?;
                writer.put(held.raw.bytes.clone()).await
            }
            Bytes_::Blob(digest, offset) => {
                let found = self.found(digest)?;
                let registry = &self.bundles.registry;
                let held = registry.lookup_blob(found.namespace, found.repository, digest);
                let held = held.await?.ok_or(Error::Vanished { digest: *digest })?;
                let skipped = writer.skip.min(member.size);
                writer.skip -= skipped;
                let range = ByteRange {
                    start: offset + skipped,
                    end: offset + member.size,
                };
                let mut stream = held.file.stream(range);
                while let Some(piece) = stream.next().await {
                    writer.put(piece?).await?;
                }
                Ok(())
            }
        }
    }

    fn found(&self, digest: &Digest) -> Result<&Found, Error> {
        self.found
            .get(digest)
            .ok_or(Error::Vanished { digest: *digest })
    }

    /// Notes in the list of hand-overs that it was written whole.
    pub async fn note(&self) -> Result<(), Error> {
        let summary = self.summary();
        let line = json!({
            "time": self.bundles.registry.clock().now().to_string(),
            "act": "export",
            "bundle": summary.bundle,
            "sequence": summary.sequence,
            "by": self.layout.inventory.by,
            "key": summary.signer,
            "volumes": summary.volumes.len(),
            "bytes": summary.volumes.iter().sum::<u64>(),
            "repositories": names(&self.layout.inventory),
        });
        let folder = self.bundles.folder.clone();
        self.bundles.blocking(move || folder.note(&line)).await
    }
}

/// Repositories with their tags, for the list of hand-overs.
pub(super) fn names(inventory: &Inventory) -> serde_json::Value {
    let named = inventory.repositories.iter();
    let named = named.map(|listed| (listed.name.to_string(), json!(listed.tags)));
    serde_json::Value::Object(named.collect())
}

/// Bytes on their way out, the first ones left away.
struct Writer<'a> {
    out: &'a mpsc::Sender<Bytes>,
    skip: u64,
}

impl Writer<'_> {
    async fn put(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        let skipped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        self.skip -= skipped as u64;
        let bytes = bytes.split_off(skipped);
        send_bytes(self.out, bytes).await
    }

    async fn empty(&mut self, length: u64) -> Result<(), Error> {
        let zeros = vec![0; usize::try_from(length).unwrap_or(0)];
        self.put(zeros.into()).await
    }
}
