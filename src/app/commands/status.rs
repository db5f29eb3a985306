//! `entrepot status`.

use super::cache::holding_cells;
use super::{Output, Site, Stop};
use crate::app::operations::{Frame, Request, Row, StatusRow};
use crate::model::ByteSize;

pub(super) fn run(json: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    let mut works = true;
    site.carry_out(Request::Status {}, output, |frame| {
        let Frame::Row(Row::Status(status)) = frame else {
            return;
        };
        works = status.store_works;
        match json {
            true => output.line(Row::Status(status).json()),
            false => show(&status, output),
        }
    })?;
    if works { Ok(()) } else { Err(Stop::Told) }
}

fn show(status: &StatusRow, output: &Output) {
    let who = match status.process == std::process::id() {
        true => "no server runs on this data directory".to_owned(),
        false => format!("process {} serves", status.process),
    };
    output.line(format_args!("entrepot {}: {who}", status.version));
    output.line(match status.store_works {
        true => "the store works",
        false => "the store has failed; see the log of the server",
    });
    output.line(format_args!(
        "disk: {} free of {}, {} of them reserved",
        ByteSize(status.disk_free_bytes),
        ByteSize(status.disk_size_bytes),
        ByteSize(status.disk_reserve_bytes)
    ));
    if !status.organizations.is_empty() {
        let rows: Vec<_> = status.organizations.iter().map(holding_cells).collect();
        output.table(["NAMESPACE", "HELD", "QUOTA"], &rows);
    }
}
