//! What is served: one image, the same bytes at every run, on disk once and linked where servers want it.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use entrepot::oci::Digest;
use serde_json::{Value, json};

use crate::failure::{Doing as _, Outcome};

/// The repository, as a client of the cache names it: organisation `bench`, upstream's `image`.
pub(crate) const REPOSITORY: &str = "bench/image";
/// The tag of the manifest.
pub(crate) const TAG: &str = "latest";
/// The media type of the manifest.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Layers besides the two large ones: they bring the manifest to 2.2 KiB, the size of a common one.
const SMALL_LAYERS: u64 = 12;

/// Bytes under their digest.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) bytes: Bytes,
}

impl Blob {
    pub(crate) fn of(bytes: Bytes) -> Self {
        let digest = Digest::of(&bytes);
        Self { digest, bytes }
    }

    /// `mebibytes` of noise.
    pub(crate) fn noise(seed: u64, mebibytes: usize) -> Self {
        Self::of(noise(seed, mebibytes << 20))
    }

    /// `kibibytes` of noise.
    pub(crate) fn small_noise(seed: u64, kibibytes: usize) -> Self {
        Self::of(noise(seed, kibibytes << 10))
    }

    /// Its length, as HTTP says it.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where `repository` has it.
    pub(crate) fn path(&self, repository: &str) -> String {
        format!("/v2/{repository}/blobs/{}", self.digest)
    }
}

/// The image.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) manifest: Blob,
    /// 1 MiB.
    pub(crate) small: Blob,
    /// 100 MiB.
    pub(crate) big: Blob,
    /// The config and the layers of no interest.
    others: Vec<Blob>,
    folder: PathBuf,
}

impl Content {
    /// Makes it and writes it to `folder`, one file a digest.
    pub(crate) fn make(folder: PathBuf) -> Outcome<Self> {
        let small = Blob::noise(1, 1);
        let big = Blob::noise(2, 100);
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}});
        let mut others = vec![Blob::of(config.to_string().into())];
        others.extend((0..SMALL_LAYERS).map(|seed| Blob::of(noise(10 + seed, 1024))));
        let manifest = manifest(&others[0], [&small, &big].into_iter().chain(&others[1..]));
        let content = Self {
            manifest: Blob::of(manifest.to_string().into()),
            small,
            big,
            others,
            folder,
        };
        content.write()?;
        Ok(content)
    }

    /// Config and layers.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        [&self.small, &self.big].into_iter().chain(&self.others)
    }

    /// Every body, with its file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Digest, PathBuf)> {
        let all = self.blobs().chain([&self.manifest]);
        all.map(|blob| (&blob.digest, self.file(blob)))
    }

    /// Every path of the registry that can be asked for, with the body's file.
    pub(crate) fn paths(&self) -> Vec<(String, PathBuf)> {
        let blobs = self.blobs();
        let mut paths: Vec<_> = blobs
            .map(|blob| (blob.path(REPOSITORY), self.file(blob)))
            .collect();
        for path in [self.by_tag(), self.by_digest()] {
            paths.push((path, self.file(&self.manifest)));
        }
        paths
    }

    /// The manifest's path by tag.
    pub(crate) fn by_tag(&self) -> String {
        format!("/v2/{REPOSITORY}/manifests/{TAG}")
    }

    /// The manifest's path by digest.
    pub(crate) fn by_digest(&self) -> String {
        format!("/v2/{REPOSITORY}/manifests/{}", self.manifest.digest)
    }

    fn file(&self, blob: &Blob) -> PathBuf {
        self.folder.join(blob.digest.hex())
    }

    fn write(&self) -> Outcome<()> {
        make_folder(&self.folder)?;
        for blob in self.blobs().chain([&self.manifest]) {
            fs::write(self.file(blob), &blob.bytes).doing("write the content")?;
        }
        Ok(())
    }
}

fn make_folder(folder: &Path) -> Outcome<()> {
    fs::create_dir_all(folder).doing("make the content's folder")
}

/// A manifest of these blobs.
pub(crate) fn manifest<'a>(config: &Blob, layers: impl Iterator<Item = &'a Blob>) -> Value {
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    json!({
        "schemaVersion": 2,
        "mediaType": MEDIA_TYPE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": layers.map(|blob| descriptor(layer, blob)).collect::<Vec<_>>(),
    })
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({"mediaType": media_type, "digest": blob.digest.to_string(), "size": blob.len()})
}

/// `len` bytes that nothing can compress and that never change (xorshift64*).
fn noise(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}
