//! A bundle read: what describes it is judged first, then its blobs are hashed and put aside, volume by
//! volume; `apply` makes it visible when everything is there.
//!
//! Layouts of others are taken as well: they have no description, so one is made of their `index.json`.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::archive::{Archive, Member, Name};
use super::front::Front;
use super::inventory::{Content, INVENTORY_BYTES, Inventory, Piece};
use super::keys::KeyId;
use super::names::Mapping;
use super::spool::Spool;
use super::stage::{Feed, Whereabouts};
use super::trust::Signatures;
use super::{Bundles, Error, Source, layout};
use crate::model::ByteSize;
use crate::oci::limits::MANIFEST_BYTES;
use crate::oci::{Digest, Manifest};

/// How a bundle is to be taken.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// `None`: required once a key is known here.
    pub signatures: Option<Signatures>,
    pub mapping: Mapping,
    /// End the tags that the sender has ended.
    pub apply_removals: bool,
    /// Take a bundle although a newer one of the same key was taken.
    pub allow_older: bool,
    /// Leave out images that are not complete, instead of refusing everything.
    pub keep_going: bool,
    /// Only say what would come.
    pub dry_run: bool,
}

/// What an import came to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ImportSummary {
    pub bundle: String,
    pub by: String,
    pub sequence: u64,
    pub signer: Option<String>,
    pub repositories: u64,
    pub tags: u64,
    pub manifests: u64,
    /// Blobs that were not here.
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Tags that the sender has ended.
    pub removals: Vec<String>,
    /// Whether they were ended here too.
    pub removed: bool,
    pub warnings: Vec<String>,
    /// What is not complete: its name, and what of it is missing.
    pub left: Vec<(String, Vec<Digest>)>,
    /// Why nothing was applied, or not all.
    pub incomplete: Option<String>,
}

/// The description of what is being read, once it was judged.
pub(super) struct Known {
    pub(super) inventory: Inventory,
    pub(super) id: Digest,
    pub(super) signer: Option<KeyId>,
    content: HashMap<Digest, usize>,
}

impl Known {
    pub(super) fn new(inventory: Inventory, id: Digest, signer: Option<KeyId>) -> Self {
        let content = inventory.content.iter().enumerate();
        let content = content.map(|(at, content)| (content.digest, at)).collect();
        Self {
            inventory,
            id,
            signer,
            content,
        }
    }

    pub(super) fn content(&self, digest: &Digest) -> Option<&Content> {
        self.content
            .get(digest)
            .and_then(|at| self.inventory.content.get(*at))
    }
}

/// An import under way.
pub(super) struct Reading<'a> {
    pub(super) bundles: &'a Bundles,
    pub(super) options: &'a ImportOptions,
    pub(super) spool: Spool,
    pub(super) summary: ImportSummary,
    /// Where each blob is that was asked for; what is staged was compared with its digest.
    pub(super) verified: HashSet<Digest>,
    pub(super) known: Option<Known>,
    /// Nobody described it, and that was allowed.
    pub(super) is_foreign: bool,
    pub(super) index: Option<Bytes>,
    pub(super) volumes: BTreeSet<u32>,
    files: u64,
    progress: &'a mpsc::Sender<String>,
    told_bytes: u64,
    read_bytes: u64,
}

/// Bytes between two words about how far an import has come.
const WORD: u64 = 256 << 20;

impl Bundles {
    /// Takes bundles, or layouts: verifies everything, then makes it visible. The second part of the
    /// answer is the receipt, for the sender's `--since`; there is none if not everything was taken.
    ///
    /// # Errors
    /// Whatever is wrong with the files, their signature or the place they are to go to; nothing of them
    /// is visible then. What was verified stays for the next try.
    ///
    /// # Cancel safety
    /// Dropped before the content is applied, nothing of it is visible.
    pub async fn import(
        &self,
        source: &mut Source,
        options: &ImportOptions,
        progress: &mpsc::Sender<String>,
    ) -> Result<(ImportSummary, Option<Vec<u8>>), Error> {
        let _turn = self.importing.lock().await;
        let folder = self.folder.clone();
        let spool = self.blocking(move || Spool::new(folder.made()?)).await?;
        let mut reading = Reading {
            bundles: self,
            options,
            spool,
            summary: ImportSummary::default(),
            verified: HashSet::new(),
            known: None,
            is_foreign: false,
            index: None,
            volumes: BTreeSet::new(),
            files: 0,
            progress,
            told_bytes: 0,
            read_bytes: 0,
        };
        while source.next_file() {
            let mut archive = Archive::new(source);
            reading.files += 1;
            reading.volume(&mut archive).await?;
            if options.dry_run && reading.known.is_some() {
                // The description tells everything; the rest need not come.
                break;
            }
        }
        let known = reading.description().await?;
        reading.apply(&known).await
    }
}

