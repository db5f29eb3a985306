//! Byte ranges of blobs (RFC 9110 §14, with the distribution specification's habits).

use super::limits;

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

    proptest! {
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
