//! Policies by which tags end by themselves when they are many, old or unused (Quay: auto-prune).
//!
//! Kept by `store`, followed by `registry`, told by the API. Knows the words and bounds of a policy; which
//! tags it takes is `registry`'s.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::oci::ParseError;

/// Tags of a scope that end by themselves.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct PrunePolicy {
    pub rule: PruneRule,
    /// A regular expression that is looked for in the tag; `None`: every tag is meant.
    pub tag_pattern: Option<String>,
    /// Whether the tags are meant that match, or those that do not.
    pub matches: bool,
}

/// Which of the tags that are meant go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum PruneRule {
    /// All but that many, those that began last.
    NumberOfTags(u64),
    /// Those that have pointed where they do for longer.
    CreationDate(Age),
    /// Those whose manifest nobody has pulled, and that nobody has moved, for longer.
    LastPulled(Age),
}

impl PruneRule {
    /// Quay's name of the method; `last_pulled` is ours.
    pub const fn method(self) -> &'static str {
        match self {
            Self::NumberOfTags(_) => "number_of_tags",
            Self::CreationDate(_) => "creation_date",
            Self::LastPulled(_) => "last_pulled",
        }
    }
}

impl fmt::Display for PruneRule {
    /// As a reason: `not among the newest 10`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumberOfTags(1) => f.write_str("not the newest"),
            Self::NumberOfTags(most) => write!(f, "not among the newest {most}"),
            Self::CreationDate(age) => write!(f, "older than {age}"),
            Self::LastPulled(age) => write!(f, "not pulled for {age}"),
        }
    }
}

/// A span as policies have it: a number and one unit, `7d`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Age {
    count: u32,
    unit: AgeUnit,
}

/// Quay reads `m` as minutes, though its documents once call it months.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
enum AgeUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    /// 365 days.
    Year,
}

const UNITS: [(char, AgeUnit, u64); 6] = [
    ('s', AgeUnit::Second, 1),
    ('m', AgeUnit::Minute, 60),
    ('h', AgeUnit::Hour, 3_600),
    ('d', AgeUnit::Day, 86_400),
    ('w', AgeUnit::Week, 7 * 86_400),
    ('y', AgeUnit::Year, 365 * 86_400),
];

impl Age {
    fn row(self) -> (char, u64) {
        let mut rows = UNITS.iter();
        let row = rows.find(|(_, unit, _)| *unit == self.unit);
        row.map(|(letter, _, seconds)| (*letter, *seconds))
            .expect("every unit has a row")
    }

    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.count) * self.row().1)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, self.row().0)
    }
}

impl FromStr for Age {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = || ParseError::new("age", "it is a number above 0 and one of s, m, h, d, w, y");
        let (at, letter) = text.char_indices().last().ok_or_else(fail)?;
        let (number, mut units) = (&text[..at], UNITS.iter());
        let (_, unit, _) = units.find(|(it, ..)| *it == letter).ok_or_else(fail)?;
        let count = match number.bytes().all(|byte| byte.is_ascii_digit()) {
            true => number.parse().map_err(|_| fail())?,
            false => return Err(fail()),
        };
        match count {
            0 => Err(fail()),
            count => Ok(Self { count, unit: *unit }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ages_have_quays_units() {
        let seconds = |text: &str| text.parse::<Age>().map(|age| age.duration().as_secs());
        for (text, expected) in [
            ("30s", 30),
            ("1m", 60),
            ("2h", 7_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("1y", 31_536_000),
            ("07d", 604_800),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "d",
            "7",
            "0d",
            "-1d",
            "+1d",
            "1.5d",
            "7 d",
            "7dd",
            "7M",
            "7é",
            "99999999999d",
        ] {
            assert!(seconds(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_age_prints_as_it_is_read(count in 1..u32::MAX, letter in "[smhdwy]") {
            let text = format!("{count}{letter}");
            prop_assert_eq!(text.parse::<Age>().unwrap().to_string(), text);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = text.parse::<Age>();
        }
    }
}
