//! The accounts after any work: what is counted is what a recount finds, and what the test's own book says (GC-06).
//!
//! Images that share blobs are pushed into two organisations and pulled through a cache, mounted, tagged, deleted,
//! restored, forgotten, expired, collected and evicted; uploads are begun, gone on with and cancelled; repositories
//! are deleted; and now and then the process dies, and the store is opened as a copy of its live file.

mod book;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

use self::book::{Book, Content, Left, Named, Pointed, Shelf};
use super::*;
use crate::model::{
    Actor, LimitKind, NamespaceKind, NamespaceRecord, Performer, RepositoryId, Visibility,
};
use crate::oci::Algorithm;
use crate::registry::{Budget, Condition, Error, Push, QuotaEditor, Repair, Rules};

const HOUR: Duration = Duration::from_secs(3_600);
const TIME_MACHINE: Duration = Duration::from_secs(86_400);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Act {
    Push,
    Pull,
    Mount,
    Upload,
    GoOn,
    Cancel,
    Retag,
    Untag,
    Delete,
    DeleteBlob,
    Restore,
    Forget,
    ForgetPast,
    Expire,
    Collect,
    CollectLater,
    Evict,
    LetGo,
    Remove,
    Purge,
    Die,
}

/// What is done, the frequent things more often.
const ACTS: [Act; 32] = [
    Act::Push,
    Act::Push,
    Act::Push,
    Act::Push,
    Act::Push,
    Act::Push,
    Act::Pull,
    Act::Pull,
    Act::Pull,
    Act::Pull,
    Act::Mount,
    Act::Mount,
    Act::Upload,
    Act::Upload,
    Act::GoOn,
    Act::Cancel,
    Act::Retag,
    Act::Untag,
    Act::Delete,
    Act::Delete,
    Act::DeleteBlob,
    Act::Restore,
    Act::Restore,
    Act::Forget,
    Act::ForgetPast,
    Act::Expire,
    Act::Collect,
    Act::CollectLater,
    Act::Evict,
    Act::LetGo,
    Act::Remove,
    Act::Die,
];

/// What is done, and to what: numbers that choose among what there is.
#[derive(Clone, Copy, Debug)]
struct Step {
    act: Act,
    place: usize,
    what: usize,
    how: usize,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (select(&ACTS[..]), 0..12_usize, 0..60_usize, 0..60_usize);
    let step = step.prop_map(|(act, place, what, how)| Step {
        act,
        place,
        what,
        how,
    });
    proptest::collection::vec(step, 1..most)
}

/// An upload that nobody appends to right now.
struct Paused {
    placed: Placed,
    id: String,
    bytes: Bytes,
    sent: usize,
    /// It is in the account: a new process learns of it when somebody goes on with it.
    counts: bool,
}

struct World {
    registry: Registry,
    clock: Clock,
    /// How often the process has died.
    deaths: u32,
    /// Two of each namespace; the last two are caches.
    places: Vec<Placed>,
    uploads: Vec<Paused>,
    images: Vec<Image>,
    book: Book,
    folder: TempDir,
}

fn open(folder: &Path, deaths: u32, clock: &Clock) -> Registry {
    let store = folder.join(format!("store-{deaths}.redb"));
    let rules = Rules {
        time_machine: TIME_MACHINE,
        grace: HOUR,
        permanently_delete: true,
        ..Rules::default()
    };
    let volume = Arc::new(Volume(AtomicU64::new(1 << 40)));
    registry_in(&store, &folder.join("data"), clock, volume, rules)
}

