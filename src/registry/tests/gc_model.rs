//! Random work, compared with a model of what the rules of collection keep.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::local::{GRACE, Image, Site, TIME_MACHINE};
use crate::model::Timestamp;
use crate::oci::Digest;

/// What was done, and what is left of it.
#[derive(Default)]
struct Model {
    pushed: HashMap<Digest, Timestamp>,
    deleted: HashMap<Digest, Timestamp>,
    /// Where tags point, and since when.
    tags: BTreeMap<String, (Digest, Timestamp)>,
    /// Where tags pointed that ended, since when, and when they did.
    ended: Vec<(Digest, Timestamp, Timestamp)>,
    blobs: HashSet<Digest>,
}

impl Model {
    fn end(&mut self, tag: &str, now: Timestamp) {
        if let Some((digest, since)) = self.tags.remove(tag) {
            self.ended.push((digest, since, now));
        }
    }

    /// Drops what the rules of collection say goes at `now`.
    fn collect(&mut self, images: &HashMap<Digest, Image>, now: Timestamp) {
        let pushed = &mut self.pushed;
        self.ended.retain(|(digest, since, end)| {
            let is_kept = *end + TIME_MACHINE > now;
            // What a tag pointed to since it was pushed does not wait to be named again.
            if let Some(pushed) = pushed.get_mut(digest).filter(|pushed| **pushed <= *since)
                && !is_kept
                && images[digest].manifest.subject.is_none()
            {
                *pushed = Timestamp::default();
            }
            is_kept
        });
        let mut kept: HashSet<Digest> = HashSet::new();
        loop {
            let more: Vec<Digest> = self
                .pushed
                .keys()
                .filter(|digest| {
                    !kept.contains(*digest) && self.is_kept(digest, &kept, images, now)
                })
                .copied()
                .collect();
            if more.is_empty() {
                break;
            }
            kept.extend(more);
        }
        self.pushed.retain(|digest, _| kept.contains(digest));
        self.deleted.retain(|digest, _| kept.contains(digest));
        let named: HashSet<Digest> = kept
            .iter()
            .flat_map(|digest| images[digest].blobs.iter().map(|blob| Digest::of(blob)))
            .collect();
        self.blobs.retain(|digest| named.contains(digest));
    }

    fn is_kept(
        &self,
        digest: &Digest,
        kept: &HashSet<Digest>,
        images: &HashMap<Digest, Image>,
        now: Timestamp,
    ) -> bool {
        let pointed = self.tags.values().any(|(tagged, _)| tagged == digest)
            || self.ended.iter().any(|(ended, ..)| ended == digest);
        if let Some(deleted) = self.deleted.get(digest) {
            return pointed || *deleted + TIME_MACHINE > now;
        }
        let pushed = self.pushed[digest];
        let named = kept.iter().any(|parent| {
            let children = &images[parent].manifest.manifests;
            children.iter().any(|child| child.digest == *digest)
        });
        let subject = images[digest].manifest.subject.as_ref();
        // One whose subject goes is kept as one whose subject never came.
        let refers = subject
            .is_some_and(|subject| kept.contains(&subject.digest) || pushed + TIME_MACHINE > now);
        pointed || named || refers || pushed + GRACE > now
    }
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides) as usize
    }
}

/// GC-01, GC-06: after any work, what the rules keep is kept, the rest is gone, and the accounts agree.
#[tokio::test]
async fn random_work_leaves_exactly_what_the_rules_keep() {
    let mut images: Vec<Image> = (0..6).map(|seed| Image::new(&[seed, seed + 1])).collect();
    images.push(Image::index(&images[0..2], None));
    images.push(Image::index(&images[1..4], Some(&images[4].clone())));
    images.push(Image::index(&images[6..8], None));
    images.push(Image::with_subject(&[20], Some(&images[0].clone())));
    images.push(Image::with_subject(&[21], Some(&images[6].clone())));
    images.push(Image::with_subject(&[22], Some(&images[9].clone())));
    let by_digest: HashMap<Digest, Image> = images
        .iter()
        .map(|image| (image.digest(), image.clone()))
        .collect();
    for seed in 1..=5_u64 {
        let site = Site::new().await;
        let placed = site.place("app").await;
        let (mut model, mut dice) = (Model::default(), Dice(seed * 7919));
        for step in 0..60 {
            let (image, now) = (&images[dice.roll(12)], site.clock.now());
            let (digest, tag) = (image.digest(), format!("t{}", dice.roll(3)));
            match dice.roll(8) {
                0..=2 => {
                    let tag = (dice.roll(2) == 0).then_some(tag);
                    site.push(&placed, image, tag.as_deref()).await;
                    for blob in &image.blobs {
                        model.blobs.insert(Digest::of(blob));
                    }
                    model.pushed.insert(digest, now);
                    model.deleted.remove(&digest);
                    if let Some(tag) = tag {
                        if model.tags.get(&tag).is_some_and(|(of, _)| *of != digest) {
                            model.end(&tag, now);
                        }
                        model.tags.insert(tag, (digest, now));
                    }
                }
                3 => {
                    site.end(&placed, &tag).await;
                    model.end(&tag, now);
                }
                4 => {
                    site.delete(&placed, digest).await;
                    if model.pushed.contains_key(&digest) && !model.deleted.contains_key(&digest) {
                        let tags: Vec<String> = model.tags.keys().cloned().collect();
                        for tag in tags {
                            if model.tags[&tag].0 == digest {
                                model.end(&tag, now);
                            }
                        }
                        model.deleted.insert(digest, now);
                    }
                }
                _ => {
                    let by = [GRACE / 2, GRACE, TIME_MACHINE / 2, TIME_MACHINE][dice.roll(4)];
                    site.later(by).await;
                    model.collect(&by_digest, site.clock.now());
                    let expected: BTreeSet<Digest> = model.pushed.keys().copied().collect();
                    let held = site.manifests(&placed).await;
                    assert_eq!(held, expected, "seed {seed}, step {step}");
                    let expected: BTreeSet<Digest> = model.blobs.iter().copied().collect();
                    let blobs = site.blobs(&placed).await;
                    assert_eq!(blobs, expected, "seed {seed}, step {step}");
                }
            }
        }
        site.assert_accounts().await;
    }
}
