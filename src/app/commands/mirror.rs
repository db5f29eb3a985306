//! `entrepot mirror`.

use super::listing::list;
use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::operations::{RepositoryPath, Request, Row};
use crate::model::ByteSize;

const HEAD: [&str; 5] = ["TAG", "ACTION", "SIZE", "DIGEST", "REASON"];

pub(super) fn run(
    repository: RepositoryPath,
    (dry_run, json): (bool, bool),
    site: &Site,
    output: &Output,
) -> Result<(), Stop> {
    let request = Request::Mirror {
        repository,
        dry_run,
    };
    list(request, json, (site, output), HEAD, cells)
}

fn cells(row: Row) -> Option<[Cell; 5]> {
    let Row::Mirrored(row) = row else {
        return None;
    };
    let text = |text: Option<String>| Cell::Text(text.unwrap_or_default());
    Some([
        Cell::of(row.tag),
        Cell::Text(row.action),
        text(row.bytes.map(|bytes| ByteSize(bytes).to_string())),
        text(row.digest.map(|digest| digest.to_string())),
        text(row.reason),
    ])
}
