//! Content digests: binary inside, `algorithm:hex` outside.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, SHA256, SHA512};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ParseError;

/// The hash functions accepted for content (image-spec, `descriptor.md`, registered algorithms).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes.
    pub const fn len_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    const fn code(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha512 => 2,
        }
    }
}

impl FromStr for Algorithm {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut known = Self::ALL.into_iter();
        known
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| {
                let reason = "the algorithm is neither sha256 nor sha512";
                ParseError::new("digest", reason)
            })
    }
}

/// The digest of some bytes.
///
/// Two digests are equal only if algorithm and hash are equal: one algorithm never stands for another.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    algorithm: Algorithm,
    // Unused bytes of the shorter algorithm are zero.
    hash: [u8; 64],
}

impl Digest {
    /// Longest key that [`Digest::to_key`] makes, in bytes.
    pub const MAX_KEY_LEN: usize = 65;

    /// Returns the SHA-256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::with(Algorithm::Sha256, bytes)
    }

    /// Returns the digest of `bytes` under `algorithm`.
    pub fn with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself, as many bytes as the algorithm gives.
    pub fn hash(&self) -> &[u8] {
        &self.hash[..self.algorithm.len_bytes()]
    }

    /// The hash in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        let mut text = String::with_capacity(2 * self.algorithm.len_bytes());
        for byte in self.hash() {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        text
    }

    /// A compact key: one byte for the algorithm, then the hash. Sorts by algorithm, then hash.
    pub fn to_key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + self.algorithm.len_bytes());
        key.push(self.algorithm.code());
        key.extend_from_slice(self.hash());
        key
    }

    /// Reads what [`Digest::to_key`] wrote at the start of `bytes`; returns the digest and the rest.
    pub fn from_key(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&code, rest) = bytes.split_first()?;
        let algorithm = match code {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return None,
        };
        let (hash, rest) = rest.split_at_checked(algorithm.len_bytes())?;
        Some((Self::from_hash(algorithm, hash), rest))
    }

    fn from_hash(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hash = [0; 64];
        hash[..bytes.len()].copy_from_slice(bytes);
        Self { algorithm, hash }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.as_str(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Text in readable formats, the compact key in binary ones.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.to_key())
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        let key = <&[u8]>::deserialize(deserializer)?;
        match Self::from_key(key) {
            Some((digest, [])) => Ok(digest),
            _ => Err(D::Error::custom("not the key of a digest")),
        }
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    /// Accepts `sha256:` with 64 and `sha512:` with 128 lower-case hex digits, nothing else.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("digest", reason);
        let (name, hex) = text
            .split_once(':')
            .ok_or_else(|| fail("no ':' between algorithm and hash"))?;
        let algorithm: Algorithm = name.parse()?;
        if hex.len() != 2 * algorithm.len_bytes() {
            let want = 2 * algorithm.len_bytes();
            return Err(fail(&format!(
                "{} hex digits where {want} belong",
                hex.len()
            )));
        }
        let mut hash = [0; 64];
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (nibble(pair[0]), nibble(pair[1]));
            let (Some(high), Some(low)) = (high, low) else {
                return Err(fail("the hash is not lower-case hex"));
            };
            *byte = high << 4 | low;
        }
        Ok(Self { algorithm, hash })
    }
}

/// Hashes bytes as they come and yields their [`Digest`].
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: digest::Context,
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        let function = match algorithm {
            Algorithm::Sha256 => &SHA256,
            Algorithm::Sha512 => &SHA512,
        };
        Self {
            algorithm,
            context: digest::Context::new(function),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest::from_hash(self.algorithm, self.context.finish().as_ref())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_prints_as_it_was_written() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse::<Digest>().unwrap(), Digest::of(b""));
        let long = Digest::with(Algorithm::Sha512, b"x");
        assert_eq!(long.to_string().parse::<Digest>().unwrap(), long);
    }

    /// PR-03: grammar and allow-list, exact lower-case hex.
    #[test]
    fn hostile_digests_are_refused() {
        let hex = &EMPTY[7..];
        for text in [
            "sha256:../../x".to_owned(),
            format!("SHA256:{hex}"),
            format!("md5:{hex}"),
            format!("sha256:{}", &hex[1..]),
            format!("sha256:{hex}0"),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha512:{hex}"),
            format!("sha256:{}\0", &hex[1..]),
            format!("{EMPTY}\n"),
            hex.to_owned(),
            String::new(),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// PR-03: whatever is accepted is written back in the same letters.
        #[test]
        fn any_text_is_parsed_without_a_panic(text in "(sha256|sha512|SHA256|md5|)[:-]?[0-9a-fA-F/.]{60,130}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }

    #[test]
    fn keys_read_back_and_leave_the_rest() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, b"abc");
            let mut key = digest.to_key();
            key.extend_from_slice(b"rest");
            assert_eq!(Digest::from_key(&key), Some((digest, &b"rest"[..])));
        }
        assert_eq!(Digest::from_key(&[1, 2, 3]), None);
        assert_eq!(Digest::from_key(&[]), None);
    }
}
