//! The OCI image layout: `oci-layout` and `index.json`, written for others and read from others.
//!
//! image-spec v1.1, "OCI Image Layout". Every tag stands in `index.json` under its full name, in the two
//! annotations that tools look at, so that `skopeo copy oci-archive:FILE:NAME` and `ctr image import` find
//! it without a tool of ours (AG-01).

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::choose::Found;
use super::inventory::{Content, Inventory, Listed};
use super::spool::Spool;
use super::{Error, archive};
use crate::oci::{Descriptor, Digest, MediaType, RawManifest, RepositoryName, Tag};

/// The name that a layout gives a manifest (image-spec: annotations).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same for containerd.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Most manifests that a foreign layout may lead to.
const MANIFESTS: usize = 100_000;

/// The file `oci-layout`.
pub(super) const LAYOUT_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Largest `oci-layout` that is looked at.
pub(super) const LAYOUT_MOST: usize = 4096;

/// # Errors
/// If the file `oci-layout` says that the layout is another than version 1.
pub(super) fn check_layout(file: &str, bytes: &[u8]) -> Result<(), Error> {
    let read: Option<Value> = serde_json::from_slice(bytes).ok();
    let version = read
        .as_ref()
        .and_then(|read| read["imageLayoutVersion"].as_str());
    match version.is_some_and(|version| version.starts_with("1.")) {
        true => Ok(()),
        false => Err(Error::hostile(
            file,
            "oci-layout does not say that it is an image layout of version 1",
        )),
    }
}

