//! Collection on a large store: how fast it looks, and how long it holds the writer.
//!
//! Every blob of the store is due; nine of ten are named by a manifest and stay. The figures are the
//! server's own, read from its metrics.

use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};
use crate::load::{Scrape, Target};
use crate::measure::count;
use crate::report::Line;
use crate::servers::{Settings, free_address};
use crate::site::Site;

use super::many;

/// Counts what the collector looked at.
const EXAMINED: &str = "entrepot_registry_gc_reviews_total";
/// Counts what it took away.
const REMOVED: &str = "entrepot_registry_gc_blobs_total";
/// How long each of its transactions held the writer.
const HOLDS: &str = "entrepot_registry_gc_transaction_seconds";
/// How long the store took to make what it changed durable, with two syncs of the disk.
const COMMITS: &str = "entrepot_store_commit_duration_seconds";
/// How often the metrics are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// However slow it is.
const LONGEST: Duration = Duration::from_secs(600);
/// If nothing happens for so long, nothing will: the server begins half a minute after its start.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the metrics said at a time.
struct Look {
    at: Instant,
    examined: f64,
    scrape: Scrape,
}

pub(super) async fn measure(site: &Site) -> Outcome<Vec<Line>> {
    let ours = many::data(site).await?;
    many::make_due(site, ours).await?;
    let metrics = free_address()?;
    let settings = Settings {
        metrics: Some(metrics),
        // Nothing is collected for as long after a start.
        grace_s: Some(1),
        ..Settings::local(site.upstream.address())
    };
    let server = ours.start(&settings).await?;
    let started = server.process.cpu()?;
    let due = many::examined(site);
    let (first, last) = watch(&Target::plain(metrics), count(due)).await?;
    let cpu = server.process.cpu()?.since(&started);
    let removed = last.scrape.sum(REMOVED);
    let unnamed = count(many::unnamed(site));
    if removed < unnamed {
        return Err(Failure::new(format!(
            "{removed} of {unnamed} blobs that nothing names were collected"
        )));
    }
    let examined = last.examined - first.examined;
    let rate = examined / (last.at - first.at).as_secs_f64();
    let hold = last.scrape.percentile(HOLDS, 0.99).map(|bound| bound * 1e3);
    let hold = hold.ok_or_else(|| Failure::new("no transaction of the collector was counted"))?;
    let commit = last.scrape.percentile(COMMITS, 0.99).unwrap_or_default() * 1e3;
    let many = site.options.many;
    let beside = format!(
        "{removed:.0} collected, {:.0} us CPU each of {due}",
        cpu.as_secs_f64() * 1e6 / count(due)
    );
    Ok(vec![
        Line {
            what: format!("collection, {many} blobs and {many} tags, blobs examined"),
            measured: format!("{rate:.0}/s"),
            budget: ">= 10,000/s",
            is_met: Some(rate >= 10_000.0),
            beside: vec![beside],
        },
        Line {
            what: "its write transactions, before their commit".to_owned(),
            measured: format!("p99 <= {hold:.2} ms"),
            budget: "p99 <= 5 ms",
            is_met: Some(hold <= 5.0),
            beside: vec![format!("commits p99 <= {commit:.2} ms")],
        },
    ])
}

/// Looks until all that is `due` was examined; gives the last look before the collector began, and the
/// last of all.
async fn watch(target: &Target, due: f64) -> Outcome<(Look, Look)> {
    let mut first = look(target).await?;
    let (begin, mut moved, mut before) = (first.at, first.at, first.examined);
    loop {
        let now = look(target).await?;
        if now.examined >= due {
            return Ok((first, now));
        }
        if now.examined > before {
            (moved, before) = (now.at, now.examined);
        } else if now.examined == 0.0 {
            first.at = now.at;
        }
        if now.at - moved > PATIENCE || now.at - begin > LONGEST {
            return Err(Failure::new(format!(
                "the collector looked at {before} of {due} blobs"
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(target: &Target) -> Outcome<Look> {
    let scrape = Scrape::of(target).await?;
    Ok(Look {
        at: Instant::now(),
        examined: scrape.sum(EXAMINED),
        scrape,
    })
}
