//! The table: what was measured, the budget beside it, and the others for comparison.

use std::fmt::Write as _;
use std::io::Write as _;
use std::{fs, io};

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What was measured.
    pub(crate) what: String,
    /// What entrepot took.
    pub(crate) measured: String,
    /// What it may take.
    pub(crate) budget: &'static str,
    /// Whether it kept to that; `None` where there is no budget.
    pub(crate) is_met: Option<bool>,
    /// What the others took, and what else is worth knowing.
    pub(crate) beside: Vec<String>,
}

impl Line {
    /// Its row, and a row for each further thing beside it.
    fn rows(&self) -> Vec<[&str; 5]> {
        let is_met = match self.is_met {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        let mut beside = self.beside.iter().map(String::as_str);
        let first = beside.next().unwrap_or_default();
        let mut rows = vec![[&self.what, &self.measured, self.budget, is_met, first]];
        rows.extend(beside.map(|text| ["", "", "", "", text]));
        rows
    }
}

const TITLES: [&str; 5] = ["what", "entrepot", "budget", "met", "beside"];

/// Prints the table, columns aligned, as Markdown has it.
pub(crate) fn print(lines: &[Line]) -> io::Result<()> {
    let rows: Vec<[&str; 5]> = [TITLES]
        .into_iter()
        .chain(lines.iter().flat_map(Line::rows))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            // Writing to a String cannot fail.
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for &width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    io::stdout().lock().write_all(text.as_bytes())
}

/// Prints where this was measured: a figure means nothing without it.
pub(crate) fn print_machine(servers: &str) -> io::Result<()> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{cores} cores of {model}, Linux {}, load {load} at the start",
        kernel.trim()
    )?;
    writeln!(
        out,
        "entrepot {}, beside it: {servers}",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(
        out,
        "median (least..most) of the rounds; CPU is the server's own, user and system\n"
    )
}

/// Says on the error output what is going on: a run takes minutes.
pub(crate) fn progress(what: &str) {
    // Nobody has to listen.
    let _ = writeln!(io::stderr().lock(), "... {what}");
}
