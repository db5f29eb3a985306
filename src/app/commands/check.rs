//! `entrepot check`, `entrepot recount` and `entrepot scrub`.

use super::{Output, Site, Stop};
use crate::app::operations::{DamageRow, FindingRow, Frame, Rate, Request, Row, ScrubRow};
use crate::model::ByteSize;

/// Carries out a check, of everything or of the counts only.
pub(super) fn check(
    request: Request,
    json: bool,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let mut sound = true;
    site.carry_out(request, output, |frame| match frame {
        Frame::Row(Row::Finding(finding)) => {
            sound &= finding.repaired;
            match json {
                true => output.line(Row::Finding(finding).json()),
                false => output.line(finding_line(&finding)),
            }
        }
        // Without --json the last word of the operation says it.
        Frame::Row(row @ Row::Checked(_)) if json => output.line(row.json()),
        Frame::Progress { text } => output.progress(text),
        Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    })?;
    if sound { Ok(()) } else { Err(Stop::Told) }
}

fn finding_line(row: &FindingRow) -> String {
    let then = match (row.repaired, row.repairable) {
        (true, _) => ": repaired",
        (false, true) => "; --repair puts it right",
        (false, false) => "",
    };
    format!("{}{then}", row.finding)
}

pub(super) fn scrub(
    bandwidth: Option<Rate>,
    json: bool,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let mut sound = true;
    site.carry_out(Request::Scrub { bandwidth }, output, |frame| match frame {
        Frame::Row(Row::Scrubbed(row)) => {
            sound = row.damaged == 0 && row.absent == 0;
            match json {
                true => output.line(Row::Scrubbed(row).json()),
                false => show(&row, output),
            }
        }
        Frame::Row(row @ Row::Damage(_)) if json => output.line(row.json()),
        Frame::Row(Row::Damage(row)) => output.line(damage_line(&row)),
        Frame::Progress { text } => output.progress(text),
        Frame::Row(_) | Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    })?;
    if sound { Ok(()) } else { Err(Stop::Told) }
}

fn damage_line(row: &DamageRow) -> String {
    let DamageRow {
        digest,
        kind,
        state,
        ..
    } = row;
    let of = match row.repositories.is_empty() {
        true => "no repository".to_owned(),
        false => row.repositories.join(", "),
    };
    let more = if row.more { " and others" } else { "" };
    let then = match row.lost {
        true => "push it again, or restore it",
        false => "it will be fetched again",
    };
    format!("{state}: {kind} {digest} of {of}{more}; {then}")
}

fn show(row: &ScrubRow, output: &Output) {
    let ScrubRow {
        blobs,
        manifests,
        damaged,
        absent,
        lost,
        ..
    } = row;
    let read = ByteSize(row.read_bytes);
    output.line(format_args!(
        "read: {blobs} blobs and {manifests} manifests, {read}"
    ));
    output.line(format_args!("damaged: {damaged}"));
    output.line(format_args!("absent: {absent}"));
    output.line(format_args!("of these, lost until pushed again: {lost}"));
}
