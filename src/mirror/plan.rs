//! What a run does, from what the source has and what is here: two lists in, steps out. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Deletion;
use crate::oci::{Digest, Tag};

/// A tag of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LocalTag {
    pub(super) digest: Digest,
    pub(super) immutable: bool,
    /// Everything that is asked for of what it points to is here.
    pub(super) whole: bool,
}

/// What is here, by name.
pub(super) type Local = BTreeMap<Tag, LocalTag>;

/// What is to become of one tag that was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It points where it did, and all of that is here.
    Unchanged,
    Copy,
    /// It points elsewhere, and is immutable here.
    Refused,
}

/// Compares a chosen tag with what is here; `found` is what it points to upstream, if that is known already.
pub(super) fn step(local: Option<&LocalTag>, found: Option<&Digest>) -> Step {
    match (local, found) {
        (Some(local), Some(found)) if local.digest == *found => match local.whole {
            true => Step::Unchanged,
            false => Step::Copy,
        },
        (Some(local), Some(_)) if local.immutable => Step::Refused,
        _ => Step::Copy,
    }
}

/// What becomes of tags here that are chosen no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Endings {
    Tags(Vec<Tag>),
    /// More than may end in one run: none does.
    TooMany {
        tags: usize,
        held: usize,
    },
}

/// The tags that end, by name: those held that are not `kept`, but for immutable ones and those of the archive.
///
/// Nothing ends where nothing was chosen: an empty list is no word about what is gone (CA-10).
pub(super) fn endings(
    local: &Local,
    kept: &BTreeSet<Tag>,
    deletion: Deletion,
    cap_percent: u8,
) -> Endings {
    if deletion == Deletion::Keep || kept.is_empty() {
        return Endings::Tags(Vec::new());
    }
    let is_over = |(tag, local): &(&Tag, &LocalTag)| {
        !kept.contains(*tag) && !local.immutable && !is_archived(tag)
    };
    let over: Vec<Tag> = local
        .iter()
        .filter(is_over)
        .map(|(tag, _)| tag.clone())
        .collect();
    let held = local.keys().filter(|tag| !is_archived(tag)).count();
    match over.len() * 100 > held * usize::from(cap_percent) {
        true => Endings::TooMany {
            tags: over.len(),
            held,
        },
        false => Endings::Tags(over),
    }
}

/// Whether a tag is one that a mirror keeps what ended under: `archived-YYYYMMDD-<tag>`.
fn is_archived(tag: &Tag) -> bool {
    let Some(rest) = tag.as_str().strip_prefix("archived-") else {
        return false;
    };
    let Some((day, name)) = rest.split_once('-') else {
        return false;
    };
    day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty()
}

/// Signatures and the like that a listing has beside what they are of: cosign's `sha256-<hex>.sig`, `.att`,
/// `.sbom`, and the tags that stand for the referrers API (distribution-spec, "Referrers Tag Schema").
#[derive(Clone, Debug, Default)]
pub(super) struct Companions(BTreeMap<String, Vec<Tag>>);