/// `index.json` of a bundle.
pub(super) fn index(repositories: &[Listed], content: &BTreeMap<Digest, Found>) -> Vec<u8> {
    let mut manifests: Vec<Value> = Vec::new();
    for listed in repositories {
        let descriptor = |digest: &Digest| {
            let found = content.get(digest)?;
            let media_type = found.media_type.as_ref()?;
            Some(json!({"mediaType": media_type, "digest": digest, "size": found.size}))
        };
        for (tag, digest) in &listed.tags {
            let Some(mut named) = descriptor(digest) else {
                continue;
            };
            let name = format!("{}:{tag}", listed.name);
            named["annotations"] = json!({ REF_NAME: name, IMAGE_NAME: name });
            manifests.push(named);
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": manifests,
    });
    index.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// Describes a layout that others made, as if it had come with a description. Unnamed manifests stay out.
///
/// `whole` is the repository that names without one belong to.
///
/// # Errors
/// If `index.json` is none, names nothing, or names what is not there.
pub(super) async fn describe(
    file: &str,
    index: &[u8],
    spool: &Spool,
    whole: Option<&RepositoryName>,
) -> Result<Inventory, Error> {
    let read: Index = serde_json::from_slice(index)
        .map_err(|error| Error::hostile(file, format!("index.json: {error}")))?;
    let mut repositories: BTreeMap<RepositoryName, Reading> = BTreeMap::new();
    let mut nameless = 0_u64;
    for root in read.manifests {
        let annotations = root.annotations.clone().unwrap_or_default();
        let named = annotations
            .get(IMAGE_NAME)
            .or_else(|| annotations.get(REF_NAME));
        let place = named.and_then(|name| place(name, whole));
        let Some((name, tag)) = place else {
            nameless += 1;
            continue;
        };
        let reading = repositories.entry(name).or_default();
        reading.follow(file, spool, &root).await?;
        reading.tags.insert(tag, root.digest);
    }
    if repositories.is_empty() {
        return Err(Error::refused(format!(
            "{file}: {nameless} of its images have no name that could be kept; say with --into \
             NAMESPACE/REPOSITORY where they belong"
        )));
    }
    let mut content: BTreeMap<Digest, Content> = BTreeMap::new();
    let mut listed = Vec::new();
    for (name, reading) in repositories {
        content.extend(reading.content);
        listed.push(Listed {
            name,
            tags: reading.tags,
            manifests: reading.manifests,
            absent: reading.absent,
            removed: Vec::new(),
        });
    }
    Ok(Inventory {
        format: Inventory::format(),
        sequence: 0,
        created: String::new(),
        by: format!("an image layout ({})", archive::LAYOUT),
        index: Digest::of(index),
        volumes: 1,
        repositories: listed,
        content: content.into_values().collect(),
    })
}

/// One repository of a foreign layout.
#[derive(Default)]
struct Reading {
    tags: BTreeMap<Tag, Digest>,
    manifests: Vec<Digest>,
    absent: Vec<Digest>,
    content: BTreeMap<Digest, Content>,
    seen: HashSet<Digest>,
}

impl Reading {
    /// Reads a manifest and all below it.
    async fn follow(&mut self, file: &str, spool: &Spool, root: &Descriptor) -> Result<(), Error> {
        // Each is looked at twice: before its children, and behind them.
        let mut pending = vec![(root.clone(), false, true)];
        while let Some((at, is_done, is_root)) = pending.pop() {
            if is_done {
                self.manifests.push(at.digest);
                continue;
            }
            if !self.seen.insert(at.digest) {
                continue;
            }
            if self.seen.len() > MANIFESTS {
                return Err(Error::hostile(
                    file,
                    format!("it leads to more than {MANIFESTS} manifests"),
                ));
            }
            let Some(bytes) = spool.get(&at.digest).await? else {
                if is_root {
                    let reason = format!("index.json names {}, which is not there", at.digest);
                    return Err(Error::hostile(file, reason));
                }
                self.absent.push(at.digest);
                continue;
            };
            let size = bytes.len() as u64;
            let parsed = RawManifest::parse_expecting(bytes, Some(&at.media_type), &at.digest);
            let (raw, manifest) =
                parsed.map_err(|error| Error::hostile(file, format!("{}: {error}", at.digest)))?;
            self.put(at.digest, size, Some(raw.media_type));
            let blobs = manifest.held_blobs().map(|blob| (blob.digest, blob.size));
            let blobs: Vec<_> = blobs.collect();
            blobs
                .into_iter()
                .for_each(|(digest, size)| self.put(digest, size, None));
            pending.push((at, true, is_root));
            for child in manifest.manifests.into_iter().rev() {
                match child.media_type.is_manifest() {
                    true => pending.push((child, false, false)),
                    false if child.is_foreign() => {}
                    false => self.put(child.digest, child.size, None),
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, digest: Digest, size: u64, media_type: Option<MediaType>) {
        let volume = media_type.is_none().then_some(1);
        let content = Content {
            digest,
            size,
            media_type,
            volume,
            pieces: Vec::new(),
        };
        self.content.insert(digest, content);
    }
}

/// Which repository and tag a name of a layout means: `docker.io/library/alpine:3.20`, or `3.20` alone.
fn place(name: &str, whole: Option<&RepositoryName>) -> Option<(RepositoryName, Tag)> {
    if let (Some(whole), Ok(tag)) = (whole, name.parse::<Tag>()) {
        return Some((whole.clone(), tag));
    }
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    };
    let repository = repository
        .rsplit_once('@')
        .map_or(repository, |(name, _)| name);
    let repository: RepositoryName = repository.parse().ok()?;
    // A repository belongs to a namespace.
    repository.split_first()?;
    Some((repository, tag.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_layouts_are_places() {
        let whole: RepositoryName = "acme/app".parse().unwrap();
        let text = |name: &str, whole: Option<&RepositoryName>| {
            place(name, whole).map(|(repository, tag)| format!("{repository} {tag}"))
        };
        for (name, with, without) in [
            ("3.20", Some("acme/app 3.20"), None),
            (
                "docker.io/library/alpine:3.20",
                Some("docker.io/library/alpine 3.20"),
                Some("docker.io/library/alpine 3.20"),
            ),
            (
                "docker.io/library/alpine",
                Some("docker.io/library/alpine latest"),
                Some("docker.io/library/alpine latest"),
            ),
            ("../../etc:x", None, None),
            ("Bad/Name:x", None, None),
        ] {
            assert_eq!(text(name, Some(&whole)).as_deref(), with, "{name}");
            assert_eq!(text(name, None).as_deref(), without, "{name}");
        }
    }
}
