//! The load: a crowd of clients that ask or push again and again, and what they saw.
//!
//! All of it runs on the thread that calls; the servers have the other cores.

mod connection;
mod head;
mod push;
mod scrape;

use std::time::{Duration, Instant};

use entrepot::oci::{Algorithm, Digest, Hasher};
use futures_util::future::try_join_all;
use tokio::time::timeout;

use crate::failure::{Failure, Outcome};

pub(crate) use connection::{Answer, Connection, Target};
pub(crate) use push::{Layer, has_blob, push_blob, push_layer, push_manifest};
pub(crate) use scrape::Scrape;

/// However slow a server is: no turn of a measurement takes longer.
const LONGEST_TURN: Duration = Duration::from_secs(120);

/// What is asked for, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    pub(crate) path: String,
    /// The length that the body must have.
    pub(crate) length: u64,
    /// How many clients ask at once.
    pub(crate) connections: usize,
    /// How long new requests are made; those under way then are read to their end.
    pub(crate) window: Duration,
}

/// What a turn came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    /// How long each request took, in no order.
    pub(crate) latencies: Vec<Duration>,
}

/// Open connections.
pub(crate) struct Crowd(Vec<Connection>);

impl Crowd {
    /// Connects `count` clients.
    pub(crate) async fn gather(target: &Target, count: usize) -> Outcome<Self> {
        let all = (0..count).map(|_| Connection::open(target));
        Ok(Self(try_join_all(all).await?))
    }

    /// The clients one by one.
    pub(crate) fn members(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.0.iter_mut()
    }

    /// Has every client do `once` again and again until `window` is over. Each does it at least
    /// once, and all end at the end of an answer, so that CPU and bytes are of the same work.
    pub(crate) async fn work(
        &mut self,
        window: Duration,
        once: impl AsyncFn(&mut Connection) -> Outcome<()>,
    ) -> Outcome<Done> {
        let start = Instant::now();
        let all = self
            .members()
            .map(|client| repeat(client, window, start, &once));
        // Cooperation is for neighbours; here all work is this one task's.
        let turn = tokio::task::unconstrained(try_join_all(all));
        let latencies = timeout(LONGEST_TURN, turn).await;
        let latencies = latencies.map_err(|_| Failure::new("a server takes too long"))??;
        let latencies = latencies.concat();
        Ok(Done {
            requests: latencies.len() as u64,
            took: start.elapsed(),
            latencies,
        })
    }

    /// Makes `demand` with every connection until its window is over.
    pub(crate) async fn press(&mut self, demand: &Demand) -> Outcome<Done> {
        let once = async |client: &mut Connection| client.ask(demand).await;
        self.work(demand.window, once).await
    }
}

impl Connection {
    /// Makes `demand` once.
    pub(crate) async fn ask(&mut self, demand: &Demand) -> Outcome<()> {
        let answer = self.get(&demand.path, |_| ()).await?;
        check(&answer, demand)
    }
}

async fn repeat(
    client: &mut Connection,
    window: Duration,
    start: Instant,
    once: &impl AsyncFn(&mut Connection) -> Outcome<()>,
) -> Outcome<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let asked = Instant::now();
        once(client).await?;
        latencies.push(asked.elapsed());
        if start.elapsed() >= window {
            return Ok(latencies);
        }
    }
}

fn check(answer: &Answer, demand: &Demand) -> Outcome<()> {
    if answer.status == 200 && answer.length == demand.length {
        return Ok(());
    }
    let (status, length) = (answer.status, answer.length);
    Err(Failure::new(format!(
        "{}: status {status} with {length} bytes instead of 200 with {}",
        demand.path, demand.length
    )))
}

/// Asks once and compares the body's digest.
pub(crate) async fn verify(target: &Target, path: &str, expected: &Digest) -> Outcome<()> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut client = Connection::open(target).await?;
    let answer = client.get(path, |piece| hasher.update(piece));
    let answer = timeout(LONGEST_TURN, answer).await;
    let status = answer
        .map_err(|_| Failure::new("a server takes too long"))??
        .status;
    let found = hasher.finish();
    if status == 200 && found == *expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{path}: status {status}, digest {found}"
    )))
}
