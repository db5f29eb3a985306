//! How large the binary is that is shipped.

use std::fs;

use crate::failure::{Doing as _, Outcome};
use crate::measure::mebibytes;
use crate::report::Line;
use crate::servers::PROGRAM;

pub(super) fn measure() -> Outcome<Vec<Line>> {
    let size = mebibytes(fs::metadata(PROGRAM).doing("look at the binary")?.len());
    Ok(vec![Line {
        what: "release binary".to_owned(),
        measured: format!("{size:.1} MiB"),
        budget: "<= 30 MiB",
        is_met: Some(size <= 30.0),
        beside: Vec::new(),
    }])
}
