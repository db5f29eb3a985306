//! A soak: everything that a site does, all at once for a long time.
//!
//! Warm pulls; cold pulls under a quota that holds half of what is asked for; clients that leave in the middle of
//! an answer; pushes, whose tags are pruned and whose bytes are collected; runs of a mirror whose tags move; an
//! upstream that is slow every now and then. Looked at once a minute, what grows shows. Only when it is asked for by
//! name, because it takes twenty minutes; `--soak MINUTES` makes it shorter.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::mirrored;
use super::push::push_what_is_missing;
use crate::content::{Blob, REPOSITORY};
use crate::failure::{Failure, Outcome};
use crate::load::{Connection, Demand};
use crate::measure::{count, mebibytes, percentile};
use crate::report::{Line, progress};
use crate::servers::{Ours, Server, Settings};
use crate::site::Site;
use crate::upstream::Pace;

/// Clients of each kind, and how long each rests between two requests.
const WARM: (usize, Duration) = (8, Duration::from_millis(5));
const COLD: (usize, Duration) = (4, Duration::from_millis(20));
const LEAVING: (usize, Duration) = (2, Duration::from_millis(50));
const PUSHING: (usize, Duration) = (2, Duration::from_millis(200));
/// Runs of the mirror.
const MIRRORING: (usize, Duration) = (1, Duration::from_secs(2));
/// Spells of a slow upstream.
const WEATHER: (usize, Duration) = (1, Duration::from_secs(20));

/// Blobs upstream, twice as many as there is room for: each cold pull evicts.
const BLOBS: u64 = 256;
const BLOB_KIBIBYTES: usize = 256;
const QUOTA: u64 = (BLOBS * BLOB_KIBIBYTES as u64 * 1024) / 2;

/// Images that are pushed, again and again: within some minutes all that the server remembers has come by once.
const IMAGES: u64 = 2_000;
/// The most tags of a pushed repository that pruning leaves, a twentieth of its images, and how long what nothing
/// names is kept: most of an image has gone when it is pushed again.
const MOST_TAGS: u32 = 12;
const GRACE_S: u32 = 30;

/// Small caches, which are full before the second half begins: what grows then is no cache.
const CACHES_MEBIBYTES: u32 = 2;

/// Tags of the mirror, how many of them have moved at each run, and to how many images.
const MIRRORED: u32 = 10;
const MOVED: u32 = 3;
const MIRROR_IMAGES: u32 = 200;

/// A slow upstream, and how long it stays so.
const SLOW: Pace = Pace {
    delay: Duration::from_millis(300),
    bandwidth: Some(1 << 20),
};
const SPELL: Duration = Duration::from_secs(5);

/// How often it is looked at.
const MINUTE: Duration = Duration::from_secs(60);

/// What was seen at the end of a minute.
#[derive(Clone, Copy, Debug)]
struct Look {
    resident: u64,
    descriptors: u64,
    threads: u64,
    /// Files of what is under way.
    files: u64,
    median: Duration,
    slowest: Duration,
}

/// A figure of a look.
type Figure = fn(&Look) -> f64;

/// What must not grow, and by how much of itself it may over the second half: times are noisy.
const FIGURES: [(&str, Figure, f64); 5] = [
    ("memory", |look| mebibytes(look.resident), 0.05),
    ("descriptors", |look| count(look.descriptors), 0.05),
    ("threads", |look| count(look.threads), 0.05),
    ("p50", |look| look.median.as_secs_f64() * 1e3, 0.1),
    ("p99", |look| look.slowest.as_secs_f64() * 1e3, 0.25),
];

