//! Fetching an image before anybody asks for it, at an operator's word.
//!
//! It takes the paths of a client's pull: what is held or being fetched is not fetched again, room is
//! reserved and quotas hold.

use crate::model::PlatformPolicy;
use crate::oci::{Descriptor, Digest, Manifest, ManifestKind, Platform, Reference};

use super::{Ask, Error, Proxy, Source};

/// What an image came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Warmed {
    /// What its reference led to.
    pub digest: Digest,
    pub manifests: u64,
    pub blobs: u64,
    /// Of all those blobs.
    pub bytes: u64,
    /// Of those that were not here.
    pub fetched_bytes: u64,
    /// Blobs that there was no room to keep.
    pub unkept: u64,
}

impl Proxy {
    /// Fetches what a reference leads to: of an index the platforms asked for; without any those that
    /// the cache fetches by itself, or else the one of this machine.
    ///
    /// # Errors
    /// As [`Proxy::manifest`] and [`Proxy::blob`]; what was fetched before stays.
    pub async fn warm(
        &self,
        source: &Source,
        reference: &Reference,
        platforms: &[Platform],
    ) -> Result<Warmed, Error> {
        let answer = self.manifest(source, reference, Ask::Normal).await?;
        let root = &answer.manifest.raw;
        let mut warmed = Warmed {
            digest: root.digest,
            manifests: 0,
            blobs: 0,
            bytes: 0,
            fetched_bytes: 0,
            unkept: 0,
        };
        let mut pending = vec![root.digest];
        let mut seen = std::collections::HashSet::new();
        while let Some(digest) = pending.pop() {
            if !seen.insert(digest) {
                continue;
            }
            let held = self
                .manifest(source, &Reference::Digest(digest), Ask::Normal)
                .await?;
            let raw = &held.manifest.raw;
            let Ok(manifest) = Manifest::parse(&raw.bytes, Some(&raw.media_type)) else {
                continue;
            };
            warmed.manifests += 1;
            for child in wanted(source, &manifest, platforms) {
                match child.media_type.is_manifest() {
                    true => pending.push(child.digest),
                    false => self.warm_blob(source, child, &mut warmed).await?,
                }
            }
            for blob in manifest.held_blobs() {
                if seen.insert(blob.digest) {
                    self.warm_blob(source, blob, &mut warmed).await?;
                }
            }
        }
        Ok(warmed)
    }

    async fn warm_blob(
        &self,
        source: &Source,
        blob: &Descriptor,
        warmed: &mut Warmed,
    ) -> Result<(), Error> {
        let was_held = self.holds(source, &blob.digest).await?;
        if !was_held {
            self.fetch_blob(source, &blob.digest).await?;
            warmed.fetched_bytes += blob.size;
            if !self.holds(source, &blob.digest).await? {
                warmed.unkept += 1;
            }
        }
        warmed.blobs += 1;
        warmed.bytes += blob.size;
        Ok(())
    }

    async fn holds(&self, source: &Source, digest: &Digest) -> Result<bool, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(false);
        };
        let held = self
            .registry()
            .lookup_blob(source.organization, repository, digest);
        Ok(held.await?.is_some())
    }
}

/// The children that are to be fetched.
fn wanted<'a>(
    source: &Source,
    manifest: &'a Manifest,
    platforms: &[Platform],
) -> impl Iterator<Item = &'a Descriptor> {
    let children = match manifest.kind {
        ManifestKind::Index => manifest.manifests.as_slice(),
        ManifestKind::Image | ManifestKind::Opaque => &[],
    };
    let policy = source.cache.as_ref().map(|cache| &cache.rule.platforms);
    let wishes = match policy {
        _ if !platforms.is_empty() => Some(platforms.to_vec()),
        Some(PlatformPolicy::All) => None,
        Some(PlatformPolicy::Listed(listed)) => Some(listed.clone()),
        Some(PlatformPolicy::Requested) | None => Some(vec![this_machine()]),
    };
    let is_wanted = move |child: &&Descriptor| match (&wishes, &child.platform) {
        (None, _) => true,
        (Some(wishes), Some(platform)) => wishes.iter().any(|wish| wish.accepts(platform)),
        // Without a platform it is for all: a layer of BuildKit's cache, an artifact.
        (Some(_), None) => true,
    };
    children.iter().filter(is_wanted)
}

/// Go's names, as images have them.
fn this_machine() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        ..Platform::default()
    }
}
