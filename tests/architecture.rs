//! The import table of the house (`src/lib.rs` tells why), read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which rooms a room may import, besides `std` and crates.
const TABLE: &[(&str, &[&str])] = &[
    ("oci", &[]),
    ("telemetry", &[]),
    ("model", &["oci"]),
    ("config", &["oci", "model", "telemetry"]),
    ("http", &["config", "telemetry"]),
    ("store", &["oci", "model", "config", "telemetry"]),
    ("blob", &["oci", "model", "config", "telemetry"]),
    ("outbound", &["oci", "model", "config", "telemetry"]),
    (
        "upstream",
        &["oci", "model", "config", "telemetry", "outbound"],
    ),
    ("quota", &["oci", "model", "config", "telemetry", "store"]),
    (
        "accounts",
        &["oci", "model", "config", "telemetry", "store"],
    ),
    ("notify", &["oci", "model", "config", "telemetry", "store"]),
    (
        "auth",
        &["oci", "model", "config", "telemetry", "store", "accounts"],
    ),
    (
        "registry",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "store",
            "blob",
            "quota",
        ],
    ),
    (
        "proxy",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "store",
            "blob",
            "outbound",
            "upstream",
            "quota",
            "accounts",
            "registry",
        ],
    ),
    (
        "mirror",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "store",
            "blob",
            "outbound",
            "upstream",
            "quota",
            "accounts",
            "registry",
        ],
    ),
    ("backup", &["oci", "model", "store", "blob"]),
    (
        "bundle",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "store",
            "blob",
            "quota",
            "accounts",
            "registry",
        ],
    ),
    (
        "api",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "http",
            "blob",
            "accounts",
            "auth",
            "notify",
            "quota",
            "registry",
            "proxy",
            "mirror",
        ],
    ),
    (
        "jobs",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "store",
            "accounts",
            "auth",
            "notify",
            "quota",
            "registry",
            "proxy",
            "mirror",
        ],
    ),
    (
        "app",
        &[
            "oci",
            "model",
            "config",
            "telemetry",
            "http",
            "store",
            "accounts",
            "auth",
            "notify",
            "blob",
            "outbound",
            "upstream",
            "quota",
            "registry",
            "proxy",
            "bundle",
            "backup",
            "mirror",
            "api",
            "jobs",
        ],
    ),
];

#[test]
fn rooms_import_only_what_the_table_allows() {
    let rooms: BTreeSet<&str> = TABLE.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, allowed) in TABLE {
        for (file, imported) in imports(room) {
            let known = rooms.contains(imported.as_str());
            if known && imported != *room && !allowed.contains(&imported.as_str()) {
                wrong.push(format!("{} imports {imported}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_a_row_and_every_row_a_room() {
    let entries = std::fs::read_dir(source()).expect("src is there");
    let folders: BTreeSet<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let rows = TABLE.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(folders, rows);
}

#[test]
fn the_table_has_no_cycle() {
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut settled = BTreeSet::new();
    while settled.len() < table.len() {
        let before = settled.len();
        for (room, imports) in &table {
            if imports.iter().all(|import| settled.contains(import)) {
                settled.insert(*room);
            }
        }
        assert!(settled.len() > before, "rooms in a knot: {table:?}");
    }
}

/// Every `crate::room` that a room's files mention outside comments, with the file.
fn imports(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for file in files(&source().join(room)) {
        let text = std::fs::read_to_string(&file).expect("a source file is readable");
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        for line in code {
            found.extend(mentioned(line).map(|name| (file.clone(), name)));
        }
    }
    assert!(
        !found.is_empty() || ["oci", "telemetry"].contains(&room),
        "{room} imports nothing"
    );
    found
}

/// The first components behind `crate::` in a line, groups (`crate::{blob, store}`) taken apart.
fn mentioned(line: &str) -> impl Iterator<Item = String> {
    line.match_indices("crate::").flat_map(|(at, prefix)| {
        let rest = &line[at + prefix.len()..];
        let list = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest,
        };
        let is_group = rest.starts_with('{');
        let parts: Vec<&str> = if is_group {
            list.split(',').collect()
        } else {
            vec![list]
        };
        let word = |part: &str| {
            let part = part.trim_start();
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            part[..end.unwrap_or(part.len())].to_owned()
        };
        parts.into_iter().map(word).collect::<Vec<_>>()
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a room is a folder");
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn mentions_are_found_in_lines_and_groups() {
    let found = |line| mentioned(line).collect::<Vec<_>>();
    assert_eq!(found("use crate::store::Store;"), ["store"]);
    assert_eq!(found("use crate::{blob, store};"), ["blob", "store"]);
    assert_eq!(
        found("let x: crate::oci::Tag = crate::model::y();"),
        ["oci", "model"]
    );
    assert_eq!(found("use std::fmt;"), Vec::<String>::new());
}
