//! A whole generation, to be read: every file of it is compared with its sum before it is used.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::manifest::{BlobLine, FORMAT, MANIFEST_BYTES, Manifest, Sum};
use super::place::{digest_of, open_beneath, read_beneath};
use super::{BLOBS, Error};
use crate::model::Timestamp;
use crate::oci::Digest;
use crate::store;

/// The name of a generation: when it was begun, in UTC, such as `20261122T093143Z`. Names sort by time.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct GenerationName(String);

impl GenerationName {
    /// The `number`-th of that second, from 1 on.
    pub(super) fn new(taken: Timestamp, number: u32) -> Self {
        let text = taken.to_string();
        let mut name: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
        if number > 1 {
            name = format!("{name}-{number:02}");
        }
        Self(name)
    }
}

impl FromStr for GenerationName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = |text: &str, count: usize| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (time, number) = text.split_once('-').unwrap_or((text, "02"));
        let is_time = time.strip_suffix('Z').and_then(|time| time.split_once('T'));
        match is_time {
            Some((day, hour)) if digits(day, 8) && digits(hour, 6) && digits(number, 2) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("write the name of a backup, such as 20261122T093143Z".to_owned()),
        }
    }
}

impl fmt::Display for GenerationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A generation whose manifest was read and compared with its sum.
#[derive(Debug)]
pub struct Generation {
    root: PathBuf,
    relative: PathBuf,
    pub name: GenerationName,
    pub manifest: Manifest,
}

impl Generation {
    /// Reads the manifest of a generation.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Hostile`]; [`Error::Refused`] if a newer release made it.
    pub(super) fn open(root: &Path, name: &GenerationName) -> Result<Self, Error> {
        let relative = Path::new("generations").join(name.to_string());
        let read = |file: &str, most| {
            let bytes = read_beneath(root, &relative.join(file), most)?;
            bytes.ok_or_else(|| Error::damaged(&root.join(&relative).join(file), "it is gone"))
        };
        let path = root.join(&relative).join("manifest.json");
        let bytes = read("manifest.json", MANIFEST_BYTES)?;
        let sum = read("manifest.json.sha256", 1024)?;
        if sum != sum_line(&bytes).as_bytes() {
            return Err(Error::damaged(&path, "its bytes are not those of its sum"));
        }
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| Error::damaged(&path, error.to_string()))?;
        if manifest.format > FORMAT || manifest.schema > store::SCHEMA {
            return Err(Error::refused(format!(
                "the backup {name} was made by a newer release ({}, schema {}; this one knows {}): restore it with \
                 that one",
                manifest.version,
                manifest.schema,
                store::SCHEMA
            )));
        }
        let generation = Self {
            root: root.to_owned(),
            relative,
            name: name.clone(),
            manifest,
        };
        let strange = generation
            .manifest
            .files
            .keys()
            .find(|name| !is_file_name(name));
        match strange {
            Some(name) => Err(Error::hostile(&path, format!("it names the file {name:?}"))),
            None => Ok(generation),
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(&self.relative).join(file)
    }

    /// A file of it, all of whose bytes were compared with their sum; `None` if it never had one.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is gone, or its bytes are others.
    pub fn file(&self, name: &str) -> Result<Option<BufReader<File>>, Error> {
        let Some(Sum { bytes, sha256 }) = self.manifest.files.get(name) else {
            return Ok(None);
        };
        let path = self.path(name);
        let file = open_beneath(&self.root, &self.relative.join(name))?;
        let mut file = file.ok_or_else(|| Error::damaged(&path, "it is gone"))?;
        let failed = |error| Error::file("read", &path, error);
        let (found, length) = digest_of(&mut file, &Digest::of(b""), |_| Ok(())).map_err(failed)?;
        if length != *bytes || found.hex() != *sha256 {
            return Err(Error::damaged(&path, "its bytes are not those of its sum"));
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        Ok(Some(BufReader::new(file)))
    }

    /// The same, which every generation has.
    pub(super) fn needed(&self, name: &str) -> Result<BufReader<File>, Error> {
        let missing = || Error::damaged(&self.path("manifest.json"), format!("it names no {name}"));
        self.file(name)?.ok_or_else(missing)
    }

    /// The blobs that belong to it, without those that were gone already.
    pub fn blobs(&self) -> Result<Vec<BlobLine>, Error> {
        let path = self.path(BLOBS);
        let mut list = String::new();
        let read = self.needed(BLOBS)?.read_to_string(&mut list);
        read.map_err(|error| Error::file("read", &path, error))?;
        let mut lines = BlobLine::read_all(&list)
            .ok_or_else(|| Error::damaged(&path, "it is no list of blobs"))?;
        lines.retain(|line| !self.manifest.absent.contains(&line.digest));
        Ok(lines)
    }

    /// Names of its files.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.manifest.files.keys().map(String::as_str)
    }
}

/// The sum of a manifest as `sha256sum -c` reads it.
pub(super) fn sum_line(manifest: &[u8]) -> String {
    format!("{}  manifest.json\n", Digest::of(manifest).hex())
}

/// One component, of letters that mean nothing to anybody.
pub(super) fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_generations_sort_by_time_and_read_back() {
        let at = |seconds: i64| Timestamp::from_millis(1_767_225_600_000 + 1000 * seconds);
        let names = [(0, 1), (0, 2), (0, 10), (1, 1)].map(|(s, n)| GenerationName::new(at(s), n));
        assert_eq!(names[0].to_string(), "20260101T000000Z");
        assert!(names.is_sorted());
        for name in &names {
            assert_eq!(name.to_string().parse::<GenerationName>().unwrap(), *name);
        }
        for odd in [
            "",
            "..",
            ".new-1",
            "20260101T000000",
            "20260101T000000Z-",
            "2026/0101T000000Z",
        ] {
            assert!(odd.parse::<GenerationName>().is_err(), "{odd}");
        }
    }

    #[test]
    fn names_of_files_lead_nowhere() {
        assert!(is_file_name("store.rows") && is_file_name("bundles.trusted.A1.pub"));
        for odd in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc/passwd",
            ".hidden",
            "a b",
            "a\0",
            "a\n",
        ] {
            assert!(!is_file_name(odd), "{odd:?}");
        }
    }
}
