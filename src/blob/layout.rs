//! Where everything lies in `DATA_DIR`, and how a digest becomes a path.
//!
//! ```text
//! DATA_DIR/
//!   blobs/                        complete, verified, never rewritten; one file a digest
//!     sha256/ab/<hex>             ab: the first two digits of <hex>
//!     sha512/ab/<hex>
//!   partial/<algorithm>-<hex>     on the way in, resumable; at most one writer each
//!   uploads/<32 hex>              pushed and not finished, named by session; resumable, at most one
//!                                 writer each; their length is the offset
//!   quarantine/<algorithm>-<hex>  found damaged; kept for a look, never served
//!   tmp/<number>                  small content before it gets its name; emptied at start
//! ```
//!
//! The store's file and the control socket lie beside these and belong to other rooms. All folders
//! are in one volume, since names are given by rename. Opening reads no file and, but for `tmp/`, no
//! folder: what partials and uploads were left is for sweeps to find. A shard is made durable in its parent at its
//! first use by this process, so that a rename and a sync of the shard are enough from then on (order
//! of writes).

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::oci::{Algorithm, Digest};

use super::upload_key::UploadKey;
use super::{Error, disk, lock};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// One of the folders that blobs are spread over by the first byte of their hash.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Shard {
    algorithm: Algorithm,
    first: u8,
}

impl Shard {
    /// Every folder that may hold blobs, in the order of their digests.
    pub fn all() -> impl Iterator<Item = Self> + Send {
        ALGORITHMS
            .into_iter()
            .flat_map(|algorithm| (0..=u8::MAX).map(move |first| Self { algorithm, first }))
    }

    /// The folder that holds `digest`.
    pub fn of(digest: &Digest) -> Self {
        Self {
            algorithm: digest.algorithm(),
            first: digest.hash()[0],
        }
    }
}

/// The folders of one `DATA_DIR`.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
    /// Shards known to be durable in their parent.
    durable: Mutex<HashSet<Shard>>,
}

impl Layout {
    /// Makes what is missing under `root`, makes it durable, and empties `tmp/`.
    pub(super) fn open(root: &Path) -> Result<Self, Error> {
        let layout = Self {
            root: root.to_owned(),
            durable: Mutex::default(),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(|error| Error::io("create", root, error))?;
        match layout.furnish() {
            // What is there can be read (DK-10); what is missing holds nothing.
            Err(Error::ReadOnly { .. }) => Ok(layout),
            furnished => furnished.map(|()| layout),
        }
    }

    /// Makes the folders that are missing, and empties `tmp/`.
    fn furnish(&self) -> Result<(), Error> {
        for name in ["blobs", "partial", "uploads", "quarantine", "tmp"] {
            disk::make_dir(&self.root.join(name))?;
        }
        for algorithm in ALGORITHMS {
            disk::make_dir(&self.algorithm(algorithm))?;
        }
        disk::sync_dir(&self.root.join("blobs"))?;
        disk::sync_dir(&self.root)?;
        for left in list(&self.root.join("tmp"))? {
            disk::unlink(&left)?;
        }
        Ok(())
    }

    /// The folders as they are, to be read only.
    pub(super) fn existing(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            durable: Mutex::default(),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Final name of a blob.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join(place_of(digest))
    }

    pub(super) fn shard(&self, shard: Shard) -> PathBuf {
        let name = format!("{:02x}", shard.first);
        self.algorithm(shard.algorithm).join(name)
    }

    /// The folder of a blob, made if need be and durable in its parent.
    ///
    /// That it exists proves nothing: it may stem from a process that died before the sync, or from
    /// another thread that has not come to it yet.
    pub(super) fn make_shard(&self, digest: &Digest) -> Result<PathBuf, Error> {
        let shard = Shard::of(digest);
        let path = self.shard(shard);
        let mut durable = lock(&self.durable);
        if !durable.contains(&shard) {
            disk::make_dir(&path)?;
            disk::sync_dir(&self.algorithm(digest.algorithm()))?;
            durable.insert(shard);
        }
        Ok(path)
    }

    /// Name of a blob on its way in.
    pub(super) fn partial(&self, digest: &Digest) -> PathBuf {
        self.root.join("partial").join(flat_name(digest))
    }

    /// The folder of uploads.
    pub(super) fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Name of an upload.
    pub(super) fn upload(&self, key: &UploadKey) -> PathBuf {
        self.uploads().join(key.to_string())
    }

    /// Name of a damaged blob.
    pub(super) fn quarantine(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(flat_name(digest))
    }

    /// Name of small content before it gets its own.
    pub(super) fn tmp(&self, number: u64) -> PathBuf {
        self.root.join("tmp").join(number.to_string())
    }

    /// Partials that lie there, by the digest their name tells.
    pub(super) fn partials(&self) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let files = list(&self.root.join("partial"))?;
        Ok(files
            .into_iter()
            .filter_map(|path| Some((flat_digest(file_name(&path)?)?, path)))
            .collect())
    }

