//! What a command is about: an organisation, a repository, a tag, a manifest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::NamespaceName;
use crate::oci::{Digest, ParseError, RepositoryName, Tag};

/// `organization`, or `organization/repository[:tag][@digest]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::app) struct Target {
    pub(in crate::app) organization: NamespaceName,
    pub(in crate::app) repository: Option<RepositoryName>,
    pub(in crate::app) tag: Option<Tag>,
    pub(in crate::app) digest: Option<Digest>,
}

impl FromStr for Target {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let Some((organization, rest)) = rest.split_once('/') else {
            return match digest {
                None => Ok(Self {
                    organization: rest.parse()?,
                    repository: None,
                    tag: None,
                    digest: None,
                }),
                Some(_) => Err(ParseError::new(
                    "reference",
                    "a digest needs its repository",
                )),
            };
        };
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag.parse()?)),
            None => (rest, None),
        };
        Ok(Self {
            organization: organization.parse()?,
            repository: Some(repository.parse()?),
            tag,
            digest,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.organization)?;
        self.repository
            .iter()
            .try_for_each(|repository| write!(f, "/{repository}"))?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest
            .iter()
            .try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_print_as_they_were_written() {
        let digest = Digest::of(b"");
        for text in [
            "docker.io".to_owned(),
            "docker.io/library/alpine".to_owned(),
            "docker.io/library/alpine:3.20".to_owned(),
            format!("docker.io/library/alpine@{digest}"),
            format!("docker.io/library/alpine:latest@{digest}"),
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let digest = Digest::of(b"");
        for text in [
            "",
            "/",
            "a/",
            "/a",
            "a/b:",
            "a/b@x",
            "A",
            "a/b:c:d",
            &format!("a@{digest}"),
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
