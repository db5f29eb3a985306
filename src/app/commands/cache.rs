//! `entrepot cache ls | rm | refresh | pin | unpin`.

use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::cli::CacheCommand;
use crate::app::operations::{ChangeRow, Frame, Request, Row};
use crate::model::ByteSize;
use crate::registry::{HeldTag, Holding};

/// Rows shown as one table; more begin another, so that a long list starts to show at once.
const TABLE_ROWS: usize = 500;

pub(super) fn run(
    command: CacheCommand,
    json: bool,
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let pin = |targets, pinned| Request::Pin { targets, pinned };
    let request = match command {
        CacheCommand::Ls { scope } => Request::List { scope },
        CacheCommand::Rm { targets, all } => Request::Remove { targets, all },
        CacheCommand::Refresh { targets } => Request::Refresh { targets },
        CacheCommand::Pin { targets } => pin(targets, true),
        CacheCommand::Unpin { targets } => pin(targets, false),
    };
    show(request, json, site, output)
}

/// Has something carried out, and shows what comes of it.
pub(super) fn show(request: Request, json: bool, site: &Site, output: &Output) -> Result<(), Stop> {
    let mut list = Listing {
        output,
        organizations: Vec::new(),
        tags: Vec::new(),
    };
    let done = site.carry_out(request, output, |frame| match frame {
        Frame::Row(row) if json => output.line(row.json()),
        Frame::Row(row) => list.add(row),
        Frame::Progress { text } => output.progress(text),
        Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    });
    list.show();
    done
}

/// Rows that wait to be a table.
struct Listing<'a> {
    output: &'a Output,
    organizations: Vec<[Cell; 3]>,
    tags: Vec<[Cell; 6]>,
}

impl Listing<'_> {
    fn add(&mut self, row: Row) {
        match row {
            Row::Organization(holding) => self.organizations.push(holding_cells(&holding)),
            Row::Tag(row) => {
                let name = format!("{}/{}", row.organization, row.tag.repository);
                self.tags.push(tag_cells(&name, &row.tag));
            }
            Row::Change(row) => self.output.line(change_line(&row)),
            _ => {}
        }
        if self.tags.len() >= TABLE_ROWS {
            self.show();
        }
    }

    fn show(&mut self) {
        if !self.organizations.is_empty() {
            let head = ["ORGANIZATION", "HELD", "QUOTA"];
            self.output.table(head, &self.organizations);
        }
        if !self.tags.is_empty() {
            let head = ["TAG", "SIZE", "VALIDATED", "LAST USED", "PINNED", "DIGEST"];
            self.output.table(head, &self.tags);
        }
        self.organizations.clear();
        self.tags.clear();
    }
}

fn change_line(row: &ChangeRow) -> String {
    let ChangeRow {
        target, outcome, ..
    } = row;
    match row.freed_bytes {
        Some(bytes) => format!("{target}: {outcome}, {} freed", ByteSize(bytes)),
        None => format!("{target}: {outcome}"),
    }
}

/// The namespace, what it holds, and its quota.
pub(super) fn holding_cells(holding: &Holding) -> [Cell; 3] {
    let limit = holding.limit_bytes.map(|bytes| ByteSize(bytes).to_string());
    [
        Cell::of(&holding.namespace),
        Cell::Number(ByteSize(holding.held_bytes).to_string()),
        Cell::Number(limit.unwrap_or_else(|| "-".to_owned())),
    ]
}

fn tag_cells(repository: &str, held: &HeldTag) -> [Cell; 6] {
    let used = held.last_used.map(|time| time.to_string());
    [
        Cell::Text(format!("{repository}:{}", held.tag)),
        Cell::Number(ByteSize(held.size_bytes).to_string()),
        Cell::of(held.validated),
        Cell::Text(used.unwrap_or_else(|| "-".to_owned())),
        Cell::of(if held.pinned { "yes" } else { "no" }),
        Cell::of(held.digest),
    ]
}
