//! What is handed out: sums, provenance, signature, and the bill of materials within the program itself.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::deb::{package, unpacked, word};
use super::{has, run_well, source, text};

/// Runs the commands of a page as they stand, in `folder`.
fn shell(folder: &Path, lines: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-euc", lines]).current_dir(folder);
    command.env("COSIGN_PASSWORD", "").output().unwrap()
}

/// The block of `page` that begins with `first`.
fn block(page: &str, first: &str) -> String {
    let text = text(page);
    let start = text
        .find(&format!("```console\n{first}"))
        .unwrap_or_else(|| panic!("{page} has no block {first}"));
    let block = text[start..].split("```").nth(1).unwrap();
    block.strip_prefix("console\n").unwrap().to_owned()
}

/// A folder with a package and what `packaging/release` adds, signed by a key made for it.
fn released(package: &Path) -> TempDir {
    let root = unpacked(package);
    let folder = tempfile::Builder::new()
        .prefix("entrepot-")
        .tempdir()
        .unwrap();
    let inside = |name: &str| folder.path().join(name);
    let made = shell(folder.path(), "cosign generate-key-pair");
    assert!(made.status.success(), "{made:?}");
    std::fs::copy(inside("cosign.pub"), inside("entrepot.pub")).unwrap();
    let name = package.file_name().unwrap();
    std::fs::copy(package, folder.path().join(name)).unwrap();
    let done = Command::new(source("packaging/release"))
        .arg(root.path().join("usr/bin/entrepot"))
        .arg(folder.path())
        .env(
            "SBOM",
            root.path().join("usr/share/doc/entrepot/entrepot.cdx.json"),
        )
        .env("KEY", inside("cosign.key"))
        .env("COSIGN_PASSWORD", "")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    folder
}

/// HP-09: who has the public key verifies what was handed out by the commands of README.md, and learns of every
/// file that was changed.
#[test]
fn a_release_is_verified_by_the_readmes_commands() {
    let Some(package) = package() else { return };
    if !has("cosign") || !has("python3") {
        return;
    }
    let folder = released(&package);
    let verify = block("README.md", "cosign verify-blob");
    let good = shell(folder.path(), &verify);
    assert!(good.status.success(), "{good:?}");
    let listed = std::fs::read_to_string(folder.path().join("SHA256SUMS")).unwrap();
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.1))
        .collect();
    assert_eq!(names.len(), 4, "{listed}");
    for name in names.iter().copied().chain(["SHA256SUMS"]) {
        let path = folder.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(!shell(folder.path(), &verify).status.success(), "{name}");
        bytes[middle] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
    }
    assert!(shell(folder.path(), &verify).status.success());
}

/// HP-09: the statement is in-toto's with SLSA's predicate, of every file, and names source and lock file.
#[test]
fn the_provenance_names_source_and_files() {
    let Some(package) = package() else { return };
    if !has("cosign") || !has("python3") {
        return;
    }
    let folder = released(&package);
    let name = format!("entrepot_{}.provenance.json", env!("CARGO_PKG_VERSION"));
    let statement = std::fs::read(folder.path().join(name)).unwrap();
    let statement: Value = serde_json::from_slice(&statement).unwrap();
    assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    let subjects = statement["subject"].as_array().unwrap();
    for subject in subjects {
        let path = folder.path().join(subject["name"].as_str().unwrap());
        let sum = run_well("sha256sum", &[word(&path)]);
        assert_eq!(sum.split(' ').next(), subject["digest"]["sha256"].as_str());
    }
    let build = &statement["predicate"]["buildDefinition"];
    let sources = build["resolvedDependencies"].as_array().unwrap();
    let lock = sources.iter().find(|one| one["name"] == "Cargo.lock");
    let sum = run_well("sha256sum", &[word(&source("Cargo.lock"))]);
    assert_eq!(
        sum.split(' ').next(),
        lock.unwrap()["digest"]["sha256"].as_str()
    );
}

/// `(name, version)` of the crates that a program says it was linked from (cargo-auditable: section `.dep-v0`).
fn within(program: &Path) -> BTreeSet<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let section = folder.path().join("section");
    let dump = format!(".dep-v0={}", section.display());
    run_well(
        "objcopy",
        &["--dump-section", &dump, word(program), "/dev/null"],
    );
    let mut text = String::new();
    let section = std::fs::File::open(section).unwrap();
    let mut inflated = flate2::read::ZlibDecoder::new(section);
    inflated.read_to_string(&mut text).unwrap();
    let bill: Value = serde_json::from_str(&text).unwrap();
    let packages = bill["packages"].as_array().unwrap();
    let linked = packages.iter().filter(|one| one["kind"] != "build");
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    linked
        .map(|one| (word(one, "name"), word(one, "version")))
        .collect()
}

/// HP-08: the program tells scanners itself what it was linked from, and the bill of materials beside it says the
/// same.
#[test]
fn the_program_holds_its_bill_of_materials() {
    let Some(package) = package() else { return };
    if !has("objcopy") {
        return;
    }
    let root = unpacked(&package);
    let within = within(&root.path().join("usr/bin/entrepot"));
    let beside = root.path().join("usr/share/doc/entrepot/entrepot.cdx.json");
    let beside: Value = serde_json::from_slice(&std::fs::read(beside).unwrap()).unwrap();
    let components = beside["components"].as_array().unwrap();
    let own = &beside["metadata"]["component"];
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    let beside: BTreeSet<(String, String)> = components
        .iter()
        .chain([own])
        .map(|one| (word(one, "name"), word(one, "version")))
        .collect();
    let missing: Vec<_> = beside.difference(&within).collect();
    assert!(missing.is_empty(), "not in the program: {missing:?}");
    // Macros run while it is built; cargo-auditable counts them among what is linked.
    let lock = text("Cargo.lock");
    for (name, version) in within.difference(&beside) {
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(lock.contains(&entry), "{name} {version}");
    }
}
