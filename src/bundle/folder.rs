//! `DATA_DIR/bundles`: the signing key, trusted keys, what was exported and imported.
//!
//! ```text
//!  signing.key          ours, PKCS #8, for its owner alone
//!  trusted/ID.pub       those of others
//!  sequence             number of the newest export
//!  received.json        newest number that was imported, by key
//!  handover.jsonl       a line for each export and import
//! ```
//!
//! Small files, each written under another name first; the process that has the lock of the data
//! directory is the only one here.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Error;
use super::keys::{KeyId, PublicKey, SigningKey};

/// The folder; made when something is put into it.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("bundles"))
    }

    /// Its path; it is there afterwards.
    pub(super) fn made(&self) -> Result<&Path, Error> {
        make(&self.0)?;
        Ok(&self.0)
    }

    pub(super) fn handover(&self) -> PathBuf {
        self.0.join("handover.jsonl")
    }

    pub(super) fn signing_key(&self) -> Result<Option<SigningKey>, Error> {
        let document = read(&self.0.join("signing.key"))?;
        document
            .map(|document| SigningKey::read(&document))
            .transpose()
    }

    pub(super) fn keep_signing_key(&self, key: &SigningKey) -> Result<(), Error> {
        self.write("signing.key", key.document())
    }

    /// Keys that are trusted, ours included.
    pub(super) fn trusted(&self) -> Result<Vec<PublicKey>, Error> {
        let mut keys = self.others()?;
        keys.extend(self.signing_key()?.map(|key| key.public()));
        Ok(keys)
    }

    /// Keys of others that are trusted, in the order of their numbers.
    pub(super) fn others(&self) -> Result<Vec<PublicKey>, Error> {
        let folder = self.0.join("trusted");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list", &folder, error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry
                .map_err(|error| Error::file("list", &folder, error))?
                .path();
            if path.extension().is_none_or(|extension| extension != "pub") {
                continue;
            }
            if let Some(bytes) = read(&path)? {
                keys.push(PublicKey::read(&String::from_utf8_lossy(&bytes))?);
            }
        }
        keys.sort_by_key(|key| key.id);
        Ok(keys)
    }

    pub(super) fn trust(&self, key: &PublicKey) -> Result<(), Error> {
        make(&self.0)?;
        make(&self.0.join("trusted"))?;
        self.write(&format!("trusted/{}.pub", key.id), key.file().as_bytes())
    }

    /// `false` if it was not trusted.
    pub(super) fn distrust(&self, id: &str) -> Result<bool, Error> {
        let Some(key) = self
            .others()?
            .into_iter()
            .find(|key| key.id.to_string() == id)
        else {
            return Ok(false);
        };
        let path = self.0.join(format!("trusted/{}.pub", key.id));
        fs::remove_file(&path).map_err(|error| Error::file("remove", &path, error))?;
        Ok(true)
    }

    /// The number of the newest export; zero before the first.
    pub(super) fn sequence(&self) -> Result<u64, Error> {
        let bytes = read(&self.0.join("sequence"))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        match text.trim() {
            "" => Ok(0),
            text => text
                .parse()
                .map_err(|_| Error::refused("bundles/sequence is damaged")),
        }
    }

    pub(super) fn keep_sequence(&self, sequence: u64) -> Result<(), Error> {
        self.write("sequence", format!("{sequence}\n").as_bytes())
    }

    /// The newest number that was imported, by key; of unsigned bundles none is kept.
    pub(super) fn received(&self) -> Result<BTreeMap<String, u64>, Error> {
        let bytes = read(&self.0.join("received.json"))?;
        let Some(bytes) = bytes else {
            return Ok(BTreeMap::new());
        };
        serde_json::from_slice(&bytes)
            .map_err(|_| Error::refused("bundles/received.json is damaged"))
    }

    pub(super) fn keep_received(&self, key: KeyId, sequence: u64) -> Result<(), Error> {
        let mut received = self.received()?;
        let newest = received.entry(key.to_string()).or_default();
        *newest = sequence.max(*newest);
        let bytes = serde_json::to_vec(&received).expect("texts and numbers are always JSON");
        self.write("received.json", &bytes)
    }

    /// Writes a line into the list of hand-overs.
    pub(super) fn note(&self, line: &Value) -> Result<(), Error> {
        make(&self.0)?;
        let path = self.handover();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        let noted = file.and_then(|mut file| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()
        });
        noted.map_err(|error| Error::file("write", &path, error))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "small files of this folder alone, in the order of writes"
    )]
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        make(&self.0)?;
        let path = self.0.join(name);
        let unfinished = path.with_extension("new");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished);
        let written = opened.and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            let folder = path.parent().unwrap_or(&self.0);
            fs::File::open(folder)?.sync_all()
        });
        written.map_err(|error| Error::file("write", &path, error))
    }
}

fn make(path: &Path) -> Result<(), Error> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(Error::file("make", path, error))
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::file("read", path, error)),
    }
}
