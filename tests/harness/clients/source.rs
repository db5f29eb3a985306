//! Images as files, in the forms that clients push from.

use std::fs;
use std::path::Path;

use entrepot::oci::Digest;
use serde_json::json;
use tar::Builder;

use super::super::images::{Blob, Image, Index};

/// An image or an index, and every blob and manifest below it.
pub struct Source {
    top: Blob,
    below: Vec<Blob>,
}

impl Source {
    /// An image of one platform.
    pub fn image(image: &Image) -> Self {
        Self {
            top: image.manifest().clone(),
            below: image.blobs().to_vec(),
        }
    }

    /// An image of several platforms.
    pub fn index(index: &Index) -> Self {
        let below = index.children().iter().flat_map(|child| {
            let manifest = std::iter::once(child.manifest());
            manifest.chain(child.blobs()).cloned()
        });
        Self {
            top: index.manifest().clone(),
            below: below.collect(),
        }
    }

    /// The digest that a push of it must give.
    pub fn digest(&self) -> Digest {
        self.top.digest
    }

    /// Writes an OCI image layout (image-spec 1.1, image-layout.md) in which `tag` names it.
    pub fn write_layout(&self, folder: &Path, tag: &str) {
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": self.top.media_type,
                "digest": self.top.digest.to_string(),
                "size": self.top.bytes.len(),
                "annotations": { "org.opencontainers.image.ref.name": tag },
            }],
        });
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a directory can be made");
        write(
            &folder.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        );
        write(&folder.join("index.json"), index.to_string().as_bytes());
        for blob in self.below.iter().chain([&self.top]) {
            write(&blobs.join(blob.digest.hex()), &blob.bytes);
        }
    }

    /// Writes a layout as one file, as `ctr images import` takes it.
    pub fn write_archive(&self, file: &Path, tag: &str) {
        let folder = file.with_extension("layout");
        self.write_layout(&folder, tag);
        let mut archive = Builder::new(Vec::new());
        archive
            .append_dir_all(".", &folder)
            .expect("the layout can be read");
        let bytes = archive.into_inner().expect("memory takes every write");
        write(file, &bytes);
    }

    /// Writes skopeo's `dir:` form, which also holds Docker's manifests as they are.
    pub fn write_folder(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a directory can be made");
        write(
            &folder.join("version"),
            b"Directory Transport Version: 1.1\n",
        );
        write(&folder.join("manifest.json"), &self.top.bytes);
        for blob in &self.below {
            write(&folder.join(blob.digest.hex()), &blob.bytes);
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
