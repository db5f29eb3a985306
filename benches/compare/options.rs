//! What the person who runs the comparison asked for.

use std::time::Duration;

use crate::failure::{Failure, Outcome};
use crate::rows::Row;

const USAGE: &str =
    "cargo bench --bench compare -- [--quick | --full] [--only ROW]... [--soak MINUTES]";

/// How long and how often things are measured, and which.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long one server is measured in one round.
    pub(crate) window: Duration,
    /// How often each server has its turn.
    pub(crate) rounds: usize,
    /// Whether what takes minutes is measured too.
    pub(crate) is_full: bool,
    /// Blobs, and as many tags, in the data directory of the rows `start`, `gc` and `upkeep`.
    pub(crate) many: u32,
    /// The layer of row `ingest`.
    pub(crate) layer_mebibytes: usize,
    /// How long row `soak` goes on.
    pub(crate) soak: Duration,
    /// What is measured.
    pub(crate) rows: Vec<Row>,
}

impl Options {
    /// Reads the arguments; `None` if cargo runs this program as a test, which has nothing to measure.
    pub(crate) fn read(arguments: impl Iterator<Item = String>) -> Outcome<Option<Self>> {
        let (mut is_bench, mut is_full, mut rows) = (false, false, Vec::new());
        let mut soak = Duration::from_secs(20 * 60);
        let mut arguments = arguments.skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // `cargo bench` says so to every program it runs, `cargo test` does not.
                "--bench" => is_bench = true,
                "--quick" => is_full = false,
                "--full" => is_full = true,
                "--only" => rows.push(Row::named(&arguments.next().unwrap_or_default())?),
                "--soak" => {
                    let minutes = arguments.next().and_then(|minutes| minutes.parse().ok());
                    let minutes: u64 = minutes.ok_or_else(|| Failure::new(USAGE))?;
                    soak = Duration::from_secs(minutes.max(1) * 60);
                    rows.push(Row::Soak);
                }
                other => return Err(Failure::new(format!("what is {other}?\n{USAGE}"))),
            }
        }
        if rows.is_empty() {
            rows = Row::ALL.to_vec();
            rows.retain(|row| !row.is_long());
        }
        let options = Self::of(is_full, rows);
        Ok(is_bench.then_some(Self { soak, ..options }))
    }

    fn of(is_full: bool, rows: Vec<Row>) -> Self {
        if is_full {
            Self {
                window: Duration::from_secs(3),
                rounds: 7,
                is_full,
                many: 1_000_000,
                layer_mebibytes: 1024,
                soak: Duration::ZERO,
                rows,
            }
        } else {
            Self {
                window: Duration::from_secs(1),
                rounds: 3,
                is_full,
                many: 100_000,
                layer_mebibytes: 256,
                soak: Duration::ZERO,
                rows,
            }
        }
    }
}
