//! The store, against itself and the files.

use std::path::Path;

use tokio::sync::mpsc;

use super::files::Holder;
use super::{Examination, Severity};
use crate::app::operations::{FindingRow, Frame, Row, describe_finding, is_lost};
use crate::app::{Error, assemble, offline};
use crate::config::Config;
use crate::registry::{Finding, Registry, Repair};
use crate::store;

/// Findings that are told one by one; the rest is counted.
const TOLD: usize = 1_000;

/// What a running server answers to a check.
pub(in crate::app) type Answers = mpsc::Receiver<Frame>;

const RESTORE: &str = "stop the server, move the data folder away, and restore the newest backup: \
    `entrepot restore DIR --to DATA_DIR`; without one, `entrepot.redb.schema-*` is the store before the last \
    upgrade";

/// Looks at the store; by the server, if one answers, else by itself while `holder` keeps others away.
pub(super) async fn examine(
    found: &mut Examination,
    config: &Config,
    answers: Option<Answers>,
    holder: Option<&Holder>,
) {
    found.look("store");
    let path = assemble::store_path(&config.data_dir);
    if let Some(answers) = answers {
        return ask(found, answers).await;
    }
    match std::fs::symlink_metadata(&path) {
        Err(_) => return absent(found, &config.data_dir),
        Ok(metadata) if metadata.len() == 0 => {
            let what = format!("{} is empty", path.display());
            return found.tell(Severity::Lost, what, RESTORE);
        }
        Ok(_) => {}
    }
    if holder.is_none() && config.data_dir.join("lock").exists() {
        // Somebody has it; that was told.
        return;
    }
    // Whatever a damaged page does to redb, it is told and not passed on.
    let config = config.clone();
    let looking = tokio::spawn(async move { look(&config).await });
    match looking.await {
        Ok(Ok((rows, unopened))) => {
            if let Some(error) = unopened {
                refused(found, &error);
            }
            tell(found, rows);
        }
        Ok(Err(error)) => refused(found, &error),
        Err(_) => {
            let what = format!(
                "{} is damaged: a page of it has no known form",
                path.display()
            );
            found.tell(Severity::Lost, what, RESTORE);
        }
    }
}

/// Without a store, whatever else is there belongs to nothing.
fn absent(found: &mut Examination, data_dir: &Path) {
    let has_blobs = ["sha256", "sha512"].iter().any(|algorithm| {
        let folder = data_dir.join("blobs").join(algorithm);
        std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    });
    if has_blobs || data_dir.join("secret.key").exists() {
        let what = format!(
            "{} is gone, while blobs or the secret are there",
            assemble::store_path(data_dir).display()
        );
        found.tell(Severity::Lost, what, RESTORE);
    }
}

/// Checks without a server, and changes nothing: what a start would change first is looked at in a copy,
/// and why that was needed is returned.
async fn look(config: &Config) -> Result<(Vec<FindingRow>, Option<Error>), Error> {
    match offline::open_read_only(config).await {
        Ok(registry) => Ok((check(&registry).await?, None)),
        Err(
            error @ Error::Store(store::Error::NotClosed { .. } | store::Error::OlderSchema { .. }),
        ) => {
            let (registry, copy) = offline::open_copy(config).await?;
            let rows = check(&registry).await;
            let closed = registry.store().closed();
            drop(registry);
            closed.await;
            drop(copy);
            Ok((rows?, Some(error)))
        }
        Err(error) => Err(error),
    }
}

async fn check(registry: &Registry) -> Result<Vec<FindingRow>, Error> {
    let mut findings = Vec::new();
    let note = |finding: &Finding| findings.push(finding.clone());
    registry.check(Repair::No, note).await?;
    let mut rows = Vec::new();
    for finding in findings {
        let words = async {
            Ok::<_, crate::app::operations::Failure>(FindingRow {
                finding: describe_finding(registry, &finding).await?,
                repaired: false,
                repairable: finding.is_repairable(),
                lost: is_lost(registry, &finding).await?,
            })
        };
        let row = words.await;
        rows.push(row.map_err(|error| Error::Refused(error.to_string()))?);
    }
    Ok(rows)
}

/// Has the server check its store.
async fn ask(found: &mut Examination, mut answers: Answers) {
    let mut rows = Vec::new();
    while let Some(frame) = answers.recv().await {
        match frame {
            Frame::Row(Row::Finding(row)) => rows.push(row),
            Frame::Done { .. } => return tell(found, rows),
            Frame::Failed { reason } => {
                found.tell(
                    Severity::Lost,
                    format!("the server cannot read its store: {reason}"),
                    RESTORE,
                );
                return tell(found, rows);
            }
            _ => {}
        }
    }
    let what = "the server left before it had checked its store";
    found.tell(Severity::Repairable, what, "look at its log");
}

fn tell(found: &mut Examination, rows: Vec<FindingRow>) {
    let more = rows.len().saturating_sub(TOLD);
    let mut hidden = Severity::Note;
    for (number, row) in rows.into_iter().enumerate() {
        let (severity, then) = match (row.lost, row.repairable) {
            (true, _) => (
                Severity::Lost,
                "push it again, or restore a backup; `entrepot scrub` tells whose it is",
            ),
            (false, true) => (Severity::Repairable, "entrepot check --repair"),
            (false, false) => (
                Severity::Repairable,
                "nothing: it is fetched again at the next pull",
            ),
        };
        match number < TOLD {
            true => found.tell(severity, row.finding, then),
            false => hidden = hidden.max(severity),
        }
    }
    if more > 0 {
        found.tell(hidden, format!("and {more} more"), "entrepot check");
    }
}

/// A store that cannot be looked at.
fn refused(found: &mut Examination, error: &Error) {
    let text = error.chain();
    let (severity, then) = match error {
        Error::Store(store::Error::NewerSchema { .. }) => (
            Severity::Repairable,
            "install the release that wrote it, or a newer one",
        ),
        Error::Store(store::Error::OlderSchema { .. }) => (
            Severity::Note,
            "start the server; a copy of the store is kept beside it",
        ),
        Error::Store(store::Error::NotClosed { .. }) => (
            Severity::Note,
            "start the server; nothing that was acknowledged is lost by that",
        ),
        Error::Store(store::Error::InUse { .. }) => {
            (Severity::Repairable, "end the process that has it open")
        }
        Error::Store(_) | Error::Registry(_) => (Severity::Lost, RESTORE),
        _ => (
            Severity::Repairable,
            "look at the volume, and run this as root",
        ),
    };
    found.tell(severity, text, then);
}
