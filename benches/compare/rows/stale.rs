//! A held tag whose time is up, while upstream says nothing for half a minute.

use std::time::Duration;

use crate::content::REPOSITORY;
use crate::failure::Outcome;
use crate::load::{Crowd, Demand, verify};
use crate::measure::percentile;
use crate::report::Line;
use crate::servers::{Ours, Settings};
use crate::site::Site;
use crate::upstream::Pace;

const CLIENTS: usize = 64;
const FRESH_S: u32 = 2;
/// After this much time a tag is not fresh any more.
const LATER: Duration = Duration::from_millis(FRESH_S as u64 * 1000 + 200);
/// How long the tag is asked for after it was served stale; within `fresh_s` of that.
const WITHIN: Duration = Duration::from_millis(500);
const SILENCE: Pace = Pace {
    delay: Duration::from_secs(30),
    bandwidth: None,
};

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let settings = Settings {
        fresh_s: FRESH_S,
        ..Settings::of(site.upstream.address())
    };
    let ours = Ours::new(site.folder("stale"))?.start(&settings).await?;
    let manifest = &site.content.manifest;
    let path = site.content.by_tag();
    verify(&ours.target, &path, &manifest.digest).await?;
    let asked = site.manifests_asked();
    site.upstream.set_pace(SILENCE);
    let (mut first, mut then) = (Vec::new(), Vec::new());
    let mut crowd = Crowd::gather(&ours.target, CLIENTS).await?;
    let mut demand = Demand {
        path,
        length: manifest.len(),
        connections: CLIENTS,
        window: Duration::ZERO,
    };
    for _ in 0..site.options.rounds {
        tokio::time::sleep(LATER).await;
        demand.window = Duration::ZERO;
        first.extend(crowd.press(&demand).await?.latencies);
        demand.window = WITHIN;
        then.extend(crowd.press(&demand).await?.latencies);
    }
    // Stale or not, it is the right manifest.
    verify(&ours.target, &demand.path, &manifest.digest).await?;
    site.upstream.set_pace(Pace::default());
    let asked = site.manifests_asked() - asked;
    Ok(vec![
        line(
            "first",
            first,
            "p99 <= 1.05 s",
            1.05,
            format!("upstream asked {asked} times in all"),
        ),
        line(
            "then",
            then,
            "<= 20 ms",
            0.02,
            format!("{CLIENTS} clients of {REPOSITORY}, without pause"),
        ),
    ])
}

fn line(
    which: &str,
    mut latencies: Vec<Duration>,
    budget: &'static str,
    most: f64,
    beside: String,
) -> Line {
    latencies.sort();
    let at = |share| percentile(&latencies, share).map_or(f64::NAN, |time| time.as_secs_f64());
    let (middle, late) = (at(0.5), at(0.99));
    Line {
        what: format!(
            "cached tag, upstream silent for 30 s, {which} {} requests",
            latencies.len()
        ),
        measured: format!("p50 {:.1} ms, p99 {:.1} ms", middle * 1e3, late * 1e3),
        budget,
        is_met: Some(late <= most),
        beside: vec![beside],
    }
}
