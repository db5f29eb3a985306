//! `entrepot prune`.

use super::listing::list;
use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::operations::{Request, Row, Target};

const HEAD: [&str; 5] = ["REPOSITORY", "TAG", "SINCE", "REASON", "DIGEST"];

pub(super) fn run(
    scope: Option<Target>,
    (dry_run, json): (bool, bool),
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let request = Request::Prune { scope, dry_run };
    list(request, json, (site, output), HEAD, cells)
}

fn cells(row: Row) -> Option<[Cell; 5]> {
    let Row::Pruned(row) = row else {
        return None;
    };
    Some([
        Cell::of(row.repository),
        Cell::of(row.tag),
        Cell::of(row.since),
        Cell::Text(row.reason),
        Cell::of(row.digest),
    ])
}
