//! A manifest that is held: CPU a request, by tag and by digest.

use crate::failure::{Failure, Outcome};
use crate::load::Demand;
use crate::measure::{Spread, Turn, alternate};
use crate::report::Line;
use crate::site::{Fleet, Site};

const CONNECTIONS: usize = 64;

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let fleet = site.fleet().await?;
    let content = &site.content;
    let by_tag = line(site, fleet, "tag", content.by_tag()).await?;
    let by_digest = line(site, fleet, "digest", content.by_digest()).await?;
    Ok(vec![by_tag, by_digest])
}

async fn line(site: &Site, fleet: &Fleet, how: &str, path: String) -> Outcome<Line> {
    let manifest = &site.content.manifest;
    fleet.warm(&path, manifest).await?;
    let demand = Demand {
        path,
        length: manifest.len(),
        connections: CONNECTIONS,
        window: site.options.window,
    };
    let asked = site.manifests_asked();
    let servers = fleet.all();
    let turns = alternate(&servers, &demand, site.options.rounds).await?;
    if site.manifests_asked() != asked {
        return Err(Failure::new(
            "upstream was asked for a manifest that is fresh",
        ));
    }
    let others = servers.iter().zip(&turns).skip(1);
    let others = others.map(|(server, turns)| format!("{} {}", server.name, show(turns)));
    let cpu = Spread::of(&turns[0], Turn::cpu_micros);
    Ok(Line {
        what: format!("manifest hit by {how}, {CONNECTIONS} clients, CPU a request"),
        measured: show(&turns[0]),
        budget: "<= 25 us",
        is_met: Some(cpu.median <= 25.0),
        beside: others.collect(),
    })
}

fn show(turns: &[Turn]) -> String {
    let cpu = Spread::of(turns, Turn::cpu_micros);
    let rate = Spread::of(turns, Turn::rate);
    format!("{} us, {:.0}/s", cpu.show(1), rate.median)
}
