//! The lock on the data directory: one process at a time, whatever it wants there (CR-09).
//!
//! `DATA_DIR/lock` is locked with `flock`, which ends with the process however that ends, so nothing is
//! ever left behind. The file holds the number of the process, for the message of the next one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::Error;

/// Half a second in all.
const TRIES: u32 = 10;
const BETWEEN_TRIES: std::time::Duration = std::time::Duration::from_millis(50);

/// The held lock; dropped, the directory is free.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it ends the lock")] File);

impl Lock {
    /// Makes the directory if there is none, for its owner alone, and takes the lock.
    ///
    /// # Errors
    /// [`Error::Locked`] at once if another process has it.
    pub(super) fn create(data_dir: &Path) -> Result<Self, Error> {
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(data_dir);
        made.map_err(|error| Error::file("create the data directory", data_dir, error))?;
        Self::take(data_dir)
    }

    /// Takes the lock of a directory that holds data already.
    ///
    /// # Errors
    /// [`Error::NoData`] if it holds none; [`Error::Locked`]; [`Error::Refused`] if it belongs to another user,
    /// who could not read what this one makes there.
    pub(super) fn existing(data_dir: &Path) -> Result<Self, Error> {
        let exists = super::assemble::store_path(data_dir).try_exists();
        // A directory of another user cannot be looked into, which is not the same as holding nothing.
        match exists.map_err(|error| Error::file("look into", data_dir, error))? {
            true => own(data_dir).and_then(|()| Self::take(data_dir)),
            false => Err(Error::NoData {
                data_dir: data_dir.to_owned(),
            }),
        }
    }

    fn take(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join("lock");
        let failed = |act| move |error| Error::file(act, data_dir.join("lock"), error);
        let (mut file, takes_writes) = open(&path).map_err(failed("open"))?;
        match lock_soon(&file) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let process = holder(&mut file);
                return Err(Error::Locked {
                    data_dir: data_dir.to_owned(),
                    process,
                });
            }
            Err(error) => return Err(Error::file("lock", path, error)),
        }
        if takes_writes {
            sign(&mut file).map_err(failed("write"))?;
        }
        Ok(Self(file))
    }
}

/// Opens the file, which is made if there is none; whether the volume takes writes. One that takes none keeps
/// the lock as well (DK-10).
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    let for_writing = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    match for_writing {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            Ok((File::open(path)?, false))
        }
        opened => Ok((opened?, true)),
    }
}

/// Says in the file who has it.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Root could write into the directory of the service's user, and lock that user out of its own files.
fn own(data_dir: &Path) -> Result<(), Error> {
    let found = std::fs::metadata(data_dir);
    let owner = found.map_err(|error| Error::file("look into", data_dir, error))?;
    let (owner, user) = (owner.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "{} belongs to user {owner}, who could not read what user {user} makes there: start the server, which \
         then does this itself, or run the command as user {owner}",
        data_dir.display()
    )))
}

/// Takes the lock, in a few tries: a process that has just ended may have left a child that is about to
/// begin another program, and holds the lock until then.
fn lock_soon(file: &File) -> Result<(), Errno> {
    let mut tries = 0;
    loop {
        let taken = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        tries += 1;
        if taken != Err(Errno::WOULDBLOCK) || tries == TRIES {
            return taken;
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
}

/// The process that holds the lock, as it says itself.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CR-09: the second is refused at once, and told by whom.
    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("a/b");
        let first = Lock::create(&data_dir).unwrap();
        match Lock::create(&data_dir).unwrap_err() {
            Error::Locked { process, .. } => assert_eq!(process, Some(std::process::id())),
            other => panic!("{other}"),
        }
        drop(first);
        Lock::create(&data_dir).unwrap();
    }

    /// HP-02: root that works without the server leaves it no files that it cannot read.
    #[test]
    fn the_directory_of_another_user_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(crate::app::assemble::store_path(folder.path()), "").unwrap();
        let other = rustix::process::geteuid().as_raw() + 4321;
        // Only root may give a directory away.
        if std::os::unix::fs::chown(folder.path(), Some(other), None).is_err() {
            return;
        }
        let refused = Lock::existing(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("belongs to user {other}")));
        assert!(!folder.path().join("lock").exists());
    }

    #[test]
    fn a_command_makes_no_directory() {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().join("absent");
        assert!(matches!(
            Lock::existing(&data_dir),
            Err(Error::NoData { .. })
        ));
        assert!(!data_dir.exists());
        assert!(matches!(
            Lock::existing(folder.path()),
            Err(Error::NoData { .. })
        ));
        assert!(!folder.path().join("lock").exists());
    }
}
