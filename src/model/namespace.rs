//! Namespaces: the first component of a repository's name.

use std::fmt;
use std::str::FromStr;

use crate::oci::{ParseError, RepositoryName};

/// The name of a user or an organisation, as it stands in front of the first `/`.
///
/// One component of the repository name grammar, at most 255 bytes; `docker.io` is one.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NamespaceName(Box<str>);

impl NamespaceName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NamespaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NamespaceName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.contains('/') {
            return Err(ParseError::new(
                "namespace",
                "it is one component, without '/'",
            ));
        }
        text.parse::<RepositoryName>()
            .map(|name| Self(name.as_str().into()))
    }
}

impl serde::Serialize for NamespaceName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for NamespaceName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
