//! What runs behind the backs of clients over a large store: collection, pruning and eviction, one after
//! the other; how fast each is, how long each of its transactions holds the store's writer, and what
//! those notice who pull meanwhile.
//!
//! The figures of the work are the server's own; the latencies are those of one client, which asks for one
//! manifest after the other, by digest and with a pause, so that few are hot.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::load::{Connection, Scrape, Target};
use crate::measure::{count, percentile};
use crate::report::Line;
use crate::servers::{Server, Settings, free_address};
use crate::site::Site;

use super::many;

/// The most tags of each local repository that pruning leaves: half.
const MOST_TAGS: u32 = 5000;
/// Between two requests of the client.
const PAUSE: Duration = Duration::from_millis(4);
/// How often the metrics are looked at, in requests.
const LOOK: usize = 10;
/// However slow something is.
const LONGEST: Duration = Duration::from_secs(900);
/// If nothing moves for so long, nothing will: collection begins half a minute after a start.
const PATIENCE: Duration = Duration::from_secs(60);
/// If nothing moves for so long after something did, it is done: relief has its turn every five seconds.
const QUIET: Duration = Duration::from_secs(15);

/// A kind of work, as the server counts it.
struct Work {
    name: &'static str,
    /// What it does its work on.
    things: &'static str,
    counter: &'static str,
    holds: &'static str,
    /// So much is to be done, where that can be told.
    due: Option<u64>,
}

/// What came of it.
struct Done {
    things: f64,
    took: Duration,
    latencies: Vec<Duration>,
    last: Scrape,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = many::data(site).await?;
    many::make_due(site, ours).await?;
    let local = Settings::local(site.upstream.address());
    let mut lines = Vec::new();

    let metrics = free_address()?;
    let settings = Settings {
        metrics: Some(metrics),
        grace_s: Some(1),
        ..local
    };
    let server = ours.start(&settings).await?;
    let mut client = Client::new(&server).await?;
    let idle = client.ask_for(Duration::from_secs(10)).await?;
    let collection = Work {
        name: "collection",
        things: "blobs",
        counter: "entrepot_registry_gc_reviews_total",
        holds: "entrepot_registry_gc_transaction_seconds",
        due: Some(many::examined(site)),
    };
    let done = collection.watch(&mut client, metrics).await?;
    lines.extend(collection.lines(done, &idle, site)?);
    let held = Scrape::of(&Target::plain(metrics)).await?;
    let held = held.sum("entrepot_quota_held_bytes");
    drop(server);

    let settings = Settings {
        metrics: Some(metrics),
        most_tags: Some(MOST_TAGS),
        ..local
    };
    let server = ours.start(&settings).await?;
    let all = many::tags_at_most(site, u32::MAX);
    let pruning = Work {
        name: "pruning",
        things: "tags",
        counter: "entrepot_registry_pruned_tags_total",
        holds: "entrepot_registry_prune_transaction_seconds",
        due: Some(all - many::tags_at_most(site, MOST_TAGS)),
    };
    let mut client = Client::new(&server).await?;
    let done = pruning.watch(&mut client, metrics).await?;
    lines.extend(pruning.lines(done, &idle, site)?);
    drop(server);

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a gauge, whole and not negative"
    )]
    let half = (held / 2.0) as u64;
    let settings = Settings {
        metrics: Some(metrics),
        quota: Some(half),
        ..local
    };
    let server = ours.start(&settings).await?;
    let eviction = Work {
        name: "eviction",
        things: "images",
        counter: "entrepot_registry_evictions_total",
        holds: "entrepot_registry_evict_transaction_seconds",
        due: None,
    };
    let mut client = Client::new(&server).await?;
    let done = eviction.watch(&mut client, metrics).await?;
    lines.extend(eviction.lines(done, &idle, site)?);
    Ok(lines)
}

// === impl Work ===

