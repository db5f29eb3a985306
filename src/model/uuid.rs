//! Random or derived 128-bit names, as the API shows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::oci::ParseError;

/// A name of 128 bits (RFC 9562), written `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` in lower case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// From random bytes (RFC 9562 §5.4).
    pub const fn random(bytes: [u8; 16]) -> Self {
        Self::of_version(bytes, 4)
    }

    /// From bytes that were made of what is named (RFC 9562 §5.8).
    pub const fn derived(bytes: [u8; 16]) -> Self {
        Self::of_version(bytes, 8)
    }

    const fn of_version(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | (version << 4);
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if [4, 6, 8, 10].contains(&at) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || ParseError::new("uuid", "it is 32 hexadecimal digits in five groups");
        let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
        if text.len() != 36 || digits.len() != 32 {
            return Err(fail());
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| fail())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fail())?;
        }
        // Written any other way, it is not the name that was given.
        let uuid = Self(bytes);
        (uuid.to_string() == text).then_some(uuid).ok_or_else(fail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_as_it_is_shown_and_no_other_way() {
        let uuid = Uuid::random([0xff; 16]);
        let text = "ffffffff-ffff-4fff-bfff-ffffffffffff";
        assert_eq!(uuid.to_string(), text);
        assert_eq!(text.parse::<Uuid>().unwrap(), uuid);
        let other = [
            "",
            "ffffffffffff4fffbfffffffffffffff",
            "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF",
            "ffffffff-ffff-4fff-bfff-fffffffffffg",
            "ffffffff-ffff-4fff-bffff-fffffffffff",
            "+fffffff-ffff-4fff-bfff-ffffffffffff",
        ];
        for text in other {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }
}