/// What the clients share.
struct Load<'a> {
    ours: &'a Ours,
    server: &'a Server,
    site: &'a Site,
    cold: Vec<Blob>,
    until: Instant,
    /// Of the warm pulls since the last look.
    latencies: RefCell<Vec<Duration>>,
    pulls: Cell<u64>,
    next_cold: Cell<u64>,
    left: Cell<u64>,
    next_push: Cell<u64>,
    /// Blobs that were there before their push.
    known: Cell<u64>,
    runs: Cell<u32>,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = Ours::new(site.folder("soak"))?;
    let settings = Settings {
        quota: Some(QUOTA),
        most_tags: Some(MOST_TAGS),
        grace_s: Some(GRACE_S),
        caches_mebibytes: Some(CACHES_MEBIBYTES),
        keeps_no_history: true,
        ..Settings::local(site.upstream.address())
    };
    mirrored::fill(site, MIRRORED);
    mirrored::furnish(&ours, &settings).await?;
    let server = ours.start(&settings).await?;
    let load = Load {
        ours: &ours,
        server: &server,
        site,
        cold: cold_blobs(site),
        until: Instant::now() + site.options.soak,
        latencies: RefCell::default(),
        pulls: Cell::default(),
        next_cold: Cell::default(),
        left: Cell::default(),
        next_push: Cell::default(),
        known: Cell::default(),
        runs: Cell::default(),
    };
    let looks = RefCell::new(Vec::new());
    tokio::try_join!(
        load.clients(WARM, async |client: &mut Connection| load
            .warm(client)
            .await),
        load.clients(COLD, async |client: &mut Connection| load
            .cold(client)
            .await),
        load.clients(PUSHING, async |client: &mut Connection| load
            .push(client)
            .await),
        load.again(LEAVING, async || load.leave().await),
        load.again(MIRRORING, async || load.mirror().await),
        load.again(WEATHER, async || load.slow_spell().await),
        load.watch(&looks),
    )?;
    Ok(vec![line(&looks.into_inner(), &load)])
}

fn cold_blobs(site: &Site) -> Vec<Blob> {
    let blobs = (0..BLOBS).map(|seed| Blob::small_noise(seed + 1_000_000, BLOB_KIBIBYTES));
    let blobs: Vec<Blob> = blobs.collect();
    for blob in &blobs {
        site.upstream.add_blob("image", blob);
    }
    blobs
}

impl Load<'_> {
    /// Clients with a connection each.
    async fn clients(
        &self,
        (clients, rest): (usize, Duration),
        once: impl AsyncFn(&mut Connection) -> Outcome<()>,
    ) -> Outcome<()> {
        let one = async || {
            let mut client = Connection::open(&self.server.target).await?;
            while Instant::now() < self.until {
                once(&mut client).await?;
                sleep(rest).await;
            }
            Ok::<_, Failure>(())
        };
        try_join_all((0..clients).map(|_| one())).await.map(drop)
    }

    /// The same without.
    async fn again(
        &self,
        (many, rest): (usize, Duration),
        once: impl AsyncFn() -> Outcome<()>,
    ) -> Outcome<()> {
        let one = async || {
            while Instant::now() + rest < self.until {
                once().await?;
                sleep(rest).await;
            }
            Ok::<_, Failure>(())
        };
        try_join_all((0..many).map(|_| one())).await.map(drop)
    }

    async fn warm(&self, client: &mut Connection) -> Outcome<()> {
        let content = &self.site.content;
        let asked = Instant::now();
        let demand = demand(content.by_tag(), content.manifest.len());
        client.ask(&demand).await?;
        self.latencies.borrow_mut().push(asked.elapsed());
        next(&self.pulls);
        Ok(())
    }

    /// The blobs in turn: by the time one comes round again it has gone.
    async fn cold(&self, client: &mut Connection) -> Outcome<()> {
        let blob = self.next_blob();
        client.ask(&demand(blob.path(REPOSITORY), blob.len())).await
    }

    /// Asks for such a blob and hangs up once the answer begins.
    async fn leave(&self) -> Outcome<()> {
        let mut client = Connection::open(&self.server.target).await?;
        client.begin(&self.next_blob().path(REPOSITORY)).await?;
        next(&self.left);
        Ok(())
    }

    fn next_blob(&self) -> &Blob {
        let place = next(&self.next_cold) % BLOBS;
        &self.cold[usize::try_from(place).unwrap_or(0)]
    }

    async fn push(&self, client: &mut Connection) -> Outcome<()> {
        let number = next(&self.next_push);
        let there = push_what_is_missing(client, number % IMAGES).await?;
        self.known.set(self.known.get() + there);
        Ok(())
    }

    /// Moves some tags upstream and has the mirror follow.
    async fn mirror(&self) -> Outcome<()> {
        let run = self.runs.replace(self.runs.get() + 1);
        let moved = (0..MOVED).map(|place| (run * MOVED + place) % MIRRORED);
        mirrored::publish(self.site, run % MIRROR_IMAGES, moved);
        mirrored::run(self.ours).await
    }

    async fn slow_spell(&self) -> Outcome<()> {
        self.site.upstream.set_pace(SLOW);
        sleep(SPELL).await;
        self.site.upstream.set_pace(Pace::default());
        Ok(())
    }

    async fn watch(&self, looks: &RefCell<Vec<Look>>) -> Outcome<()> {
        while Instant::now() < self.until {
            sleep(MINUTE.min(self.until.saturating_duration_since(Instant::now()))).await;
            let look = self.look()?;
            looks.borrow_mut().push(look);
            let minute = looks.borrow().len();
            progress(&format!("soak, minute {minute}: {}", show(&look)));
        }
        Ok(())
    }

    fn look(&self) -> Outcome<Look> {
        let mut latencies = self.latencies.take();
        latencies.sort_unstable();
        let process = &self.server.process;
        Ok(Look {
            resident: process.memory()?.resident,
            descriptors: process.descriptors()?,
            threads: process.threads()?,
            files: ["partial", "uploads", "tmp"]
                .map(|name| entries(self.ours.data().join(name)))
                .into_iter()
                .sum(),
            median: percentile(&latencies, 0.5).unwrap_or_default(),
            slowest: percentile(&latencies, 0.99).unwrap_or_default(),
        })
    }
}

