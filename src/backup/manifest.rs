//! What a generation says of itself, and its list of blobs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::oci::Digest;

/// The form of folder and manifest that this release writes; it reads those up to it.
pub const FORMAT: u64 = 1;

/// Largest manifest that is read. The longest part of one is the list of absent blobs.
pub(super) const MANIFEST_BYTES: u64 = 16 << 20;

/// A generation, as `manifest.json` tells of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Manifest {
    pub format: u64,
    /// The release that made it.
    pub version: String,
    /// The schema of its rows.
    pub schema: u64,
    /// When it was begun, in RFC 3339.
    pub taken: String,
    /// Whether it has what caches held.
    pub cached: bool,
    /// Whether it has `secret.key` and the signing key of bundles.
    pub secrets: bool,
    pub counts: Counts,
    /// Blobs whose bytes were gone or damaged already.
    pub absent: Vec<Digest>,
    /// Every other file, by name.
    pub files: BTreeMap<String, Sum>,
}

/// How much a generation has.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Counts {
    pub tables: u64,
    pub rows: u64,
    pub namespaces: u64,
    pub repositories: u64,
    pub manifests: u64,
    pub tags: u64,
    pub users: u64,
    pub blobs: u64,
    pub blob_bytes: u64,
}

/// Length and digest of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sum {
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

impl Manifest {
    /// When it was begun, if that is a time.
    pub fn taken(&self) -> Option<Timestamp> {
        self.taken.parse().ok()
    }
}

/// A blob of a generation.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BlobLine {
    pub digest: Digest,
    pub size_bytes: u64,
}

impl BlobLine {
    /// As it stands in the list, with its end of line.
    pub fn text(&self) -> String {
        format!("{} {}\n", self.digest, self.size_bytes)
    }

    /// Reads a line without its end.
    pub fn read(line: &str) -> Option<Self> {
        let (digest, size) = line.split_once(' ')?;
        let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        Some(Self {
            digest: digest.parse().ok()?,
            size_bytes: size.parse().ok().filter(|_| is_number)?,
        })
    }

    /// Reads a whole list; `None` if any of it is no line of one.
    pub fn read_all(list: &str) -> Option<Vec<Self>> {
        if !list.is_empty() && !list.ends_with('\n') {
            return None;
        }
        list.lines().map(Self::read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_blobs_reads_back_and_a_cut_one_does_not() {
        let lines = [1, 2].map(|n: u64| BlobLine {
            digest: Digest::of(&n.to_be_bytes()),
            size_bytes: n,
        });
        let text: String = lines.iter().map(BlobLine::text).collect();
        assert_eq!(BlobLine::read_all(&text).unwrap(), lines);
        assert_eq!(BlobLine::read_all("").unwrap(), []);
        for cut in 1..text.len() {
            let read = BlobLine::read_all(&text[..cut]);
            assert!(read.is_none_or(|read| read == lines[..1]), "{cut}");
        }
        for odd in ["x 1\n", "sha256:00 1\n", "\n", "sha256:../../etc 1\n"] {
            assert_eq!(BlobLine::read_all(odd), None, "{odd:?}");
        }
    }
}
