//! What stays when not everything can: the bytes of a trace of pulls that a cache of a tenth of them answers.
//!
//! The trace is made from a seed: objects of very different sizes, asked for as Zipf has it, and once, in
//! its middle, a scan that asks for as many others, each a single time. It is played to the registry
//! itself, over a store and files of its own, with a clock that moves from request to request. A
//! model of plain LRU gets the same requests, and one that knows the future: farthest-next-use, greedy,
//! which passes on what is asked for again later than all it holds. With sizes no optimum is known (it
//! is NP-hard); this is near it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entrepot::blob::BlobStore;
use entrepot::model::{ByteSize, Clock, NamespaceId, Timestamp, Unit};
use entrepot::oci::Digest;
use entrepot::quota::{DiskSpace, Ledger, Policy};
use entrepot::registry::{Metrics, Parts, Placed, Registry, Rules};
use entrepot::store::{Options, Store};

use crate::failure::{Doing as _, Outcome};
use crate::report::Line;
use crate::site::Site;

/// How much more popular each object is than the next.
const EXPONENT: f64 = 0.9;
/// The cache holds one byte in so many of those that are asked for again.
const PART: u64 = 10;
/// Sizes lie between the two, in bytes, evenly by their logarithm; what counts is their ratio.
const SIZES: (f64, f64) = (512.0, 65_536.0);
/// How long the trace takes, scan or not.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// So many requests of the trace pass between two of the scan.
const BETWEEN: usize = 2;
/// Whatever is asked for, it is always the same.
const SEED: u64 = 20_230_917;

/// One thing that is pulled.
#[derive(Clone, Copy, Debug)]
struct Asked {
    object: usize,
    /// Asked for by the scan, so that its bytes cannot be had from any cache.
    is_scan: bool,
}

/// A trace with the sizes of its objects.
struct Trace {
    sizes: Vec<u64>,
    requests: Vec<Asked>,
    capacity: u64,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let (objects, requests) = match site.options.is_full {
        true => (5000, 100_000),
        false => (2000, 20_000),
    };
    let mut lines = Vec::new();
    for has_scan in [false, true] {
        let trace = Trace::new(objects, requests, has_scan);
        let folder = site.folder(if has_scan { "scanned" } else { "evicted" });
        let ours = Ours::open(&folder).await?.play(&trace).await?;
        let lru = lru(&trace);
        let greedy = farthest_next_use(&trace);
        let scan = if has_scan {
            ", a scan in its middle"
        } else {
            ""
        };
        lines.push(Line {
            what: format!("eviction, byte hits of {requests} pulls of {objects} objects{scan}"),
            measured: format!("{:.2} %", ours * 100.0),
            budget: ">= 0.99 of LRU",
            is_met: Some(ours >= lru * 0.99),
            beside: vec![
                format!("plain LRU {:.2} %", lru * 100.0),
                format!(
                    "farthest next use (knows the future) {:.2} %",
                    greedy * 100.0
                ),
            ],
        });
    }
    Ok(lines)
}

// === impl Trace ===

impl Trace {
    fn new(objects: usize, requests: usize, has_scan: bool) -> Self {
        let mut chance = Chance(SEED);
        let (least, most) = SIZES;
        let size = |chance: &mut Chance| {
            let size = least * (most / least).powf(chance.share());
            // Far below 2^53, and above nothing.
            size as u64
        };
        let sizes: Vec<u64> = (0..2 * objects).map(|_| size(&mut chance)).collect();
        let capacity = sizes[..objects].iter().sum::<u64>() / PART;
        let weights = (1..=objects).map(|rank| (rank as f64).powf(-EXPONENT));
        let sums: Vec<f64> = weights
            .scan(0.0, |sum, weight| {
                *sum += weight;
                Some(*sum)
            })
            .collect();
        let total = sums.last().copied().unwrap_or_default();
        let mut asked = Vec::new();
        let mut scan = objects..2 * objects;
        for number in 0..requests {
            let wanted = chance.share() * total;
            let object = sums.partition_point(|sum| *sum < wanted).min(objects - 1);
            asked.push(Asked {
                object,
                is_scan: false,
            });
            let is_due = has_scan && number >= requests / 2 && number % BETWEEN == 0;
            if is_due && let Some(object) = scan.next() {
                asked.push(Asked {
                    object,
                    is_scan: true,
                });
            }
        }
        Self {
            sizes,
            requests: asked,
            capacity,
        }
    }

    /// The part of the bytes that was answered from the cache, of those that could have been.
    fn ratio(&self, hits: impl Iterator<Item = bool>) -> f64 {
        let (mut hit_bytes, mut all_bytes) = (0, 0);
        for (asked, is_hit) in self.requests.iter().zip(hits) {
            if !asked.is_scan {
                all_bytes += self.sizes[asked.object];
                hit_bytes += if is_hit { self.sizes[asked.object] } else { 0 };
            }
        }
        hit_bytes as f64 / all_bytes as f64
    }

    /// When the object of each request is asked for next, by the number of that request.
    fn next_uses(&self) -> Vec<usize> {
        let mut next = HashMap::new();
        let mut uses = vec![usize::MAX; self.requests.len()];
        for (number, asked) in self.requests.iter().enumerate().rev() {
            uses[number] = next.insert(asked.object, number).unwrap_or(usize::MAX);
        }
        uses
    }
}

/// Numbers that look random and are the same every time (splitmix64).
struct Chance(u64);

