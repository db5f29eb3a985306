//! Tags, and references to a manifest by tag or digest.

use std::fmt;
use std::str::FromStr;

use super::{Digest, ParseError, limits, textual};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Case matters.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(Box<str>);

textual!(Tag);

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag under which clients keep the referrers of `subject` where a registry has no list of them
    /// (distribution-spec, "Referrers Tag Schema"): at most 32 characters of the algorithm, 64 of the hash.
    pub fn of_referrers(subject: &Digest) -> Self {
        let hex = subject.hex();
        let text = format!("{}-{}", subject.algorithm().as_str(), &hex[..64]);
        Self(text.into())
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let fail = |reason: &str| Err(ParseError::new("tag", reason));
        match text.as_bytes() {
            [] => fail("it is empty"),
            bytes if bytes.len() > limits::TAG_BYTES => fail("it is longer than 128 characters"),
            [first, ..] if !word(*first) => fail("it must begin with a letter, a digit or '_'"),
            [_, rest @ ..] if !rest.iter().all(|b| word(*b) || matches!(b, b'.' | b'-')) => {
                fail("only letters, digits, '_', '.' and '-' are allowed")
            }
            _ => Ok(Self(text.into())),
        }
    }
}

/// What stands behind `/manifests/`: a digest if it holds a colon, else a tag.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

textual!(Reference);

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.contains(':') {
            text.parse().map(Self::Digest)
        } else {
            text.parse().map(Self::Tag)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Algorithm;
    use super::*;

    #[test]
    fn a_colon_makes_a_digest() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string().parse(), Ok(Reference::Digest(digest)));
        assert!("sha256:baddigeststring".parse::<Reference>().is_err());
        let cosign = format!("sha256-{}.sig", digest.hex());
        assert!(matches!(cosign.parse(), Ok(Reference::Tag(_))));
    }

    /// oci-registry 6.2: the longer hash is cut to the first 64 digits.
    #[test]
    fn the_tag_of_referrers_is_that_of_the_specification() {
        let short = Digest::of(b"");
        let expected = "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Tag::of_referrers(&short).as_str(), expected);
        let long = Digest::with(Algorithm::Sha512, b"");
        let tag = Tag::of_referrers(&long);
        assert_eq!(tag.as_str(), format!("sha512-{}", &long.hex()[..64]));
        assert_eq!(tag.as_str().parse::<Tag>(), Ok(tag));
    }

    #[test]
    fn tags_keep_to_their_alphabet_and_length() {
        let longest = "a".repeat(128);
        for tag in ["latest", "_x", "1.2.3_build-4", &longest] {
            assert_eq!(tag.parse::<Tag>().unwrap().as_str(), tag);
        }
        for tag in ["", ".x", "-x", "a/b", "a b", "a\n", "ä", &"a".repeat(129)] {
            assert!(tag.parse::<Tag>().is_err(), "{tag:?}");
        }
    }
}
