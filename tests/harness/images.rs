//! Small images that an engine can really unpack: valid tar layers, gzip, a config with their diff ids.
//!
//! The same seed gives the same bytes on every machine, so digests never depend on the run; different
//! seeds share no blob. Layers are noise and hardly shrink, so their sizes are about what is asked.

use std::io::Write;

use entrepot::oci::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// Which of the twin vocabularies of media types an image is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// image-spec 1.1.
    Oci,
    /// Image manifest version 2, schema 2.
    Docker,
}

impl Dialect {
    fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// Content with its address and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub digest: Digest,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::of(&bytes),
            media_type,
            bytes,
        }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest.to_string(),
            "size": self.bytes.len(),
        })
    }
}

/// An image of one platform.
#[derive(Debug, Clone)]
pub struct Image {
    architecture: &'static str,
    blobs: Vec<Blob>,
    manifest: Blob,
}

impl Image {
    /// An image for this machine's platform with a layer of about each of `layer_sizes` bytes.
    pub fn for_this_machine(seed: &str, dialect: Dialect, layer_sizes: &[usize]) -> Self {
        Self::new(seed, dialect, this_architecture(), layer_sizes)
    }

    fn new(
        seed: &str,
        dialect: Dialect,
        architecture: &'static str,
        layer_sizes: &[usize],
    ) -> Self {
        let tars: Vec<Vec<u8>> = layer_sizes
            .iter()
            .enumerate()
            .map(|(number, size)| layer_tar(&format!("{seed} {architecture} {number}"), *size))
            .collect();
        let diff_ids: Vec<String> = tars.iter().map(|t| Digest::of(t).to_string()).collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": { "Cmd": ["/bin/true"], "Labels": { "seed": seed } },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": vec![json!({ "created_by": "entrepot tests" }); tars.len()],
        });
        let mut blobs = vec![Blob::json(dialect.config(), &config)];
        blobs.extend(tars.iter().map(|t| Blob::new(dialect.layer(), gzip(t))));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": dialect.manifest(),
            "config": blobs[0].descriptor(),
            "layers": blobs[1..].iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        Self {
            architecture,
            blobs,
            manifest: Blob::json(dialect.manifest(), &manifest),
        }
    }

    /// The config, then the layers from the bottom up.
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    pub fn manifest(&self) -> &Blob {
        &self.manifest
    }
}

/// An image for two platforms.
#[derive(Debug, Clone)]
pub struct Index {
    children: Vec<Image>,
    manifest: Blob,
}

impl Index {
    /// An index of a linux/amd64 and a linux/arm64 image that share no blob.
    pub fn new(seed: &str, dialect: Dialect, layer_sizes: &[usize]) -> Self {
        let children: Vec<Image> = ["amd64", "arm64"]
            .into_iter()
            .map(|architecture| Image::new(seed, dialect, architecture, layer_sizes))
            .collect();
        let manifests: Vec<Value> = children.iter().map(child_descriptor).collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": dialect.index(),
            "manifests": manifests,
        });
        Self {
            children,
            manifest: Blob::json(dialect.index(), &manifest),
        }
    }

    pub fn children(&self) -> &[Image] {
        &self.children
    }

    pub fn manifest(&self) -> &Blob {
        &self.manifest
    }

    /// The child that an engine on this machine chooses.
    pub fn child_for_this_machine(&self) -> &Image {
        self.children
            .iter()
            .find(|child| child.architecture == this_architecture())
            .expect("tests with real clients run on amd64 or arm64")
    }
}

fn child_descriptor(child: &Image) -> Value {
    let mut descriptor = child.manifest.descriptor();
    descriptor["platform"] = json!({ "architecture": child.architecture, "os": "linux" });
    descriptor
}

/// The name that images give this machine's architecture (Go's GOARCH).
fn this_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A layer as engines see them: a directory, a file, a symbolic link and a hard link to it.
fn layer_tar(seed: &str, size: usize) -> Vec<u8> {
    let name = Digest::of(seed.as_bytes()).hex();
    let folder = format!("srv/{}", &name[..12]);
    let noise = noise(seed, size);
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, EntryType::Directory, "./", None, &[]);
    append(&mut tar, EntryType::Directory, "srv/", None, &[]);
    append(
        &mut tar,
        EntryType::Directory,
        &format!("{folder}/"),
        None,
        &[],
    );
    append(
        &mut tar,
        EntryType::Regular,
        &format!("{folder}/noise"),
        None,
        &noise,
    );
    let link = format!("{folder}/symbolic");
    append(&mut tar, EntryType::Symlink, &link, Some("noise"), &[]);
    let (link, target) = (format!("{folder}/hard"), format!("{folder}/noise"));
    append(&mut tar, EntryType::Link, &link, Some(&target), &[]);
    tar.into_inner().expect("memory takes every write")
}

fn append(
    tar: &mut Builder<Vec<u8>>,
    kind: EntryType,
    path: &str,
    link: Option<&str>,
    content: &[u8],
) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(path).expect("the path fits a header");
    if let Some(target) = link {
        header
            .set_link_name(target)
            .expect("the target fits a header");
    }
    header.set_mode(if kind == EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content)
        .expect("memory takes every write");
}

/// Bytes that look random and are the same for the same seed: hashes of seed and counter.
fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 32);
    for counter in 0_u64.. {
        if bytes.len() >= size {
            break;
        }
        bytes.extend_from_slice(Digest::of(format!("{seed} {counter}").as_bytes()).hash());
    }
    bytes.truncate(size);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every write");
    encoder.finish().expect("memory takes every write")
}
