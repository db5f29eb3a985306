//! A generation made a data folder again.
//!
//! Into an empty folder only. Until the last step the folder holds no store, so that nothing takes what
//! is not whole for data; a restore that was cut goes on where it was.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD};
use rustix::process::{Gid, Uid};

use super::place::{
    self, copy_blob, digest_of, make_folder, open_beneath, remove_file, rename, sync_folder,
};
use super::{Error, Generation, Manifest, ROWS};
use crate::blob;
use crate::oci::Digest;
use crate::store;

/// Says that a restore is under way, and of what.
const MARK: &str = "restoring";

/// The store until it is one.
const UNFINISHED_STORE: &str = "entrepot.redb.restoring";

/// What lies in a folder that nobody has put anything into.
const NOTHING: [&str; 2] = ["lost+found", "lock"];

/// A restore under way.
#[derive(Debug)]
pub struct Restoring {
    generation: Generation,
    from: PathBuf,
    target: PathBuf,
    /// Whose the folder is, if it is not the one who runs this.
    owner: Option<(u32, u32)>,
}

/// What came of the blobs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Restored {
    pub blobs: u64,
    pub blob_bytes: u64,
    /// Of those, what an earlier try had brought.
    pub kept: u64,
}

impl Restoring {
    /// Looks at the files of a generation, all of them, and begins a restore of it into `target`.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Hostile`], before anything is written; [`Error::Refused`] if the
    /// folder holds anything.
    pub fn begin(from: &Path, generation: Generation, target: &Path) -> Result<Self, Error> {
        for file in generation.files() {
            generation.file(file)?;
            if place_of_extra(file).is_none() && !matches!(file, ROWS | super::BLOBS) {
                let reason = format!("it has the file {file}, which this release does not know");
                return Err(Error::hostile(from, reason));
            }
        }
        generation.needed(ROWS)?;
        generation.blobs()?;
        let is_new = fs::symlink_metadata(target).is_err();
        make_folder(target)?;
        let owner = foreign_owner(target).filter(|_| !is_new);
        let mark = format!("{}\n", generation.name);
        let path = target.join(MARK);
        match place::read_beneath(target, Path::new(MARK), 1024)? {
            Some(left) if left == mark.as_bytes() => remove_file(&target.join(UNFINISHED_STORE))?,
            Some(_) => {
                return Err(Error::refused(format!(
                    "{} holds the beginning of another restore: empty it first",
                    target.display()
                )));
            }
            None => {
                refuse_full(target)?;
                place::write(&path, mark.as_bytes())?;
                sync_folder(target)?;
            }
        }
        Ok(Self {
            generation,
            from: from.to_owned(),
            target: target.to_owned(),
            owner,
        })
    }

    /// What is restored.
    pub fn manifest(&self) -> &Manifest {
        &self.generation.manifest
    }

    /// Copies every blob, each compared with its digest.
    ///
    /// # Errors
    /// [`Error::Damaged`] that names the first which is not what its name says, or gone.
    pub fn blobs(&self, progress: &mut dyn FnMut(u64)) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        let mut folders = std::collections::BTreeSet::new();
        for line in self.generation.blobs()? {
            let relative = blob::place_of(&line.digest);
            let to = self.target.join(&relative);
            restored.blobs += 1;
            restored.blob_bytes += line.size_bytes;
            if is_there(&self.target, &relative, &line.digest, line.size_bytes)? {
                restored.kept += 1;
                progress(line.size_bytes);
                continue;
            }
            let from = self.from.join(&relative);
            let file = open_beneath(&self.from, &relative)?;
            let mut file = file.ok_or_else(|| Error::damaged(&from, "it is gone"))?;
            let folder = to.parent().expect("a blob lies in a folder").to_owned();
            make_folder(&folder)?;
            folders.insert(folder);
            let unfinished = self.target.join("blobs/.restoring");
            let blob = (&line.digest, line.size_bytes);
            if !copy_blob(&mut file, &to, &unfinished, blob, &mut *progress)? {
                return Err(Error::damaged(
                    &from,
                    "its bytes are not those of its digest",
                ));
            }
        }
        let above: std::collections::BTreeSet<_> = folders
            .iter()
            .filter_map(|folder| Some(folder.parent()?.to_owned()))
            .collect();
        for folder in folders.iter().chain(&above) {
            sync_folder(folder)?;
        }
        if !folders.is_empty() {
            sync_folder(&self.target.join("blobs"))?;
        }
        Ok(restored)
    }

    /// Makes the store of its rows, under a name that is not yet a store's; returns its path.
    ///
    /// # Errors
    /// [`store::Error::Dump`] if they are no rows of a store.
    pub fn store(&self) -> Result<PathBuf, Error> {
        let path = self.target.join(UNFINISHED_STORE);
        let mut rows = self.generation.needed(ROWS)?;
        let count = store::load(&path, &mut rows)?;
        if count != self.generation.manifest.counts.rows {
            let reason = format!("it has {count} rows where the manifest counts others");
            return Err(Error::damaged(&self.from.join(ROWS), reason));
        }
        Ok(path)
    }

    /// Puts the small files where they belong.
    pub fn files(&self) -> Result<(), Error> {
        for name in self.generation.files() {
            let Some(place) = place_of_extra(name) else {
                continue;
            };
            let mut bytes = Vec::new();
            let read = self.generation.needed(name)?.read_to_end(&mut bytes);
            let path = self.target.join(place);
            read.map_err(|error| Error::file("read", &path, error))?;
            make_folder(path.parent().expect("it lies in the target"))?;
            remove_file(&path)?;
            let mut file: File = place::create(&path)?;
            file.write_all(&bytes)
                .and_then(|()| file.sync_all())
                .map_err(|error| Error::file("write", &path, error))?;
            sync_folder(path.parent().expect("it lies in the target"))?;
        }
        Ok(())
    }

    /// Makes it a data folder: everything belongs to whom the folder belongs, and the store gets its name.
    pub fn finish(self) -> Result<(), Error> {
        if let Some(owner) = self.owner {
            give(&self.target, owner)?;
        }
        let store = self.target.join("entrepot.redb");
        rename(&self.target.join(UNFINISHED_STORE), &store)?;
        for path in place::list(&self.target)? {
            // The copy that is kept of an older store before it is brought up to date: the backup is that.
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            if name.starts_with(UNFINISHED_STORE.as_bytes()) {
                remove_file(&path)?;
            }
        }
        remove_file(&self.target.join(MARK))?;
        sync_folder(&self.target)
    }
}

