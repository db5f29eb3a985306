//! How the file comes to be, and how it is opened.
//!
//! A new store is built under another name and put in place by a rename that replaces nothing, so
//! that a crash at any moment leaves either no store or a whole one (CR-04), and of two processes
//! that start at once one wins. What the schema of an existing file is, is found out by opening it
//! for reading first, so that a file of a newer release stays as it is, byte for byte.
//!
//! On a volume that takes no writes the file is opened under an overlay (DK-10), if its schema is this
//! release's: a store is not brought up to date in memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Builder, Database, DatabaseError, ReadOnlyDatabase};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::SCHEMA;
use super::overlay::Overlay;
use super::{Error, migrate, volume};

/// Half a second in all.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Enough to look at a handful of rows.
const PEEK_CACHE_BYTES: usize = 1 << 20;

/// An opened file.
pub(super) enum Opened {
    ForWriting(Database),
    /// The volume takes no writes: changes are kept in memory.
    InMemory(Database),
}

/// What is said of a file of an older schema that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "it was written by an older release (schema {found}, this one has {SCHEMA}), and cannot be brought up to \
     date on a read-only volume: mount it for writing, or run that release"
)]
struct Outdated {
    found: u64,
}

/// Opens the store at `path`, which is made if there is none.
pub(super) fn database(path: &Path, cache_bytes: usize) -> Result<Opened, Error> {
    if !path
        .try_exists()
        .map_err(|error| Error::file(path, error))?
    {
        create(path)?;
    }
    let looked_at = look_at(path)?;
    if volume::takes_none(path) {
        return overlaid(path, cache_bytes).map(Opened::InMemory);
    }
    // Copied before it is opened: opening it writes to it.
    if let Some(found) = looked_at.filter(|found| *found < SCHEMA) {
        keep_copy(path, found)?;
    }
    let database = patiently(|| builder(cache_bytes).open(path));
    let database = database.map_err(|error| Error::opening(path, error))?;
    let found = migrate::check(path, &database)?;
    if looked_at.is_none() && found < SCHEMA {
        keep_copy(path, found)?;
    }
    migrate::upgrade(path, &database)?;
    // Whoever else was making a store has lost: the one at `path` is open, and ours.
    if let Err(error) = remove_unfinished(path) {
        tracing::warn!(%error, "cannot remove an unfinished store");
    }
    Ok(Opened::ForWriting(database))
}

/// Opens the file as it is, with changes in memory.
pub(super) fn overlaid(path: &Path, cache_bytes: usize) -> Result<Database, Error> {
    let overlay = Overlay::open(path).map_err(|error| Error::file(path, error))?;
    let database = builder(cache_bytes).create_with_backend(overlay);
    let database = database.map_err(|error| Error::opening(path, error))?;
    match migrate::check(path, &database)? {
        SCHEMA => {}
        found => return Err(Error::file(path, Outdated { found })),
    }
    migrate::upgrade(path, &database)?;
    Ok(database)
}

/// Opens the store at `path` without changing it.
pub(super) fn read_only(path: &Path, cache_bytes: usize) -> Result<ReadOnlyDatabase, Error> {
    let opened = patiently(|| builder(cache_bytes).open_read_only(path));
    let database = opened.map_err(|error| match error {
        DatabaseError::RepairAborted => Error::NotClosed {
            path: path.to_owned(),
        },
        error => Error::opening(path, error),
    })?;
    match migrate::check(path, &database)? {
        SCHEMA => Ok(database),
        found => Err(Error::OlderSchema {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        }),
    }
}

