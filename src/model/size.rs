//! Sizes in bytes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ByteSize(pub u64);

impl ByteSize {
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The largest binary unit that leaves at least one, always with one decimal: `10.0 GiB` (Quay's form
    /// of quotas).
    pub fn to_decimal_text(self) -> String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let steps = self.0.checked_ilog2().unwrap_or(0) / 10;
        match units.get((steps as usize).wrapping_sub(1)) {
            None => format!("{:.1} Byte", self.0 as f64),
            Some(unit) => format!(
                "{:.1} {unit}",
                self.0 as f64 / f64::powi(1024.0, steps as i32)
            ),
        }
    }
}

/// Unit names; a bare letter (`20G`, as Quay writes sizes) is the binary unit.
const UNITS: [(&str, u64); 25] = [
    ("", 1),
    ("B", 1),
    ("K", 1 << 10),
    ("KiB", 1 << 10),
    ("Ki", 1 << 10),
    ("kB", 1_000),
    ("KB", 1_000),
    ("M", 1 << 20),
    ("MiB", 1 << 20),
    ("Mi", 1 << 20),
    ("MB", 1_000_000),
    ("G", 1 << 30),
    ("GiB", 1 << 30),
    ("Gi", 1 << 30),
    ("GB", 1_000_000_000),
    ("T", 1 << 40),
    ("TiB", 1 << 40),
    ("Ti", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("PiB", 1 << 50),
    ("Pi", 1 << 50),
    ("PB", 1_000_000_000_000_000),
    ("EiB", 1 << 60),
    ("Ei", 1 << 60),
    ("EB", 1_000_000_000_000_000_000),
];

impl FromStr for ByteSize {
    type Err = String;

    /// Accepts `1048576`, `20G`, `1.5 GiB`, `500 MB`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        let factor = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| {
            format!("{text:?} has no known unit; write KiB, MiB, GiB, TiB, or kB, MB, GB, TB")
        })?;
        let fail = || format!("{text:?} is not a size such as 10 GiB");
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(fail);
        }
        let number: f64 = number.parse().map_err(|_| fail())?;
        let bytes = number * factor as f64;
        if bytes.is_finite() && bytes < u64::MAX as f64 {
            Ok(Self(bytes as u64))
        } else {
            Err(fail())
        }
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that leaves at least one, to one decimal: `1.5 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            ("TiB", 1_u64 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        match units.iter().find(|(_, factor)| self.0 >= *factor) {
            None => write!(f, "{} B", self.0),
            Some((unit, factor)) if self.0.is_multiple_of(*factor) => {
                write!(f, "{} {unit}", self.0 / factor)
            }
            Some((unit, factor)) => write!(f, "{:.1} {unit}", self.0 as f64 / *factor as f64),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    /// From a number of bytes or a text with a unit.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as 10 GiB, or a number of bytes")
            }

            fn visit_u64<E>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes)
                    .map(ByteSize)
                    .map_err(|_| E::custom("a size is not negative"))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_text_has_one_decimal_and_the_best_unit() {
        for (bytes, text) in [
            (0, "0.0 Byte"),
            (1023, "1023.0 Byte"),
            (10_485_760, "10.0 MiB"),
            (10_737_418_240, "10.0 GiB"),
            (2 << 40, "2.0 TiB"),
            (1536, "1.5 KiB"),
            (8_388_608_000_000_000_000, "7.3 EiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_decimal_text(), text);
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("20G", 20 << 30),
            ("1.5 GiB", 3 << 29),
            ("500 MB", 500_000_000),
            (" 2 KiB ", 2048),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in [
            "",
            "x",
            "10 Gb",
            "-1",
            "1e3",
            "99999999999 TiB",
            "1.2.3 GiB",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(ByteSize(3 << 29).to_string(), "1.5 GiB");
        assert_eq!(ByteSize::mib(16).to_string(), "16 MiB");
        assert_eq!(ByteSize(5).to_string(), "5 B");
    }
}
