//! The data folder: whose it is, who may look into it, how much room it has, what lies about in it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{Examination, Severity};
use crate::config::Config;
use crate::model::ByteSize;
use crate::quota;

/// Fewer inodes than this left, and downloads begin to fail that have space.
const INODES: u64 = 10_000;

/// Looks at the folder itself and at what must be in it; returns whether what is in it can be looked at.
pub(super) fn folder(found: &mut Examination, data_dir: &Path) -> bool {
    found.look("data_folder");
    let folder = data_dir.display();
    let metadata = match fs::metadata(data_dir) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            found.tell(
                Severity::Repairable,
                format!("{folder} is no folder"),
                "set DATA_DIR",
            );
            return false;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let then =
                "start the server once, or say with --config or --data-dir where the data is";
            found.tell(Severity::Note, format!("{folder} is not there"), then);
            return false;
        }
        Err(error) => {
            let then = "run this as root or as the user of the server";
            found.tell(Severity::Repairable, format!("{folder}: {error}"), then);
            return false;
        }
    };
    mode(found, data_dir, 0o700);
    let owner = metadata.uid();
    let mut is_sound = true;
    for name in [
        "entrepot.redb",
        "secret.key",
        "lock",
        "blobs",
        "partial",
        "uploads",
        "tmp",
        "quarantine",
    ] {
        let path = data_dir.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if metadata.uid() != owner {
            let what = format!(
                "{} belongs to user {}, the folder to {owner}",
                path.display(),
                metadata.uid()
            );
            found.tell(
                Severity::Repairable,
                what,
                format!("chown -R --reference={folder} {folder}"),
            );
        }
        let is_folder = !matches!(name, "entrepot.redb" | "secret.key" | "lock");
        is_sound &= !is_folder || folder_is_one(found, &path);
    }
    for algorithm in ["sha256", "sha512"] {
        is_sound &= folder_is_one(found, &data_dir.join("blobs").join(algorithm));
    }
    mode(found, &data_dir.join("entrepot.redb"), 0o600);
    is_sound
}

/// Whether what should be a folder is one, or is not there.
fn folder_is_one(found: &mut Examination, path: &Path) -> bool {
    let is_one = fs::symlink_metadata(path).map_or(true, |metadata| metadata.is_dir());
    if !is_one {
        let what = format!("{} is no folder", path.display());
        let then = "move it away; the next start makes the folder";
        found.tell(Severity::Repairable, what, then);
    }
    is_one
}

/// Whether anybody but the owner may look into a file or folder; what is not there is not looked at.
fn mode(found: &mut Examination, path: &Path, wanted: u32) {
    let Ok(metadata) = fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        let path = path.display();
        let what = format!("{path} is open to other users (mode {mode:o})");
        found.tell(
            Severity::Repairable,
            what,
            format!("chmod {wanted:o} {path}"),
        );
    }
}

/// Looks at the volume.
pub(super) fn space(found: &mut Examination, data_dir: &Path, config: &Config) {
    found.look("space");
    let Ok(volume) = rustix::fs::statvfs(data_dir) else {
        return;
    };
    let size = volume.f_blocks.saturating_mul(volume.f_frsize);
    let free = ByteSize(volume.f_bavail.saturating_mul(volume.f_frsize));
    let reserve = config
        .disk_reserve
        .unwrap_or_else(|| quota::default_disk_reserve(ByteSize(size)));
    if free.bytes() < reserve.bytes() {
        let what = format!(
            "the volume has {free} free, less than DISK_RESERVE ({reserve}): pushes are refused"
        );
        let then = "`entrepot cache rm`, delete tags and `entrepot gc`, or make the volume larger";
        found.tell(Severity::Repairable, what, then);
    }
    // A file system that makes inodes as it goes says that it has none.
    if volume.f_files > 0 && volume.f_favail < INODES {
        let what = format!("the volume has room for {} files only", volume.f_favail);
        let then = "move the data to a volume with more inodes: each blob is a file";
        found.tell(Severity::Repairable, what, then);
    }
}