impl Reading<'_> {
    /// Reads one volume.
    async fn volume(&mut self, archive: &mut Archive<'_>) -> Result<(), Error> {
        let mut front = Front::default();
        while let Some(member) = archive.next().await? {
            match &member.name {
                Name::Layout => {
                    let bytes = archive.whole(layout::LAYOUT_MOST).await?;
                    layout::check_layout(archive.file(), &bytes)?;
                    front.layout = true;
                }
                Name::Volume | Name::Inventory | Name::Signature => {
                    self.front(archive, &member, &mut front).await?;
                }
                Name::Index => {
                    self.settle(archive.file(), &mut front).await?;
                    let bytes = archive.whole(INVENTORY_BYTES).await?;
                    self.index(archive.file(), bytes)?;
                }
                Name::Blob(digest) => {
                    self.settle(archive.file(), &mut front).await?;
                    self.blob(archive, digest, member.size).await?;
                }
                Name::Piece(digest, number) => {
                    self.settle(archive.file(), &mut front).await?;
                    self.piece(archive, digest, *number, &member, &front)
                        .await?;
                }
                Name::Other(_) => {}
            }
            if self.options.dry_run && self.known.is_some() {
                return Ok(());
            }
        }
        self.settle(archive.file(), &mut front).await?;
        match front.layout {
            true => Ok(()),
            false => Err(Error::hostile(
                archive.file(),
                "it is no image layout: oci-layout is missing",
            )),
        }
    }

    async fn blob(
        &mut self,
        archive: &mut Archive<'_>,
        digest: &Digest,
        size: u64,
    ) -> Result<(), Error> {
        let Some(known) = &self.known else {
            return self.foreign_blob(archive, digest, size).await;
        };
        let content = known.content(digest).filter(|content| content.is_carried());
        let Some(content) = content.filter(|content| content.pieces.is_empty()) else {
            let reason = format!("it holds {digest}, which its description does not have there");
            return Err(Error::hostile(archive.file(), reason));
        };
        if content.size != size {
            let reason = format!(
                "{digest} has {size} bytes, not {} as it is described",
                content.size
            );
            return Err(Error::hostile(archive.file(), reason));
        }
        if content.media_type.is_some() {
            return self.manifest(archive, digest).await;
        }
        let feed = Feed {
            archive,
            first: None,
        };
        self.take(feed, digest, size, 0, size).await
    }

    async fn manifest(&mut self, archive: &mut Archive<'_>, digest: &Digest) -> Result<(), Error> {
        let bytes = archive.whole(MANIFEST_BYTES).await?;
        if Digest::with(digest.algorithm(), &bytes) != *digest {
            let (file, digest) = (archive.file().to_owned(), *digest);
            return Err(Error::Tampered { file, digest });
        }
        self.spool.put(archive.file(), *digest, bytes).await
    }

    /// A blob of a layout that nobody described: it may be a manifest, which only `index.json` tells.
    async fn foreign_blob(
        &mut self,
        archive: &mut Archive<'_>,
        digest: &Digest,
        size: u64,
    ) -> Result<(), Error> {
        let mut first = None;
        if size <= MANIFEST_BYTES as u64 {
            let bytes = archive.whole(MANIFEST_BYTES).await?;
            if Digest::with(digest.algorithm(), &bytes) != *digest {
                let (file, digest) = (archive.file().to_owned(), *digest);
                return Err(Error::Tampered { file, digest });
            }
            if Manifest::parse(&bytes, None).is_ok() {
                return self.spool.put(archive.file(), *digest, bytes).await;
            }
            first = Some(bytes);
        }
        if let Whereabouts::Missing(_) = self.bundles.whereabouts(digest, size).await? {
            self.summary.blobs += 1;
            self.summary.blob_bytes += size;
        }
        self.take(Feed { archive, first }, digest, size, 0, size)
            .await
    }

    async fn piece(
        &mut self,
        archive: &mut Archive<'_>,
        digest: &Digest,
        number: u32,
        member: &Member,
        front: &Front,
    ) -> Result<(), Error> {
        let content = self.known.as_ref().and_then(|known| known.content(digest));
        let described = content.and_then(|content| {
            let at = (number as usize).checked_sub(1)?;
            let piece = content.pieces.get(at)?;
            let is_here = front
                .volume
                .as_ref()
                .is_some_and(|own| own.volume == piece.volume);
            (is_here && piece.length == member.size).then_some((content.size, piece.offset))
        });
        let Some((size, offset)) = described else {
            let reason =
                format!("it holds a piece of {digest} that its description does not have there");
            return Err(Error::hostile(archive.file(), reason));
        };
        let feed = Feed {
            archive,
            first: None,
        };
        let taken = self.take(feed, digest, size, offset, member.size).await;
        match taken {
            Err(Error::Tampered { digest, .. }) => Err(self.tampered(digest)),
            taken => taken,
        }
    }

    fn tampered(&self, digest: Digest) -> Error {
        let content = self.known.as_ref().and_then(|known| known.content(&digest));
        let pieces = content
            .map(|content| content.pieces.as_slice())
            .unwrap_or_default();
        let volumes: Vec<String> = pieces
            .iter()
            .map(|piece| piece.volume.to_string())
            .collect();
        let volumes = volumes.join(", ");
        Error::TamperedPiece { digest, volumes }
    }

    /// Puts a blob aside, unless it is here.
    async fn take(
        &mut self,
        feed: Feed<'_, '_>,
        digest: &Digest,
        size: u64,
        offset: u64,
        length: u64,
    ) -> Result<(), Error> {
        self.read_bytes += length;
        if self.read_bytes - self.told_bytes >= WORD {
            self.told_bytes = self.read_bytes;
            let text = format!("{} of blobs looked at", ByteSize(self.read_bytes));
            self.progress.send(text).await.map_err(|_| Error::Unheard)?;
        }
        if self.is_here(digest, size).await? {
            return Ok(());
        }
        self.bundles.stage(feed, digest, size, offset).await?;
        if let Whereabouts::Staged = self.bundles.whereabouts(digest, size).await? {
            self.verified.insert(*digest);
        }
        Ok(())
    }

    /// Whether a blob is here, all of it and sound.
    pub(super) async fn is_here(&mut self, digest: &Digest, size: u64) -> Result<bool, Error> {
        if self.verified.contains(digest) {
            return Ok(true);
        }
        let is_here = match self.bundles.whereabouts(digest, size).await? {
            Whereabouts::Held => true,
            Whereabouts::Staged if size == 0 => true,
            Whereabouts::Staged => self.bundles.is_sound(digest).await?,
            Whereabouts::Missing(_) => false,
        };
        if is_here {
            self.verified.insert(*digest);
        }
        Ok(is_here)
    }

    /// The description of all that was read; one is made for a layout that has none.
    async fn description(&mut self) -> Result<Known, Error> {
        if let Some(known) = self.known.take() {
            return Ok(known);
        }
        let Some(index) = self.index.take() else {
            return Err(Error::refused(match self.files {
                0 => "there is nothing to import",
                _ => "it holds neither a description nor an index.json",
            }));
        };
        let whole = self.options.mapping.whole();
        let inventory = layout::describe("index.json", &index, &self.spool, whole.as_ref()).await?;
        Ok(Known::new(inventory, Digest::of(&index), None))
    }

    /// What is missing, in the words of volumes where that is why.
    pub(super) async fn missing_volumes(
        &self,
        known: &Known,
        missing: &BTreeSet<Digest>,
    ) -> Result<String, Error> {
        let mut volumes: BTreeSet<u32> = BTreeSet::new();
        let (mut bytes, mut unsent) = (0, Vec::new());
        for digest in missing {
            let Some(content) = known.content(digest) else {
                unsent.push(digest.to_string());
                continue;
            };
            let have = match self.bundles.whereabouts(digest, content.size).await? {
                Whereabouts::Missing(have) => have,
                Whereabouts::Held | Whereabouts::Staged => content.size,
            };
            let is_to_come = |piece: &&Piece| piece.offset + piece.length > have;
            let pieces = content
                .pieces
                .iter()
                .filter(is_to_come)
                .map(|piece| piece.volume);
            let of = content.volume.into_iter().chain(pieces);
            let of: Vec<u32> = of.filter(|volume| !self.volumes.contains(volume)).collect();
            match of.is_empty() {
                true => unsent.push(digest.to_string()),
                false => bytes += content.size.saturating_sub(have),
            }
            volumes.extend(of);
        }
        let mut said = Vec::new();
        if !volumes.is_empty() {
            let of = known.inventory.volumes;
            let names: Vec<String> = volumes.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            said.push(format!(
                "volume {names} of {of} is missing, with {} of blobs",
                ByteSize(bytes)
            ));
        }
        if !unsent.is_empty() {
            let shown = unsent
                .iter()
                .take(20)
                .cloned()
                .collect::<Vec<_>>()
                .join(", ");
            said.push(format!(
                "{} blobs are neither in it nor here: {shown}; send the sender what `entrepot \
                 inventory` prints here, for --since",
                unsent.len()
            ));
        }
        Ok(said.join("; "))
    }
}
