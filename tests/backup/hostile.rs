//! Backups that somebody or something has changed: nothing of them is taken, and nothing is written
//! elsewhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use entrepot::oci::Digest;
use serde_json::Value;

use super::{CONFIG, copy_tree, newest, push, rename, said, stop, tree};
use crate::harness::content::Image;
use crate::harness::process::{Place, is_absent};

/// What somebody does to a backup whose newest generation is at the second path.
type Act = fn(&Path, &Path);

/// Rewrites the manifest as `change` wants it, with a sum that fits.
fn forge(generation: &Path, change: impl FnOnce(&mut Value)) {
    let path = generation.join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let sum = format!("{}  manifest.json\n", Digest::of(&bytes).hex());
    fs::write(&path, &bytes).unwrap();
    fs::write(generation.join("manifest.json.sha256"), sum).unwrap();
}

/// Replaces a file of a generation, with a sum that fits.
fn replace(generation: &Path, name: &str, bytes: &[u8]) {
    fs::write(generation.join(name), bytes).unwrap();
    forge(generation, |manifest| {
        manifest["files"][name]["bytes"] = bytes.len().into();
        manifest["files"][name]["sha256"] = Digest::of(bytes).hex().into();
    });
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

/// Puts a link to a copy that lies outside where a file was.
fn link_away(path: &Path) {
    let outside = path.with_extension("outside");
    rename(path, &outside);
    symlink(outside, path).unwrap();
}

/// Some blob of the backup.
fn some_blob(root: &Path) -> PathBuf {
    let (path, ..) = tree(&root.join("blobs")).into_iter().next().unwrap();
    root.join("blobs").join(path)
}

/// The rows with one of them changed, so that they are still read to their end.
fn with_rows(generation: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut rows = fs::read(generation.join("store.rows")).unwrap();
    change(&mut rows);
    replace(generation, "store.rows", &rows);
}

/// What is done, and what is said of it.
const ACTS: &[(&str, Act, &str)] = &[
    (
        "a bit of the rows",
        |_, it| flip(&it.join("store.rows")),
        "store.rows",
    ),
    (
        "a bit of the list",
        |_, it| flip(&it.join("blobs.list")),
        "blobs.list",
    ),
    (
        "a bit of the secret",
        |_, it| flip(&it.join("secret.key")),
        "secret.key",
    ),
    (
        "a bit of the manifest",
        |_, it| flip(&it.join("manifest.json")),
        "manifest.json",
    ),
    (
        "a bit of its sum",
        |_, it| flip(&it.join("manifest.json.sha256")),
        "manifest.json",
    ),
    (
        "rows cut short",
        |_, it| cut(&it.join("store.rows")),
        "store.rows",
    ),
    (
        "a list cut short",
        |_, it| cut(&it.join("blobs.list")),
        "blobs.list",
    ),
    (
        "no rows",
        |_, it| fs::remove_file(it.join("store.rows")).unwrap(),
        "store.rows",
    ),
    (
        "no list",
        |_, it| fs::remove_file(it.join("blobs.list")).unwrap(),
        "blobs.list",
    ),
    (
        "no manifest",
        |_, it| fs::remove_file(it.join("manifest.json")).unwrap(),
        "manifest.json",
    ),
    (
        "no sum",
        |_, it| fs::remove_file(it.join("manifest.json.sha256")).unwrap(),
        "sha256",
    ),
    (
        "no blob",
        |root, _| fs::remove_file(some_blob(root)).unwrap(),
        "it is gone",
    ),
    (
        "a bit of a blob",
        |root, _| flip(&some_blob(root)),
        "not those of its digest",
    ),
    (
        "a blob cut short",
        |root, _| cut(&some_blob(root)),
        "not those of its digest",
    ),
    (
        "an empty blob",
        |root, _| fs::write(some_blob(root), "").unwrap(),
        "not those of its digest",
    ),
    (
        "a blob behind a link",
        |root, _| link_away(&some_blob(root)),
        "link",
    ),
    (
        "a folder of blobs behind a link",
        |root, _| link_away(some_blob(root).parent().unwrap()),
        "link",
    ),
    (
        "a secret behind a link",
        |_, it| link_away(&it.join("secret.key")),
        "link",
    ),
    (
        "rows behind a link",
        |_, it| link_away(&it.join("store.rows")),
        "link",
    ),
    ("a generation behind a link", |_, it| link_away(it), "link"),
    (
        "a file that leads up",
        |_, it| {
            forge(it, |manifest| {
                let secret = manifest["files"]["secret.key"].clone();
                manifest["files"]["../../../escaped"] = secret;
            });
        },
        "names the file",
    ),
    (
        "a file from the root",
        |_, it| {
            forge(it, |manifest| {
                let secret = manifest["files"]["secret.key"].clone();
                manifest["files"]["/etc/cron.d/escaped"] = secret;
            });
        },
        "names the file",
    ),
    (
        "a file that is not ours",
        |_, it| {
            fs::write(it.join("control.sock"), "x").unwrap();
            forge(it, |manifest| {
                manifest["files"]["control.sock"] = manifest["files"]["secret.key"].clone()
            });
            replace(it, "control.sock", b"x");
        },
        "does not know",
    ),
    (
        "a key with a name that leads up",
        |_, it| {
            forge(it, |manifest| {
                let secret = manifest["files"]["secret.key"].clone();
                manifest["files"]["bundles.trusted.../../x.pub"] = secret;
            });
        },
        "names the file",
    ),
    (
        "a list that leads up",
        |_, it| replace(it, "blobs.list", b"sha256:../../../../etc/passwd 10\n"),
        "no list of blobs",
    ),
    (
        "a blob that the rows do not know, and that is not there",
        |_, it| {
            let line = format!("{} 7\n", Digest::of(b"unknown"));
            replace(it, "blobs.list", line.as_bytes());
        },
        "it is gone",
    ),
    (
        "rows of something else",
        |_, it| replace(it, "store.rows", b"#!/bin/sh\n"),
        "rows of a store",
    ),
    (
        "rows that end early",
        |_, it| with_rows(it, |rows| rows.truncate(rows.len() - 17)),
        "rows of a store",
    ),
    (
        "bytes behind the rows",
        |_, it| with_rows(it, |rows| rows.push(b'R')),
        "rows of a store",
    ),
    (
        "a row that says it is endless",
        |_, it| {
            with_rows(it, |rows| {
                let head = b"entrepot rows 1\n".len();
                rows.truncate(head);
                rows.extend_from_slice(b"T\0\x07meta.v1R\xff\xff\xff\xff");
            });
        },
        "rows of a store",
    ),
    (
        "a table with the name of a path",
        |_, it| {
            with_rows(it, |rows| {
                rows.truncate(b"entrepot rows 1\n".len());
                rows.extend_from_slice(b"T\0\x09../../etcE");
            });
        },
        "rows of a store",
    ),
    (
        "rows without a schema",
        |_, it| {
            with_rows(it, |rows| {
                rows.truncate(b"entrepot rows 1\n".len());
                rows.push(b'E');
                rows.extend_from_slice(&[0; 16]);
            });
        },
        "database of another program",
    ),
    (
        "a newer schema",
        |_, it| forge(it, |manifest| manifest["schema"] = 1_000_000.into()),
        "newer release",
    ),
    (
        "a newer form",
        |_, it| forge(it, |manifest| manifest["format"] = 1_000_000.into()),
        "newer release",
    ),
    (
        "a manifest that is no JSON",
        |_, it| {
            fs::write(it.join("manifest.json"), "{").unwrap();
            let sum = format!("{}  manifest.json\n", Digest::of(b"{").hex());
            fs::write(it.join("manifest.json.sha256"), sum).unwrap();
        },
        "manifest.json",
    ),
    (
        "a mark that is none",
        |root, _| fs::write(root.join("entrepot-backup.json"), "x").unwrap(),
        "entrepot-backup.json",
    ),
    (
        "no mark",
        |root, _| fs::remove_file(root.join("entrepot-backup.json")).unwrap(),
        "holds no backup",
    ),
    (
        "a mark behind a link",
        |root, _| link_away(&root.join("entrepot-backup.json")),
        "link",
    ),
];

/// LC-07, DO-06: whatever was done to a backup, a restore of it is refused with what is wrong, makes no
/// store, and writes nothing elsewhere.
#[tokio::test]
async fn nothing_of_a_changed_backup_is_taken() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    push(&server, "local/app", "a", &Image::with_layers(1, &[2_000])).await;
    stop(server).await;
    place.run_well(&["backup", "sound", "--copy"]).await;
    assert!(ACTS.len() >= 35, "{}", ACTS.len());
    for (number, (what, act, part)) in ACTS.iter().enumerate() {
        let name = format!("b{number}");
        let root = place.path(&name);
        copy_tree(&place.path("sound"), &root);
        let generation = newest(&root);
        act(&root, &generation);
        let around = || {
            let mut names: Vec<_> = fs::read_dir(place.directory.path()).unwrap().collect();
            names.retain(|entry| entry.as_ref().unwrap().file_name() != "new");
            names.len()
        };
        let before = (tree(&root), tree(&place.path("data")), around());
        let output = place.run(&["restore", &name, "--to", "new"]).await;
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{what}: {told}");
        assert!(told.contains(part), "{what}: {told}");
        assert!(is_absent(&place.path("new/entrepot.redb")), "{what}");
        assert!(is_absent(&place.path("escaped")), "{what}");
        assert_eq!(
            (tree(&root), tree(&place.path("data")), around()),
            before,
            "{what}"
        );
        let _ = fs::remove_dir_all(place.path("new"));
        fs::remove_dir_all(&root).unwrap();
    }
}

