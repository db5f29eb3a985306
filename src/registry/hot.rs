//! Hot content in memory: finished manifest answers, tags, blob sizes.
//!
//! Presence is never relied on and rights are decided before the look-up. By-digest entries never go
//! stale. A tag's entry carries the generation of its repository as it was before the row was read; a
//! write bumps the generation after its commit, and a fill with an old one is dropped, so that a slow
//! reader cannot put back what a write replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ::http::HeaderValue;
use bytes::Bytes;
use moka::sync::Cache;

use crate::model::{
    ByteSize, NamespaceId, RepositoryId, RepositoryRecord, TagRecord, Timestamp, Unit,
};
use crate::oci::{Digest, RawManifest, RepositoryName, Tag};

const GENERATIONS: usize = 4096;
const TAGS: u64 = 65_536;
const BLOBS: u64 = 65_536;
const REPOSITORIES: u64 = 16_384;
/// What an entry costs beside its bytes, about: its headers, its key, its place in the cache.
const OVERHEAD_BYTES: usize = 1280;

pub(super) struct Hot {
    manifests: Cache<(RepositoryId, Digest), Arc<HeldManifest>>,
    tags: Cache<(RepositoryId, Tag), Arc<HotTag>>,
    blobs: Cache<(RepositoryId, Digest), HotBlob>,
    records: Cache<RepositoryId, Arc<RepositoryRecord>>,
    /// Names never change their repository while it exists, so these are forgotten only when one goes.
    repositories: Cache<(NamespaceId, RepositoryName), RepositoryId>,
    /// Moves when a repository goes.
    names: AtomicU64,
    generations: Box<[AtomicU64]>,
}

/// A manifest with all that an answer needs, ready to send.
#[derive(Debug)]
pub struct HeldManifest {
    pub raw: RawManifest,
    pub unit: Unit,
    /// `Content-Type`
    pub content_type: HeaderValue,
    /// `Docker-Content-Digest`
    pub digest: HeaderValue,
    /// `ETag`: the digest in quotes.
    pub etag: HeaderValue,
}

impl HeldManifest {
    /// Copies the bytes: those of a request are a piece of the buffer that its connection reads into, which is
    /// many times as large and would stay with them (RS-01).
    pub fn new(raw: RawManifest, unit: Unit) -> Self {
        let raw = RawManifest {
            bytes: Bytes::copy_from_slice(&raw.bytes),
            ..raw
        };
        let text = raw.digest.to_string();
        let value = |text: &str| {
            HeaderValue::from_str(text).expect("digests and media types are printable ASCII")
        };
        Self {
            content_type: value(raw.media_type.as_str()),
            digest: value(&text),
            etag: value(&format!("\"{text}\"")),
            raw,
            unit,
        }
    }
}

/// A tag as read, with its newest validation, which runs ahead of the row between flushes.
#[derive(Debug)]
pub struct HotTag {
    pub record: TagRecord,
    validated: AtomicI64,
}

impl HotTag {
    pub(super) fn new(record: TagRecord, validated: Timestamp) -> Self {
        Self {
            record,
            validated: AtomicI64::new(validated.as_millis()),
        }
    }

    /// When upstream last confirmed where it points.
    pub fn validated(&self) -> Timestamp {
        Timestamp::from_millis(self.validated.load(Ordering::Relaxed))
    }

    pub(super) fn renew(&self, now: Timestamp) {
        self.validated.fetch_max(now.as_millis(), Ordering::Relaxed);
    }
}

/// A blob linked in a repository.
#[derive(Clone, Copy, Debug)]
pub(super) struct HotBlob {
    pub(super) size_bytes: u64,
    /// The unit that a use of it is a use of, where there is exactly one.
    pub(super) unit: Option<Unit>,
}

/// A repository's generation, taken before its rows are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Generation(u64);

