//! A soak: warm pulls, cold pulls under a quota that is too small for them, and pushes, all at once for a long time.
//!
//! Looked at once a minute, what grows shows: memory, descriptors, the latency of the warm pulls. Only when it is
//! asked for by name, because it takes twenty minutes; `--soak MINUTES` makes it shorter.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::sleep;

use super::push::push_image;
use crate::content::{Blob, REPOSITORY};
use crate::failure::{Failure, Outcome};
use crate::load::{Connection, Demand};
use crate::measure::{mebibytes, percentile};
use crate::report::{Line, progress};
use crate::servers::{Ours, Server, Settings};
use crate::site::Site;

/// Clients of each kind, and how long each rests between two requests.
const WARM: (usize, Duration) = (8, Duration::from_millis(5));
const COLD: (usize, Duration) = (4, Duration::from_millis(20));
const PUSHING: (usize, Duration) = (2, Duration::from_millis(200));

/// Blobs upstream, twice as many as there is room for: each cold pull evicts.
const BLOBS: u64 = 256;
const BLOB_KIBIBYTES: usize = 256;
const QUOTA: u64 = (BLOBS * BLOB_KIBIBYTES as u64 * 1024) / 2;

/// How often it is looked at.
const MINUTE: Duration = Duration::from_secs(60);

/// What was seen at the end of a minute.
#[derive(Clone, Copy, Debug)]
struct Look {
    resident: u64,
    descriptors: usize,
    median: Duration,
    slowest: Duration,
}

/// What the clients share.
struct Load<'a> {
    server: &'a Server,
    site: &'a Site,
    cold: Vec<Blob>,
    until: Instant,
    /// Of the warm pulls since the last look.
    latencies: RefCell<Vec<Duration>>,
    next_cold: Cell<u64>,
    next_push: Cell<u64>,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = Ours::new(site.folder("soak"))?;
    let settings = Settings {
        quota: Some(QUOTA),
        ..Settings::local(site.upstream.address())
    };
    let server = ours.start(&settings).await?;
    let cold: Vec<Blob> = (0..BLOBS)
        .map(|seed| Blob::small_noise(seed + 1_000_000, BLOB_KIBIBYTES))
        .collect();
    for blob in &cold {
        site.upstream.add_blob("image", blob);
    }
    let load = Load {
        server: &server,
        site,
        cold,
        until: Instant::now() + site.options.soak,
        latencies: RefCell::default(),
        next_cold: Cell::new(0),
        next_push: Cell::new(0),
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
        load.watch(&looks),
    )?;
    Ok(vec![line(&looks.into_inner(), &load)])
}

impl Load<'_> {
    async fn clients(
        &self,
        (count, rest): (usize, Duration),
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
        try_join_all((0..count).map(|_| one())).await.map(drop)
    }

    async fn warm(&self, client: &mut Connection) -> Outcome<()> {
        let content = &self.site.content;
        let asked = Instant::now();
        let demand = demand(content.by_tag(), content.manifest.len());
        client.ask(&demand).await?;
        self.latencies.borrow_mut().push(asked.elapsed());
        Ok(())
    }

    /// The blobs in turn: by the time one comes round again it has gone.
    async fn cold(&self, client: &mut Connection) -> Outcome<()> {
        let number = self.next_cold.replace(self.next_cold.get() + 1);
        let place = usize::try_from(number % BLOBS).unwrap_or(0);
        let blob = &self.cold[place];
        client.ask(&demand(blob.path(REPOSITORY), blob.len())).await
    }

    async fn push(&self, client: &mut Connection) -> Outcome<()> {
        let number = self.next_push.replace(self.next_push.get() + 1);
        push_image(client, number).await
    }

    async fn watch(&self, looks: &RefCell<Vec<Look>>) -> Outcome<()> {
        while Instant::now() < self.until {
            sleep(MINUTE.min(self.until.saturating_duration_since(Instant::now()))).await;
            let mut latencies = self.latencies.take();
            latencies.sort_unstable();
            let look = Look {
                resident: self.server.process.memory()?.resident,
                descriptors: self.server.process.descriptors()?,
                median: percentile(&latencies, 0.5).unwrap_or_default(),
                slowest: percentile(&latencies, 0.99).unwrap_or_default(),
            };
            looks.borrow_mut().push(look);
            progress(&format!(
                "soak, minute {}: {}",
                looks.borrow().len(),
                show(&look)
            ));
        }
        Ok(())
    }
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
        "{:.1} MiB, {} descriptors, p50 {:.2} ms, p99 {:.2} ms",
        mebibytes(look.resident),
        look.descriptors,
        look.median.as_secs_f64() * 1e3,
        look.slowest.as_secs_f64() * 1e3
    )
}

fn line(looks: &[Look], load: &Load<'_>) -> Line {
    // The first half fills what is bounded: caches, pools, the store's pages.
    let settled = &looks[looks.len() / 2..];
    let slope = |figure: fn(&Look) -> f64| slope(settled.iter().map(figure));
    let memory = slope(|look| mebibytes(look.resident));
    let descriptors = slope(|look| f64::from(u32::try_from(look.descriptors).unwrap_or(u32::MAX)));
    let latency = slope(|look| look.median.as_secs_f64() * 1e3);
    let mut beside = vec![format!(
        "{} cold pulls, {} images pushed",
        load.next_cold.get(),
        load.next_push.get()
    )];
    beside.extend(looks.iter().map(show));
    Line {
        what: format!(
            "soak of {} minutes, by the minute in its second half",
            looks.len()
        ),
        measured: format!(
            "memory {memory:+.2} MiB, descriptors {descriptors:+.2}, p50 {latency:+.3} ms"
        ),
        budget: "",
        is_met: None,
        beside,
    }
}

/// How much `figures` grow from one to the next, by the least squares.
fn slope(figures: impl Iterator<Item = f64>) -> f64 {
    let points: Vec<(f64, f64)> = (0_u32..).map(f64::from).zip(figures).collect();
    let Ok(count) = u32::try_from(points.len()).map(f64::from) else {
        return 0.0;
    };
    let (mut x, mut y, mut xy, mut xx) = (0.0, 0.0, 0.0, 0.0);
    for (at, figure) in points {
        x += at;
        y += figure;
        xy += at * figure;
        xx += at * at;
    }
    let spread = count * xx - x * x;
    match spread > 0.0 {
        true => (count * xy - x * y) / spread,
        false => 0.0,
    }
}
