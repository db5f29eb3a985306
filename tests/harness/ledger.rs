//! What one pushing client was told, kept outside the server, and what follows from it (TP-02).
//!
//! Every change is noted before it is asked for and again when it is acknowledged. A change that was
//! neither acknowledged nor refused may have taken place or not, as a whole: [`Ledger::settle`] looks
//! which, and takes no third state. [`Ledger::expectations`] says what must, may and must not be there;
//! [`check`] asks for it and hashes every byte that comes.
//!
//! One client owns all that its ledger speaks of, except for the layers that its images share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use entrepot::oci::Digest;
use futures_util::StreamExt as _;

use super::content::Image;
use super::pusher::{Cut, Pusher};

/// Earlier than the end of a grace period by what clocks and answers may differ.
const MARGIN: Duration = Duration::from_millis(100);

/// Requests of one check that run side by side.
const ASKED_AT_ONCE: usize = 8;

/// Something that a client wants to be so.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    PushBlob(Bytes),
    DeleteBlob(Digest),
    PushManifest(Image, Option<String>),
    DeleteTag(String),
    DeleteManifest(Digest),
}

/// What is known of something with a digest.
#[derive(Clone, Debug)]
struct Known<T> {
    content: T,
    /// When it was last pushed; `None`: deleted.
    since: Option<Instant>,
}

/// What one client was told.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) repository: String,
    /// For how long what nothing names is kept.
    grace: Duration,
    tags: BTreeMap<String, Digest>,
    manifests: HashMap<Digest, Known<Image>>,
    /// Those that a tag has pointed to since they were pushed: without one they may go at once.
    named: BTreeSet<Digest>,
    /// Blobs that were pushed for themselves.
    blobs: HashMap<Digest, Known<Bytes>>,
    pending: Option<(Change, Instant)>,
    touched: BTreeSet<Digest>,
    pub(crate) acknowledged: usize,
}

/// What an answer is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Must {
    Be,
    /// Until then; afterwards it may be gone.
    BeUntil(Instant),
    NotBe,
}

/// One thing to ask for.
pub(crate) struct Expectation {
    path: String,
    must: Must,
    content: Bytes,
}

