//! Which of a source's tags are copied, and which platforms of an index.
//!
//! Pure. Also asked by whoever takes settings from somebody, since what cannot be followed is to be refused.

use std::cmp::Reverse;

use semver::{Version, VersionReq};

use super::{Error, Glob};
use crate::model::{MirrorRecord, TagChoice};
use crate::oci::{Descriptor, Platform, Tag};

/// A choice of tags, ready to choose.
#[derive(Clone, Debug)]
pub struct Chooser {
    globs: Vec<Glob>,
    exclude: Vec<Glob>,
    semver: Option<VersionReq>,
    newest: Option<usize>,
}

impl Chooser {
    /// # Errors
    /// [`Error::Setting`] for a range of versions that is none.
    pub fn new(choice: &TagChoice) -> Result<Self, Error> {
        let globs = |patterns: &[String]| patterns.iter().map(|text| Glob::new(text)).collect();
        let range = |text: &String| {
            let range = VersionReq::parse(text);
            range.map_err(|error| Error::Setting(format!("{text:?} is no range: {error}")))
        };
        Ok(Self {
            globs: globs(&choice.globs),
            exclude: globs(&choice.exclude),
            semver: choice.semver.as_ref().map(range).transpose()?,
            newest: choice
                .newest
                .map(|newest| usize::try_from(newest).unwrap_or(usize::MAX)),
        })
    }

    /// Everything that a source has.
    pub(super) fn all() -> Self {
        Self {
            globs: vec![Glob::new("*")],
            exclude: Vec::new(),
            semver: None,
            newest: None,
        }
    }

    /// The tags that are copied, by name.
    pub fn choose(&self, tags: &[Tag]) -> Vec<Tag> {
        let mut chosen: Vec<Tag> = tags.iter().filter(|tag| self.fits(tag)).cloned().collect();
        if let Some(newest) = self.newest.filter(|newest| *newest < chosen.len()) {
            chosen.sort_by_cached_key(|tag| Reverse((version(tag), tag.clone())));
            chosen.truncate(newest);
        }
        chosen.sort_unstable();
        chosen
    }

    fn fits(&self, tag: &Tag) -> bool {
        let among = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(tag.as_str()));
        among(&self.globs) && !self.excludes(tag) && self.is_in_range(tag)
    }

    /// Whether a tag is left out by name, whatever else asks for it.
    pub(super) fn excludes(&self, tag: &Tag) -> bool {
        self.exclude.iter().any(|glob| glob.matches(tag.as_str()))
    }

    fn is_in_range(&self, tag: &Tag) -> bool {
        let Some(range) = &self.semver else {
            return true;
        };
        version(tag).is_some_and(|version| range.matches(&version))
    }
}

/// The version that a tag names: `1.2.3`, also with a `v` before it, also without what is zero at its end.
fn version(tag: &Tag) -> Option<Version> {
    let text = tag.as_str();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let end = text.find('-').unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let padded = match core.split('.').count() {
        1 => format!("{core}.0.0{rest}"),
        2 => format!("{core}.0{rest}"),
        _ => text.to_owned(),
    };
    Version::parse(&padded).ok()
}

/// Which platforms are copied; of those that say nothing, all.
#[derive(Clone, Debug, Default)]
pub(super) struct Platforms(Vec<Platform>);