impl Work {
    /// Asks for manifests until the work is done; what was asked before it began does not count.
    async fn watch(&self, client: &mut Client, metrics: std::net::SocketAddr) -> Outcome<Done> {
        let metrics = Target::plain(metrics);
        let (begin, mut latencies) = (Instant::now(), Vec::new());
        let (mut first, mut moved, mut before) = (begin, begin, 0.0);
        loop {
            let asked = client.ask_times(LOOK).await?;
            let (now, scrape) = (Instant::now(), Scrape::of(&metrics).await?);
            let things = scrape.sum(self.counter);
            if things > before {
                (moved, before) = (now, things);
            }
            match things > 0.0 {
                true => latencies.extend(asked),
                false => first = now,
            }
            let is_due = self.due.is_some_and(|due| things >= count(due));
            let is_quiet = self.due.is_none() && things > 0.0 && now - moved > QUIET;
            if is_due || is_quiet {
                return Ok(Done {
                    things,
                    took: moved - first,
                    latencies,
                    last: scrape,
                });
            }
            if now - moved > PATIENCE || now - begin > LONGEST {
                let (name, due) = (self.name, self.due);
                return Err(Failure::new(format!("{name} did {things} of {due:?}")));
            }
        }
    }

    fn lines(&self, done: Done, idle: &[Duration], site: &Site) -> Outcome<[Line; 2]> {
        let Self { name, things, .. } = self;
        let held = |share| {
            let bound = done.last.percentile(self.holds, share);
            let none = || Failure::new(format!("no transaction of {name} was counted"));
            bound.map(|bound| bound * 1e3).ok_or_else(none)
        };
        let (middle, late, most) = (held(0.5)?, held(0.99)?, held(1.0)?);
        let rate = done.things / done.took.as_secs_f64();
        let tags = site.options.many;
        Ok([
            Line {
                what: format!("{name} beside pulls, {tags} tags, {things}"),
                measured: format!("{rate:.0}/s"),
                budget: "-",
                is_met: None,
                beside: vec![
                    format!("{:.0} in all", done.things),
                    format!("writer held p50 <= {middle:.2} ms, p99 <= {late:.2} ms"),
                    format!("and never over {most:.2} ms"),
                ],
            },
            Line {
                what: format!("manifest requests during {name}"),
                measured: latency(done.latencies),
                budget: "-",
                is_met: None,
                beside: vec![format!("idle {}", latency(idle.to_vec()))],
            },
        ])
    }
}

fn latency(mut latencies: Vec<Duration>) -> String {
    latencies.sort();
    let at = |share| percentile(&latencies, share).map_or(f64::NAN, |time| time.as_secs_f64());
    format!("p50 {:.2} ms, p99 {:.2} ms", at(0.5) * 1e3, at(0.99) * 1e3)
}

/// One who pulls: one manifest after the other.
struct Client {
    connection: Connection,
    place: u32,
}

impl Client {
    async fn new(server: &Server) -> Outcome<Self> {
        let connection = Connection::open(&server.target).await?;
        Ok(Self {
            connection,
            place: 0,
        })
    }

    async fn ask_for(&mut self, window: Duration) -> Outcome<Vec<Duration>> {
        let begin = Instant::now();
        let mut latencies = Vec::new();
        while begin.elapsed() < window {
            latencies.extend(self.ask_times(1).await?);
        }
        Ok(latencies)
    }

    async fn ask_times(&mut self, times: usize) -> Outcome<Vec<Duration>> {
        let mut latencies = Vec::new();
        for _ in 0..times {
            tokio::time::sleep(PAUSE).await;
            let (path, length) = many::manifest_path(self.place);
            // Neighbours are not asked for one after the other.
            self.place = (self.place + 4099) % 9000;
            let asked = Instant::now();
            let answer = self.connection.get(&path, |_| ()).await?;
            latencies.push(asked.elapsed());
            if answer.status != 200 || answer.length != length {
                let (status, answered) = (answer.status, answer.length);
                let what = format!("{path}: status {status} with {answered} bytes");
                return Err(Failure::new(what));
            }
        }
        Ok(latencies)
    }
}
