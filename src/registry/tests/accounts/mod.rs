//! The accounts after any work: what is counted is what a recount finds, and what the test's own book says (GC-06).
//!
//! Images that share blobs are pushed into two organisations and pulled through a cache, mounted, tagged, deleted,
//! restored, forgotten, expired, collected and evicted; uploads are begun, gone on with and cancelled; repositories
//! are deleted; and now and then the process dies, and the store is opened as a copy of its live file.

mod acts;
mod book;

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;

use self::book::{Book, Content, Left, Named, Pointed, Shelf};
use super::*;
use crate::model::{
    LimitKind, NamespaceKind, NamespaceRecord, Performer, RepositoryId, Visibility,
};
use crate::registry::{QuotaEditor, Repair, Rules};

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