impl Platforms {
    /// What a mirror asks for: Quay's list of architectures, and ours of platforms.
    ///
    /// # Errors
    /// [`Error::Setting`] for a platform that is none.
    pub(super) fn of(record: &MirrorRecord) -> Result<Self, Error> {
        let linux = |architecture: &String| format!("linux/{architecture}");
        let architectures = record.architectures.iter().map(linux);
        let texts = architectures.chain(record.options.platforms.iter().cloned());
        let parsed = texts.map(|text| text.parse().map_err(Error::from));
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    pub(super) const fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn accepts(&self, platform: &Platform) -> bool {
        self.is_all() || self.0.iter().any(|wanted| wanted.accepts(platform))
    }

    /// The children of an index that are copied.
    ///
    /// What says nothing of its platform is (an index in an index, blobs of a build cache), and so is what a
    /// builder attests of an image that is (`BuildKit`: `vnd.docker.reference.digest`).
    pub(super) fn children<'a>(&self, children: &'a [Descriptor]) -> Vec<&'a Descriptor> {
        let is_image = |child: &&Descriptor| match &child.platform {
            Some(platform) if platform.os == "unknown" => false,
            Some(platform) => self.accepts(platform),
            None => true,
        };
        let images: Vec<&Descriptor> = children.iter().filter(is_image).collect();
        let attests = |child: &&Descriptor| {
            let about = child
                .annotations
                .as_ref()?
                .get("vnd.docker.reference.digest")?;
            Some(
                images
                    .iter()
                    .any(|image| image.digest.to_string() == *about),
            )
        };
        let is_kept = |child: &&Descriptor| {
            is_image(child) || self.is_all() || attests(child).unwrap_or(false)
        };
        children.iter().filter(is_kept).collect()
    }

    /// Whether an index has anything for the platforms that are asked for.
    pub(super) fn any_of(&self, children: &[Descriptor]) -> bool {
        self.is_all() || children.is_empty() || !self.children(children).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Digest, MediaType};

    fn chosen(choice: TagChoice, tags: &[&str]) -> Vec<String> {
        let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let chooser = Chooser::new(&choice).unwrap();
        let chosen = chooser.choose(&tags);
        chosen.iter().map(ToString::to_string).collect()
    }

    fn choice(globs: &[&str]) -> TagChoice {
        TagChoice {
            globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            ..TagChoice::default()
        }
    }

    const TAGS: [&str; 9] = [
        "latest", "v1.0.0", "v1.9.9", "1.10.0", "v2", "v2.1-rc1", "2.1", "nightly", "v1.9",
    ];

    #[test]
    fn tags_are_chosen_by_any_glob_and_no_exclusion() {
        assert_eq!(
            chosen(choice(&["v1*", "latest"]), &TAGS),
            ["latest", "v1.0.0", "v1.9", "v1.9.9"]
        );
        let without = TagChoice {
            exclude: vec!["*-rc*".to_owned(), "[!v]*".to_owned()],
            ..choice(&["*"])
        };
        assert_eq!(chosen(without, &TAGS), ["v1.0.0", "v1.9", "v1.9.9", "v2"]);
        assert!(chosen(choice(&["x*"]), &TAGS).is_empty());
        assert!(chosen(TagChoice::default(), &TAGS).is_empty());
    }

    #[test]
    fn a_range_takes_versions_with_and_without_v_and_zeros() {
        let range = |text: &str| TagChoice {
            semver: Some(text.to_owned()),
            ..choice(&["*"])
        };
        assert_eq!(
            chosen(range(">=1.9, <2"), &TAGS),
            ["1.10.0", "v1.9", "v1.9.9"]
        );
        assert_eq!(chosen(range("^2"), &TAGS), ["2.1", "v2"]);
        assert!(Chooser::new(&range("about 2")).is_err());
    }

    #[test]
    fn the_newest_are_those_of_the_highest_version_then_of_the_last_name() {
        let newest = |newest| TagChoice {
            newest: Some(newest),
            ..choice(&["*"])
        };
        assert_eq!(chosen(newest(3), &TAGS), ["2.1", "v2", "v2.1-rc1"]);
        assert_eq!(chosen(newest(0), &TAGS), Vec::<String>::new());
        assert_eq!(chosen(newest(99), &TAGS).len(), TAGS.len());
        assert_eq!(chosen(newest(1), &["b", "a", "c"]), ["c"]);
        assert_eq!(chosen(newest(1), &["1.9.0", "1.10.0"]), ["1.10.0"]);
    }

    fn child(text: &str, seed: &str) -> Descriptor {
        Descriptor {
            platform: text.parse().ok(),
            ..Descriptor::new(MediaType::OCI_MANIFEST, Digest::of(seed.as_bytes()), 1)
        }
    }

    #[test]
    fn of_an_index_the_platforms_asked_for_are_copied_with_what_attests_them() {
        let arm = child("linux/arm64/v8", "arm");
        let attested = |image: &Descriptor, seed| {
            let about = (
                "vnd.docker.reference.digest".to_owned(),
                image.digest.to_string(),
            );
            Descriptor {
                annotations: Some([about].into()),
                ..child("unknown/unknown", seed)
            }
        };
        let amd = child("linux/amd64", "amd");
        let children = [
            amd.clone(),
            arm.clone(),
            child("windows/arm64", "windows"),
            attested(&amd, "of amd"),
            attested(&arm, "of arm"),
            child("", "an index"),
        ];
        let asked = Platforms(vec!["linux/arm64".parse().unwrap()]);
        let kept = asked.children(&children);
        let expected = [&children[1], &children[4], &children[5]];
        assert_eq!(kept, expected);
        assert_eq!(Platforms::default().children(&children).len(), 6);
        assert!(asked.any_of(&children) && !asked.any_of(&children[..1]));
    }
}
