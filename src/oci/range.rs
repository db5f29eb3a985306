//! Byte ranges of blobs (RFC 9110 §14, with the distribution specification's habits), on their way out
//! and in.

use std::fmt;
use std::str::FromStr;

use super::{ParseError, limits};

/// A piece of something `size` bytes long: never empty, never past the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub start: u64,
    /// Offset behind the last byte.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes it spans.
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it spans nothing; no range made here does.
    pub const fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// The `Content-Range` value for a whole of `size` bytes.
    pub fn content_range(&self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end - 1)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spec {
    From(u64),
    Between(u64, u64),
    Last(u64),
}

/// A parsed `Range` header, before the size of the content is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RangeRequest(Vec<Spec>);

/// What a range request comes to once the size is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Satisfied {
    /// Answer 200 with everything.
    Whole,
    /// Answer 206 with this piece.
    One(ByteRange),
    /// Answer 206 multipart, one part a range, in this order.
    Many(Vec<ByteRange>),
    /// Answer 416.
    None,
}

impl RangeRequest {
    /// Parses the header's value; `None` where it is to be ignored (another unit, unparsable).
    pub fn parse(value: &str) -> Option<Self> {
        let (unit, set) = value.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        set.split(',')
            .map(|spec| parse_spec(spec.trim()))
            .collect::<Option<Vec<_>>>()
            .map(Self)
    }

    /// Decides the answer for content of `size` bytes.
    ///
    /// Parts keep the order and number in which they were asked, since clients map them by position;
    /// ranges past the end are left out if others remain. More than [`limits::RANGES`], or ranges
    /// that overlap, are answered with the whole.
    pub fn satisfy(&self, size: u64) -> Satisfied {
        if self.0.len() > limits::RANGES {
            return Satisfied::Whole;
        }
        let mut ranges: Vec<ByteRange> = self.0.iter().filter_map(|s| s.within(size)).collect();
        match ranges.len() {
            0 => Satisfied::None,
            1 => Satisfied::One(ranges.remove(0)),
            _ if overlap(&ranges) => Satisfied::Whole,
            _ => Satisfied::Many(ranges),
        }
    }
}

impl Spec {
    fn within(self, size: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::From(start) => (start, size),
            Self::Between(start, last) => (start, last.saturating_add(1).min(size)),
            Self::Last(count) => (size.saturating_sub(count), size),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

fn parse_spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(Spec::Last(number(last)?)),
        (first, "") => Some(Spec::From(number(first)?)),
        (first, last) => Some(Spec::Between(number(first)?, number(last)?)),
    }
}

/// Digits only (`u64::from_str` would take a sign); what exceeds 64 bits is past any end.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The `Content-Range` of a piece of an upload: `0-1023`, without unit or total
/// (distribution-spec, "Pushing a blob in chunks"). Never empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UploadRange(ByteRange);

impl UploadRange {
    /// Offset of the piece's first byte.
    pub const fn start(&self) -> u64 {
        self.0.start
    }

    /// Offset behind its last byte.
    pub const fn end(&self) -> u64 {
        self.0.end
    }

    /// How long the piece must be.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> u64 {
        self.0.len()
    }
}

impl fmt::Display for UploadRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start, self.0.end - 1)
    }
}

impl FromStr for UploadRange {
    type Err = ParseError;

    /// Takes `a-b`; and `bytes a-b/total` as RFC 9110 has it, where the total may be `*`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let fail = |reason: &str| ParseError::new("Content-Range", reason);
        let text = text.trim();
        let bare = match text.get(..6) {
            Some(unit) if unit.eq_ignore_ascii_case("bytes ") => text[6..].trim_start(),
            _ => text,
        };
        let (range, total) = match bare.split_once('/') {
            Some((range, total)) => (range, Some(total)),
            None => (bare, None),
        };
        let (first, last) = range
            .split_once('-')
            .ok_or_else(|| fail("no '-' between first and last byte"))?;
        let (start, last) = (offset(first)?, offset(last)?);
        if last < start {
            return Err(fail("it ends before it begins"));
        }
        match total {
            None | Some("*") => {}
            Some(total) if offset(total)? > last => {}
            Some(_) => return Err(fail("it ends behind its total")),
        }
        let end = last + 1;
        Ok(Self(ByteRange { start, end }))
    }
}

/// A number that is an offset in a file: digits, and no more than a signed 64-bit number holds.
fn offset(text: &str) -> Result<u64, ParseError> {
    let fail = |reason: &str| ParseError::new("Content-Range", reason);
    let value = number(text).ok_or_else(|| fail("first, last or total is not a number"))?;
    match i64::try_from(value) {
        Ok(most) if most < i64::MAX => Ok(value),
        _ => Err(fail("it is longer than any file")),
    }
}

/// The `Range` of an answer about an upload that holds `length` bytes: `0-` and its last byte.
///
/// `0-0` says both "one byte" and "none"; that is what every client expects of an empty session.
pub fn upload_progress(length: u64) -> String {
    format!("0-{}", length.saturating_sub(1))
}

