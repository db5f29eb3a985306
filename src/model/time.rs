//! Points in time, and the clock they come from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::oci::ParseError;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as Quay's API has them.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// RFC 9110 section 5.6.7, such as `Mon, 20 Jan 2025 14:46:01 GMT`; of a time beyond the year 9999, its
    /// end.
    pub fn http_date(self) -> String {
        let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
        let time = jiff::Timestamp::from_second(self.as_secs()).unwrap_or(jiff::Timestamp::MAX);
        printer
            .timestamp_to_rfc9110_string(&time)
            .unwrap_or_default()
    }

    /// How long ago `earlier` was; zero if it lies ahead (clocks are set back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time.
    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.as_secs()) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    /// RFC 3339, with its distance from UTC.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let time = text.parse::<jiff::Timestamp>();
        let time = time.map_err(|_| {
            ParseError::new(
                "time",
                "it is one of RFC 3339, such as 2030-01-31T18:00:00Z",
            )
        })?;
        Ok(Self(time.as_millisecond()))
    }
}

/// Where the time comes from: the system, or a test that moves it.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Starts where it is put and moves only when told.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(start.0)))
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(now) => Timestamp(now.load(Ordering::Relaxed)),
        }
    }

    /// Moves a manual clock forward; a system clock stays what it is.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(
                i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
                Ordering::Relaxed,
            );
        }
    }
}

/// The clock's time, but that it never goes back: where the clock was set back, it goes on from where
/// it was, at the clock's pace, until the clock has caught up.
#[derive(Clone, Debug, Default)]
pub struct ForwardTime {
    latest: Option<Timestamp>,
    /// How far it is ahead of the clock.
    ahead: Duration,
}

impl ForwardTime {
    /// One that goes on behind a time that was kept.
    pub const fn behind(latest: Option<Timestamp>) -> Self {
        Self {
            latest,
            ahead: Duration::ZERO,
        }
    }

    /// The time, the clock being at `now`.
    pub fn at(&mut self, now: Timestamp) -> Timestamp {
        let latest = self.latest.unwrap_or(now);
        if now >= latest {
            self.ahead = Duration::ZERO;
        }
        let mut time = now + self.ahead;
        if time < latest {
            // Behind, not beside: what happened before the jump happened before.
            let next = latest + Duration::from_millis(1);
            self.ahead += next.since(time);
            time = next;
        }
        self.latest = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn forward_time_never_goes_back_and_goes_on_with_the_clock() {
        let mut time = ForwardTime::default();
        assert_eq!(time.at(at(100)), at(100));
        assert_eq!(time.at(at(5000)), at(5000), "the clock jumps ahead");
        let behind = |seconds, millis| at(seconds) + Duration::from_millis(millis);
        assert_eq!(time.at(at(101)), behind(5000, 1), "and back");
        assert_eq!(time.at(at(103)), behind(5002, 1));
        assert_eq!(time.at(at(50)), behind(5002, 2), "and back again");
        assert_eq!(time.at(at(51)), behind(5003, 2));
        assert_eq!(time.at(at(6000)), at(6000), "it has caught up");
        assert_eq!(time.at(at(6001)), at(6001));
        let mut kept = ForwardTime::behind(Some(at(9000)));
        assert_eq!(kept.at(at(100)), behind(9000, 1));
    }

    #[test]
    fn times_are_read_as_they_are_shown() {
        let read = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_millis);
        assert_eq!(read("1970-01-01T00:00:05Z").unwrap(), 5000);
        assert_eq!(read("1970-01-01T01:00:05.25+01:00").unwrap(), 5250);
        for text in ["", "5", "tomorrow", "1970-01-01", "1970-01-01T00:00:05"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_clock_set_back_ages_nothing() {
        let clock = Clock::manual(Timestamp::from_millis(5000));
        let then = clock.now();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().since(then), Duration::from_secs(2));
        assert_eq!(then.since(clock.now()), Duration::ZERO);
        assert_eq!((then + Duration::MAX).as_millis(), i64::MAX);
        assert_eq!(then.to_string(), "1970-01-01T00:00:05Z");
        assert_eq!(then.http_date(), "Thu, 01 Jan 1970 00:00:05 GMT");
    }
}
