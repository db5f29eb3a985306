//! The read path of a blob: held, linked, joined, fetched, or passed through.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::error::Asked;
use super::fill::{Fill, Order, Reading, Stage, Voucher};
use super::metrics::Kind;
use super::negative::Absent;
use super::through::Through;
use super::{CacheStatus, Error, Outcome, Proxy, Source};
use crate::blob::{BlobFile, Partial, PartialStream};
use crate::model::{ManifestRecord, Unit};
use crate::oci::{ByteRange, Digest};
use crate::registry::Placed;
use crate::upstream::BlobBody;

/// A blob to answer with.
pub struct BlobAnswer {
    pub size_bytes: u64,
    pub content: BlobContent,
    pub cache: CacheStatus,
}

/// Where its bytes are.
pub enum BlobContent {
    /// Here, whole and verified.
    Held(BlobFile),
    /// On their way.
    Stream(Box<BlobSource>),
}

/// What a HEAD is answered with.
#[derive(Clone, Copy, Debug)]
pub struct BlobHead {
    pub size_bytes: u64,
    pub cache: CacheStatus,
}

/// Bytes of a blob in order. An error means that the answer must be cut off.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// A blob on its way, to be read once a range.
#[derive(Clone)]
pub struct BlobSource(Way);

#[derive(Clone)]
enum Way {
    /// A growing file; if the disk fills up, the rest comes past the cache.
    Growing {
        fill: Arc<Fill>,
        partial: Partial,
        through: Through,
    },
    Through(Through),
}

/// Fetches that may fail for others before this repository's own is given up.
const TRIES: usize = 4;

/// Whether upstream was asked for a repository's right to a blob.
enum Proof {
    /// There is nothing here that one would need a right to.
    Unneeded,
    /// It has the right, and here is the blob unless it is still coming.
    Given(Option<BlobFile>),
}

/// What the repository's manifests say of a blob.
struct Named {
    units: Vec<Unit>,
    size_bytes: Option<u64>,
    /// Size of the smallest image that has it.
    image_bytes: Option<u64>,
}

impl BlobSource {
    /// Reads a range. The last piece of the blob comes only once its digest is verified.
    pub fn stream(self, range: ByteRange) -> BlobStream {
        match self.0 {
            Way::Through(through) => through.stream(range),
            Way::Growing {
                fill,
                partial,
                through,
            } => {
                let reading = fill.read();
                growing(reading, partial, range, through)
            }
        }
    }
}

/// Where a reader of a growing file is.
enum Reader {
    File(Box<FileReader>),
    /// The file has no more room; the rest comes past the cache.
    Through(BlobStream),
    Ended,
}

struct FileReader {
    reading: Reading,
    file: Partial,
    stream: PartialStream,
    /// Offset of the next byte.
    at: u64,
    through: Through,
}

fn growing(reading: Reading, file: Partial, range: ByteRange, through: Through) -> BlobStream {
    let stream = file.stream(range);
    let at = range.start;
    let reader = Box::new(FileReader {
        reading,
        file,
        stream,
        at,
        through,
    });
    let next = move |reader: Reader| reader.next(range.end);
    Box::pin(futures_util::stream::unfold(Reader::File(reader), next))
}

impl Reader {
    async fn next(self, end: u64) -> Option<(Result<Bytes, Error>, Self)> {
        match self {
            Self::Ended => None,
            Self::Through(mut stream) => stream
                .next()
                .await
                .map(|piece| (piece, Self::Through(stream))),
            Self::File(mut reader) => match reader.stream.next().await? {
                Ok(piece) => {
                    reader.at += piece.len() as u64;
                    Some((Ok(piece), Self::File(reader)))
                }
                Err(_) if reader.reading.lost_its_room(&reader.file) => {
                    let FileReader {
                        file, at, through, ..
                    } = *reader;
                    let mut rest = through.continue_after(file, at, end);
                    rest.next().await.map(|piece| (piece, Self::Through(rest)))
                }
                Err(error) => Some((Err(error.into()), Self::Ended)),
            },
        }
    }
}