/// The number that has its turn.
fn next(number: &Cell<u64>) -> u64 {
    number.replace(number.get() + 1)
}

/// Entries of a folder of the server; none if it is not there.
fn entries(folder: PathBuf) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

fn demand(path: String, length: u64) -> Demand {
    Demand {
        path,
        length,
        connections: 1,
        window: Duration::ZERO,
    }
}

fn show(look: &Look) -> String {
    format!(
        "{:.1} MiB, {} descriptors, {} threads, {} files under way, p50 {:.2} ms, p99 {:.2} ms",
        mebibytes(look.resident),
        look.descriptors,
        look.threads,
        look.files,
        look.median.as_secs_f64() * 1e3,
        look.slowest.as_secs_f64() * 1e3
    )
}

fn line(looks: &[Look], load: &Load<'_>) -> Line {
    // The first half fills what is bounded: caches, pools, the store's pages.
    let settled = &looks[looks.len() / 2..];
    let grown = FIGURES.map(|(name, figure, most)| (name, growth(settled, figure), most));
    let shown = grown.map(|(name, share, _)| format!("{name} {:+.1} %", share * 100.0));
    let mut beside = vec![format!(
        "{} warm pulls, {} cold, {} of them left by their clients, {} images pushed, {} of their blobs there before, \
         {} runs of the mirror",
        load.pulls.get(),
        load.next_cold.get(),
        load.left.get(),
        load.next_push.get(),
        load.known.get(),
        load.runs.get(),
    )];
    beside.extend(looks.iter().map(show));
    Line {
        what: format!(
            "soak of {} minutes, growth over its second half",
            looks.len()
        ),
        measured: shown.join(", "),
        budget: "<= 5 %; p50 10 %, p99 25 %",
        is_met: Some(grown.iter().all(|(_, share, most)| share <= most)),
        beside,
    }
}

/// By how much of its mean `figure` grows from the first look to the last, by the least squares.
fn growth(looks: &[Look], figure: Figure) -> f64 {
    let points: Vec<(f64, f64)> = (0_u32..)
        .map(f64::from)
        .zip(looks.iter().map(figure))
        .collect();
    let number = count(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / number;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|at| (at.0 - x) * (at.1 - y)).sum();
    let variance: f64 = points.iter().map(|at| (at.0 - x).powi(2)).sum();
    match variance > 0.0 && y > 0.0 {
        true => covariance / variance * (number - 1.0) / y,
        false => 0.0,
    }
}
