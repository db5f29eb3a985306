//! Robot accounts: names and records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{NamespaceId, NamespaceName, Sealed, Timestamp};
use crate::oci::ParseError;

/// Longest short name of a robot, in bytes.
const SHORT_NAME_BYTES: usize = 255;

const SHORT_NAME: &str = "the part behind '+' is 2 to 255 lower-case letters and digits, with single '.', \
                          '_' or '-' between them";

/// A robot's full name: `namespace+short`.
///
/// The short name is lower-case letters and digits, in runs joined by one `.`, `_` or `-`, 2 to 255
/// bytes (Quay: namespace names).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RobotName {
    namespace: NamespaceName,
    short: Box<str>,
}

impl RobotName {
    /// The robot of this short name in a namespace.
    ///
    /// # Errors
    /// If that is no short name.
    pub fn new(namespace: NamespaceName, short: &str) -> Result<Self, ParseError> {
        if !is_short_name(short) {
            return Err(ParseError::new("robot name", SHORT_NAME));
        }
        let short = short.into();
        Ok(Self { namespace, short })
    }

    pub const fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    pub fn short(&self) -> &str {
        &self.short
    }
}

impl fmt::Display for RobotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.namespace, self.short)
    }
}

impl FromStr for RobotName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("robot name", reason);
        let (namespace, short) = text
            .split_once('+')
            .ok_or_else(|| fail("it is namespace+name"))?;
        Self::new(namespace.parse()?, short)
    }
}

impl Serialize for RobotName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RobotName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A robot account of a namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RobotRecord {
    pub namespace: NamespaceId,
    pub name: RobotName,
    pub description: String,
    pub created: Timestamp,
    /// When it was last known to be used, to within a minute or so.
    pub last_accessed: Option<Timestamp>,
    /// Its token, which can be shown again (Quay).
    pub token: Sealed,
    /// Whose tokens may be changed for its own.
    pub federation: Vec<Federation>,
}

/// An identity of another provider that may act as a robot (Quay: robot federation).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Federation {
    /// URL of the provider.
    pub issuer: String,
    pub subject: String,
}

fn is_short_name(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let runs = text.split(['.', '_', '-']);
    (2..=SHORT_NAME_BYTES).contains(&text.len())
        && runs
            .into_iter()
            .all(|run| !run.is_empty() && run.bytes().all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_robot_is_named_after_its_namespace() {
        let name: RobotName = "acme+ci-1".parse().unwrap();
        assert_eq!((name.namespace().as_str(), name.short()), ("acme", "ci-1"));
        assert_eq!(name.to_string(), "acme+ci-1");
        for bad in [
            "acme",
            "acme+",
            "acme+a",
            "acme+A1",
            "acme+a--b",
            "acme+a+b",
            "+ab",
            "a/b+cd",
        ] {
            assert!(bad.parse::<RobotName>().is_err(), "{bad}");
        }
    }
}