impl Proxy {
    /// Answers a blob.
    ///
    /// # Errors
    /// What the client is to be told; see [`Error`].
    pub async fn blob(&self, source: &Source, digest: &Digest) -> Result<BlobAnswer, Error> {
        let answer = self.find_blob(source, digest).await?;
        self.inner
            .metrics
            .count(source.organization(), Kind::Blob, answer.cache.outcome());
        Ok(answer)
    }

    /// Answers a HEAD: what is held, what a manifest of the repository states, or else what upstream
    /// says when the blob is fetched. Upstream is never asked by HEAD: some refuse that.
    ///
    /// # Errors
    /// As [`Proxy::blob`].
    pub async fn head_blob(&self, source: &Source, digest: &Digest) -> Result<BlobHead, Error> {
        if let Some(file) = self.held_blob(source, digest).await? {
            return Ok(BlobHead {
                size_bytes: file.len(),
                cache: CacheStatus::HIT,
            });
        }
        let named = self.named(source, digest).await?;
        let may_fetch = source.cache.is_some() && self.may_ask();
        if let (Some(size_bytes), true) = (named.size_bytes, may_fetch) {
            self.refuse_absent_blob(source, digest)?;
            return Ok(BlobHead {
                size_bytes,
                cache: CacheStatus::of(Outcome::Miss),
            });
        }
        let answer = self.find_blob(source, digest).await?;
        Ok(BlobHead {
            size_bytes: answer.size_bytes,
            cache: answer.cache,
        })
    }

    /// Fetches a blob that nobody waits for, unless it is held.
    pub(super) async fn fetch_blob(&self, source: &Source, digest: &Digest) -> Result<(), Error> {
        let answer = self.find_blob(source, digest).await?;
        let BlobContent::Stream(source) = answer.content else {
            return Ok(());
        };
        match source.0 {
            Way::Growing { fill, .. } => {
                let _reading = fill.read();
                fill.ended().await?;
                fill.settled().await;
                Ok(())
            }
            Way::Through(_) => Ok(()),
        }
    }

    async fn find_blob(&self, source: &Source, digest: &Digest) -> Result<BlobAnswer, Error> {
        if let Some(file) = self.held_blob(source, digest).await? {
            return Ok(held(file, CacheStatus::HIT));
        }
        if source.is_local() {
            // What a repository has is what was pushed or mounted there, whoever names it (AZ-09).
            return Err(Error::BlobUnknown);
        }
        let Some(cache) = source.cache.clone().filter(|_| self.may_ask()) else {
            return self.linked(source, digest).await?.ok_or(Error::BlobUnknown);
        };
        self.refuse_absent_blob(source, digest)?;
        if let Some(answer) = self.linked(source, digest).await? {
            return Ok(answer);
        }
        let named = self.named(source, digest).await?;
        let mut order = Order {
            source: source.clone(),
            cache,
            digest: *digest,
            expected: named.size_bytes,
            image: named.image_bytes,
            voucher: match named.units.is_empty() {
                true => Voucher::Nobody,
                false => Voucher::Manifest,
            },
            units: named.units,
        };
        let mut failure = Error::Abandoned;
        for _ in 0..TRIES {
            if self.wants_proof(&order).await? {
                match self.prove(&order).await? {
                    Proof::Unneeded => {}
                    Proof::Given(None) => order.voucher = Voucher::Upstream,
                    Proof::Given(Some(file)) => {
                        return Ok(held(file, CacheStatus::of(Outcome::Validated)));
                    }
                }
            }
            // A fill for others that began just now: then there is something to prove.
            let Some((fill, is_first)) = self.fill(order.clone()) else {
                continue;
            };
            // A failure from before this asker came is not its answer.
            if !is_first && fill.is_over() {
                fill.moved().await;
                continue;
            }
            match self.read_fill(&order, &fill, is_first).await {
                // What upstream said to others is not what it says to this repository.
                Err(error) if !fill.is_for(source) => failure = error,
                answer => return answer,
            }
        }
        Err(failure)
    }