/// Keeps others from the folder while it is looked at.
#[derive(Debug)]
pub(super) struct Holder(#[expect(dead_code, reason = "closing it ends the lock")] File);

/// Looks at who uses the folder. Without a server the folder is kept from others until the result is
/// dropped; `None`: it is not ours to look into.
pub(super) fn holder(found: &mut Examination, data_dir: &Path, is_served: bool) -> Option<Holder> {
    found.look("lock");
    if is_served {
        return None;
    }
    let socket = data_dir.join("control.sock");
    let is_socket = fs::symlink_metadata(&socket).is_ok_and(|it| it.file_type().is_socket());
    let path = data_dir.join("lock");
    let Ok(mut file) = File::open(&path) else {
        return None;
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {
            // Left by a process that was killed; the next start replaces it.
            if is_socket && UnixStream::connect(&socket).is_err() {
                let what = format!("{} is left of a server that was killed", socket.display());
                found.tell(Severity::Note, what, "nothing: the next start replaces it");
            }
            Some(Holder(file))
        }
        Err(Errno::WOULDBLOCK) => {
            let mut process = String::new();
            let _ = (&mut file).take(32).read_to_string(&mut process);
            let process = process.trim();
            let what = format!(
                "process {process} holds the folder and does not answer on {}",
                socket.display()
            );
            let then = format!(
                "look at the log of process {process}; if it hangs, end it (kill {process}) and start the server"
            );
            found.tell(Severity::Repairable, what, then);
            None
        }
        Err(error) => {
            found.tell(
                Severity::Repairable,
                format!("{}: {error}", path.display()),
                "look at the volume",
            );
            None
        }
    }
}

/// Looks at the installation's secret.
pub(super) fn secret(found: &mut Examination, data_dir: &Path) {
    found.look("secret_key");
    let path = data_dir.join("secret.key");
    let shown = path.display();
    let put_back = "put the file of a backup back, with mode 600";
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 32 => mode(found, &path, 0o600),
        Ok(metadata) => {
            let what = format!(
                "{shown} has {} bytes where 32 belong: the server does not start",
                metadata.len()
            );
            let then =
                format!("{put_back}; or delete it, and give every robot and program a new token");
            found.tell(Severity::Lost, what, then);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if data_dir.join("entrepot.redb").exists() {
                let what =
                    format!("{shown} is gone: tokens of robots and programs were sealed under it");
                let then = format!(
                    "{put_back}, before the server starts; without one `entrepot robot regenerate` for each"
                );
                found.tell(Severity::Lost, what, then);
            }
        }
        Err(error) => found.tell(
            Severity::Repairable,
            format!("{shown}: {error}"),
            "run this as root",
        ),
    }
}

/// Looks at what lies about.
pub(super) fn leftovers(found: &mut Examination, data_dir: &Path) {
    found.look("leftovers");
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    };
    let quarantine = data_dir.join("quarantine");
    let damaged = names(&quarantine);
    if !damaged.is_empty() {
        let what = format!(
            "{} damaged files are in quarantine, the first {}: the disk, or somebody, changed them",
            damaged.len(),
            damaged[0]
        );
        let then = format!(
            "look at the disk (smartctl, dmesg), run `entrepot scrub`, then delete what is in {}",
            quarantine.display()
        );
        found.tell(Severity::Repairable, what, then);
    }
    for name in names(data_dir) {
        let path = data_dir.join(&name);
        if name.starts_with("entrepot.redb.schema-") {
            let what = format!(
                "{} is the store as it was before an upgrade",
                path.display()
            );
            let then = "delete it once you will not go back to the earlier release";
            found.tell(Severity::Note, what, then);
        } else if name == "restoring" {
            let what = "a restore was cut: the folder is not whole";
            found.tell(
                Severity::Repairable,
                what,
                "give the same `entrepot restore` again",
            );
        }
    }
}
