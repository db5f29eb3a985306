//! What names an upload: 16 bytes that its session chose at random.

use std::fmt;
use std::str::FromStr;

use crate::oci::ParseError;

/// The name of one upload; its file is called by the 32 hex digits.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UploadKey([u8; 16]);

impl UploadKey {
    /// Makes a key of bytes that nobody can guess.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes it was made of.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for UploadKey {
    type Err = ParseError;

    /// Accepts 32 lower-case hex digits, nothing else: a key has one name.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || ParseError::new("upload key", "not 32 lower-case hex digits");
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(fail());
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| fail())?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_as_it_was_written() {
        let text = "000102030405060708090a0b0c0d0eff";
        let key: UploadKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!((key.as_bytes()[1], key.as_bytes()[15]), (1, 0xff));
        assert_eq!(UploadKey::from_bytes(*key.as_bytes()), key);
    }

    /// A name that leads elsewhere, or a second name of one key, is refused.
    #[test]
    fn hostile_keys_are_refused() {
        let text = "000102030405060708090a0b0c0d0eff";
        for text in [
            text.to_uppercase(),
            format!("+{}", &text[1..]),
            format!("{text}0"),
            text[1..].to_owned(),
            format!("../{}", &text[3..]),
            format!("{}\0", &text[1..]),
            String::new(),
        ] {
            assert!(text.parse::<UploadKey>().is_err(), "{text:?}");
        }
    }
}
