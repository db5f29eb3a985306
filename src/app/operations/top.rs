//! `entrepot top`: what the server does, look by look.

use std::time::Duration;

use prometheus::proto::MetricFamily;
use tokio::time::{MissedTickBehavior, interval};

use super::look_message::{LookRow, OrganizationLook, StandingRow};
use super::message::Row;
use super::{Failure, Report};
use crate::app::assemble::Services;
use crate::proxy::{Kind, Outcome};

/// The time between two looks.
const PACE: Duration = Duration::from_secs(1);

/// Tells what the server does, again and again: `looks` times, or until nobody listens.
pub(super) async fn top(
    services: &Services,
    looks: Option<u32>,
    report: &Report,
) -> Result<String, Failure> {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut left = looks;
    while left != Some(0) {
        pace.tick().await;
        report
            .row(Row::Look(Box::new(look(services).await?)))
            .await?;
        left = left.map(|left| left - 1);
    }
    Ok(String::new())
}

async fn look(services: &Services) -> Result<LookRow, Failure> {
    let families = services.metrics.registry().gather();
    let figure = |name: &str| total(&families, name, |_, _| true);
    let changes = |change: &str| {
        total(
            &families,
            "entrepot_registry_changes_total",
            |label, value| label == "change" && value == change,
        )
    };
    let disk = services.registry.blobs().disk();
    let disk = disk.map_err(crate::registry::Error::from)?;
    Ok(LookRow {
        time: services.clock.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        connections: figure("entrepot_http_connections"),
        memory_bytes: figure("process_resident_memory_bytes"),
        descriptors: figure("process_open_fds"),
        requests: figure("entrepot_http_requests_total"),
        sent_bytes: figure("entrepot_http_sent_bytes_total"),
        manifest_requests: total(&families, "entrepot_http_requests_total", |label, value| {
            label == "operation" && value == "manifest"
        }),
        pushed_manifests: changes("pushed_manifest"),
        pushed_blobs: changes("pushed_blob"),
        organizations: organizations(services).await?,
        fills: services.proxy.fillings(),
        disk_free_bytes: disk.free_bytes,
        disk_size_bytes: disk.total_bytes,
        disk_reserve_bytes: services.disk_reserve.bytes(),
        offline: !services.proxy.asks(),
    })
}

/// The sum over the children of a family that have such a label.
fn total(families: &[MetricFamily], name: &str, wanted: impl Fn(&str, &str) -> bool) -> u64 {
    let family = families.iter().find(|family| family.name() == name);
    let children = family.map_or(&[][..], MetricFamily::get_metric);
    let counts = children.iter().filter(|child| {
        let labels = child.get_label();
        labels.is_empty()
            || labels
                .iter()
                .any(|label| wanted(label.name(), label.value()))
    });
    let sum: f64 = counts
        .map(|child| child.get_counter().get_value() + child.get_gauge().get_value())
        .sum();
    // No figure here is negative or beyond 2^53.
    sum as u64
}

async fn organizations(services: &Services) -> Result<Vec<OrganizationLook>, Failure> {
    let caches = services.proxy.caches();
    let holdings = services.registry.holdings().await?;
    let look = |holding: crate::registry::Holding| {
        let name = holding.namespace;
        let cache = caches.iter().find(|cache| cache.rule.organization == name);
        let counted = services.proxy.metrics().of(&name);
        let (mut hits, mut requests) = (0, 0);
        if let Some(counted) = &counted {
            for kind in [Kind::Manifest, Kind::Blob] {
                for outcome in Outcome::ALL {
                    let count = counted.requests(kind, outcome);
                    requests += count;
                    hits += if outcome.is_held() { count } else { 0 };
                }
            }
        }
        OrganizationLook {
            hits,
            requests,
            served_bytes: counted.as_ref().map_or(0, |counted| counted.served.get()),
            fetched_bytes: counted.as_ref().map_or(0, |counted| counted.fetched.get()),
            held_bytes: holding.held_bytes,
            limit_bytes: holding.limit_bytes,
            upstream: cache.map(|cache| StandingRow::from(cache.standing())),
            name,
        }
    };
    Ok(holdings.into_iter().map(look).collect())
}