impl Companions {
    pub(super) fn of(listing: &[Tag]) -> Self {
        let mut found: BTreeMap<String, Vec<Tag>> = BTreeMap::new();
        for tag in listing {
            if let Some(subject) = subject(tag.as_str()) {
                found
                    .entry(subject.to_owned())
                    .or_default()
                    .push(tag.clone());
            }
        }
        Self(found)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of a manifest.
    pub(super) fn of_manifest(&self, digest: &Digest) -> &[Tag] {
        let key = Tag::of_referrers(digest);
        self.0.get(key.as_str()).map_or(&[], Vec::as_slice)
    }
}

/// The part of a companion's name that tells what it is of.
fn subject(tag: &str) -> Option<&str> {
    let subject = ["sig", "att", "sbom"]
        .iter()
        .find_map(|end| tag.strip_suffix(end)?.strip_suffix('.'))
        .unwrap_or(tag);
    let (algorithm, hex) = subject.split_once('-')?;
    let is_hash = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (matches!(algorithm, "sha256" | "sha512") && is_hash).then_some(subject)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn held(text: &str, immutable: bool) -> (Tag, LocalTag) {
        let local = LocalTag {
            digest: Digest::of(text.as_bytes()),
            immutable,
            whole: true,
        };
        (tag(text), local)
    }

    #[test]
    fn only_what_changed_or_is_not_whole_is_copied() {
        let (_, local) = held("v1", false);
        let same = local.digest;
        let other = Digest::of(b"other");
        assert_eq!(step(Some(&local), Some(&same)), Step::Unchanged);
        assert_eq!(step(Some(&local), Some(&other)), Step::Copy);
        assert_eq!(
            step(Some(&local), None),
            Step::Copy,
            "it is asked what it is"
        );
        assert_eq!(step(None, Some(&same)), Step::Copy);
        let torn = LocalTag {
            whole: false,
            ..local
        };
        assert_eq!(step(Some(&torn), Some(&same)), Step::Copy);
        let fixed = LocalTag {
            immutable: true,
            ..local
        };
        assert_eq!(step(Some(&fixed), Some(&same)), Step::Unchanged);
        assert_eq!(step(Some(&fixed), Some(&other)), Step::Refused);
    }

    fn ends(cap: u8, deletion: Deletion, kept: &[&str]) -> Endings {
        let local: Local = ["a", "b", "c", "d", "archived-20260101-z"]
            .map(|text| held(text, text == "d"))
            .into();
        let kept = kept.iter().map(|text| tag(text)).collect();
        endings(&local, &kept, deletion, cap)
    }

    /// CA-10: nothing ends by an empty list, and never more than may.
    #[test]
    fn tags_end_that_are_chosen_no_more_up_to_the_cap() {
        let tags = |texts: &[&str]| Endings::Tags(texts.iter().map(|text| tag(text)).collect());
        assert_eq!(ends(100, Deletion::Delete, &["a"]), tags(&["b", "c"]));
        assert_eq!(ends(100, Deletion::Archive, &["a", "b"]), tags(&["c"]));
        assert_eq!(ends(100, Deletion::Keep, &["a"]), tags(&[]));
        assert_eq!(ends(100, Deletion::Delete, &[]), tags(&[]));
        assert_eq!(ends(50, Deletion::Delete, &["a"]), tags(&["b", "c"]));
        assert_eq!(
            ends(49, Deletion::Delete, &["a"]),
            Endings::TooMany { tags: 2, held: 4 }
        );
        assert_eq!(ends(0, Deletion::Delete, &["a", "b", "c"]), tags(&[]));
    }

    #[test]
    fn companions_are_found_by_what_they_are_of() {
        let digest = Digest::of(b"image");
        let hex = digest.hex();
        let names = [
            format!("sha256-{hex}.sig"),
            format!("sha256-{hex}.att"),
            format!("sha256-{hex}"),
            format!("sha256-{hex}.txt"),
            "v1".to_owned(),
            "sha256-12.sig".to_owned(),
        ];
        let listing: Vec<Tag> = names.iter().map(|name| tag(name)).collect();
        let companions = Companions::of(&listing);
        assert_eq!(companions.of_manifest(&digest), &listing[..3]);
        assert!(companions.of_manifest(&Digest::of(b"other")).is_empty());
    }

    proptest! {
        /// CA-10: whatever is held and chosen, what is kept never ends, and the cap holds.
        #[test]
        fn what_is_kept_never_ends(
            names in proptest::collection::btree_map("[a-d]{1,2}", any::<bool>(), 0..12),
            kept in proptest::collection::btree_set("[a-d]{1,2}", 0..12),
            cap in 0_u8..=100,
        ) {
            let local: Local = names.iter().map(|(name, immutable)| held(name, *immutable)).collect();
            let kept: BTreeSet<Tag> = kept.iter().map(|name| tag(name)).collect();
            match endings(&local, &kept, Deletion::Delete, cap) {
                Endings::Tags(over) => {
                    prop_assert!(over.iter().all(|tag| !kept.contains(tag) && !local[tag].immutable));
                    prop_assert!(over.len() * 100 <= local.len() * usize::from(cap));
                }
                Endings::TooMany { tags, held } => prop_assert!(tags * 100 > held * usize::from(cap)),
            }
        }
    }
}