impl Chance {
    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

// === Models to compare with ===

/// A cache that knows nothing but an order: the first goes.
#[derive(Default)]
struct Ordered {
    order: BTreeSet<(usize, usize)>,
    place: HashMap<usize, usize>,
    bytes: u64,
}

impl Ordered {
    /// Gives an object a place in the order; `true` if it was there.
    fn put(&mut self, object: usize, place: usize, bytes: u64) -> bool {
        let before = self.place.insert(object, place);
        match before {
            Some(before) => _ = self.order.remove(&(before, object)),
            None => self.bytes += bytes,
        }
        self.order.insert((place, object));
        before.is_some()
    }

    fn shrink(&mut self, trace: &Trace) {
        while self.bytes > trace.capacity {
            let Some((_, object)) = self.order.pop_first() else {
                return;
            };
            self.place.remove(&object);
            self.bytes -= trace.sizes[object];
        }
    }
}

/// The ratio of a cache in which the least recently used goes.
fn lru(trace: &Trace) -> f64 {
    let mut cache = Ordered::default();
    trace.ratio(trace.requests.iter().enumerate().map(|(number, asked)| {
        let is_hit = cache.put(asked.object, number, trace.sizes[asked.object]);
        cache.shrink(trace);
        is_hit
    }))
}

/// The ratio of a cache in which what is asked for last of all goes.
fn farthest_next_use(trace: &Trace) -> f64 {
    let mut cache = Ordered::default();
    let uses = trace.next_uses();
    trace.ratio(trace.requests.iter().zip(uses).map(|(asked, next)| {
        // The farthest first.
        let is_hit = cache.put(asked.object, usize::MAX - next, trace.sizes[asked.object]);
        cache.shrink(trace);
        is_hit
    }))
}

// === The registry itself ===

/// A disk with room for everything: the quota is the bound.
struct Endless;

impl DiskSpace for Endless {
    fn free_bytes(&self) -> Option<u64> {
        None
    }
}

/// A registry with one cache.
struct Ours {
    registry: Registry,
    namespace: NamespaceId,
    placed: Placed,
    clock: Clock,
}

impl Ours {
    async fn open(folder: &Path) -> Outcome<Self> {
        std::fs::create_dir_all(folder).doing("make a folder")?;
        let metrics = prometheus::Registry::new();
        let options = Options {
            cache_bytes: 64 << 20,
        };
        let store = Store::open(&folder.join("store.redb"), &options, &metrics);
        let blobs = BlobStore::open(&folder.join("data"), &metrics);
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let registry = Registry::new(Parts {
            store: store.doing("open the store")?,
            blobs: blobs.doing("open the folder of blobs")?,
            ledger: Ledger::new(Arc::new(Endless), 0),
            clock: clock.clone(),
            hot_cache: ByteSize::mib(1),
            rules: Rules::default(),
            session_secret: [7; 32],
            metrics: Metrics::new(&metrics).doing("count")?,
        });
        let name = "cache".parse().doing("name a cache")?;
        let namespace = registry.ensure_namespace(&name, true).await;
        let namespace = namespace.doing("make a cache")?;
        registry.set_policies(HashMap::from([(namespace, Policy::default())]));
        let name = "library/app".parse().doing("name a repository")?;
        let repository = registry.ensure_repository(namespace, &name).await;
        let placed = Placed {
            namespace,
            repository: repository.doing("make a repository")?,
        };
        Ok(Self {
            registry,
            namespace,
            placed,
            clock,
        })
    }

    /// The ratio of the registry.
    async fn play(&self, trace: &Trace) -> Outcome<f64> {
        self.registry
            .ledger()
            .set_limit(self.namespace, Some(trace.capacity));
        let pause = LASTS / u32::try_from(trace.requests.len()).unwrap_or(u32::MAX);
        let mut hits = Vec::new();
        for asked in &trace.requests {
            self.clock.advance(pause);
            hits.push(self.ask(asked.object, trace.sizes[asked.object]).await?);
        }
        Ok(trace.ratio(hits.into_iter()))
    }

    /// Pulls an object; `true` if it was held.
    async fn ask(&self, object: usize, size: u64) -> Outcome<bool> {
        let bytes = content(object, size);
        let digest = Digest::of(&bytes);
        let Placed {
            namespace,
            repository,
        } = self.placed;
        let unit = Unit {
            namespace,
            repository,
            digest,
        };
        let held = self
            .registry
            .lookup_blob(namespace, repository, &digest)
            .await;
        let is_held = held.doing("look for a blob")?.is_some();
        if !is_held {
            self.fill(bytes, digest, unit).await?;
        }
        self.registry.touch(unit);
        if !is_held {
            // As the server does behind its clients' backs.
            self.registry.ease().await.doing("make room")?;
        }
        Ok(is_held)
    }

    async fn fill(&self, bytes: Bytes, digest: Digest, unit: Unit) -> Outcome<()> {
        let size = bytes.len() as u64;
        let reserved = self.registry.reserve(self.namespace, size, &[unit]).await;
        let reservation = reserved.doing("make room")?;
        let begun = self.registry.blobs().begin(&digest).await;
        let (mut writer, _) = begun.doing("begin a blob")?;
        writer.append(bytes).await.doing("write a blob")?;
        let filled = self
            .registry
            .ingest_blob(&self.placed, writer, digest, reservation);
        filled.await.doing("keep a blob").map(drop)
    }
}

/// An object's bytes, unlike any other's.
fn content(object: usize, size: u64) -> Bytes {
    let number = object.to_le_bytes();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    number.iter().copied().cycle().take(size).collect()
}
