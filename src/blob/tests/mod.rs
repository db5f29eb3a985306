//! Behaviour of the room as a whole, over real files.

mod disk_full;
mod partial;
mod reading;
mod store;
mod stress;
mod upload;
mod upload_faults;
mod upload_schedules;
mod verify;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use crate::oci::{Algorithm, ByteRange, Digest};

use super::{BlobFile, BlobStore, Error, PartialWriter, UploadKey, UploadWriter};

/// A store in a folder of its own.
struct Site {
    blobs: BlobStore,
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path()).unwrap();
        Self { blobs, dir }
    }

    /// What a new process finds: nothing is handed over but the folder.
    fn reopen(&mut self) {
        self.blobs = open(self.dir.path()).unwrap();
    }

    /// Where the blob lies, as the drawing in `layout.rs` has it.
    fn blob_path(&self, digest: &Digest) -> std::path::PathBuf {
        let hex = digest.hex();
        let folder = self.dir.path().join("blobs");
        folder
            .join(digest.algorithm().as_str())
            .join(&hex[..2])
            .join(hex)
    }

    fn partial_path(&self, digest: &Digest) -> std::path::PathBuf {
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        self.dir.path().join("partial").join(name)
    }

    fn upload_path(&self, key: &UploadKey) -> std::path::PathBuf {
        self.dir.path().join("uploads").join(key.to_string())
    }

    /// How many files there are in `uploads/`.
    fn upload_files(&self) -> usize {
        let folder = std::fs::read_dir(self.dir.path().join("uploads"));
        folder.unwrap().count()
    }

    async fn upload(&self, key: &UploadKey) -> UploadWriter {
        let opened = self.blobs.open_upload(key, Algorithm::Sha256);
        soon(opened).await.unwrap()
    }

    /// Opens an upload, appends `bytes` and leaves it; returns its length.
    async fn visit(&self, key: &UploadKey, bytes: &[u8]) -> u64 {
        let mut writer = self.upload(key).await;
        writer.append(Bytes::copy_from_slice(bytes)).await.unwrap();
        writer.pause().await.unwrap()
    }

    /// Begins a blob and appends the first `len` bytes of it.
    async fn begun(&self, bytes: &[u8], len: usize) -> PartialWriter {
        let (mut writer, _) = self.blobs.begin(&Digest::of(bytes)).await.unwrap();
        writer
            .append(Bytes::copy_from_slice(&bytes[..len]))
            .await
            .unwrap();
        writer.flush().await.unwrap();
        writer
    }
}

fn open(root: &std::path::Path) -> Result<BlobStore, Error> {
    BlobStore::open(root, &prometheus::Registry::new())
}

/// The same key for the same number.
fn key(number: u64) -> UploadKey {
    UploadKey::from_bytes(u128::from(number).to_be_bytes())
}

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange { start, end }
}

/// Bytes that look like nothing, the same for the same seed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8))
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    bytes.truncate(len);
    bytes
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Everything a stream yields, or its error and the bytes before it.
async fn collect(
    mut stream: impl Stream<Item = Result<Bytes, Error>> + Unpin,
) -> Result<Vec<u8>, (Error, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => all.extend_from_slice(&piece),
            Err(error) => return Err((error, all)),
        }
    }
    Ok(all)
}

async fn content(file: &BlobFile) -> Vec<u8> {
    collect(file.stream(file.whole())).await.unwrap()
}

/// A deadline for what would otherwise hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.unwrap()
}