    async fn read_fill(
        &self,
        order: &Order,
        fill: &Arc<Fill>,
        is_first: bool,
    ) -> Result<BlobAnswer, Error> {
        let _reading = fill.read();
        let through = |size_bytes| {
            let cache = order.cache.clone();
            Through::new(&order.source, cache, order.digest, size_bytes)
        };
        match fill.stage().await {
            Stage::Growing(partial) => {
                let Some(size_bytes) = partial.total().await else {
                    return Err(fill.ended().await.err().unwrap_or(Error::Abandoned));
                };
                if size_bytes == 0 {
                    // CA-08: there is no last byte to hold back until the digest is right.
                    fill.ended().await?;
                }
                let through = through(Some(size_bytes));
                let outcome = match is_first {
                    true => Outcome::Miss,
                    false => Outcome::Joined,
                };
                let way = Way::Growing {
                    fill: fill.clone(),
                    partial,
                    through,
                };
                Ok(BlobAnswer {
                    size_bytes,
                    content: BlobContent::Stream(Box::new(BlobSource(way))),
                    cache: CacheStatus::of(outcome),
                })
            }
            Stage::Held(file) => Ok(held(file, CacheStatus::HIT)),
            Stage::Uncached => self.pass(through(order.expected), fill.take_opened()).await,
            Stage::Failed(error) => Err(error),
            Stage::Preparing => Err(Error::Abandoned),
        }
    }

    async fn pass(&self, through: Through, opened: Option<BlobBody>) -> Result<BlobAnswer, Error> {
        let (through, size_bytes) = through.open(opened, &self.inner.metrics).await?;
        let content = BlobContent::Stream(Box::new(BlobSource(Way::Through(through))));
        Ok(BlobAnswer {
            size_bytes,
            content,
            cache: CacheStatus::of(Outcome::Uncached),
        })
    }

