//! The volume under the blobs: its space, and the file operations that make a name durable.
//!
//! Everything here blocks and is called on the blocking pool, but for [`Disk::of`], which asks the
//! kernel for two numbers that it has in memory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::Error;

/// Space of the volume that holds the blobs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Disk {
    /// How large the volume is.
    pub total_bytes: u64,
    /// How much of it this process may still fill.
    pub free_bytes: u64,
}

impl Disk {
    /// Asks the volume that holds `path`.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| Error::io("ask the volume of", path, error))?;
        Ok(Self {
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
            // f_bavail, not f_bfree: what is kept for root is not ours.
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }
}

/// Makes the entries of a folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| Error::io("sync", path, error))
}

/// Makes a folder for this user alone, unless it is there.
pub(super) fn make_dir(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(Error::io("create", path, error)),
    }
}

/// Opens a file of ours for writing, kept as it is or made empty and new.
pub(super) fn open_for_writing(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("create", path, error))
}

/// Opens a file for reading; `None` if there is none.
pub(super) fn open_for_reading(path: &Path) -> Result<Option<File>, Error> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("open", path, error)),
    }
}

/// Length of the file at `path`; `None` if there is none.
pub(super) fn len_of(path: &Path) -> Result<Option<u64>, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("look at", path, error)),
    }
}

/// Gives the file at `from` the name `to`, in place of whatever had it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one rename of blob files; callers keep the order of writes"
)]
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| Error::io("rename", from, error))
}

/// Takes the name away; tells whether there was one.
pub(super) fn unlink(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("unlink", path, error)),
    }
}

/// Takes the name away where failing to is not worth failing for: a later sweep finds it.
pub(super) fn unlink_quietly(path: &Path) {
    if let Err(error) = unlink(path) {
        tracing::warn!(file.path = %path.display(), %error, "a left-over file stays");
    }
}
