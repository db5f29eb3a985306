//! A generation on its way: files are written under a name that no backup has, which is changed last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::folder::{UNFINISHED, new_file};
use super::generation::sum_line;
use super::manifest::Sum;
use super::place::{self, make_folder, read_beneath, rename, sync_folder};
use super::{Error, GenerationName, Manifest};
use crate::oci::{Algorithm, Hasher};

/// Largest file that is taken along besides rows and blobs.
const EXTRA_BYTES: u64 = 64 << 20;

/// What is taken along of `DATA_DIR/bundles`.
const BUNDLE_FILES: [&str; 4] = ["signing.key", "sequence", "received.json", "handover.jsonl"];

/// A generation that is not whole yet.
#[derive(Debug)]
pub struct Draft {
    generations: PathBuf,
    path: PathBuf,
    files: BTreeMap<String, Sum>,
    open: Option<Open>,
}

/// The file being written.
struct Open {
    name: String,
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Open({})", self.name)
    }
}

impl Draft {
    pub(super) fn begin(root: &Path) -> Result<Self, Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Error::refused(format!("the system gives no random bytes: {error}"))
        })?;
        let generations = root.join("generations");
        let path = generations.join(format!("{UNFINISHED}{:016x}", u64::from_ne_bytes(random)));
        make_folder(&path)?;
        Ok(Self {
            generations,
            path,
            files: BTreeMap::new(),
            open: None,
        })
    }

    /// Begins a file, after the one before it is durable.
    pub fn begin_file(&mut self, name: &str) -> Result<(), Error> {
        self.end_file()?;
        self.open = Some(Open {
            name: name.to_owned(),
            file: new_file(&self.path, name)?,
            hasher: Hasher::new(Algorithm::Sha256),
            bytes: 0,
        });
        Ok(())
    }

    /// Writes to the file that was begun.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(open) = &mut self.open else {
            return Err(Error::refused("bytes came that belong to no file"));
        };
        open.file
            .write_all(bytes)
            .map_err(|error| Error::file("write", &self.path.join(&open.name), error))?;
        open.hasher.update(bytes);
        open.bytes += bytes.len() as u64;
        Ok(())
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        open.file
            .sync_all()
            .map_err(|error| Error::file("sync", &self.path.join(&open.name), error))?;
        let sum = Sum {
            bytes: open.bytes,
            sha256: open.hasher.finish().hex(),
        };
        self.files.insert(open.name, sum);
        Ok(())
    }

    /// Reads back what was written so far of the file that is open.
    pub fn written(&self, name: &str) -> Result<Vec<u8>, Error> {
        let path = self.path.join(name);
        std::fs::read(&path).map_err(|error| Error::file("read", &path, error))
    }

    /// Takes the small files of a data folder along: its secret, and what belongs to bundles.
    pub fn add_files_of(&mut self, data_dir: &Path, secrets: bool) -> Result<(), Error> {
        if secrets {
            self.add(data_dir, "secret.key", "secret.key")?;
        }
        for name in BUNDLE_FILES {
            if secrets || name != "signing.key" {
                self.add(
                    data_dir,
                    &format!("bundles/{name}"),
                    &format!("bundles.{name}"),
                )?;
            }
        }
        for path in place::list(&data_dir.join("bundles/trusted"))? {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if name.ends_with(".pub") && super::generation::is_file_name(name) {
                let from = format!("bundles/trusted/{name}");
                self.add(data_dir, &from, &format!("bundles.trusted.{name}"))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, data_dir: &Path, from: &str, name: &str) -> Result<(), Error> {
        let Some(bytes) = read_beneath(data_dir, Path::new(from), EXTRA_BYTES)? else {
            return Ok(());
        };
        self.begin_file(name)?;
        self.write(&bytes)?;
        self.end_file()
    }

    /// Makes it whole: from here on it is a backup. The blobs that it names are durable before.
    ///
    /// The manifest is given without its files, which are known here.
    pub fn finish(mut self, manifest: Manifest) -> Result<GenerationName, Error> {
        self.end_file()?;
        let taken = manifest
            .taken()
            .ok_or_else(|| Error::refused(format!("{} is no time", manifest.taken)))?;
        let manifest = Manifest {
            files: std::mem::take(&mut self.files),
            ..manifest
        };
        let mut bytes = serde_json::to_vec_pretty(&manifest).expect("texts and numbers are JSON");
        bytes.push(b'\n');
        place::write(&self.path.join("manifest.json"), &bytes)?;
        place::write(
            &self.path.join("manifest.json.sha256"),
            sum_line(&bytes).as_bytes(),
        )?;
        sync_folder(&self.path)?;
        for number in 1..100 {
            let name = GenerationName::new(taken, number);
            let whole = self.generations.join(name.to_string());
            if whole.symlink_metadata().is_ok() {
                continue;
            }
            rename(&self.path, &whole)?;
            sync_folder(&self.generations)?;
            return Ok(name);
        }
        Err(Error::refused("there are a hundred backups of this second"))
    }
}

impl Drop for Draft {
    /// What was not finished is of no use; the next backup would remove it as well.
    fn drop(&mut self) {
        if self.path.symlink_metadata().is_ok() {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