/// Images of shared layers, an index of two, and one of that index and a third.
fn images() -> Vec<Image> {
    let layer = |seed: u8| layer(seed, 100 + 37 * usize::from(seed));
    let mut images: Vec<Image> = (0..5)
        .map(|seed| Image::new(&[layer(seed), layer(seed + 1), layer(9)]))
        .collect();
    images.push(Image::index(&[&images[0], &images[1]]));
    images.push(Image::index(&[&images[5], &images[2]]));
    images
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let registry = open(folder.path(), 0, &clock);
        let images = images();
        let mut book = Book::default();
        for image in &images {
            let blobs = image.blobs.iter().map(|bytes| Digest::of(bytes));
            let named = Named {
                blobs: blobs.collect(),
                children: image
                    .manifest
                    .manifests
                    .iter()
                    .map(|it| it.digest)
                    .collect(),
            };
            for bytes in image.blobs.iter().chain([&image.raw.bytes]) {
                book.sizes.insert(Digest::of(bytes), bytes.len() as u64);
            }
            book.named.insert(image.digest(), named);
        }
        let mut world = Self {
            registry,
            clock,
            deaths: 0,
            places: Vec::new(),
            uploads: Vec::new(),
            images,
            book,
            folder,
        };
        world.furnish().await;
        world
    }

    /// Makes two organisations and a cache, each of two repositories. The first is warned of what it holds.
    async fn furnish(&mut self) {
        for (name, kind) in [
            ("one", NamespaceKind::Organization),
            ("two", NamespaceKind::Organization),
            ("cache", NamespaceKind::Cache),
        ] {
            let record = NamespaceRecord::new(name.parse().unwrap(), kind, self.clock.now());
            let create = move |tx: &mut store::WriteTx<'_>| tx.namespaces().create(&record);
            let namespace = self.registry.store().write(create).await.unwrap();
            for number in 0..2 {
                let placed = self
                    .make(namespace, kind == NamespaceKind::Cache, number)
                    .await;
                self.places.push(placed);
            }
        }
        let (one, by) = (self.places[0].namespace, QuotaEditor::Silent);
        self.registry.make_quota(one, 2_000, &by).await.unwrap();
        let kind = LimitKind::Warning;
        let limit = self.registry.make_limit(one, 1, kind, 50, &by);
        limit.await.unwrap();
        self.reckon().await;
    }

    /// What each new process is told: which namespace is a cache, and what all of them hold.
    async fn reckon(&self) {
        let cache = self.places[4].namespace;
        let policies = HashMap::from([(cache, Policy::default())]);
        self.registry.set_policies(policies);
        for namespace in self.places.iter().map(|placed| placed.namespace) {
            let held = self.registry.store().read(|tx| tx.usage().held(namespace));
            self.registry.ledger().load(namespace, held.await.unwrap());
        }
    }

    async fn make(&mut self, namespace: NamespaceId, is_cache: bool, number: usize) -> Placed {
        let name = format!("app-{number}").parse().unwrap();
        let registry = &self.registry;
        let repository = match is_cache {
            true => registry.ensure_repository(namespace, &name).await.unwrap(),
            false => {
                let by = Performer::SYSTEM;
                let made = registry.create_repository(namespace, &name, Visibility::Private, &by);
                made.await.unwrap().repository
            }
        };
        let shelf = Shelf {
            namespace,
            is_cache,
            content: Content::default(),
            tags: BTreeMap::new(),
            deleted: BTreeSet::new(),
        };
        self.book.shelves.insert(repository, shelf);
        Placed {
            namespace,
            repository,
        }
    }

    fn shelf(&mut self, placed: &Placed) -> &mut Shelf {
        let shelf = self.book.shelves.get_mut(&placed.repository);
        shelf.expect("every place has a shelf")
    }

    /// A blob of all that there are.
    fn blob(&self, number: usize) -> Bytes {
        let blobs: Vec<&Bytes> = self.images.iter().flat_map(|image| &image.blobs).collect();
        blobs[number % blobs.len()].clone()
    }

    /// Points a tag somewhere in the book; one that points there keeps its time.
    fn point(&mut self, placed: &Placed, tag: &str, digest: Digest) {
        let now = self.clock.now();
        let tags = &mut self.shelf(placed).tags;
        let before = tags.get(tag).filter(|before| before.is_alive(now));
        if before.is_none_or(|before| before.digest != digest) {
            let pointed = Pointed {
                digest,
                since: now,
                expires: None,
            };
            tags.insert(tag.to_owned(), pointed);
        }
    }

    /// Does one thing; how much less there may be in organisations and in caches.
    async fn act(&mut self, step: Step) -> (Left, Left) {
        let local = self.places[step.place % 4].clone();
        let cache = self.places[4 + step.place % 2].clone();
        let image = step.what % self.images.len();
        let tag = format!("t{}", step.how % 3);
        match step.act {
            Act::Push => self.push(&local, image, step.how).await,
            Act::Pull => self.pull(&cache, image, step.how).await,
            Act::Mount => self.mount(&local, step).await,
            Act::Upload => self.upload(&local, step).await,
            Act::GoOn => self.go_on(step.what, step.how).await,
            Act::Cancel => self.cancel(step.what).await,
            Act::Retag | Act::Untag | Act::Restore | Act::Forget | Act::ForgetPast => {
                self.change_tag(step.act, &local, &tag, image).await;
            }
            Act::Expire => self.expire(&local, &tag, step.what).await,
            Act::Delete => self.delete(&local, image).await,
            Act::DeleteBlob => {
                // Whether it may be deleted or not: it is held until it is collected.
                let digest = Digest::of(&self.blob(step.what));
                let _ = self.registry.delete_blob(&local, &digest).await;
            }
            Act::Collect => {
                self.clock
                    .advance(HOUR / 7 * u32::try_from(step.how % 9).unwrap());
                self.collect().await;
                return (Left::Needed, Left::All);
            }
            Act::CollectLater => {
                // Longer than any tag lives that is told to end, than the grace period and the time machine.
                self.clock.advance(TIME_MACHINE + 4 * HOUR);
                self.collect().await;
                return (Left::OnlyNeeded, Left::All);
            }
            Act::Evict => {
                self.evict(cache.namespace, step.how).await;
                return (Left::All, Left::Some);
            }
            Act::LetGo => {
                self.let_go(&cache, image, step.how).await;
                return (Left::All, Left::Some);
            }
            Act::Remove => self.remove(step.place % 6).await,
            Act::Purge => self.purge().await,
            Act::Die => self.die().await,
        }
        (Left::All, Left::All)
    }

    /// Sends what the repository lacks, perhaps by mounting it, and names it.
    async fn push(&mut self, placed: &Placed, image: usize, how: usize) {
        let (raw, manifest) = {
            let image = &self.images[image];
            (image.raw.clone(), image.manifest.clone())
        };
        for bytes in self.images[image].blobs.clone() {
            let digest = Digest::of(&bytes);
            let from = self.places[how % self.places.len()].repository;
            let registry = &self.registry;
            if how % 2 == 0 || !registry.mount_blob(from, placed, digest).await.unwrap() {
                let (owner, algorithm) = (Actor::System, Algorithm::Sha256);
                let upload = registry.open_new_upload(placed, &owner, algorithm);
                let mut upload = upload.await.unwrap();
                upload.append(bytes).await.unwrap();
                upload.finish(digest).await.unwrap();
            }
            self.shelf(placed).content.blobs.insert(digest);
        }
        let digest = raw.digest;
        let tag = (how % 4 > 0).then(|| format!("t{}", how % 3));
        let push = Push {
            raw,
            manifest,
            tags: tag.iter().map(|tag| tag.parse().unwrap()).collect(),
            by: Performer::SYSTEM,
            condition: Condition::None,
        };
        self.registry.push_manifest(placed, push).await.unwrap();
        let shelf = self.shelf(placed);
        shelf.content.manifests.insert(digest);
        shelf.deleted.remove(&digest);
        if let Some(tag) = tag {
            self.point(placed, &tag, digest);
        }
    }

    /// Has a cache fetch an image, or a part of it.
    async fn pull(&mut self, placed: &Placed, image: usize, how: usize) {
        let (raw, manifest, blobs) = {
            let image = &self.images[image];
            (
                image.raw.clone(),
                image.manifest.clone(),
                image.blobs.clone(),
            )
        };
        let (digest, registry) = (raw.digest, self.registry.clone());
        let tag = (how % 2 > 0).then(|| format!("t{}", how % 3));
        let named = tag.as_ref().map(|tag| tag.parse().unwrap());
        let held = registry.ingest_manifest(placed, raw, &manifest, named);
        let held = held.await.unwrap();
        self.shelf(placed).content.manifests.insert(digest);
        if let Some(tag) = tag {
            self.point(placed, &tag, digest);
        }
        for bytes in blobs.into_iter().skip(how % 5) {
            let digest = Digest::of(&bytes);
            if !registry.link_held_blob(placed, digest).await.unwrap() {
                let room = bytes.len() as u64;
                let units = [held.unit];
                let reserved = registry.reserve(placed.namespace, room, &units);
                let reserved = reserved.await.unwrap();
                let (mut writer, _) = registry.blobs().begin(&digest).await.unwrap();
                writer.append(bytes).await.unwrap();
                let ingested = registry.ingest_blob(placed, writer, digest, reserved);
                ingested.await.unwrap();
            }
            self.shelf(placed).content.blobs.insert(digest);
        }
        self.clock.advance(Duration::from_secs(1));
    }

    async fn mount(&mut self, to: &Placed, step: Step) {
        let from = self.places[step.how % self.places.len()].clone();
        let digest = Digest::of(&self.blob(step.what));
        let mounted = self.registry.mount_blob(from.repository, to, digest);
        if mounted.await.unwrap() {
            assert!(self.shelf(&from).content.blobs.contains(&digest));
            self.shelf(to).content.blobs.insert(digest);
        }
    }

    async fn upload(&mut self, placed: &Placed, step: Step) {
        let bytes = self.blob(step.what);
        let sent = step.how * bytes.len() / 60;
        let (owner, algorithm) = (Actor::System, Algorithm::Sha256);
        let upload = self.registry.open_new_upload(placed, &owner, algorithm);
        let mut upload = upload.await.unwrap();
        upload.append(bytes.slice(..sent)).await.unwrap();
        let id = upload.id().as_str().to_owned();
        upload.pause().await.unwrap();
        self.uploads.push(Paused {
            placed: placed.clone(),
            id,
            bytes,
            sent,
            counts: true,
        });
    }

    /// Appends to an upload, and perhaps makes a blob of it.
    async fn go_on(&mut self, number: usize, how: usize) {
        let Some(at) = number.checked_rem(self.uploads.len()) else {
            return;
        };
        let mut paused = self.uploads.swap_remove(at);
        let opened = self
            .registry
            .open_upload(&paused.placed, &Actor::System, &paused.id);
        let mut upload = match opened.await {
            Ok(upload) => upload,
            // Without a byte there is no file, and nothing remembers it for long.
            Err(Error::UploadUnknown) if paused.sent == 0 => return,
            Err(error) => panic!("{error}"),
        };
        let ends = how % 2 == 0;
        let left = paused.bytes.len() - paused.sent;
        let to = paused.sent + if ends { left } else { left / 2 };
        upload
            .append(paused.bytes.slice(paused.sent..to))
            .await
            .unwrap();
        if !ends {
            upload.pause().await.unwrap();
            (paused.sent, paused.counts) = (to, true);
            self.uploads.push(paused);
            return;
        }
        let digest = Digest::of(&paused.bytes);
        let is_there = self
            .places
            .iter()
            .any(|it| it.repository == paused.placed.repository);
        match upload.finish(digest).await {
            Ok(()) => _ = self.shelf(&paused.placed).content.blobs.insert(digest),
            Err(Error::NameUnknown) if !is_there => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn cancel(&mut self, number: usize) {
        let Some(at) = number.checked_rem(self.uploads.len()) else {
            return;
        };
        let paused = self.uploads.swap_remove(at);
        let cancel = self
            .registry
            .cancel_upload(&paused.placed, &Actor::System, &paused.id);
        match cancel.await {
            Ok(()) => {}
            Err(Error::UploadUnknown) if paused.sent == 0 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// What people do to tags; what they are refused changes nothing.
    async fn change_tag(&mut self, act: Act, placed: &Placed, tag: &str, image: usize) {
        let digest = self.images[image].digest();
        let (repository, by) = (placed.repository, Performer::SYSTEM);
        let (registry, name) = (self.registry.clone(), tag.parse().unwrap());
        let done = match act {
            Act::Retag => registry.retag(repository, &name, &digest, &by).await,
            Act::Untag => registry.remove_tag(repository, &name, &by).await,
            Act::Restore => registry.revert_tag(repository, &name, &digest, &by).await,
            Act::Forget => registry.forget_tag(repository, &name, None, &by).await,
            _ => {
                let forget = registry.forget_lifetimes(repository, &name, &digest, &by);
                forget.await
            }
        };
        match done {
            Ok(()) => {}
            Err(Error::ManifestUnknown) => return,
            Err(error) => panic!("{error}"),
        }
        match act {
            Act::Retag => self.point(placed, tag, digest),
            Act::Restore => self.revert(placed, tag, digest),
            Act::Untag | Act::Forget => _ = self.shelf(placed).tags.remove(tag),
            _ => {}
        }
    }

    /// A tag that points there already is left as it is, also one that has ended and nobody has noted it.
    fn revert(&mut self, placed: &Placed, tag: &str, digest: Digest) {
        let before = self.shelf(placed).tags.get(tag);
        if before.is_none_or(|before| before.digest != digest) {
            self.book.revive(placed.repository, digest);
            self.shelf(placed).tags.remove(tag);
            self.point(placed, tag, digest);
        }
    }

    async fn expire(&mut self, placed: &Placed, tag: &str, minutes: usize) {
        let (now, by) = (self.clock.now(), Performer::SYSTEM);
        let wanted = now + Duration::from_secs(60 * (minutes as u64 + 1));
        let name = tag.parse().unwrap();
        let told = self
            .registry
            .expire_tag(placed.repository, &name, Some(wanted), &by);
        match told.await {
            Ok(()) => {
                let pointed = self.shelf(placed).tags.get_mut(tag).expect("it is there");
                // No tag lives for less than an hour (`LABELED_EXPIRATION_MINIMUM`).
                pointed.expires = Some(wanted.max(pointed.since + HOUR));
            }
            Err(Error::ManifestUnknown) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn delete(&mut self, placed: &Placed, image: usize) {
        let digest = self.images[image].digest();
        let delete = self
            .registry
            .delete_manifest(placed, &digest, &Performer::SYSTEM);
        match delete.await {
            Ok(()) => {
                let shelf = self.shelf(placed);
                shelf.tags.retain(|_, pointed| pointed.digest != digest);
                shelf.deleted.insert(digest);
            }
            Err(Error::ManifestUnknown) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn collect(&self) {
        let report = self.registry.collect(Budget::UNBOUNDED).await.unwrap();
        assert!(report.complete && report.failed == 0, "{report:?}");
    }

    /// Has a cache shrink to a part of what it holds.
    async fn evict(&self, namespace: NamespaceId, share: usize) {
        let ledger = self.registry.ledger();
        let most = ledger.held(namespace) * (share as u64) / 60;
        ledger.set_limit(namespace, Some(most));
        self.registry.relieve().await.unwrap();
        assert!(ledger.held(namespace) <= most);
        ledger.set_limit(namespace, None);
    }

    /// Has a cache let go of what an operator names.
    async fn let_go(&self, placed: &Placed, image: usize, how: usize) {
        let (namespace, repository) = (placed.namespace, placed.repository);
        let digest = self.images[image].digest();
        let registry = &self.registry;
        match how % 3 {
            0 => {
                let tag = format!("t{}", how / 3 % 3).parse().unwrap();
                let dropped = registry.drop_tag(namespace, repository, &tag);
                dropped.await.unwrap();
            }
            1 => {
                let unit = Unit {
                    namespace,
                    repository,
                    digest,
                };
                registry.drop_manifest(unit).await.unwrap();
            }
            _ => {
                let dropped = registry.drop_repository(namespace, repository);
                dropped.await.unwrap();
            }
        }
    }

    /// Deletes a repository, and makes another one of its name. What the first one held counts until it is purged.
    async fn remove(&mut self, at: usize) {
        let Placed {
            namespace,
            repository,
        } = self.places[at];
        let deleted = self
            .registry
            .delete_repository(repository, &Performer::SYSTEM);
        deleted.await.unwrap();
        self.shelf(&self.places[at].clone()).tags.clear();
        self.places[at] = self.make(namespace, at >= 4, at % 2).await;
    }

    async fn purge(&mut self) {
        self.registry.purge().await.unwrap();
        let alive: BTreeSet<RepositoryId> = self.places.iter().map(|it| it.repository).collect();
        self.book.shelves.retain(|id, _| alive.contains(id));
    }

    /// The process dies: what is on the disk is what the next one finds.
    async fn die(&mut self) {
        let path = |deaths: u32| self.folder.path().join(format!("store-{deaths}.redb"));
        std::fs::copy(path(self.deaths), path(self.deaths + 1)).unwrap();
        self.deaths += 1;
        self.registry = open(self.folder.path(), self.deaths, &self.clock);
        self.reckon().await;
        for paused in &mut self.uploads {
            paused.counts = false;
        }
    }

    /// What lies in a repository by the rows.
    async fn content(&self, repository: RepositoryId) -> Content {
        let found = self.registry.store().scan(move |tx| {
            let manifests = tx.manifests().list(repository, None, 1_000)?;
            let blobs = tx.blobs().linked(repository, None, 1_000)?;
            Ok::<_, store::Error>(Content {
                blobs: blobs.into_iter().collect(),
                manifests: manifests.into_iter().map(|(digest, _)| digest).collect(),
            })
        });
        found.await.unwrap()
    }

    /// What is there is what should be, and every account says so.
    async fn compare(&mut self, (local, cache): (Left, Left)) {
        let now = self.clock.now();
        let alive: BTreeSet<RepositoryId> = self.places.iter().map(|it| it.repository).collect();
        let shelves: Vec<RepositoryId> = self.book.shelves.keys().copied().collect();
        for repository in shelves {
            let is_cache = self.book.shelves[&repository].is_cache;
            let left = match (alive.contains(&repository), is_cache) {
                (true, false) => local,
                (_, true) => cache,
                // Nothing is collected of what waits to be purged.
                (false, false) => Left::All,
            };
            let found = self.content(repository).await;
            self.book.compare(repository, found, left, now);
        }
        let repair = Repair::No;
        let recounted = self
            .registry
            .recount(repair, |finding| panic!("{finding:?}"));
        recounted.await.unwrap();
        self.assert_accounts().await;
    }

    async fn assert_accounts(&self) {
        let namespaces: BTreeSet<NamespaceId> = self.places.iter().map(|it| it.namespace).collect();
        let ids: Vec<RepositoryId> = self.book.shelves.keys().copied().collect();
        let of = namespaces.clone();
        let counted = self.registry.store().scan(move |tx| {
            let of_repositories = ids
                .iter()
                .map(|id| Ok((*id, tx.usage().of_repository(*id)?)));
            let of_namespaces = of.iter().map(|id| Ok((*id, tx.usage().held(*id)?)));
            Ok::<_, store::Error>((
                of_repositories.collect::<Result<Vec<_>, store::Error>>()?,
                of_namespaces.collect::<Result<Vec<_>, store::Error>>()?,
                tx.usage().of_all()?,
            ))
        });
        let (repositories, held, all) = counted.await.unwrap();
        for (repository, bytes) in repositories {
            assert_eq!(bytes, self.book.of_repository(repository), "{repository:?}");
        }
        let ledger = self.registry.ledger();
        for (namespace, bytes) in held {
            assert_eq!(bytes, self.book.of_namespace(namespace), "{namespace:?}");
            let uploads = self.uploads.iter();
            let own = uploads.filter(|it| it.counts && it.placed.namespace == namespace);
            let uploading: usize = own.map(|upload| upload.sent).sum();
            let expected = (bytes, bytes + uploading as u64);
            assert_eq!((ledger.held(namespace), ledger.used(namespace)), expected);
        }
        assert_eq!(all, self.book.of_all());
    }

    /// In the end every file has its row, and every row its file.
    async fn assert_files(&self) {
        self.registry.sweep(|_| false).await.unwrap();
        let mut files = BTreeSet::new();
        for shard in crate::blob::Shard::all() {
            let held = self.registry.blobs().list(shard).await.unwrap();
            files.extend(held.into_iter().map(|held| held.digest));
        }
        assert_eq!(files, self.book.all_blobs());
    }
}

async fn play(steps: Vec<Step>) {
    let mut world = World::new().await;
    for step in steps {
        let left = world.act(step).await;
        world.compare(left).await;
    }
    for act in [Act::Purge, Act::Die, Act::CollectLater] {
        let step = Step {
            act,
            place: 0,
            what: 0,
            how: 0,
        };
        let left = world.act(step).await;
        world.compare(left).await;
    }
    world.assert_files().await;
}

/// How many lives are played, and of how many steps at most; more with `ENTREPOT_LONG=1`.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the switch of tests, and no setting"
)]
fn measure() -> (u32, usize) {
    match std::env::var("ENTREPOT_LONG").is_ok_and(|value| value == "1") {
        true => (400, 160),
        false => (6, 40),
    }
}

/// GC-06: after any work, stopped anywhere, the accounts are those of what is there.
#[test]
fn the_accounts_are_those_of_what_is_there() {
    let (cases, most) = measure();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    proptest!(ProptestConfig::with_cases(cases), |(life in steps(most))| {
        runtime.block_on(play(life));
    });
}