    /// Uploads that lie there; files whose name is no key are passed over.
    pub(super) fn left_uploads(&self) -> Result<Vec<(UploadKey, PathBuf)>, Error> {
        let files = list(&self.uploads())?;
        Ok(files
            .into_iter()
            .filter_map(|path| Some((file_name(&path)?.parse().ok()?, path)))
            .collect())
    }

    /// Everything in quarantine.
    pub(super) fn quarantined(&self) -> Result<Vec<PathBuf>, Error> {
        list(&self.root.join("quarantine"))
    }

    /// Blob files of a shard; files whose name is no digest of it are passed over.
    pub(super) fn blobs(&self, shard: Shard) -> Result<Vec<(Digest, PathBuf)>, Error> {
        let digest = |path: &Path| {
            let text = format!("{}:{}", shard.algorithm.as_str(), file_name(path)?);
            let digest: Digest = text.parse().ok()?;
            (Shard::of(&digest) == shard).then_some(digest)
        };
        let files = list(&self.shard(shard))?;
        Ok(files
            .into_iter()
            .filter_map(|path| Some((digest(&path)?, path)))
            .collect())
    }

    fn algorithm(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.as_str())
    }
}

/// Where the file of a blob lies below `DATA_DIR`, and below whatever keeps blobs as it does.
pub fn place_of(digest: &Digest) -> PathBuf {
    let hex = digest.hex();
    ["blobs", digest.algorithm().as_str(), &hex[..2], &hex]
        .iter()
        .collect()
}

fn flat_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().as_str(), digest.hex())
}

fn flat_digest(name: &str) -> Option<Digest> {
    name.replacen('-', ":", 1).parse().ok()
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Paths in a folder; none if there is no such folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder, error)),
    };
    entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::io("list", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_the_path_that_the_drawing_shows() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let digest = Digest::of(b"x");
        let hex = digest.hex();
        let want = format!("blobs/sha256/{}/{hex}", &hex[..2]);
        assert_eq!(layout.blob(&digest), dir.path().join(want));
        let long = Digest::with(Algorithm::Sha512, b"x");
        let want = format!("partial/sha512-{}", long.hex());
        assert_eq!(layout.partial(&long), dir.path().join(want));
        assert_eq!(flat_digest(&flat_name(&long)), Some(long));
    }

    #[test]
    fn opening_empties_tmp_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        let partial = layout.partial(&Digest::of(b"x"));
        let key = UploadKey::from_bytes([7; 16]);
        let upload = dir.path().join("uploads").join("07".repeat(16));
        fs::write(layout.tmp(7), b"left").unwrap();
        fs::write(&partial, b"kept").unwrap();
        fs::write(layout.upload(&key), b"kept").unwrap();
        fs::write(layout.uploads().join("stray"), b"kept").unwrap();
        let layout = Layout::open(dir.path()).unwrap();
        assert!(!layout.tmp(7).exists());
        assert_eq!(layout.left_uploads().unwrap(), [(key, upload)]);
        assert_eq!(layout.partials().unwrap(), [(Digest::of(b"x"), partial)]);
    }

    #[test]
    fn every_blob_is_in_one_of_all_shards() {
        assert_eq!(Shard::all().count(), 512);
        let digest = Digest::with(Algorithm::Sha512, b"x");
        assert_eq!(Shard::all().filter(|s| *s == Shard::of(&digest)).count(), 1);
    }
}
