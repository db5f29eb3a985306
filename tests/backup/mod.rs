//! Backups and restores: the real binary, with and without a server.

mod doctor;
mod hostile;
mod load;
mod round;
mod upgrade;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use entrepot::oci::Digest;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::content::Image;
use crate::harness::process::{Place, Process};
use crate::harness::pusher::{Pusher, Way};

/// Everyone may push into `local`, and pull from there.
const CONFIG: &str = "ANONYMOUS_PUSH: [local]\nPROXY_CACHES: []\n";

async fn stop(mut server: Process) {
    server.signal(Signal::TERM);
    assert!(server.ended().await.success());
}

async fn push(server: &Process, repository: &str, tag: &str, image: &Image) {
    let client = Pusher::new(server.address);
    for blob in image.blobs() {
        let pushed = client.push_blob(repository, blob, Way::Single).await;
        assert_eq!(pushed.unwrap().status, 201);
    }
    let put = client.put_manifest(repository, tag, &image.manifest).await;
    assert_eq!(put.unwrap().status, 201);
}

/// The image is served under its tag, every byte of it.
async fn has(server: &Process, repository: &str, tag: &str, image: &Image) {
    let client = Pusher::new(server.address);
    let path = format!("/v2/{repository}/manifests/{tag}");
    let manifest = client.get(&path).await.unwrap();
    assert_eq!(
        (manifest.status, &manifest.body),
        (200, &image.manifest.bytes)
    );
    for blob in image.blobs() {
        let path = format!("/v2/{repository}/blobs/{}", Digest::of(blob));
        let got = client.get(&path).await.unwrap();
        assert_eq!((got.status, &got.body), (200, blob), "{path}");
    }
}

/// A command's lines of JSON, whatever its status.
async fn rows(place: &Place, arguments: &[&str]) -> (Option<i32>, Vec<Value>) {
    let output = place.run(arguments).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().map(serde_json::from_str);
    let rows = rows.collect::<Result<_, _>>();
    let said = String::from_utf8_lossy(&output.stderr);
    (
        output.status.code(),
        rows.unwrap_or_else(|_| panic!("{text}{said}")),
    )
}

/// The one line of JSON of a command that must succeed.
async fn row(place: &Place, arguments: &[&str]) -> Value {
    let (code, mut rows) = rows(place, arguments).await;
    assert_eq!((code, rows.len()), (Some(0), 1), "{arguments:?}: {rows:?}");
    rows.remove(0)
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

/// Where the blob of a digest lies below `root`.
fn blob_path(root: &Path, digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    root.join("blobs/sha256").join(&hex[..2]).join(hex)
}

/// Every file below a folder, with its mode and bytes.
fn tree(root: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let (mut found, mut pending) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                pending.push(path);
            } else if metadata.is_file() {
                let mode = metadata.permissions().mode() & 0o7777;
                let bytes = std::fs::read(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), mode, bytes));
            }
        }
    }
    found.sort();
    found
}

/// Copies a folder with all that is in it.
fn copy_tree(from: &Path, to: &Path) {
    for (path, mode, bytes) in tree(from) {
        let to = to.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(&to, bytes).unwrap();
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Gives a file or a folder another name.
fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    rustix::fs::rename(from.as_ref(), to.as_ref()).unwrap();
}

/// The newest generation of a folder of backups.
fn newest(root: &Path) -> PathBuf {
    let generations = std::fs::read_dir(root.join("generations")).unwrap();
    let mut paths: Vec<PathBuf> = generations.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.pop().unwrap()
}
