//! A table of the rows of one kind that an operation answers with.

use super::output::{Cell, Output};
use super::{Site, Stop};
use crate::app::operations::{Frame, Request, Row};

/// Rows shown as one table; more begin another, so that a long list starts to show at once.
const TABLE_ROWS: usize = 500;

/// Has something listed: a table, or with `json` one object a line. Nothing to list prints nothing.
pub(super) fn list<const N: usize>(
    request: Request,
    json: bool,
    (site, output): (&Site, &Output),
    head: [&str; N],
    cells: impl Fn(Row) -> Option<[Cell; N]>,
) -> Result<(), Stop> {
    let mut rows: Vec<[Cell; N]> = Vec::new();
    let done = site.carry_out(request, output, |frame| match frame {
        Frame::Row(row) if json => output.line(row.json()),
        Frame::Row(row) => {
            rows.extend(cells(row));
            if rows.len() >= TABLE_ROWS {
                output.table(head, &rows);
                rows.clear();
            }
        }
        Frame::Progress { text } => output.progress(text),
        Frame::Done { .. } | Frame::Failed { .. } | Frame::Bytes(_) => {}
    });
    if !rows.is_empty() {
        output.table(head, &rows);
    }
    done
}

/// Has something done that answers with a word at its end, which goes to stderr.
pub(super) fn carry_out(request: Request, site: &Site, output: &Output) -> Result<(), Stop> {
    site.carry_out(request, output, |frame| {
        if let Frame::Progress { text } = frame {
            output.progress(text);
        }
    })
}