impl Ledger {
    pub(crate) fn new(repository: &str, grace: Duration) -> Self {
        Self {
            repository: repository.to_owned(),
            grace,
            tags: BTreeMap::new(),
            manifests: HashMap::new(),
            named: BTreeSet::new(),
            blobs: HashMap::new(),
            pending: None,
            touched: BTreeSet::new(),
            acknowledged: 0,
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Notes what is going to be asked for.
    pub(crate) fn begin(&mut self, change: Change) {
        assert!(self.pending.is_none(), "one change at a time");
        self.pending = Some((change, Instant::now()));
    }

    /// The change was acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        let (change, at) = self.pending.take().expect("a change was begun");
        self.acknowledged += 1;
        self.apply(change, at);
    }

    /// The change was refused: all is as it was.
    pub(crate) fn refuse(&mut self) {
        self.pending = None;
    }

    pub(crate) const fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    fn apply(&mut self, change: Change, at: Instant) {
        match change {
            Change::PushBlob(bytes) => {
                let digest = Digest::of(&bytes);
                let known = Known {
                    content: bytes,
                    since: Some(at),
                };
                self.touched.insert(digest);
                self.blobs.insert(digest, known);
            }
            Change::DeleteBlob(digest) => {
                self.touched.insert(digest);
                if let Some(known) = self.blobs.get_mut(&digest) {
                    known.since = None;
                }
            }
            Change::PushManifest(image, tag) => {
                let digest = image.digest();
                self.touched.insert(digest);
                // What is named is no longer kept for itself: it goes with what names it.
                for blob in image.blobs() {
                    self.blobs.remove(&Digest::of(blob));
                }
                match tag {
                    Some(tag) => {
                        self.tags.insert(tag, digest);
                        self.named.insert(digest);
                    }
                    None => _ = self.named.remove(&digest),
                }
                let known = Known {
                    content: image,
                    since: Some(at),
                };
                self.manifests.insert(digest, known);
            }
            Change::DeleteTag(tag) => {
                self.touched.extend(self.tags.remove(&tag));
            }
            Change::DeleteManifest(digest) => {
                self.touched.insert(digest);
                self.tags.retain(|_, pointed| *pointed != digest);
                if let Some(known) = self.manifests.get_mut(&digest) {
                    known.since = None;
                }
            }
        }
    }

    /// Tags that exist, sorted.
    pub(crate) fn tags(&self) -> Vec<String> {
        self.tags.keys().cloned().collect()
    }

    /// What a tag points to.
    pub(crate) fn tagged(&self, tag: &str) -> Option<&Image> {
        let digest = self.tags.get(tag)?;
        Some(&self.manifests[digest].content)
    }

    /// Whether a blob that was pushed for itself is there: `None` if nothing is known of it, or if it
    /// may have been collected.
    pub(crate) fn has_blob(&self, digest: &Digest) -> Option<bool> {
        match self.blobs.get(digest)?.since {
            None => Some(false),
            Some(since) if Instant::now() + MARGIN < since + self.grace => Some(true),
            Some(_) => None,
        }
    }

    /// Manifests that were deleted and not pushed again, in a fixed order.
    pub(crate) fn deleted(&self) -> Vec<Image> {
        let known = self.manifests.iter();
        let mut known: Vec<_> = known.filter(|(_, known)| known.since.is_none()).collect();
        known.sort_by_key(|(digest, _)| **digest);
        known
            .into_iter()
            .map(|(_, known)| known.content.clone())
            .collect()
    }

    /// Whether a push that was answered with a failure can be seen all the same.
    pub(crate) async fn shows_failed(&self, pusher: &Pusher) -> Result<bool, Cut> {
        let Some((Change::PushManifest(image, tag), _)) = &self.pending else {
            return Ok(false);
        };
        let digest = image.digest();
        if self.manifests.contains_key(&digest) {
            return Ok(false);
        }
        for name in tag.iter().cloned().chain([digest.to_string()]) {
            let path = format!("/v2/{}/manifests/{name}", self.repository);
            let reply = pusher.get(&path).await?;
            if reply.status == 200 && Digest::of(&reply.body) == digest {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks what became of the change that a crash came into; an error is a state that is neither
    /// the one before nor the one after.
    pub(crate) async fn settle(&mut self, pusher: &Pusher) -> Result<(), String> {
        let Some((change, at)) = self.pending.take() else {
            return Ok(());
        };
        let took_place = match &change {
            Change::PushBlob(bytes) => self.has(pusher, "blobs", &Digest::of(bytes)).await,
            Change::DeleteBlob(digest) => !self.has(pusher, "blobs", digest).await,
            Change::PushManifest(image, tag) => {
                let digest = image.digest();
                let is_there = self.has(pusher, "manifests", &digest).await;
                let was_there = self.manifests.get(&digest);
                let was_there = was_there.is_some_and(|known| known.since.is_some());
                match tag {
                    None => is_there,
                    Some(tag) => {
                        let points = self.points_to(pusher, tag).await;
                        let moved = points == Some(digest);
                        if !moved && points != self.tags.get(tag).copied() {
                            return Err(format!("{tag} points to {points:?} after {change:?}"));
                        }
                        if is_there && !moved && !was_there {
                            return Err(format!("{digest} came without its tag {tag}"));
                        }
                        moved
                    }
                }
            }
            Change::DeleteTag(tag) => match self.points_to(pusher, tag).await {
                None => true,
                points if points == self.tags.get(tag).copied() => false,
                points => return Err(format!("{tag} points to {points:?} after its deletion")),
            },
            Change::DeleteManifest(digest) => !self.has(pusher, "manifests", digest).await,
        };
        if took_place {
            self.apply(change, at);
        }
        Ok(())
    }

    async fn has(&self, pusher: &Pusher, what: &str, digest: &Digest) -> bool {
        let path = format!("/v2/{}/{what}/{digest}", self.repository);
        let reply = pusher.head(&path).await.unwrap();
        assert!(matches!(reply.status, 200 | 404), "{path}: {reply:?}");
        reply.status == 200
    }

    async fn points_to(&self, pusher: &Pusher, tag: &str) -> Option<Digest> {
        let path = format!("/v2/{}/manifests/{tag}", self.repository);
        let reply = pusher.get(&path).await.unwrap();
        assert!(matches!(reply.status, 200 | 404), "{path}: {reply:?}");
        (reply.status == 200).then(|| Digest::of(&reply.body))
    }

    /// What is to be asked for: everything, or tags and what changed since the last time.
    pub(crate) fn expectations(&mut self, everything: bool) -> Vec<Expectation> {
        let touched = std::mem::take(&mut self.touched);
        let asked = |digest: &Digest| everything || touched.contains(digest);
        let mut all = Vec::new();
        for (tag, digest) in &self.tags {
            let manifest = self.manifests[digest].content.manifest.bytes.clone();
            all.push(self.expect("manifests", tag, Must::Be, manifest));
        }
        let tagged: BTreeSet<Digest> = self.tags.values().copied().collect();
        for (digest, known) in self.manifests.iter().filter(|(digest, _)| asked(digest)) {
            let must = match known.since {
                None => Must::NotBe,
                Some(_) if tagged.contains(digest) => Must::Be,
                Some(since) if self.named.contains(digest) => Must::BeUntil(since),
                Some(since) => Must::BeUntil(since + self.grace - MARGIN),
            };
            let image = &known.content;
            let (name, manifest) = (digest.to_string(), image.manifest.bytes.clone());
            all.push(self.expect("manifests", &name, must, manifest));
            if must != Must::NotBe {
                for blob in image.blobs() {
                    let name = Digest::of(blob).to_string();
                    all.push(self.expect("blobs", &name, must, blob.clone()));
                }
            }
        }
        for (digest, known) in self.blobs.iter().filter(|(digest, _)| asked(digest)) {
            let until = |since| Must::BeUntil(since + self.grace - MARGIN);
            let must = known.since.map_or(Must::NotBe, until);
            all.push(self.expect("blobs", &digest.to_string(), must, known.content.clone()));
        }
        all
    }

    fn expect(&self, what: &str, name: &str, must: Must, content: Bytes) -> Expectation {
        Expectation {
            path: format!("/v2/{}/{what}/{name}", self.repository),
            must,
            content,
        }
    }

    /// Forgets what may be gone, and all but `most` of the manifests that are.
    pub(crate) fn forget_gone(&mut self, most: usize) {
        let tagged: BTreeSet<Digest> = self.tags.values().copied().collect();
        let now = Instant::now();
        let grace = self.grace;
        // What nothing names is no promise once its time has passed.
        let is_loose = |since: Instant| now > since + grace;
        self.blobs
            .retain(|_, known| known.since.is_none_or(|since| !is_loose(since)));
        self.manifests.retain(|digest, known| {
            tagged.contains(digest) || known.since.is_none_or(|since| !is_loose(since))
        });
        let gone: Vec<Digest> = self.deleted().iter().map(Image::digest).collect();
        for digest in gone.iter().skip(most) {
            self.manifests.remove(digest);
        }
    }
}

/// Asks for all of it; returns what is not as it must be.
pub(crate) async fn check(pusher: &Pusher, all: Vec<Expectation>) -> Vec<String> {
    let asking = futures_util::stream::iter(all).map(|expected| async move {
        let came = ask(pusher, &expected).await;
        came.unwrap_or_else(|Cut| Some(format!("{}: the connection broke", expected.path)))
    });
    let wrong = asking.buffer_unordered(ASKED_AT_ONCE);
    wrong.filter_map(std::future::ready).collect().await
}

/// One answer; what is wrong with it, if anything is.
async fn ask(pusher: &Pusher, expected: &Expectation) -> Result<Option<String>, Cut> {
    let Expectation {
        path,
        must,
        content,
    } = expected;
    let reply = pusher.get(path).await?;
    let wrong = match (reply.status, must) {
        // Whether it may be there or not: no wrong byte, ever.
        (200, _) if reply.body != *content => Some("wrong bytes"),
        (200, Must::NotBe) => Some("is back"),
        (200, _) | (404, Must::NotBe) => None,
        (404, Must::BeUntil(until)) if Instant::now() >= *until => None,
        (404, _) => Some("is lost"),
        _ => Some("is neither there nor absent"),
    };
    Ok(wrong.map(|wrong| format!("{path}: {wrong} ({}, {must:?})", reply.status)))
}
