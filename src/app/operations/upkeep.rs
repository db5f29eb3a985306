//! Operations on the whole site: sweep, status, collection, check, scrub.

use tokio::sync::mpsc;

use super::message::{CheckedRow, CollectedRow, FindingRow, Row, ScrubRow, StatusRow};
use super::{Failure, Rate, Report, findings};
use crate::app::assemble::Services;
use crate::model::ByteSize;
use crate::registry::{Budget, Damage, Finding, GcReport, Pace, Repair};

/// Reviews looked at between two words about how far the work has come.
const STEP: Budget = Budget { reviews: 20_000 };

/// Removes files that nothing names.
pub(super) async fn sweep(services: &Services, report: &Report) -> Result<String, Failure> {
    report
        .progress("looking for files that nothing names")
        .await?;
    let swept = services.proxy.sweep().await?;
    Ok(format!(
        "{} files examined, {} removed, {} unfinished fills removed",
        swept.examined, swept.removed_files, swept.removed_partials
    ))
}

/// Tells how the site is.
pub(super) async fn status(services: &Services, report: &Report) -> Result<String, Failure> {
    let registry = &services.registry;
    let holdings = registry.holdings().await;
    let disk = registry
        .blobs()
        .disk()
        .map_err(crate::registry::Error::from)?;
    let row = StatusRow {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        process: std::process::id(),
        store_works: holdings.is_ok() && !registry.store().failed(),
        disk_free_bytes: disk.free_bytes,
        disk_size_bytes: disk.total_bytes,
        disk_reserve_bytes: services.disk_reserve.bytes(),
        organizations: holdings.unwrap_or_default(),
    };
    report.row(Row::Status(row)).await?;
    Ok(String::new())
}

/// Collects until nothing that is due is left.
pub(super) async fn collect(services: &Services, report: &Report) -> Result<String, Failure> {
    if !services.registry.rules().may_collect {
        let reason = "nothing is collected while the registry is closed to writes \
                      (REGISTRY_STATE, DISABLE_PUSHES)";
        return Err(Failure::Refused(reason.to_owned()));
    }
    let mut whole = GcReport::default();
    loop {
        let step = services.registry.collect(STEP).await?;
        add(&mut whole, &step);
        if step.complete {
            break;
        }
        let freed = ByteSize(whole.file_bytes);
        let text = format!("{} looked at, {freed} freed so far", whole.reviewed);
        report.progress(text).await?;
    }
    tell_collected(services, whole, report).await
}

/// Tells what a collection would do.
pub(super) async fn collectable(services: &Services, report: &Report) -> Result<String, Failure> {
    let found = services.registry.collectable().await?;
    tell_collected(services, found, report).await
}

async fn tell_collected(
    services: &Services,
    found: GcReport,
    report: &Report,
) -> Result<String, Failure> {
    let row = CollectedRow {
        report: found,
        next_review: services.registry.next_review().await?,
    };
    report.row(Row::Collected(row)).await?;
    Ok(String::new())
}

fn add(whole: &mut GcReport, step: &GcReport) {
    whole.reviewed += step.reviewed;
    whole.expired_tags += step.expired_tags;
    whole.lifetimes += step.lifetimes;
    whole.manifests += step.manifests;
    whole.blobs += step.blobs;
    whole.held_bytes += step.held_bytes;
    whole.files += step.files;
    whole.file_bytes += step.file_bytes;
    whole.failed += step.failed;
    whole.complete = step.complete;
}

/// What is compared with what is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Extent {
    Everything,
    /// Only the counts of bytes.
    Bytes,
}

/// Compares store and disk, and tells of every finding as it comes.
pub(super) async fn check(
    services: &Services,
    extent: Extent,
    repair: bool,
    report: &Report,
) -> Result<String, Failure> {
    let (found, mut coming) = mpsc::unbounded_channel();
    let wanted = if repair { Repair::Yes } else { Repair::No };
    let checking = async move {
        // The other end is dropped only with this one.
        let note = |finding: &Finding| drop(found.send(finding.clone()));
        match extent {
            Extent::Everything => services.registry.check(wanted, note).await,
            Extent::Bytes => services.registry.recount(wanted, note).await,
        }
    };
    let telling = async {
        while let Some(finding) = coming.recv().await {
            let repairable = finding.is_repairable();
            let row = FindingRow {
                finding: findings::describe(&services.registry, &finding).await?,
                repaired: repair && repairable,
                repairable,
                lost: findings::is_lost(&services.registry, &finding).await?,
            };
            report.row(Row::Finding(row)).await?;
        }
        Ok::<(), Failure>(())
    };
    let (checked, told) = tokio::join!(checking, telling);
    told?;
    let checked = checked?;
    let row = CheckedRow {
        blobs: checked.blobs,
        manifests: checked.manifests,
        namespaces: checked.namespaces,
        repositories: checked.repositories,
        findings: checked.findings,
        repaired: checked.repaired,
    };
    report.row(Row::Checked(row)).await?;
    let (findings, repaired) = (checked.findings, checked.repaired);
    Ok(match extent {
        Extent::Everything => format!(
            "{} blobs and {} manifests looked at, {findings} findings, {repaired} repaired",
            checked.blobs, checked.manifests
        ),
        Extent::Bytes => format!(
            "{} namespaces and {} repositories counted, {findings} differences, {repaired} corrected",
            checked.namespaces, checked.repositories
        ),
    })
}

/// Reads everything back and compares it with its digest, and tells of all damage as it is met.
pub(super) async fn scrub(
    services: &Services,
    bandwidth: Option<Rate>,
    report: &Report,
) -> Result<String, Failure> {
    let rate = bandwidth.map_or(services.scrub_bandwidth, |rate| rate.0);
    let pace = Pace {
        bytes_per_second: rate.map(ByteSize::bytes),
    };
    report.progress("reading every blob and manifest").await?;
    let (met, mut coming) = mpsc::unbounded_channel();
    let reading = async move {
        // The other end is dropped only with this one.
        let note = |damage: &Damage| drop(met.send(damage.clone()));
        services.registry.scrub(pace, note).await
    };
    let telling = async {
        while let Some(damage) = coming.recv().await {
            let row = findings::damage(&services.registry, &damage).await?;
            report.row(Row::Damage(row)).await?;
        }
        Ok::<(), Failure>(())
    };
    let (read, told) = tokio::join!(reading, telling);
    told?;
    let found = read?;
    let row = ScrubRow {
        blobs: found.blobs,
        manifests: found.manifests,
        read_bytes: found.read_bytes,
        damaged: found.damaged,
        absent: found.absent,
        lost: found.lost,
    };
    report.row(Row::Scrubbed(row)).await?;
    Ok(String::new())
}
