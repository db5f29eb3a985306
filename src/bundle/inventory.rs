//! What a bundle holds, in words: the signed description, and what a receiver says it has.
//!
//! Both are JSON, made for other programs too. The description travels in every volume as
//! `entrepot/inventory.json`; its SHA-256 is the bundle's name. What a receiver has (`entrepot
//! inventory`) and what it got by an import (the receipt) have one form, which `--since` takes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// The form of the description.
const BUNDLE: &str = "entrepot.bundle/1";
/// The form of a receipt.
pub(super) const RECEIPT: &str = "entrepot.receipt/1";
/// The form of what a registry has.
pub(super) const HOLDINGS: &str = "entrepot.inventory/1";

/// Largest description that is read: some hundred thousand blobs.
pub(super) const INVENTORY_BYTES: usize = 32 << 20;

/// Largest list of what a receiver has.
pub const HAVE_BYTES: usize = 128 << 20;

/// What a bundle holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inventory {
    pub(super) format: String,
    /// Grows with each export of a registry; an older one is not taken after a newer.
    pub(super) sequence: u64,
    /// RFC 3339.
    pub(super) created: String,
    /// Who wrote it, in words.
    pub(super) by: String,
    /// Of `index.json`.
    pub(super) index: Digest,
    pub(super) volumes: u32,
    pub(super) repositories: Vec<Listed>,
    pub(super) content: Vec<Content>,
}

/// A repository as the sender has it, as far as it was chosen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Listed {
    /// With its namespace, such as `docker.io/library/alpine`.
    pub(super) name: RepositoryName,
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// All manifests, each behind those that it names.
    pub(super) manifests: Vec<Digest>,
    /// What indexes name and the sender does not have: platforms that nobody pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) absent: Vec<Digest>,
    /// Tags that the receiver got earlier and the sender has no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<Tag>,
}

/// A blob or a manifest of the bundle, or that the receiver has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Content {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Of a manifest. Manifests are in every volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<MediaType>,
    /// Where a blob is. Neither this nor `pieces`: the receiver has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) volume: Option<u32>,
    /// Where a blob is that no volume can hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<Piece>,
}

/// A part of a blob; they stand in the order of their bytes, and are numbered from 1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Piece {
    pub(super) volume: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Which volume of which bundle a file is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Volume {
    pub(super) bundle: Digest,
    pub(super) volume: u32,
    pub(super) volumes: u32,
}

impl Content {
    /// Whether the bundle has its bytes.
    pub(super) const fn is_carried(&self) -> bool {
        self.media_type.is_some() || self.volume.is_some() || !self.pieces.is_empty()
    }
}

impl Inventory {
    pub(super) fn format() -> String {
        BUNDLE.to_owned()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and digests are always JSON")
    }

    /// Reads a description whose signature, if there is one, was looked at already.
    ///
    /// # Errors
    /// In words, if it is none, or says of something twice.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.format != BUNDLE {
            return Err(format!("its format is {}, not {BUNDLE}", read.format));
        }
        let mut seen = HashSet::new();
        if !read
            .content
            .iter()
            .all(|content| seen.insert(content.digest))
        {
            return Err("it names one digest twice".to_owned());
        }
        let mut names = HashSet::new();
        if !read
            .repositories
            .iter()
            .all(|listed| names.insert(&listed.name))
        {
            return Err("it names one repository twice".to_owned());
        }
        let known = |digest: &Digest| seen.contains(digest);
        let whole = read.repositories.iter().all(|listed| {
            let listed_here: HashSet<_> = listed.manifests.iter().collect();
            listed.manifests.iter().all(known)
                && listed
                    .tags
                    .values()
                    .all(|digest| listed_here.contains(digest))
        });
        match whole && read.content.iter().all(Content::is_sound) {
            true => Ok(read),
            false => Err("it contradicts itself".to_owned()),
        }
    }
}

impl Content {
    /// Pieces follow one another and make up the whole.
    fn is_sound(&self) -> bool {
        let mut end = 0_u64;
        let joined = self.pieces.iter().all(|piece| {
            let follows = piece.offset == end && piece.length > 0;
            end = end.saturating_add(piece.length);
            follows
        });
        joined && (self.pieces.is_empty() || (end == self.size && self.volume.is_none()))
    }
}

/// What a registry has: all of it, or what it got by an import.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Have {
    pub(super) format: String,
    pub(super) by: String,
    pub(super) created: String,
    /// Of a receipt: the bundle that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bundle: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<u64>,
    #[serde(default)]
    pub(super) repositories: Vec<Has>,
    #[serde(default)]
    pub(super) digests: BTreeSet<Digest>,
}

/// A repository of a receipt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Has {
    /// As the sender calls it.
    pub(super) name: RepositoryName,
    /// As the receiver calls it, if it calls it otherwise.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub(super) here: Option<RepositoryName>,
    pub(super) tags: BTreeMap<Tag, Digest>,
}

impl Have {
    /// # Errors
    /// If the file is neither a receipt nor an inventory.
    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self, Error> {
        let have: Self = serde_json::from_slice(bytes).map_err(|error| {
            Error::hostile(
                file,
                format!("it is neither a receipt nor an inventory: {error}"),
            )
        })?;
        match have.format.as_str() {
            RECEIPT | HOLDINGS => Ok(have),
            other => Err(Error::hostile(
                file,
                format!("its format {other} is not known"),
            )),
        }
    }

    /// The tags of a repository that a bundle brought: only a receipt says so.
    pub(super) fn received(&self, name: &RepositoryName) -> impl Iterator<Item = &Tag> {
        let is_receipt = self.format == RECEIPT;
        let of = self.repositories.iter();
        of.filter(move |has| is_receipt && has.name == *name)
            .flat_map(|has| has.tags.keys())
    }
}