impl Hot {
    pub(super) fn new(budget: ByteSize) -> Self {
        let weigh = |_: &(RepositoryId, Digest), manifest: &Arc<HeldManifest>| {
            u32::try_from(manifest.raw.bytes.len() + OVERHEAD_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            manifests: Cache::builder()
                .max_capacity(budget.bytes())
                .weigher(weigh)
                .build(),
            tags: Cache::new(TAGS),
            blobs: Cache::new(BLOBS),
            records: Cache::new(REPOSITORIES),
            repositories: Cache::new(REPOSITORIES),
            names: AtomicU64::new(0),
            generations: (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(super) fn generation(&self, repository: RepositoryId) -> Generation {
        Generation(self.counter(repository).load(Ordering::Acquire))
    }

    pub(super) fn repository(&self, key: &(NamespaceId, RepositoryName)) -> Option<RepositoryId> {
        self.repositories.get(key)
    }

    /// The generation of all names, taken before one is looked up.
    pub(super) fn names(&self) -> Generation {
        Generation(self.names.load(Ordering::Acquire))
    }

    pub(super) fn fill_repository(
        &self,
        read: Generation,
        key: (NamespaceId, RepositoryName),
        id: RepositoryId,
    ) {
        self.repositories.insert(key.clone(), id);
        if self.names() != read {
            self.repositories.invalidate(&key);
        }
    }

    /// Called after a commit that took a repository away.
    pub(super) fn repository_gone(&self, name: &(NamespaceId, RepositoryName), id: RepositoryId) {
        self.names.fetch_add(1, Ordering::AcqRel);
        self.repositories.invalidate(name);
        self.record_changed(id);
    }

    pub(super) fn record(&self, id: RepositoryId) -> Option<Arc<RepositoryRecord>> {
        self.records.get(&id)
    }

    pub(super) fn fill_record(
        &self,
        read: Generation,
        id: RepositoryId,
        record: Arc<RepositoryRecord>,
    ) {
        self.records.insert(id, record);
        if self.generation(id) != read {
            self.records.invalidate(&id);
        }
    }

    /// Called after a commit that changed the record of a repository.
    pub(super) fn record_changed(&self, id: RepositoryId) {
        self.counter(id).fetch_add(1, Ordering::AcqRel);
        self.records.invalidate(&id);
    }

    pub(super) fn manifest(&self, key: &(RepositoryId, Digest)) -> Option<Arc<HeldManifest>> {
        self.manifests.get(key)
    }

    pub(super) fn tag(&self, key: &(RepositoryId, Tag)) -> Option<Arc<HotTag>> {
        self.tags.get(key)
    }

    pub(super) fn blob(&self, key: &(RepositoryId, Digest)) -> Option<HotBlob> {
        self.blobs.get(key)
    }

    pub(super) fn fill_manifest(&self, read: Generation, manifest: Arc<HeldManifest>) {
        let key = (manifest.unit.repository, manifest.raw.digest);
        self.manifests.insert(key, manifest);
        if self.generation(key.0) != read {
            self.manifests.invalidate(&key);
        }
    }

    pub(super) fn fill_tag(&self, read: Generation, key: (RepositoryId, Tag), tag: Arc<HotTag>) {
        self.tags.insert(key.clone(), tag);
        if self.generation(key.0) != read {
            self.tags.invalidate(&key);
        }
    }

    pub(super) fn fill_blob(&self, read: Generation, key: (RepositoryId, Digest), blob: HotBlob) {
        self.blobs.insert(key, blob);
        if self.generation(key.0) != read {
            self.blobs.invalidate(&key);
        }
    }

    /// Called after a commit that changed rows of `repository`: bumps first, so that a reader who
    /// fills afterwards sees it, then forgets what the commit touched.
    pub(super) fn changed(&self, repository: RepositoryId, touched: &Touched) {
        self.counter(repository).fetch_add(1, Ordering::AcqRel);
        for tag in &touched.tags {
            self.tags.invalidate(&(repository, tag.clone()));
        }
        for digest in &touched.digests {
            self.manifests.invalidate(&(repository, *digest));
            self.blobs.invalidate(&(repository, *digest));
        }
    }

    pub(super) fn forget_blob(&self, key: &(RepositoryId, Digest)) {
        self.blobs.invalidate(key);
    }

    fn counter(&self, repository: RepositoryId) -> &AtomicU64 {
        let share = repository.0 % GENERATIONS as u64;
        &self.generations[usize::try_from(share).expect("less than 4096")]
    }
}

/// What a commit changed in one repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    pub(super) tags: Vec<Tag>,
    pub(super) digests: Vec<Digest>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Actor;

    const REPOSITORY: RepositoryId = RepositoryId(7);

    fn tag(name: &str) -> (RepositoryId, Tag) {
        (REPOSITORY, name.parse().unwrap())
    }

    fn record(content: &[u8]) -> Arc<HotTag> {
        let since = Timestamp::default();
        let record = TagRecord::new(Digest::of(content), since, Actor::System);
        Arc::new(HotTag::new(record, since))
    }

    #[test]
    fn a_slow_reader_cannot_put_back_what_a_write_replaced() {
        let hot = Hot::new(ByteSize::mib(1));
        let read = hot.generation(REPOSITORY);
        hot.changed(
            REPOSITORY,
            &Touched {
                tags: vec![tag("a").1],
                digests: vec![],
            },
        );
        hot.fill_tag(read, tag("a"), record(b"old"));
        assert!(hot.tag(&tag("a")).is_none());
        hot.fill_tag(hot.generation(REPOSITORY), tag("a"), record(b"new"));
        assert_eq!(
            hot.tag(&tag("a")).unwrap().record.digest,
            Digest::of(b"new")
        );
    }

    /// RS-01: what is kept is as large as it is counted.
    #[test]
    fn a_held_manifest_keeps_nothing_of_the_buffer_it_came_in() {
        let buffer = Arc::new(br#"GET / {"schemaVersion":2,"manifests":[]}"#.to_vec());
        struct Owner(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Owner {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        let bytes = Bytes::from_owner(Owner(buffer.clone())).slice(6..);
        let (raw, _) = RawManifest::parse(bytes, None).unwrap();
        let unit = Unit {
            namespace: NamespaceId(1),
            repository: REPOSITORY,
            digest: raw.digest,
        };
        let held = HeldManifest::new(raw, unit);
        assert_eq!(Digest::of(&held.raw.bytes), unit.digest);
        assert_eq!(Arc::strong_count(&buffer), 1);
    }

    #[test]
    fn validations_only_move_forward() {
        let tag = record(b"");
        tag.renew(Timestamp::from_millis(5));
        tag.renew(Timestamp::from_millis(3));
        assert_eq!(tag.validated(), Timestamp::from_millis(5));
    }
}
