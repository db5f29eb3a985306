//! `entrepot gc`.

use super::{Output, Site, Stop};
use crate::app::operations::{CollectedRow, Frame, Request, Row};
use crate::model::ByteSize;
use crate::registry::GcReport;

pub(super) fn run(dry_run: bool, json: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    let mut sound = true;
    site.carry_out(Request::Collect { dry_run }, output, |frame| match frame {
        Frame::Row(Row::Collected(row)) => {
            sound = row.report.failed == 0;
            match json {
                true => output.line(Row::Collected(row).json()),
                false => show(&row, dry_run, output),
            }
        }
        Frame::Progress { text } => output.progress(text),
        Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    })?;
    if sound { Ok(()) } else { Err(Stop::Told) }
}

fn show(row: &CollectedRow, dry_run: bool, output: &Output) {
    let report = &row.report;
    let (removed, freed) = match dry_run {
        true => ("would be removed", "would be freed"),
        false => ("removed", "freed"),
    };
    let GcReport {
        expired_tags,
        lifetimes,
        manifests,
        blobs,
        files,
        ..
    } = report;
    output.line(format_args!("expired tags {removed}: {expired_tags}"));
    output.line(format_args!("ended time machines {removed}: {lifetimes}"));
    output.line(format_args!("manifests {removed}: {manifests}"));
    output.line(format_args!("blobs {removed} from repositories: {blobs}"));
    let bytes = ByteSize(report.file_bytes);
    output.line(format_args!("{freed} on disk: {bytes} in {files} files"));
    match row.next_review {
        Some(due) => output.line(format_args!("kept for now: the next review is due {due}")),
        None => output.line("kept for now: no review is due later"),
    }
    if dry_run && !report.complete {
        output.progress("There is more than this to collect; what was looked at is counted.");
    }
    if report.failed > 0 {
        let failed = report.failed;
        output.error(format_args!(
            "entrepot: {failed} could not be collected, since a row is damaged; they are tried \
             again tomorrow, and the log of the server names them"
        ));
    }
}
