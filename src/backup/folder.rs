//! The folder of backups: its mark, its blobs, and what of them is no longer needed.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::manifest::{BlobLine, FORMAT};
use super::place::{self, create, make_folder, remove_file, rename, sync_folder};
use super::{Draft, Error, Generation, GenerationName};
use crate::blob;
use crate::oci::Digest;

/// The file that says what the folder is.
const MARK: &str = "entrepot-backup.json";

/// What begins with it is not finished, or no longer whole.
pub(super) const UNFINISHED: &str = ".new-";
const DOOMED: &str = ".old-";

#[derive(Deserialize, Serialize)]
struct Mark {
    format: u64,
}

/// A folder of backups, locked.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Folders of blobs that got a name since the last sync.
    touched: BTreeSet<PathBuf>,
    _lock: File,
}

/// Whether blobs may share their bytes with the data folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Links {
    /// Where the volume allows.
    Made,
    /// Never: what the disk does to the one does not happen to the other.
    Avoided,
}

/// What became of a blob that belongs into a backup.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// An earlier backup has it.
    Present,
    Linked,
    Copied,
    /// It has no file.
    Absent,
    /// Its bytes are not those of its digest.
    Damaged,
}

/// What was removed as no longer needed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Pruned {
    pub generations: Vec<GenerationName>,
    pub blobs: u64,
    pub blob_bytes: u64,
}

impl Folder {
    /// Opens a folder of backups for writing, makes it if it is not there, and removes what cut backups
    /// have left.
    ///
    /// # Errors
    /// [`Error::Refused`] if it holds something else, somebody works on it, or it is part of `data_dir`.
    pub fn create(root: &Path, data_dir: &Path) -> Result<Self, Error> {
        refuse_within(root, data_dir)?;
        make_folder(root)?;
        if !is_marked(root)? {
            let is_ours = |path: &PathBuf| {
                let name = path
                    .file_name()
                    .map(|name| name.as_encoded_bytes().to_vec());
                name.is_some_and(|name| {
                    name.starts_with(UNFINISHED.as_bytes()) || name == b"lost+found"
                })
            };
            if !place::list(root)?.iter().all(is_ours) {
                return Err(Error::refused(format!(
                    "{} holds something that is no backup of entrepot: give an empty folder",
                    root.display()
                )));
            }
            let unfinished = root.join(format!("{UNFINISHED}mark"));
            remove_file(&unfinished)?;
            let mark = serde_json::to_vec(&Mark { format: FORMAT }).expect("numbers are JSON");
            place::write(&unfinished, &mark)?;
            rename(&unfinished, &root.join(MARK))?;
            sync_folder(root)?;
        }
        let folder = Self::lock(root, FlockOperation::NonBlockingLockExclusive)?;
        for name in ["blobs", "generations"] {
            make_folder(&root.join(name))?;
        }
        for left in place::list(&folder.generations_path())? {
            let name = left.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(UNFINISHED.as_bytes()) || name.starts_with(DOOMED.as_bytes()) {
                fs::remove_dir_all(&left).map_err(|error| Error::file("remove", &left, error))?;
            }
        }
        remove_file(&folder.unfinished_blob())?;
        Ok(folder)
    }

    /// Opens a folder of backups to read from it; it may be on a volume that cannot be written to.
    ///
    /// # Errors
    /// [`Error::Refused`] if it holds no backup, or one that a newer release made, or one is being made.
    pub fn existing(root: &Path) -> Result<Self, Error> {
        if !is_marked(root)? {
            return Err(Error::refused(format!(
                "{} holds no backup of entrepot",
                root.display()
            )));
        }
        Self::lock(root, FlockOperation::NonBlockingLockShared)
    }

