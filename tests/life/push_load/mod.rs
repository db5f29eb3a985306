//! The load of the crash tests: what several clients do to a few repositories, all at once.
//!
//! Each client keeps a ledger and does one thing after the other, chosen by chance: pushes images in
//! every form, moves and deletes tags, deletes manifests and blobs, pulls, mounts, goes on with
//! uploads that an earlier process has begun. It ends when a connection breaks. An answer that cannot
//! be right ends the test.

mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use entrepot::oci::Digest;
use reqwest::Method;
use tokio::sync::Notify;

use crate::harness::chance::Chance;
use crate::harness::content::{self, Image};
use crate::harness::ledger::{Change, Ledger};
use crate::harness::pusher::{Cut, Pusher, Reply, Way};
use session::Session;

/// Tags that a client has, and images that were deleted and may come back.
const TAGS: usize = 6;
/// Layers that the images of all clients share.
const SHARED: u64 = 8;

/// Counts what clients were told, so that a kill comes at a chosen point of their work.
#[derive(Default)]
pub(super) struct Meter {
    begun: AtomicUsize,
    acknowledged: AtomicUsize,
    changed: Notify,
    over: Notify,
}

impl Meter {
    /// Has whoever waits in [`Meter::woken`], or will, go on.
    pub(super) fn wake(&self) {
        self.over.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.over.notified().await;
    }

    /// Waits until so many more answers came, and then so many requests more were begun.
    pub(super) async fn reach(&self, answers: usize, then_begun: usize) {
        let answers = self.acknowledged.load(Ordering::SeqCst) + answers;
        self.wait(|| self.acknowledged.load(Ordering::SeqCst) >= answers)
            .await;
        let begun = self.begun.load(Ordering::SeqCst) + then_begun;
        self.wait(|| self.begun.load(Ordering::SeqCst) >= begun)
            .await;
    }

    async fn wait(&self, is_reached: impl Fn() -> bool) {
        loop {
            let changed = self.changed.notified();
            if is_reached() {
                return;
            }
            changed.await;
        }
    }

    fn count(&self, counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_waiters();
    }
}

/// A client at work.
pub(super) struct Client {
    number: u64,
    chance: Chance,
    pub(super) ledger: Ledger,
    /// Another repository, of which it mounts.
    neighbour: String,
    images: u64,
    /// Blobs that no image names.
    strays: Vec<Bytes>,
    session: Option<Session>,
}

/// What a client works with while one process lives.
#[derive(Clone)]
pub(super) struct At {
    pub(super) pusher: Pusher,
    pub(super) meter: Arc<Meter>,
    /// Whether the server may say that it failed; nobody knows then what it did.
    pub(super) may_fail: bool,
}

impl At {
    pub(super) fn new(pusher: Pusher) -> Self {
        Self {
            pusher,
            meter: Arc::default(),
            may_fail: false,
        }
    }

    /// Waits for an answer, and counts it.
    async fn hear(&self, asking: impl Future<Output = Result<Reply, Cut>>) -> Result<Reply, Cut> {
        self.meter.count(&self.meter.begun);
        let reply = asking.await?;
        self.meter.count(&self.meter.acknowledged);
        if self.may_fail && reply.status >= 500 {
            return Err(Cut);
        }
        assert!(reply.status < 500, "{reply:?}");
        Ok(reply)
    }
}

