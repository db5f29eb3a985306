//! What is shipped beside the program: unit files, package, container, alerts, dashboard, their documents.
//!
//! Most is read here and compared with what the program offers. What needs a package that was built
//! takes the one that `ENTREPOT_PACKAGE` names, as CI does.

mod calls;
mod chroot;
mod deb;
mod figures;
mod image;
mod manifests;
mod release;
mod scripts;
mod units;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::chance::say;
use crate::harness::clients::variable;

/// A file of the source tree.
pub(crate) fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What a file of the source tree says.
pub(crate) fn text(name: &str) -> String {
    let path = source(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Whether a program can be run; says so if not, and fails where CI demands every one.
pub(crate) fn has(program: &str) -> bool {
    let folders = variable("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    if !found {
        let required = variable("ENTREPOT_REQUIRE_CLIENTS").is_some_and(|value| value == "1");
        assert!(!required, "{program} is missing");
        say(&format!("skipped: no {program}"));
    }
    found
}

/// Runs a program to its end.
fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// The same for one that must succeed; returns what it printed.
fn run_well(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The sources of the program, one behind the other.
fn sources() -> String {
    let mut folders = vec![source("src")];
    let mut all = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => all += &std::fs::read_to_string(entry.path()).unwrap(),
            }
        }
    }
    all
}