    fn lock(root: &Path, kind: FlockOperation) -> Result<Self, Error> {
        let path = root.join(MARK);
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(|error| Error::file("open", &path, error))?;
        match rustix::fs::flock(&file, kind) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let reason = format!("another process works on {}", root.display());
                return Err(Error::Refused(reason));
            }
            // A file system without locks: then the operator sees to it.
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {}
            Err(error) => return Err(Error::file("lock", &path, error)),
        }
        Ok(Self {
            root: root.to_owned(),
            touched: BTreeSet::new(),
            _lock: file,
        })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn generations_path(&self) -> PathBuf {
        self.root.join("generations")
    }

    fn unfinished_blob(&self) -> PathBuf {
        self.root.join("blobs").join(format!("{UNFINISHED}blob"))
    }

    /// The whole generations, the oldest first.
    pub fn generations(&self) -> Result<Vec<GenerationName>, Error> {
        let mut names: Vec<GenerationName> = place::list(&self.generations_path())?
            .iter()
            .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The generation of that name, or the newest.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is none.
    pub fn generation(&self, name: Option<&GenerationName>) -> Result<Generation, Error> {
        let names = self.generations()?;
        let found = match name {
            Some(wanted) => names.iter().find(|name| *name == wanted),
            None => names.last(),
        };
        let Some(found) = found else {
            let there: Vec<String> = names.iter().map(ToString::to_string).collect();
            return Err(Error::refused(match there.is_empty() {
                true => format!("{} holds no whole backup", self.root.display()),
                false => format!("there is no such backup; there are {}", there.join(", ")),
            }));
        };
        Generation::open(&self.root, found)
    }

    /// Begins a generation.
    pub fn begin(&self) -> Result<Draft, Error> {
        Draft::begin(&self.root)
    }

    /// Takes a blob out of a data folder, unless it is here; tells how many bytes were copied.
    pub fn take(
        &mut self,
        data_dir: &Path,
        line: &BlobLine,
        links: Links,
        progress: impl FnMut(u64),
    ) -> Result<Taken, Error> {
        let relative = blob::place_of(&line.digest);
        let (from, to) = (data_dir.join(&relative), self.root.join(&relative));
        match fs::symlink_metadata(&to) {
            Ok(there) if there.is_file() && there.len() == line.size_bytes => {
                return Ok(Taken::Present);
            }
            // Not one that we made.
            Ok(_) => remove_file(&to)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(Error::file("look at", &to, error)),
        }
        match fs::symlink_metadata(&from) {
            Ok(there) if there.is_file() && there.len() == line.size_bytes => {}
            Ok(_) => return Ok(Taken::Damaged),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Taken::Absent),
            Err(error) => return Err(Error::file("look at", &from, error)),
        }
        let shard = to.parent().expect("a blob lies in a folder");
        make_folder(shard)?;
        self.touched.insert(shard.to_owned());
        // Another volume, a file system without links, a file with too many of them, or of another user:
        // whatever the reason, a copy is as good.
        if links == Links::Made && fs::hard_link(&from, &to).is_ok() {
            return Ok(Taken::Linked);
        }
        let mut file = match File::open(&from) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Taken::Absent),
            Err(error) => return Err(Error::file("open", &from, error)),
        };
        let blob = (&line.digest, line.size_bytes);
        let copied = place::copy_blob(&mut file, &to, &self.unfinished_blob(), blob, progress)?;
        Ok(if copied {
            Taken::Copied
        } else {
            Taken::Damaged
        })
    }

    /// Makes the names of the blobs that were taken durable.
    pub fn sync(&mut self) -> Result<(), Error> {
        let mut above = BTreeSet::new();
        for shard in std::mem::take(&mut self.touched) {
            sync_folder(&shard)?;
            above.extend(shard.parent().map(Path::to_owned));
        }
        for folder in above {
            sync_folder(&folder)?;
        }
        sync_folder(&self.root.join("blobs"))?;
        sync_folder(&self.root)
    }

    /// Removes all but the newest `keep` generations, and the blobs that none of the others needs.
    ///
    /// # Errors
    /// If a generation that stays cannot be read: then no blob is removed, since it may be needed.
    pub fn prune(&mut self, keep: usize) -> Result<Pruned, Error> {
        let names = self.generations()?;
        let (gone, kept) = names.split_at(names.len().saturating_sub(keep));
        let mut needed: HashSet<Digest> = HashSet::new();
        for name in kept {
            let lines = Generation::open(&self.root, name)?.blobs()?;
            needed.extend(lines.into_iter().map(|line| line.digest));
        }
        let mut pruned = Pruned::default();
        let path = self.generations_path();
        for name in gone {
            let doomed = path.join(format!("{DOOMED}{name}"));
            rename(&path.join(name.to_string()), &doomed)?;
            sync_folder(&path)?;
            fs::remove_dir_all(&doomed).map_err(|error| Error::file("remove", &doomed, error))?;
            pruned.generations.push(name.clone());
        }
        for algorithm in place::list(&self.root.join("blobs"))? {
            let Some(prefix) = algorithm.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            for shard in place::list(&algorithm)? {
                for path in place::list(&shard)? {
                    let hex = path.file_name().and_then(|name| name.to_str());
                    let digest = hex.and_then(|hex| format!("{prefix}:{hex}").parse().ok());
                    if digest.is_some_and(|digest: Digest| !needed.contains(&digest)) {
                        pruned.blobs += 1;
                        pruned.blob_bytes +=
                            fs::symlink_metadata(&path).map_or(0, |file| file.len());
                        remove_file(&path)?;
                    }
                }
            }
        }
        Ok(pruned)
    }
}

/// Whether the folder says that it is one of ours.
fn is_marked(root: &Path) -> Result<bool, Error> {
    let Some(mark) = place::read_beneath(root, Path::new(MARK), 1024)? else {
        return Ok(false);
    };
    match serde_json::from_slice::<Mark>(&mark) {
        Ok(mark) if mark.format <= FORMAT => Ok(true),
        Ok(mark) => Err(Error::refused(format!(
            "{} was made by a newer release (form {}, this one knows {FORMAT})",
            root.display(),
            mark.format
        ))),
        Err(error) => Err(Error::damaged(&root.join(MARK), error.to_string())),
    }
}

/// A backup within what is backed up would grow with itself, and go with it.
fn refuse_within(root: &Path, data_dir: &Path) -> Result<(), Error> {
    let real =
        |path: &Path| fs::canonicalize(path).map_err(|error| Error::file("look at", path, error));
    let data_dir = real(data_dir)?;
    let absolute =
        std::path::absolute(root).map_err(|error| Error::file("look at", root, error))?;
    // What is not there yet is not made before that is known.
    let there = absolute.ancestors().find(|path| path.exists());
    let there = there.unwrap_or_else(|| Path::new("/"));
    let rest = absolute
        .strip_prefix(there)
        .unwrap_or_else(|_| Path::new(""));
    let root = real(there)?.join(rest);
    if root.starts_with(&data_dir) || data_dir.starts_with(&root) {
        return Err(Error::refused(format!(
            "{} and the data folder {} lie within each other",
            root.display(),
            data_dir.display()
        )));
    }
    Ok(())
}

/// A new, empty file in a folder of ours.
pub(super) fn new_file(folder: &Path, name: &str) -> Result<File, Error> {
    create(&folder.join(name))
}
