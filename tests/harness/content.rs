//! Images and what belongs to them: the same seed gives the same digests.

use bytes::Bytes;
use entrepot::oci::Digest;
use serde_json::{Value, json};

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A manifest with its media type.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: &'static str,
}

impl Document {
    fn new(media_type: &'static str, value: &Value) -> Self {
        let bytes = serde_json::to_vec(value).unwrap().into();
        Self { bytes, media_type }
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn descriptor(&self) -> Value {
        descriptor(self.media_type, &self.bytes)
    }
}

/// An image: its manifest, its config, its layers.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Document,
    pub(crate) config: Bytes,
    pub(crate) layers: Vec<Bytes>,
}

impl Image {
    /// One config, one layer of 1 KiB.
    pub(crate) fn small(seed: u64) -> Self {
        Self::with_layers(seed, &[1024])
    }

    pub(crate) fn with_layers(seed: u64, sizes: &[usize]) -> Self {
        Self::of_type(seed, sizes, OCI_MANIFEST)
    }

    /// The same in Docker's schema 2.
    pub(crate) fn docker(seed: u64) -> Self {
        Self::of_type(seed, &[1024], DOCKER_MANIFEST)
    }

    fn of_type(seed: u64, sizes: &[usize], media_type: &'static str) -> Self {
        let (config_type, layer_type) = if media_type == DOCKER_MANIFEST {
            (
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
            )
        } else {
            (
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.layer.v1.tar+gzip",
            )
        };
        let config = json!({"architecture": "amd64", "os": "linux", "config": {}, "seed": seed});
        let config = Bytes::from(serde_json::to_vec(&config).unwrap());
        let layer = |(number, size): (usize, &usize)| bytes(seed * 1000 + number as u64, *size);
        let layers = sizes.iter().enumerate().map(layer).collect();
        Self::assemble(config, layers, [media_type, config_type, layer_type])
    }

    /// An image of these very layers, which other images may have too.
    pub(crate) fn of_layers(seed: u64, layers: &[Bytes]) -> Self {
        let of = Self::with_layers(seed, &[]);
        let types = [
            OCI_MANIFEST,
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        ];
        Self::assemble(of.config, layers.to_vec(), types)
    }

    fn assemble(config: Bytes, layers: Vec<Bytes>, types: [&'static str; 3]) -> Self {
        let [media_type, config_type, layer_type] = types;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config_type, &config),
            "layers": layers.iter().map(|layer| descriptor(layer_type, layer)).collect::<Vec<_>>(),
        });
        Self {
            manifest: Document::new(media_type, &manifest),
            config,
            layers,
        }
    }

    pub(crate) fn digest(&self) -> Digest {
        self.manifest.digest()
    }

    /// Bytes of the manifest, the config and the layers.
    pub(crate) fn size(&self) -> u64 {
        let blobs: usize = self.blobs().map(Bytes::len).sum();
        (self.manifest.bytes.len() + blobs) as u64
    }

    /// Names one more layer, which is not among what is pushed with the image.
    pub(crate) fn add_layer(&mut self, media_type: &str, content: &[u8], urls: &[&str]) {
        let mut manifest: Value = serde_json::from_slice(&self.manifest.bytes).unwrap();
        let mut layer = descriptor(media_type, content);
        layer["urls"] = json!(urls);
        manifest["layers"].as_array_mut().unwrap().push(layer);
        self.manifest = Document::new(self.manifest.media_type, &manifest);
    }

    /// Config and layers.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// Any document.
pub(crate) fn document(media_type: &'static str, value: &Value) -> Document {
    Document::new(media_type, value)
}

/// An index of images, one a platform.
pub(crate) fn index(images: &[(&Image, &str)]) -> Document {
    let child = |(image, architecture): &(&Image, &str)| {
        let mut child = image.manifest.descriptor();
        child["platform"] = json!({"os": "linux", "architecture": architecture});
        child
    };
    let manifests: Vec<Value> = images.iter().map(child).collect();
    index_of(&manifests)
}

/// Indexes in levels of `wide`, all of a level naming all of the one before, the first naming `image`; the last
/// document leads to all of them, on `wide` to the power of `levels` ways.
pub(crate) fn lattice(image: &Image, wide: usize, levels: usize) -> Vec<Document> {
    let over = |below: &[Document], mark: usize| {
        let manifests: Vec<Value> = below.iter().map(Document::descriptor).collect();
        let annotations = json!({"mark": mark.to_string()});
        let index = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, "annotations": annotations,
        });
        Document::new(OCI_INDEX, &index)
    };
    let mut all = Vec::new();
    let mut below = vec![image.manifest.clone()];
    for _ in 0..levels {
        below = (0..wide).map(|mark| over(&below, mark)).collect();
        all.extend_from_slice(&below);
    }
    all.push(over(&below, wide));
    all
}

/// An artifact manifest that refers to `subject`, as signatures and SBOMs do.
pub(crate) fn referrer(subject: &Document, artifact_type: &str) -> Document {
    let empty = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty,
        "layers": [empty],
        "subject": subject.descriptor(),
    });
    Document::new(OCI_MANIFEST, &manifest)
}

/// The answer of the referrers API, and the content of the tag that stands for it.
pub(crate) fn referrers_index(referrers: &[Document]) -> Document {
    let entry = |referrer: &Document| {
        let manifest: Value = serde_json::from_slice(&referrer.bytes).unwrap();
        let mut entry = referrer.descriptor();
        entry["artifactType"] = manifest["artifactType"].clone();
        entry
    };
    let manifests: Vec<Value> = referrers.iter().map(entry).collect();
    index_of(&manifests)
}

fn index_of(manifests: &[Value]) -> Document {
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
    Document::new(OCI_INDEX, &index)
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    let digest = Digest::of(content).to_string();
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

/// `len` bytes that look random and never change (xorshift64*).
pub(crate) fn bytes(seed: u64, len: usize) -> Bytes {
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
