//! `entrepot tag ls | history | restore | immutable | mutable | expire`.

use super::cache::show;
use super::listing::list;
use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::cli::TagCommand;
use crate::app::operations::{Request, Row};

pub(super) fn run(command: TagCommand, site: &Site, output: &Output) -> Result<(), Stop> {
    let protect = |targets, immutable| Request::SetImmutable { targets, immutable };
    let request = match command {
        TagCommand::Ls { repository, json } => {
            let request = Request::ListTags { repository };
            return list(request, json, (site, output), TAG_HEAD, tag_cells);
        }
        TagCommand::History { scope, json } => {
            let request = Request::ListHistory { scope };
            return list(request, json, (site, output), LIFETIME_HEAD, lifetime_cells);
        }
        TagCommand::Restore { target } => Request::RestoreTag { target },
        TagCommand::Immutable { targets } => protect(targets, true),
        TagCommand::Mutable { targets } => protect(targets, false),
        TagCommand::Expire { targets, when } => Request::SetExpiry {
            targets,
            expiry: when.into(),
        },
    };
    show(request, false, site, output)
}

const TAG_HEAD: [&str; 6] = ["TAG", "SINCE", "BY", "EXPIRES", "IMMUTABLE", "DIGEST"];

fn tag_cells(row: Row) -> Option<[Cell; 6]> {
    let Row::LocalTag(row) = row else {
        return None;
    };
    let expires = row.expires.map(|time| time.to_string());
    Some([
        Cell::of(row.tag),
        Cell::of(row.since),
        Cell::Text(row.by),
        Cell::Text(expires.unwrap_or_else(|| "-".to_owned())),
        yes(row.immutable),
        Cell::of(row.digest),
    ])
}

const LIFETIME_HEAD: [&str; 8] = [
    "TAG",
    "FROM",
    "TO",
    "BY",
    "ENDED BY",
    "RESTORABLE UNTIL",
    "RESTORED",
    "DIGEST",
];

fn lifetime_cells(row: Row) -> Option<[Cell; 8]> {
    let Row::Lifetime(row) = row else {
        return None;
    };
    Some([
        Cell::of(row.tag),
        Cell::of(row.from),
        Cell::of(row.to),
        Cell::Text(row.by),
        Cell::Text(row.ended_by),
        Cell::of(row.until),
        yes(row.restored),
        Cell::of(row.digest),
    ])
}

fn yes(is_so: bool) -> Cell {
    Cell::of(if is_so { "yes" } else { "no" })
}