/// What can be seen without a restore is seen: every damage of a file or a blob.
#[tokio::test]
async fn verifying_finds_what_a_restore_would_refuse() {
    let place = Place::new(CONFIG);
    let server = place.serve().await;
    push(&server, "local/app", "a", &Image::with_layers(1, &[2_000])).await;
    stop(server).await;
    place.run_well(&["backup", "sound", "--copy"]).await;
    place.run_well(&["backup", "--verify", "sound"]).await;
    for (what, act, part) in &ACTS[..20] {
        if *what == "a generation behind a link" {
            continue;
        }
        let root = place.path("changed");
        copy_tree(&place.path("sound"), &root);
        act(&root, &newest(&root));
        let output = place.run(&["backup", "--verify", "changed"]).await;
        let told = said(&output);
        assert_eq!(output.status.code(), Some(1), "{what}: {told}");
        assert!(told.contains(part), "{what}: {told}");
        fs::remove_dir_all(&root).unwrap();
    }
}

/// Folders that are something else are neither filled nor emptied.
#[tokio::test]
async fn folders_of_others_are_left_alone() {
    let place = Place::new(CONFIG);
    stop(place.serve().await).await;
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/letter"), "dear").unwrap();
    let told = place.run_badly(&["backup", "home"]).await;
    assert!(told.contains("no backup of entrepot"), "{told}");
    for within in ["data", "data/backups", "."] {
        let told = place.run_badly(&["backup", within]).await;
        assert!(
            told.contains("within each other") || told.contains("no backup"),
            "{within}: {told}"
        );
    }
    fs::create_dir_all(place.path("data/x")).unwrap();
    let told = place.run_badly(&["backup", "data/x"]).await;
    assert!(told.contains("within each other"), "{told}");
    place.run_well(&["backup", "backups"]).await;
    let told = place
        .run_badly(&["restore", "backups", "--to", "home"])
        .await;
    assert!(
        told.contains("is not empty") && told.contains("letter"),
        "{told}"
    );
    let told = place.run_badly(&["restore", "backups"]).await;
    assert!(told.contains("is not empty"), "{told}");
    assert_eq!(tree(&place.path("home")).len(), 1);
    let told = place
        .run_badly(&["restore", "nowhere", "--to", "new"])
        .await;
    assert!(told.contains("holds no backup"), "{told}");
    assert!(is_absent(&place.path("nowhere")) && is_absent(&place.path("new")));
}