fn overlap(ranges: &[ByteRange]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.start);
    sorted.windows(2).any(|pair| pair[1].start < pair[0].end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(value: &str, size: u64) -> Option<Satisfied> {
        RangeRequest::parse(value).map(|request| request.satisfy(size))
    }

    fn one(start: u64, end: u64) -> Option<Satisfied> {
        Some(Satisfied::One(ByteRange { start, end }))
    }

    /// PR-13: single, open, suffix, past the end, overflowing.
    #[test]
    fn single_ranges_follow_the_table() {
        assert_eq!(answer("bytes=0-", 10), one(0, 10));
        assert_eq!(answer("bytes=2-3", 10), one(2, 4));
        assert_eq!(answer("bytes=2-99", 10), one(2, 10));
        assert_eq!(answer("bytes=-3", 10), one(7, 10));
        assert_eq!(answer("bytes=-99", 10), one(0, 10));
        assert_eq!(answer("bytes=0-18446744073709551615", 10), one(0, 10));
        assert_eq!(answer("bytes=0-99999999999999999999999", 10), one(0, 10));
        for none in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-2"] {
            assert_eq!(answer(none, 10), Some(Satisfied::None), "{none}");
        }
        assert_eq!(answer("bytes=0-", 0), Some(Satisfied::None));
        for ignored in [
            "items=0-1",
            "bytes",
            "bytes=",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1",
        ] {
            assert_eq!(answer(ignored, 10), None, "{ignored}");
        }
    }

    #[test]
    fn several_ranges_keep_number_and_order() {
        let parts = |list: &[(u64, u64)]| {
            Satisfied::Many(
                list.iter()
                    .map(|&(start, end)| ByteRange { start, end })
                    .collect(),
            )
        };
        assert_eq!(answer("bytes=8-,0-1", 10), Some(parts(&[(8, 10), (0, 2)])));
        assert_eq!(answer("bytes=0-1, 2-3", 10), Some(parts(&[(0, 2), (2, 4)])));
        assert_eq!(answer("bytes=0-1,50-60", 10), one(0, 2));
        assert_eq!(answer("bytes=0-5,5-9", 10), Some(Satisfied::Whole));
        let many = format!("bytes={}", vec!["0-0"; limits::RANGES + 1].join(","));
        assert_eq!(answer(&many, 10), Some(Satisfied::Whole));
    }

    /// PR-12: a piece says exactly where it belongs, or is refused.
    #[test]
    fn upload_ranges_are_read_exactly() {
        let parse = |text: &str| {
            let range = text.parse::<UploadRange>().ok()?;
            Some((range.start(), range.end()))
        };
        assert_eq!(parse("0-0"), Some((0, 1)));
        assert_eq!(parse("5-9"), Some((5, 10)));
        assert_eq!(parse(" 5-9 "), Some((5, 10)));
        for tolerated in ["bytes 5-9/10", "Bytes 5-9/*", "bytes 5-9", "5-9/10"] {
            assert_eq!(parse(tolerated), Some((5, 10)), "{tolerated}");
        }
        let most = "9223372036854775806";
        assert_eq!(parse(&format!("0-{most}")), Some((0, i64::MAX as u64)));
    }

    #[test]
    fn hostile_upload_ranges_are_refused() {
        for (text, reason) in [
            ("", "no '-'"),
            ("5", "no '-'"),
            ("bytes=5-9", "not a number"),
            ("-9", "not a number"),
            ("5-", "not a number"),
            ("5-9-10", "not a number"),
            ("+5-9", "not a number"),
            ("5-+9", "not a number"),
            ("5 -9", "not a number"),
            ("0x5-9", "not a number"),
            ("5-9,11-12", "not a number"),
            ("\u{665}-9", "not a number"),
            ("items 5-9/10", "not a number"),
            ("bytes */10", "no '-'"),
            ("9-5", "before it begins"),
            ("0--1", "not a number"),
            ("5-9/9", "behind its total"),
            ("5-9/", "not a number"),
            ("0-9223372036854775807", "longer than any file"),
            ("0-18446744073709551615", "longer than any file"),
            ("0-99999999999999999999999", "longer than any file"),
        ] {
            let error = text.parse::<UploadRange>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn progress_names_the_last_byte() {
        assert_eq!(upload_progress(0), "0-0");
        assert_eq!(upload_progress(1), "0-0");
        assert_eq!(upload_progress(1024), "0-1023");
    }

    proptest! {
        #[test]
        fn upload_ranges_read_back(start in 0_u64..1 << 62, length in 1_u64..1 << 62) {
            let text = format!("{start}-{}", start + length - 1);
            let range: UploadRange = text.parse().unwrap();
            prop_assert_eq!((range.start(), range.len()), (start, length));
            prop_assert_eq!(range.to_string(), text);
        }

        #[test]
        fn any_upload_range_is_read_without_a_panic(text in "(bytes )?[0-9]{0,21}-?[0-9]{0,21}[-/*\u{e9} ]{0,2}.{0,3}") {
            if let Ok(range) = text.parse::<UploadRange>() {
                prop_assert!(range.start() < range.end() && range.end() <= i64::MAX as u64);
            }
        }

        #[test]
        fn no_answer_passes_the_end(value in "bytes=[0-9,-]{0,24}", size in 0_u64..50) {
            let ranges = match answer(&value, size) {
                Some(Satisfied::One(range)) => vec![range],
                Some(Satisfied::Many(ranges)) => ranges,
                _ => vec![],
            };
            for range in ranges {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
