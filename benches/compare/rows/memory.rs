//! Memory: idle after a start, and while many slow clients each take a blob.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::content::REPOSITORY;
use crate::failure::{Failure, Outcome};
use crate::load::{Connection, Crowd};
use crate::measure::mebibytes;
use crate::report::Line;
use crate::servers::{Memory, Server};
use crate::site::{Fleet, Site};

const STREAMS: usize = 500;
/// After this a server has done what it does at a start.
const SETTLED: Duration = Duration::from_secs(1);
/// How long the streams go on.
const STREAMING: Duration = Duration::from_secs(4);
/// How often memory is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// A slow client takes this much and then waits.
const SIP: usize = 16 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
/// What each client has taken at least, if none was forgotten.
const LEAST: u64 = 4 * SIP as u64;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let fleet = site.start_fleet("memory").await?;
    tokio::time::sleep(SETTLED).await;
    let idle = fleet
        .all()
        .into_iter()
        .map(|server| Ok((server, server.process.memory()?)));
    let idle = idle.collect::<Outcome<Vec<_>>>()?;
    let mut lines = vec![line("memory, idle after start", "<= 25 MiB", 25.0, &idle)];
    lines.push(streaming(site, &fleet, "plaintext").await?);
    let fleet = site.start_tls_fleet("memory").await?;
    lines.push(streaming(site, &fleet, "TLS").await?);
    Ok(lines)
}

async fn streaming(site: &Site, fleet: &Fleet, how: &str) -> Outcome<Line> {
    let blob = &site.content.big;
    let path = blob.path(REPOSITORY);
    fleet.warm(&path, blob).await?;
    let mut peaks = Vec::new();
    for server in fleet.all() {
        peaks.push((server, peak(server, &path).await?));
    }
    let what = format!("memory, {STREAMS} slow streams of 100 MiB, {how}");
    Ok(line(&what, "<= 100 MiB", 100.0, &peaks))
}

fn line(what: &str, budget: &'static str, most: f64, memories: &[(&Server, Memory)]) -> Line {
    let show = |memory: &Memory| {
        let (resident, proportional) = (memory.resident, memory.proportional);
        format!(
            "{:.1} MiB (Pss {:.1})",
            mebibytes(resident),
            mebibytes(proportional)
        )
    };
    let ours = memories[0].1;
    let others = memories[1..].iter();
    let others = others.map(|(server, memory)| format!("{} {}", server.name, show(memory)));
    Line {
        what: what.to_owned(),
        measured: show(&ours),
        budget,
        is_met: Some(mebibytes(ours.resident) <= most),
        beside: others.collect(),
    }
}

/// The most that `server` holds while slow clients take the blob at `path`.
async fn peak(server: &Server, path: &str) -> Outcome<Memory> {
    let mut crowd = Crowd::gather(&server.target, STREAMS).await?;
    let deadline = Instant::now() + STREAMING;
    let clients = try_join_all(crowd.members().map(|client| sip(client, path, deadline)));
    let (taken, peak) = tokio::join!(clients, watch(server, deadline));
    if taken?.into_iter().any(|bytes| bytes < LEAST) {
        return Err(Failure::new(format!("{} forgot a stream", server.name)));
    }
    peak
}

/// Takes a blob slowly until `deadline`; gives the bytes taken.
async fn sip(client: &mut Connection, path: &str, deadline: Instant) -> Outcome<u64> {
    let head = client.begin(path).await?;
    if head.status != 200 {
        return Err(Failure::new(format!("{path}: status {}", head.status)));
    }
    let mut bytes = 0;
    while Instant::now() < deadline {
        bytes += client.piece(SIP, |_| ()).await? as u64;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(bytes)
}

async fn watch(server: &Server, deadline: Instant) -> Outcome<Memory> {
    let mut peak = Memory::default();
    while Instant::now() < deadline {
        let now = server.process.memory()?;
        peak.resident = peak.resident.max(now.resident);
        peak.proportional = peak.proportional.max(now.proportional);
        tokio::time::sleep(LOOK).await;
    }
    Ok(peak)
}