    async fn held_blob(&self, source: &Source, digest: &Digest) -> Result<Option<BlobFile>, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(None);
        };
        let registry = self.registry();
        let held = registry
            .lookup_blob(source.organization, repository, digest)
            .await?;
        Ok(held.map(|held| {
            held.unit.into_iter().for_each(|unit| registry.touch(unit));
            held.file
        }))
    }

    /// A blob whose bytes another repository brought here, for a repository whose own manifest names
    /// it: linked, not fetched.
    async fn linked(&self, source: &Source, digest: &Digest) -> Result<Option<BlobAnswer>, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(None);
        };
        let registry = self.registry();
        if self.named(source, digest).await?.units.is_empty()
            || registry
                .is_private_elsewhere(source.organization, digest)
                .await?
        {
            return Ok(None);
        }
        let placed = Placed {
            namespace: source.organization,
            repository,
        };
        match self.registry().link_held_blob(&placed, *digest).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // It is here, and does not fit into this organisation's account: read, not linked.
            Err(error) if error.is_unkept() => {
                let file = self.registry().unlinked_blob(digest).await?;
                return Ok(file.map(|file| held(file, CacheStatus::of(Outcome::Uncached))));
            }
            Err(error) => return Err(error.into()),
        }
        let file = self.held_blob(source, digest).await?;
        Ok(file.map(|file| held(file, CacheStatus::HIT)))
    }

    async fn named(&self, source: &Source, digest: &Digest) -> Result<Named, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(Named {
                units: vec![],
                size_bytes: None,
                image_bytes: None,
            });
        };
        let manifests = self.registry().naming_manifests(repository, digest).await?;
        let size = |blobs: &[(Digest, u64)]| {
            blobs
                .iter()
                .find(|(blob, _)| blob == digest)
                .map(|(_, size)| *size)
        };
        let size_bytes = manifests.iter().find_map(|(_, record)| size(&record.blobs));
        let image_bytes = manifests.iter().map(|(_, record)| image_size(record)).min();
        let unit = |digest| Unit {
            namespace: source.organization,
            repository,
            digest,
        };
        let units = manifests
            .into_iter()
            .map(|(digest, _)| unit(digest))
            .collect();
        Ok(Named {
            units,
            size_bytes,
            image_bytes,
        })
    }

    /// Whether upstream has to be asked before bytes that others bring may be read.
    async fn wants_proof(&self, order: &Order) -> Result<bool, Error> {
        let Order { source, digest, .. } = order;
        match order.voucher {
            Voucher::Upstream => Ok(false),
            Voucher::Nobody => Ok(true),
            Voucher::Manifest => Ok(self.is_filling_privately(digest, source)
                || self
                    .registry()
                    .is_private_elsewhere(source.organization, digest)
                    .await?),
        }
    }

    /// A digest alone is no right to bytes that others brought here (AZ-01, AZ-04): where no manifest
    /// of the repository names the blob, or its bytes are those of private organisations only, upstream
    /// is asked whether the repository has it.
    async fn prove(&self, order: &Order) -> Result<Proof, Error> {
        let Order {
            source,
            cache,
            digest,
            ..
        } = order;
        // In this order: a fill leaves the list when its blob is here.
        let is_coming = self.is_filling_for_others(digest, source);
        if !is_coming && self.registry().unlinked_blob(digest).await?.is_none() {
            // Whoever begins the fill asks upstream in this repository's name.
            return Ok(Proof::Unneeded);
        }
        // The repository's own fill may have ended since it was looked for.
        if let Some(file) = self.held_blob(source, digest).await? {
            return Ok(Proof::Given(Some(file)));
        }
        if let Err(error) = cache.upstream.open_blob(&source.name, digest, 0).await {
            if error.is_absent() {
                self.note_absent_blob(source, digest);
            }
            let has_account = cache.rule.credentials.is_some();
            let organization = source.organization();
            let told = Error::from_upstream(&error, Asked::Blob, organization, has_account);
            return Err(told);
        }
        self.link_vouched(source, digest).await.map(Proof::Given)
    }

    /// The blob, if it is here, for a repository that has a right to it; linked if there is room.
    async fn link_vouched(
        &self,
        source: &Source,
        digest: &Digest,
    ) -> Result<Option<BlobFile>, Error> {
        let registry = self.registry();
        let Some(file) = registry.unlinked_blob(digest).await? else {
            return Ok(None);
        };
        let linked = async {
            let repository = registry
                .ensure_repository(source.organization, &source.name)
                .await?;
            let placed = Placed {
                namespace: source.organization,
                repository,
            };
            registry.link_held_blob(&placed, *digest).await
        };
        match linked.await {
            Err(error) if !error.is_unkept() => Err(error.into()),
            _ => Ok(Some(file)),
        }
    }

    /// The blob that a fill is begun for, if another has brought it in the meantime.
    pub(super) async fn filled(&self, order: &Order) -> Result<Option<BlobFile>, Error> {
        match self.wants_proof(order).await? {
            false => self.link_vouched(&order.source, &order.digest).await,
            true => self.held_blob(&order.source, &order.digest).await,
        }
    }

    fn refuse_absent_blob(&self, source: &Source, digest: &Digest) -> Result<(), Error> {
        let believed = self.inner.settings.load().deadlines.negative;
        let what = Absent::Blob(source.organization, source.name.clone(), *digest);
        if self.inner.negative.is_absent(&what, believed, self.now()) {
            return Err(Error::BlobUnknown);
        }
        Ok(())
    }

    pub(super) fn note_absent_blob(&self, source: &Source, digest: &Digest) {
        let what = Absent::Blob(source.organization, source.name.clone(), *digest);
        self.inner.negative.note(what, self.now());
    }
}

/// Bytes of a manifest and of everything it names.
fn image_size(record: &ManifestRecord) -> u64 {
    let blobs = record.blobs.iter().map(|(_, size)| *size);
    blobs.fold(record.size_bytes, u64::saturating_add)
}

fn held(file: BlobFile, cache: CacheStatus) -> BlobAnswer {
    BlobAnswer {
        size_bytes: file.len(),
        content: BlobContent::Held(file),
        cache,
    }
}
