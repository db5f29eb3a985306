//! What goes with an image whose last tag ends: the tags under which cosign and its like keep what belongs to it, and
//! to the images that it names where it is an index.
//!
//! Called by `follow` for every tag that ends, or would. Only reads. An image that another tag leads to, by itself or
//! through an index, keeps what it has: whichever of them ends last takes it along.

use std::collections::HashSet;

use super::PrunedTag;
use super::choose::COMPANIONS;
use super::follow::is_fixed;
use crate::model::{RepositoryId, TagRecord, Timestamp};
use crate::oci::{Digest, Tag};
use crate::store::{self, ReadTx};

/// Tags and indexes of one manifest that are looked at to tell whether any leads to it; with more it is not told.
const NAMES: usize = 64;

/// Images that the end of one tag is followed to. What belongs to further ones of an index stays.
const IMAGES: usize = 256;

/// Tags that count as ended though they are there, because they are only told. Those are kept that other tags'
/// companions depend on.
#[derive(Default)]
pub(super) struct Gone(HashSet<Tag>);

impl Gone {
    /// Notes that a tag would end.
    pub(super) fn note(
        &mut self,
        tx: &ReadTx,
        repository: RepositoryId,
        pruned: &PrunedTag,
    ) -> Result<(), store::Error> {
        let digest = &pruned.digest;
        let is_alone = tx.tags().of_manifest(repository, digest, 2)?.len() < 2
            && tx
                .manifests()
                .some_parents(repository, digest, 1)?
                .is_empty()
            && children(tx, repository, digest)?.is_empty();
        if !is_alone {
            self.0.insert(pruned.tag.clone());
        }
        Ok(())
    }
}

/// What goes with a tag that has ended, or would beside those that are `gone`.
pub(super) fn companions(
    tx: &ReadTx,
    repository: RepositoryId,
    pruned: &PrunedTag,
    gone: &Gone,
    now: Timestamp,
) -> Result<Vec<PrunedTag>, store::Error> {
    let stays = |tag: &Tag| *tag != pruned.tag && !gone.0.contains(tag);
    let (mut images, mut next, mut found) = (vec![pruned.digest], 0, Vec::new());
    while let Some(image) = images.get(next).copied() {
        next += 1;
        let tags = tags_of(tx, repository, &image, now)?;
        let children = children(tx, repository, &image)?;
        let has_any = !tags.is_empty() || !children.is_empty();
        if !has_any || is_led_to(tx, repository, &image, stays)? {
            continue;
        }
        found.extend(tags.into_iter().map(|(tag, record)| PrunedTag {
            digest: record.digest,
            since: record.since,
            companion_of: Some(pruned.tag.clone()),
            tag,
            ..pruned.clone()
        }));
        for child in children {
            if images.len() < IMAGES && !images.contains(&child) {
                images.push(child);
            }
        }
    }
    Ok(found)
}

/// Whether a tag that stays leads to a manifest, by itself or through indexes.
fn is_led_to(
    tx: &ReadTx,
    repository: RepositoryId,
    image: &Digest,
    stays: impl Fn(&Tag) -> bool,
) -> Result<bool, store::Error> {
    let (mut manifests, mut next) = (vec![*image], 0);
    while let Some(manifest) = manifests.get(next).copied() {
        next += 1;
        let names = tx.tags().of_manifest(repository, &manifest, NAMES)?;
        let parents = tx.manifests().some_parents(repository, &manifest, NAMES)?;
        let too_many = names.len() == NAMES || manifests.len() + parents.len() > NAMES;
        if too_many || names.iter().any(&stays) {
            return Ok(true);
        }
        for parent in parents {
            if !manifests.contains(&parent) {
                manifests.push(parent);
            }
        }
    }
    Ok(false)
}

/// What a manifest names, if it is an index.
fn children(
    tx: &ReadTx,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Vec<Digest>, store::Error> {
    let record = tx.manifests().record(repository, digest)?;
    Ok(record.map(|record| record.children).unwrap_or_default())
}

/// The tags by which what belongs to an image is found, that are there and may end.
fn tags_of(
    tx: &ReadTx,
    repository: RepositoryId,
    image: &Digest,
    now: Timestamp,
) -> Result<Vec<(Tag, TagRecord)>, store::Error> {
    let name = image.to_string().replace(':', "-");
    let mut found = Vec::new();
    if !name.starts_with("sha256-") {
        return Ok(found);
    }
    for ending in COMPANIONS {
        let Ok(tag) = format!("{name}{ending}").parse::<Tag>() else {
            continue;
        };
        let record = tx.tags().current(repository, &tag)?;
        let record = record.filter(|record| !is_fixed(record, now));
        found.extend(record.map(|record| (tag, record)));
    }
    Ok(found)
}