impl Client {
    pub(super) fn new(number: u64, repository: &str, neighbour: &str, mut chance: Chance) -> Self {
        Self {
            number,
            chance: chance.split(),
            ledger: Ledger::new(repository, super::push_crash::GRACE),
            neighbour: neighbour.to_owned(),
            images: 0,
            strays: Vec::new(),
            session: None,
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Works until the connection breaks.
    pub(super) async fn work(&mut self, at: &At) -> Cut {
        loop {
            let done = match self.chance.of(0..100) {
                0..36 => self.push_new(at).await,
                36..46 => self.retag(at).await,
                46..58 => self.delete_tag(at).await,
                58..66 => self.delete_manifest(at).await,
                66..70 => self.push_again(at).await,
                70..80 => self.pull(at).await,
                80..86 => self.push_stray(at).await,
                86..90 => self.delete_stray(at).await,
                90..93 => self.delete_used(at).await,
                _ => self.go_on_uploading(at).await,
            };
            if let Err(cut) = done {
                return cut;
            }
        }
    }

    fn path(&self, what: &str, name: impl std::fmt::Display) -> String {
        format!("/v2/{}/{what}/{name}", self.ledger.repository)
    }

    fn any_tag(&mut self) -> String {
        format!("c{}t{}", self.number, self.chance.of(0..TAGS))
    }

    /// A tag that exists, and its image.
    fn some_tag(&mut self) -> Option<(String, Image)> {
        let tags = self.ledger.tags();
        let tag = self.chance.one(&tags)?.clone();
        let image = self.ledger.tagged(&tag)?.clone();
        Some((tag, image))
    }

    /// An image that never was: a layer of its own, and some that others have too.
    pub(super) fn new_image(&mut self) -> Image {
        self.images += 1;
        let seed = self.number * 1_000_000 + self.images;
        let own = content::bytes(seed, self.chance.of(100..40_000));
        let mut layers = vec![own];
        for _ in 0..self.chance.of(0..3) {
            let shared = self.chance.next() % SHARED;
            let len = 2_000 << shared;
            layers.push(content::bytes(u64::MAX - shared, len));
        }
        Image::of_layers(seed, &layers)
    }

    /// Asks for a change, and notes what is said of it.
    async fn change(
        &mut self,
        at: &At,
        change: Change,
        asking: impl Future<Output = Result<Reply, Cut>>,
    ) -> Result<Reply, Cut> {
        self.ledger.begin(change);
        let reply = at.hear(asking).await?;
        match reply.status {
            201 | 202 => self.ledger.acknowledge(),
            _ => self.ledger.refuse(),
        }
        Ok(reply)
    }

    async fn push_new(&mut self, at: &At) -> Result<(), Cut> {
        let image = self.new_image();
        let tag = self.any_tag();
        let tag = (self.chance.of(0..8) > 0).then_some(tag);
        self.push(at, image, tag).await
    }

    /// Pushes as clients do: what is there already is not sent again.
    pub(super) async fn push(
        &mut self,
        at: &At,
        image: Image,
        tag: Option<String>,
    ) -> Result<(), Cut> {
        let begun = Instant::now();
        for blob in image.blobs() {
            let path = self.path("blobs", Digest::of(blob));
            let found = at.hear(at.pusher.head(&path)).await?;
            if found.status == 404 {
                self.push_blob(at, blob).await?;
            } else {
                assert_eq!(found.status, 200, "{path}");
            }
        }
        let repository = self.ledger.repository.clone();
        let name = tag.clone().unwrap_or_else(|| image.digest().to_string());
        let put = at.pusher.put_manifest(&repository, &name, &image.manifest);
        let change = Change::PushManifest(image.clone(), tag);
        let reply = self.change(at, change, put).await?;
        // Only a client slower than the grace period finds its blobs collected.
        let is_late = begun.elapsed() + Duration::from_millis(100) > self.ledger.grace();
        assert!(reply.status == 201 || is_late, "{name}: {reply:?}");
        Ok(())
    }

    async fn push_blob(&mut self, at: &At, blob: &Bytes) -> Result<(), Cut> {
        let repository = self.ledger.repository.clone();
        let change = Change::PushBlob(blob.clone());
        if self.chance.of(0..4) == 0 {
            let digest = Digest::of(blob);
            let (uploads, from) = (self.path("blobs", "uploads/"), &self.neighbour);
            let path = format!("{uploads}?mount={digest}&from={from}");
            let mount = at.pusher.request(Method::POST, &path);
            self.ledger.begin(change.clone());
            let reply = at.hear(at.pusher.send(mount)).await?;
            if reply.status == 201 {
                self.ledger.acknowledge();
                return Ok(());
            }
            assert_eq!(reply.status, 202, "{reply:?}");
            self.ledger.refuse();
        }
        let way = match self.chance.of(0..3) {
            0 => Way::Single,
            1 => Way::Whole,
            _ => Way::Pieces(self.chance.of(1..4) * blob.len().div_ceil(3)),
        };
        let push = at.pusher.push_blob(&repository, blob, way);
        let reply = self.change(at, change, push).await?;
        assert_eq!(reply.status, 201, "{reply:?}");
        Ok(())
    }

    async fn retag(&mut self, at: &At) -> Result<(), Cut> {
        let Some((_, image)) = self.some_tag() else {
            return self.push_new(at).await;
        };
        let tag = self.any_tag();
        self.push(at, image, Some(tag)).await
    }

    async fn push_again(&mut self, at: &At) -> Result<(), Cut> {
        let deleted = self.ledger.deleted();
        let Some(image) = self.chance.one(&deleted).cloned() else {
            return Ok(());
        };
        let tag = self.any_tag();
        self.push(at, image, Some(tag)).await
    }

    async fn delete_tag(&mut self, at: &At) -> Result<(), Cut> {
        let Some((tag, _)) = self.some_tag() else {
            return self.push_new(at).await;
        };
        let path = self.path("manifests", &tag);
        let change = Change::DeleteTag(tag);
        let reply = self.change(at, change, at.pusher.delete(&path)).await?;
        assert_eq!(reply.status, 202, "{path}: {reply:?}");
        Ok(())
    }

    pub(super) async fn delete_manifest(&mut self, at: &At) -> Result<(), Cut> {
        let Some((_, image)) = self.some_tag() else {
            return self.push_new(at).await;
        };
        let digest = image.digest();
        let path = self.path("manifests", digest);
        let change = Change::DeleteManifest(digest);
        let reply = self.change(at, change, at.pusher.delete(&path)).await?;
        assert_eq!(reply.status, 202, "{path}: {reply:?}");
        Ok(())
    }

    async fn pull(&mut self, at: &At) -> Result<(), Cut> {
        let Some((tag, image)) = self.some_tag() else {
            return self.push_new(at).await;
        };
        let path = self.path("manifests", &tag);
        let reply = at.hear(at.pusher.get(&path)).await?;
        assert_eq!((reply.status, &reply.body), (200, &image.manifest.bytes));
        for blob in image.blobs() {
            let path = self.path("blobs", Digest::of(blob));
            let reply = at.hear(at.pusher.get(&path)).await?;
            assert!(reply.status == 200 && reply.body == *blob, "{path}");
        }
        Ok(())
    }

    pub(super) async fn push_stray(&mut self, at: &At) -> Result<(), Cut> {
        self.images += 1;
        let seed = self.number * 1_000_000 + self.images;
        let blob = content::bytes(seed, self.chance.of(1..100_000));
        self.strays.push(blob.clone());
        self.push_blob(at, &blob).await
    }

    /// Deletes a blob that nothing names, and now and then sends it again at once (GC-03).
    async fn delete_stray(&mut self, at: &At) -> Result<(), Cut> {
        let Some(blob) = self.strays.pop() else {
            return self.push_stray(at).await;
        };
        let digest = Digest::of(&blob);
        let path = self.path("blobs", digest);
        let was_there = self.ledger.has_blob(&digest);
        let delete = at.pusher.delete(&path);
        let reply = self.change(at, Change::DeleteBlob(digest), delete).await?;
        match was_there {
            Some(true) => assert_eq!(reply.status, 202, "{path}: {reply:?}"),
            Some(false) => assert_eq!(reply.status, 404, "{path}: {reply:?}"),
            None => assert!(matches!(reply.status, 202 | 404), "{path}: {reply:?}"),
        }
        if self.chance.of(0..2) == 0 {
            self.strays.push(blob.clone());
            self.push_blob(at, &blob).await?;
        }
        Ok(())
    }

    /// A blob that an image names cannot be deleted.
    async fn delete_used(&mut self, at: &At) -> Result<(), Cut> {
        let Some((_, image)) = self.some_tag() else {
            return self.push_new(at).await;
        };
        let path = self.path("blobs", Digest::of(&image.layers[0]));
        let reply = at.hear(at.pusher.delete(&path)).await?;
        assert_eq!(reply.status, 405, "{path}: {reply:?}");
        Ok(())
    }

    /// Takes blobs that nothing names away.
    pub(super) async fn delete_strays(&mut self, at: &At) -> Result<(), Cut> {
        while let Some(blob) = self.strays.pop() {
            let digest = Digest::of(&blob);
            let path = self.path("blobs", digest);
            let delete = at.pusher.delete(&path);
            self.change(at, Change::DeleteBlob(digest), delete).await?;
        }
        Ok(())
    }
}