/// Keeps the file as it is before an upgrade, as `NAME.schema-N` (LC-05), so that the earlier release can
/// be gone back to. Nobody writes to the file meanwhile: the data folder is ours.
///
/// # Errors
/// [`Error::NoRoomToUpgrade`] unless the volume has twice its size: the copy, and what the upgrade writes.
fn keep_copy(path: &Path, schema: u64) -> Result<(), Error> {
    let failed = |error| Error::file(path, error);
    let size = fs::metadata(path).map_err(failed)?.len();
    let volume = rustix::fs::statvfs(folder(path)).map_err(|error| failed(error.into()))?;
    let (needed, free) = (
        size.saturating_mul(2),
        volume.f_bavail.saturating_mul(volume.f_frsize),
    );
    if free < needed {
        return Err(Error::NoRoomToUpgrade {
            path: path.to_owned(),
            needed,
            free,
        });
    }
    let copying = unfinished(path, "copy");
    let copy = || {
        let mut to = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&copying)?;
        io::copy(&mut File::open(path)?, &mut to)?;
        to.sync_all()?;
        rustix::fs::rename(&copying, kept_copy(path, schema))?;
        File::open(folder(path))?.sync_all()
    };
    copy().map_err(failed)?;
    tracing::info!(store.schema = schema, copy.path = %kept_copy(path, schema).display(),
        "the store is brought up to date; a copy of it is kept");
    Ok(())
}

/// Where the store is kept as it was before an upgrade.
fn kept_copy(path: &Path, schema: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".schema-{schema}"));
    name.into()
}

/// Opens the file, in a few tries while it is in use: a process that forks to begin another program shares
/// its locks with that one for a moment, also those that it gives up meanwhile.
fn patiently<T>(open: impl Fn() -> Result<T, DatabaseError>) -> Result<T, DatabaseError> {
    for _ in 1..TRIES {
        match open() {
            Err(DatabaseError::DatabaseAlreadyOpen) => std::thread::sleep(BETWEEN_TRIES),
            opened => return opened,
        }
    }
    open()
}

/// The schema, found out without changing a byte; `None` if the file must be recovered first.
fn look_at(path: &Path) -> Result<Option<u64>, Error> {
    match patiently(|| builder(PEEK_CACHE_BYTES).open_read_only(path)) {
        Ok(database) => migrate::check(path, &database).map(Some),
        // Not closed cleanly: redb must bring the file back to its last commit before anyone can
        // look. `database` checks again when that is done.
        Err(DatabaseError::RepairAborted) => Ok(None),
        Err(error) => Err(Error::opening(path, error)),
    }
}

fn create(path: &Path) -> Result<(), Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| Error::file(path, error))?;
    let unfinished = unfinished(path, &format!("{:016x}", u64::from_ne_bytes(random)));
    let failed = |error| Error::file(&unfinished, error);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed)?;
    let database = builder(PEEK_CACHE_BYTES)
        .create(&unfinished)
        .map_err(|error| Error::opening(&unfinished, error))?;
    migrate::initialise(&database).map_err(|error| Error::file(&unfinished, error))?;
    database
        .close()
        .map_err(|error| Error::opening(&unfinished, error))?;
    publish(&unfinished, path).map_err(failed)
}

/// Gives a finished store its name, durably, unless there is one of that name.
fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    let renamed =
        match rustix::fs::renameat_with(CWD, unfinished, CWD, path, RenameFlags::NOREPLACE) {
            // The file system cannot promise that: then two first starts at once may collide.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                rustix::fs::rename(unfinished, path)
            }
            renamed => renamed,
        };
    match renamed {
        Ok(()) => File::open(folder(path))?.sync_all(),
        // Another process was first; its store is the one to open.
        Err(_) if path.try_exists()? => {
            fs::remove_file(unfinished).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes what crashes have left of stores that were being made.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    let prefix = unfinished(path, "");
    for entry in fs::read_dir(folder(path))? {
        let name = entry?.file_name();
        let left = name.as_encoded_bytes();
        let ours = prefix
            .file_name()
            .is_some_and(|prefix| left.starts_with(prefix.as_encoded_bytes()));
        if ours {
            fs::remove_file(folder(path).join(&name))?;
        }
    }
    Ok(())
}

fn unfinished(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new-");
    name.push(suffix);
    name.into()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(cache_bytes);
    builder
}
