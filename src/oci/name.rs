//! Repository names.

use std::fmt;
use std::str::FromStr;

use super::{ParseError, limits, textual};

/// A repository name as the distribution specification has it: `library/alpine`.
///
/// Lower-case components of `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`, separated by
/// `/`; at most [`limits::NAME_BYTES`] bytes in all.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RepositoryName(Box<str>);

textual!(RepositoryName);

impl RepositoryName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Splits off the first component: `("quay.io", "org/app")` of `quay.io/org/app`.
    pub fn split_first(&self) -> Option<(&str, Self)> {
        let (first, rest) = self.0.split_once('/')?;
        Some((first, Self(rest.into())))
    }

    /// This name below `prefix`.
    ///
    /// # Errors
    /// If the joined name is too long, or `prefix` is not a name itself.
    pub fn below(&self, prefix: &str) -> Result<Self, ParseError> {
        format!("{prefix}/{}", self.0).parse()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RepositoryName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: String| ParseError::new("repository name", reason);
        if text.len() > limits::NAME_BYTES {
            let most = limits::NAME_BYTES;
            return Err(fail(format!("{} bytes, {most} are allowed", text.len())));
        }
        match text
            .split('/')
            .position(|component| !is_component(component))
        {
            None => Ok(Self(text.into())),
            Some(at) => Err(fail(format!(
                "component {} is not lower-case letters and digits joined by '.', '_', '__' or '-'",
                at + 1
            ))),
        }
    }
}

/// distribution-spec, "Pulling manifests": one component of `<name>`.
fn is_component(text: &str) -> bool {
    let mut rest = text.as_bytes();
    loop {
        let word = rest
            .iter()
            .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            .count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let separator = match rest {
            [b'.', ..] => 1,
            [b'_', b'_', ..] => 2,
            [b'_', ..] => 1,
            _ => rest.iter().take_while(|b| **b == b'-').count(),
        };
        if separator == 0 {
            return false;
        }
        rest = &rest[separator..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_grammar_pass() {
        for name in [
            "a",
            "library/alpine",
            "a__b/c-d---e/f.g_h",
            "blobs/manifests/tags",
            "0/1",
        ] {
            assert_eq!(name.parse::<RepositoryName>().unwrap().as_str(), name);
        }
    }

    /// PR-04: dot segments, upper case, empty segments, over-long names.
    #[test]
    fn hostile_names_are_refused() {
        let long = "a/".repeat(128) + "a";
        for name in [
            "", "/", "a/", "/a", "a//b", "A", "a/../b", "..", ".", "a..b", "a___b", "-a", "a-",
            "_a", "a_", "a b", "a\\b", "a\0", "a%2fb", "ä", "a\n", &long,
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".*") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
