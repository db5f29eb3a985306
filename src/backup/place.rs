//! Files read and written so that neither a link nor a crash makes them something else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::Error;
use crate::oci::{Digest, Hasher};

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Opens a regular file below `root`, through folders that are no links; `None` if there is none.
///
/// # Errors
/// [`Error::Hostile`] if any part of the way is a link, or the end of it no regular file.
pub(super) fn open_beneath(root: &Path, relative: &Path) -> Result<Option<File>, Error> {
    let whole = root.join(relative);
    let failed = |error: Errno| match error {
        Errno::LOOP | Errno::NOTDIR => Err(Error::hostile(&whole, "it lies behind a link")),
        Errno::NOENT => Ok(None),
        error => Err(Error::file("open", &whole, error)),
    };
    let mut folder = match rustix::fs::openat(
        CWD,
        root,
        OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(folder) => folder,
        Err(error) => return failed(error),
    };
    let parts: Vec<_> = relative.components().collect();
    for (number, part) in parts.iter().enumerate() {
        let Component::Normal(name) = part else {
            return Err(Error::hostile(&whole, "it leads elsewhere"));
        };
        let is_last = number + 1 == parts.len();
        let kind = if is_last {
            OFlags::NONBLOCK
        } else {
            OFlags::DIRECTORY
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
        folder = match rustix::fs::openat(&folder, *name, flags, Mode::empty()) {
            Ok(next) => next,
            Err(error) => return failed(error),
        };
    }
    let file = File::from(folder);
    let metadata = file
        .metadata()
        .map_err(|error| Error::file("look at", &whole, error))?;
    match metadata.is_file() {
        true => Ok(Some(file)),
        false => Err(Error::hostile(&whole, "it is no file")),
    }
}

/// Reads a small file below `root`; `None` if there is none.
///
/// # Errors
/// As [`open_beneath`]; [`Error::Hostile`] if it has more than `most` bytes.
pub(super) fn read_beneath(
    root: &Path,
    relative: &Path,
    most: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open_beneath(root, relative)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    let whole = root.join(relative);
    let read = file.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::file("read", &whole, error))?;
    match bytes.len() as u64 > most {
        true => Err(Error::hostile(
            &whole,
            format!("it has more than {most} bytes"),
        )),
        false => Ok(Some(bytes)),
    }
}

/// Makes a file for its owner alone, which must not be there.
pub(super) fn create(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::file("create", path, error))
}

/// Writes a small file, durably but for its name.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = create(path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|error| Error::file("write", path, error))
}

/// Makes a folder and what is missing above it, for their owner alone.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::file("create", path, error))
}

/// Gives a file or a folder another name, in place of what has it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one rename of backups; what gets a name is durable before"
)]
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| Error::file("rename", from, error))
}

/// Removes a file; it is no error if there is none.
pub(super) fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::file("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| Error::file("sync", path, error))
}

/// Paths in a folder, sorted; none if there is no such folder.
pub(super) fn list(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("list", path, error)),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| Error::file("list", path, error))?;
    paths.sort_unstable();
    Ok(paths)
}

/// Reads to the end and tells what was read, a piece at a time; returns the digest and the length.
pub(super) fn digest_of(
    file: &mut impl Read,
    digest: &Digest,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Digest, u64)> {
    let mut hasher = Hasher::new(digest.algorithm());
    let (mut buffer, mut length) = (vec![0; PIECE_BYTES], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                each(&buffer[..read])?;
                length += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Copies a blob to `to`, which is there only if the bytes were those of the digest; `false` if not.
/// Durable but for the name. `unfinished` is a name in the same volume that nobody else uses.
pub(super) fn copy_blob(
    from: &mut File,
    to: &Path,
    unfinished: &Path,
    (digest, size): (&Digest, u64),
    mut progress: impl FnMut(u64),
) -> Result<bool, Error> {
    remove_file(unfinished)?;
    let mut file = create(unfinished)?;
    let read = digest_of(from, digest, |piece| {
        file.write_all(piece)?;
        progress(piece.len() as u64);
        Ok(())
    });
    let is_good = match read {
        Ok((found, length)) => found == *digest && length == size,
        Err(error) => {
            remove_file(unfinished)?;
            return Err(Error::file("copy", to, error));
        }
    };
    if !is_good {
        remove_file(unfinished)?;
        return Ok(false);
    }
    file.sync_all()
        .map_err(|error| Error::file("sync", unfinished, error))?;
    rename(unfinished, to)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DO-06: no way through a link, no device, no way up.
    #[test]
    fn only_regular_files_below_the_root_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(folder.path().join("outside"), "x").unwrap();
        fs::write(root.join("a/file"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("outside"), root.join("a/link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), root.join("way")).unwrap();
        rustix::fs::mkfifoat(CWD, root.join("a/fifo"), Mode::RUSR | Mode::WUSR).unwrap();
        let open = |path: &str| open_beneath(&root, Path::new(path));
        assert!(open("a/file").unwrap().is_some());
        assert!(open("a/none").unwrap().is_none() && open("b/none").unwrap().is_none());
        for hostile in [
            "a/link",
            "way/outside",
            "../outside",
            "a/../../outside",
            "/etc/passwd",
            "a",
            "a/fifo",
        ] {
            let opened = open(hostile);
            assert!(
                matches!(opened, Err(Error::Hostile { .. })),
                "{hostile}: {opened:?}"
            );
        }
        let long = read_beneath(&root, Path::new("a/file"), 0);
        assert!(matches!(long, Err(Error::Hostile { .. })), "{long:?}");
    }
}