/// Where a small file of a backup belongs in a data folder; only what is known here has a place.
fn place_of_extra(name: &str) -> Option<PathBuf> {
    if name == "secret.key" {
        return Some(name.into());
    }
    let name = name.strip_prefix("bundles.")?;
    match name.strip_prefix("trusted.") {
        Some(key) if key.ends_with(".pub") && key != ".pub" => {
            Some(Path::new("bundles/trusted").join(key))
        }
        Some(_) => None,
        None => matches!(
            name,
            "signing.key" | "sequence" | "received.json" | "handover.jsonl"
        )
        .then(|| Path::new("bundles").join(name)),
    }
}

fn refuse_full(target: &Path) -> Result<(), Error> {
    for path in place::list(target)? {
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| NOTHING.contains(&name)) {
            return Err(Error::refused(format!(
                "{} is not empty ({} is there): a restore makes a data folder and changes none; give another \
                 folder with --to, or move this one away",
                target.display(),
                path.display()
            )));
        }
    }
    Ok(())
}

/// Whether an earlier try has brought the blob, all of it.
fn is_there(root: &Path, relative: &Path, digest: &Digest, size: u64) -> Result<bool, Error> {
    let Some(mut file) = open_beneath(root, relative)? else {
        return Ok(false);
    };
    let read = digest_of(&mut file, digest, |_| Ok(()));
    let (found, length) = read.map_err(|error| Error::file("read", &root.join(relative), error))?;
    Ok(found == *digest && length == size)
}

/// The owner of a folder, if root works for somebody else.
fn foreign_owner(target: &Path) -> Option<(u32, u32)> {
    let metadata = fs::metadata(target).ok()?;
    let is_root = rustix::process::geteuid().is_root();
    (is_root && metadata.uid() != 0).then(|| (metadata.uid(), metadata.gid()))
}

/// Gives a folder and all that is in it to somebody; links are given, not followed.
fn give(path: &Path, owner: (u32, u32)) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    rustix::fs::chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| Error::file("give to its owner", path, error))?;
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        for below in place::list(path)? {
            give(&below, owner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DO-06: the name of a file in a backup decides nothing but which of ours it is.
    #[test]
    fn only_known_files_have_a_place() {
        let place = |name: &str| place_of_extra(name).map(|path| path.display().to_string());
        assert_eq!(place("secret.key").unwrap(), "secret.key");
        assert_eq!(place("bundles.signing.key").unwrap(), "bundles/signing.key");
        assert_eq!(
            place("bundles.trusted.A1.pub").unwrap(),
            "bundles/trusted/A1.pub"
        );
        for odd in [
            "store.rows",
            "blobs.list",
            "entrepot.redb",
            "bundles.",
            "bundles.trusted.pub",
            "bundles.trusted..pub",
            "bundles.other",
            "lock",
        ] {
            assert_eq!(place(odd), None, "{odd}");
        }
    }
}
