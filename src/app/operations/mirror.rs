//! A mirror that an operator has run: what it would do, or what it does now.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::message::{MirroredRow, Row};
use super::{Failure, Report, RepositoryPath};
use crate::app::assemble::Services;
use crate::mirror::{Error, Mirror, Plan};
use crate::model::{ByteSize, MirrorReport, MirrorStatus, RepositoryId, SyncState};
use crate::oci::Tag;
use crate::store::{self, ReadTx};

/// How often it is told how far a run is.
const TELL: Duration = Duration::from_secs(1);

/// Rows read in one go.
const PAGE: usize = 500;

/// Says what a run of a mirror would do, tag by tag.
pub(super) async fn plan(
    services: &Services,
    repository: &RepositoryPath,
    report: &Report,
) -> Result<String, Failure> {
    let id = find(services, repository).await?;
    let plan = services.mirror.plan(id).await.map_err(refused)?;
    let Plan {
        tags,
        unchanged,
        ends,
        refused,
        requests,
        bytes,
    } = plan;
    let copied = tags.iter().filter(|tag| tag.failure.is_none()).count();
    for planned in tags {
        let action = match planned.failure {
            None => "copy",
            Some(_) => "fail",
        };
        let row = MirroredRow {
            tag: planned.tag,
            action: action.to_owned(),
            digest: planned.digest,
            bytes: Some(planned.bytes),
            reason: planned.failure,
        };
        report.row(Row::Mirrored(row)).await?;
    }
    let ended = ends.len();
    for tag in ends {
        let row = MirroredRow {
            tag,
            action: "end".to_owned(),
            digest: None,
            bytes: None,
            reason: Some("chosen no more".to_owned()),
        };
        report.row(Row::Mirrored(row)).await?;
    }
    let bytes = ByteSize(bytes);
    let mut text = format!(
        "{copied} tags would be copied ({bytes} in {requests} requests), {unchanged} have not changed, {ended} would end"
    );
    if let Some(refused) = refused {
        text = format!("{text}; none would end: {refused}");
    }
    Ok(text)
}

/// Runs a mirror now and tells how far it is.
pub(super) async fn run(
    services: &Services,
    repository: &RepositoryPath,
    report: &Report,
) -> Result<String, Failure> {
    let id = find(services, repository).await?;
    let mirror = &services.mirror;
    mirror.check_on().map_err(refused)?;
    mirror.want(id).await.map_err(refused)?;
    let status = follow(mirror, id, report).await?;
    let Some(status) = status else {
        return Err(Failure::refused("the mirror went while it ran"));
    };
    tell(services, (id, status.run), report).await?;
    let counts = counts(&status.report);
    match status.state {
        SyncState::Success => Ok(counts),
        _ => Err(Failure::refused(format!(
            "{counts}: {}",
            status.report.message
        ))),
    }
}

/// Runs it, or looks on while the server does.
async fn follow(
    mirror: &Mirror,
    id: RepositoryId,
    report: &Report,
) -> Result<Option<MirrorStatus>, Failure> {
    let mut run = std::pin::pin!(mirror.run(id));
    let mut turn = interval(TELL);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        tokio::select! {
            ended = &mut run => match ended {
                Ok(Some(status)) => return Ok(Some(status)),
                Ok(None) | Err(Error::Busy) => break,
                Err(error) => return Err(refused(error)),
            },
            _ = turn.tick() => show(mirror, id, &mut last, report).await?,
        }
    }
    while mirror.watch(id).is_some() {
        turn.tick().await;
        show(mirror, id, &mut last, report).await?;
    }
    mirror.status_of(id).await.map_err(refused)
}

async fn show(
    mirror: &Mirror,
    id: RepositoryId,
    last: &mut Option<MirrorReport>,
    report: &Report,
) -> Result<(), Failure> {
    let now = mirror.watch(id).map(|shown| shown.borrow().clone());
    let Some(now) = now.filter(|now| now.chosen > 0 && last.as_ref() != Some(now)) else {
        return Ok(());
    };
    report.progress(counts(&now)).await?;
    *last = Some(now);
    Ok(())
}

fn counts(report: &MirrorReport) -> String {
    let MirrorReport {
        chosen,
        unchanged,
        copied,
        failed,
        ended_tags,
        bytes,
        ..
    } = report;
    let bytes = ByteSize(*bytes);
    format!(
        "{chosen} tags: {copied} copied, {unchanged} unchanged, {failed} failed, {ended_tags} ended; {bytes} came"
    )
}

/// Tells of every tag that the run copied, or failed to.
async fn tell(
    services: &Services,
    (id, run): (RepositoryId, u64),
    report: &Report,
) -> Result<(), Failure> {
    let mut after = None::<Tag>;
    loop {
        let behind = after.clone();
        let read = move |tx: &ReadTx| tx.mirrors().tags(id, behind.as_ref(), PAGE);
        let page: Result<Vec<_>, store::Error> = services.registry.store().scan(read).await;
        let page = page.map_err(crate::registry::Error::from)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (tag, record) in page {
            if record.run != run {
                continue;
            }
            let action = match record.failure {
                None => "copied",
                Some(_) => "failed",
            };
            let row = MirroredRow {
                tag,
                action: action.to_owned(),
                digest: record.digest,
                bytes: None,
                reason: record.failure,
            };
            report.row(Row::Mirrored(row)).await?;
        }
    }
}

async fn find(services: &Services, path: &RepositoryPath) -> Result<RepositoryId, Failure> {
    let unknown = || Failure::refused(format!("there is no {path}"));
    let found = services.registry.namespace(&path.namespace).await?;
    let (namespace, _) = found.ok_or_else(unknown)?;
    let found = services.registry.repository(namespace, &path.name).await?;
    found.ok_or_else(unknown)
}

fn refused(error: Error) -> Failure {
    match error {
        Error::Registry(error) => error.into(),
        error => Failure::refused(error.to_string()),
    }
}
