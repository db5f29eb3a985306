//! Blobs that are held: CPU a request of a small one, bytes a CPU-second of a large one.

use crate::content::{Blob, REPOSITORY};
use crate::failure::Outcome;
use crate::load::Demand;
use crate::measure::{Spread, Turn, alternate, turn};
use crate::report::Line;
use crate::servers::Server;
use crate::site::{Fleet, Site};

/// Clients of the rows with one figure.
const CONNECTIONS: usize = 8;

/// 1 MiB, in milliseconds of CPU.
pub(super) async fn small(site: &Site) -> Outcome<Vec<Line>> {
    let fleet = site.fleet().await?;
    let blob = &site.content.small;
    let fetched = site.fetched(blob);
    fleet.warm(&blob.path(REPOSITORY), blob).await?;
    let servers = fleet.all();
    let demand = demand(site, blob, CONNECTIONS);
    let turns = alternate(&servers, &demand, site.options.rounds).await?;
    site.check_fetched_once(blob, fetched)?;
    let millis = |turn: &Turn| turn.cpu_micros() / 1000.0;
    let cpu = Spread::of(&turns[0], millis);
    let others = servers.iter().zip(&turns).skip(1);
    let others = others.map(|(server, turns)| {
        let cpu = Spread::of(turns, millis).show(3);
        format!("{} {cpu} ms", server.name)
    });
    Ok(vec![Line {
        what: format!("1 MiB blob hit, {CONNECTIONS} clients, CPU a request"),
        measured: format!("{} ms", cpu.show(3)),
        budget: "<= 0.45 ms",
        is_met: Some(cpu.median <= 0.45),
        beside: others.collect(),
    }])
}

/// 100 MiB in plaintext, at several numbers of connections.
pub(super) async fn big(site: &Site) -> Outcome<Vec<Line>> {
    let fleet = site.fleet().await?;
    let blob = &site.content.big;
    let fetched = site.fetched(blob);
    fleet.warm(&blob.path(REPOSITORY), blob).await?;
    let mut lines = Vec::new();
    for connections in [1, 8, 64] {
        let budget = match connections {
            1 => None,
            _ => Some(Budget {
                text: ">= 0.9 of nginx tuned, > stock",
                of_stock: 1.0,
                of_tuned: 0.9,
            }),
        };
        let name = "100 MiB blob hit, plaintext";
        let mut line = throughput(site, fleet, name, connections, budget).await?;
        if let Some(distribution) = &fleet.distribution {
            // A hundredth of the others' speed at 64 connections: half a minute for one turn.
            let is_quick = connections < 64 || site.options.is_full;
            line.beside.push(if is_quick {
                once(site, distribution, connections).await?
            } else {
                format!("{} only with --full", distribution.name)
            });
        }
        lines.push(line);
    }
    site.check_fetched_once(blob, fetched)?;
    Ok(lines)
}

/// 100 MiB over TLS 1.3.
pub(super) async fn tls(site: &Site) -> Outcome<Vec<Line>> {
    let fleet = site.start_tls_fleet("hit").await?;
    let blob = &site.content.big;
    fleet.warm(&blob.path(REPOSITORY), blob).await?;
    let budget = Budget {
        text: ">= nginx with OpenSSL",
        of_stock: 1.0,
        of_tuned: 1.0,
    };
    let name = "100 MiB blob hit, TLS 1.3";
    let line = throughput(site, &fleet, name, CONNECTIONS, Some(budget)).await?;
    Ok(vec![line])
}

/// The least that our bytes a CPU-second may be of theirs.
struct Budget {
    text: &'static str,
    of_stock: f64,
    of_tuned: f64,
}

async fn throughput(
    site: &Site,
    fleet: &Fleet,
    name: &str,
    connections: usize,
    budget: Option<Budget>,
) -> Outcome<Line> {
    let demand = demand(site, &site.content.big, connections);
    let servers = fleet.quick_ones();
    let turns = alternate(&servers, &demand, site.options.rounds).await?;
    let ratio = |place: usize| {
        let theirs = turns.get(place)?;
        Some(Spread::ratio(&turns[0], theirs, Turn::megabytes))
    };
    let is_met = budget.as_ref().zip(ratio(1)).zip(ratio(2));
    let is_met = is_met.map(|((budget, stock), tuned)| {
        stock.median >= budget.of_stock && tuned.median >= budget.of_tuned
    });
    let beside = servers
        .iter()
        .enumerate()
        .skip(1)
        .filter_map(|(place, server)| {
            let theirs = Spread::of(&turns[place], Turn::megabytes).median;
            let name = server.name;
            Some(format!("{} of {name} ({theirs:.0})", ratio(place)?.show(2)))
        });
    Ok(Line {
        what: format!("{name}, {connections} at once, MB a CPU-second"),
        measured: Spread::of(&turns[0], Turn::megabytes).show(0),
        budget: budget.map_or("", |budget| budget.text),
        is_met,
        beside: beside.collect(),
    })
}

/// One turn of a server that is not compared round by round.
async fn once(site: &Site, server: &Server, connections: usize) -> Outcome<String> {
    let demand = demand(site, &site.content.big, connections);
    let turn = turn(server, &demand).await?;
    Ok(format!("{} {:.0}", server.name, turn.megabytes()))
}

fn demand(site: &Site, blob: &Blob, connections: usize) -> Demand {
    Demand {
        path: blob.path(REPOSITORY),
        length: blob.len(),
        connections,
        window: site.options.window,
    }
}
