//! What a command is about: an organisation, a repository, a tag, a manifest; whom it concerns.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{ByteSize, NamespaceName, RobotName};
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

/// `namespace/repository`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::app) struct RepositoryPath {
    pub(in crate::app) namespace: NamespaceName,
    pub(in crate::app) name: RepositoryName,
}

impl FromStr for RepositoryPath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let halves = text.split_once('/');
        let (namespace, name) = halves
            .ok_or_else(|| ParseError::new("repository", "it is namespace/name, such as me/app"))?;
        Ok(Self {
            namespace: namespace.parse()?,
            name: name.parse()?,
        })
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whom something is granted to, by name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::app) enum GranteeName {
    User(NamespaceName),
    /// `namespace+name`
    Robot(RobotName),
    /// `team:name`, of the repository's organisation.
    Team(String),
}

impl FromStr for GranteeName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.strip_prefix("team:") {
            Some("") => Err(ParseError::new("team", "it is team:name")),
            Some(team) => Ok(Self::Team(team.to_owned())),
            None if text.contains('+') => text.parse().map(Self::Robot),
            None => text.parse().map(Self::User),
        }
    }
}

impl fmt::Display for GranteeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => name.fmt(f),
            Self::Robot(name) => name.fmt(f),
            Self::Team(name) => write!(f, "team:{name}"),
        }
    }
}

/// Bytes a second, or no bound.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in crate::app) struct Rate(pub(in crate::app) Option<ByteSize>);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let amount = text.strip_suffix("/s").unwrap_or(text).trim_end();
        let rate: ByteSize = amount
            .parse()
            .map_err(|error| format!("{error}; write 50 MiB/s, or none for no bound"))?;
        match rate < ByteSize::kib(1) {
            true => Err("it is at least 1 KiB/s, or none for no bound".to_owned()),
            false => Ok(Self(Some(rate))),
        }
    }
}

/// Implements serde for types whose form is their text.
macro_rules! textual {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

textual!(Target, RepositoryPath, GranteeName);

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

    #[test]
    fn repositories_and_names_print_as_they_were_written() {
        for text in ["me/app", "acme/team/app"] {
            assert_eq!(text.parse::<RepositoryPath>().unwrap().to_string(), text);
        }
        for text in ["me", "me/", "/app", "me/app:v1", "me/app@x", "Me/app"] {
            assert!(text.parse::<RepositoryPath>().is_err(), "{text:?}");
        }
        for text in ["ann", "acme+ci", "team:builders"] {
            assert_eq!(text.parse::<GranteeName>().unwrap().to_string(), text);
        }
        for text in ["", "acme+", "+ci", "team:", "a/b"] {
            assert!(text.parse::<GranteeName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn rates_are_bytes_a_second_or_none() {
        let read = |text: &str| text.parse::<Rate>().map(|rate| rate.0);
        assert_eq!(read("none"), Ok(None));
        assert_eq!(read("2 MiB/s"), Ok(Some(ByteSize::mib(2))));
        assert_eq!(read("1M"), Ok(Some(ByteSize::mib(1))));
        for text in ["", "0", "fast", "-1"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
