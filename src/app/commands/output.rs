//! Where commands print: results on stdout, everything else on stderr.
//!
//! A reader that left (`| head`) is no error of ours, so failures to print are not looked at.

use std::fmt::Display;
use std::io::Write as _;

/// The two streams of the process.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct Output;

impl Output {
    /// A line of the result.
    pub(in crate::app) fn line(self, line: impl Display) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    /// A whole text, as it is.
    pub(in crate::app) fn text(self, text: &[u8]) {
        let _ = std::io::stdout().lock().write_all(text);
    }

    /// A line about what went wrong.
    pub(in crate::app) fn error(self, line: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// A line that says how far work has come, or what came of it.
    pub(in crate::app) fn progress(self, line: impl Display) {
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// A table whose columns are as wide as they need to be; numbers stand right.
    pub(in crate::app) fn table<const N: usize>(self, head: [&str; N], rows: &[[Cell; N]]) {
        let mut widths = head.map(str::len);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text().chars().count());
            }
        }
        let head = head.map(|name| Cell::Text(name.to_owned()));
        for row in std::iter::once(&head).chain(rows) {
            let cells = row.iter().zip(widths).map(|(cell, width)| cell.pad(width));
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(line.trim_end());
        }
    }
}

/// One field of a table.
pub(in crate::app) enum Cell {
    Text(String),
    Number(String),
}

impl Cell {
    pub(in crate::app) fn of(value: impl Display) -> Self {
        Self::Text(value.to_string())
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }

    fn pad(&self, width: usize) -> String {
        match self {
            Self::Text(text) => format!("{text:<width$}"),
            Self::Number(text) => format!("{text:>width$}"),
        }
    }
}
