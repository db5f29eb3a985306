//! What may be evicted from a cache, and when it counts as expired.

use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::Timestamp;
use crate::oci::{RepositoryName, Tag};

/// The rules of one cache namespace.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub pins: PinSet,
    /// How long after its last validation content counts as expired; `None` for never.
    pub expiration: Option<Duration>,
}

impl Policy {
    /// Whether content last validated (or used, where it has no tag) at `last` is expired.
    pub fn is_expired(&self, last: Timestamp, now: Timestamp) -> bool {
        self.expiration
            .is_some_and(|expiration| now.since(last) > expiration)
    }
}

/// Globs of tags that are never evicted: `tag`, or `repository:tag`.
#[derive(Clone, Debug, Default)]
pub struct PinSet {
    tags: GlobSet,
    qualified: GlobSet,
}

impl PinSet {
    /// Compiles the globs; `*` does not cross a `/`; `**/` stands for any folders.
    ///
    /// # Errors
    /// The glob that cannot be compiled, and why.
    pub fn new(globs: &[String]) -> Result<Self, globset::Error> {
        let (mut tags, mut qualified) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for text in globs {
            let glob = GlobBuilder::new(text).literal_separator(true).build()?;
            if text.contains(':') {
                qualified.add(glob)
            } else {
                tags.add(glob)
            };
        }
        Ok(Self {
            tags: tags.build()?,
            qualified: qualified.build()?,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.qualified.is_empty()
    }

    pub fn matches(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.tags.is_match(tag.as_str())
            || (!self.qualified.is_empty()
                && self.qualified.is_match(format!("{repository}:{tag}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(globs: &[&str]) -> PinSet {
        PinSet::new(
            &globs
                .iter()
                .map(|&glob| glob.to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap()
    }

    #[test]
    fn pins_name_tags_or_repositories_with_tags() {
        let repository: RepositoryName = "library/alpine".parse().unwrap();
        let matches =
            |globs: &[&str], tag: &str| pins(globs).matches(&repository, &tag.parse().unwrap());
        assert!(matches(&["v*"], "v1.2"));
        assert!(!matches(&["v*"], "latest"));
        assert!(matches(&["library/*:latest"], "latest"));
        assert!(!matches(&["*:latest"], "latest"));
        assert!(matches(&["**/*:latest"], "latest"));
        assert!(!matches(&[], "latest"));
        assert!(PinSet::new(&["[".to_owned()]).is_err());
    }

    #[test]
    fn expiry_counts_from_the_last_validation() {
        let policy = |expiration| Policy {
            pins: PinSet::default(),
            expiration,
        };
        let (then, now) = (Timestamp::from_millis(0), Timestamp::from_millis(60_001));
        assert!(policy(Some(Duration::from_secs(60))).is_expired(then, now));
        assert!(!policy(Some(Duration::from_secs(61))).is_expired(then, now));
        assert!(!policy(None).is_expired(then, now));
    }
}
