//! When the next run of a mirror is due: by its interval, keeping its phase, or by the calendar. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use super::Error;
use crate::model::Timestamp;

/// When runs begin by the calendar: five fields, in UTC.
#[derive(Clone, Debug)]
pub struct Calendar(Cron);

impl Calendar {
    /// # Errors
    /// [`Error::Setting`] for what is no such expression, and for one that never comes.
    pub fn new(text: &str) -> Result<Self, Error> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let no_calendar = |reason: String| Error::Setting(format!("cron {text:?}: {reason}"));
        let cron = parser
            .parse(text)
            .map_err(|error| no_calendar(error.to_string()))?;
        let calendar = Self(cron);
        match calendar.next(Timestamp::from_millis(1_767_225_600_000)) {
            Some(_) => Ok(calendar),
            None => Err(no_calendar("that time never comes".to_owned())),
        }
    }

    /// The first time behind `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let now = DateTime::<Utc>::from_timestamp_millis(now.as_millis())?;
        let next = self.0.find_next_occurrence(&now, false).ok()?;
        Some(Timestamp::from_millis(next.timestamp_millis()))
    }
}

/// The next time behind `now` that is a whole number of intervals from `start` (Quay: the phase is kept). A start
/// that lies ahead stays; without one the interval begins now.
pub fn by_interval(start: Option<Timestamp>, interval: Duration, now: Timestamp) -> Timestamp {
    let interval = interval.max(Duration::from_secs(1));
    let Some(start) = start else {
        return now + interval;
    };
    if start > now {
        return start;
    }
    let (passed, interval_ms) = (now.since(start).as_millis(), interval.as_millis());
    let left = interval_ms - passed % interval_ms;
    now + Duration::from_millis(u64::try_from(left).unwrap_or(u64::MAX))
}

/// How long a run that failed waits for the next: a minute, then five times as long each time, up to an hour,
/// and at least as long as the source asked for. `chance` makes it up to a quarter longer.
pub(super) fn back_off(failures: u32, asked: Option<Duration>, chance: u64) -> Duration {
    const FIRST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(3_600);
    let factor = 5_u32.saturating_pow(failures.saturating_sub(1).min(8));
    let pause = FIRST.saturating_mul(factor).min(LONGEST);
    let pause = pause.max(asked.unwrap_or_default());
    let most = u64::try_from(pause.as_millis() / 4).unwrap_or(u64::MAX);
    pause + Duration::from_millis(chance.checked_rem(most.saturating_add(1)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_calendar_is_five_fields_in_utc() {
        let next = |cron: &str, now: &str| Calendar::new(cron).unwrap().next(at(now));
        let now = "2026-03-14T15:09:26Z";
        assert_eq!(next("30 2 * * *", now), Some(at("2026-03-15T02:30:00Z")));
        assert_eq!(next("*/15 * * * *", now), Some(at("2026-03-14T15:15:00Z")));
        assert_eq!(next("0 0 1 1 *", now), Some(at("2027-01-01T00:00:00Z")));
        assert_eq!(next("0 3 * * 1-5", now), Some(at("2026-03-16T03:00:00Z")));
        assert_eq!(
            next("9 15 14 3 *", "2026-03-14T15:09:00Z"),
            Some(at("2027-03-14T15:09:00Z")),
            "strictly behind"
        );
        for wrong in [
            "",
            "* * * *",
            "* * * * * *",
            "61 * * * *",
            "0 0 30 2 *",
            "noon",
        ] {
            assert!(Calendar::new(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_phase_of_an_interval_is_kept() {
        let day = Duration::from_secs(86_400);
        let next = |start: &str, now: &str| by_interval(Some(at(start)), day, at(now));
        assert_eq!(
            next("2026-01-01T03:00:00Z", "2026-03-14T15:09:26Z"),
            at("2026-03-15T03:00:00Z")
        );
        assert_eq!(
            next("2026-01-01T03:00:00Z", "2026-03-14T03:00:00Z"),
            at("2026-03-15T03:00:00Z")
        );
        assert_eq!(
            next("2026-05-01T03:00:00Z", "2026-03-14T03:00:00Z"),
            at("2026-05-01T03:00:00Z")
        );
        let now = at("2026-03-14T03:00:00Z");
        assert_eq!(by_interval(None, day, now), now + day);
        assert_eq!(
            by_interval(Some(now), Duration::ZERO, now),
            now + Duration::from_secs(1)
        );
    }

    proptest! {
        #[test]
        fn a_next_time_is_ahead_and_no_more_than_an_interval_away(
            start in -1_000_000_000_000_i64..4_000_000_000_000,
            interval in 1_u64..100_000_000,
            now in 0_i64..4_000_000_000_000,
        ) {
            let (start, now) = (Timestamp::from_millis(start), Timestamp::from_millis(now));
            let interval = Duration::from_secs(interval);
            let next = by_interval(Some(start), interval, now);
            prop_assert!(next > now);
            if start <= now {
                prop_assert!(next <= now + interval);
                prop_assert_eq!(next.since(start).as_millis() % interval.as_millis(), 0);
            }
        }
    }

    #[test]
    fn failures_wait_longer_and_as_long_as_they_are_asked_to() {
        let pause = |failures, asked| {
            let asked = Some(Duration::from_secs(asked)).filter(|asked| !asked.is_zero());
            back_off(failures, asked, 0).as_secs()
        };
        assert_eq!(
            [pause(1, 0), pause(2, 0), pause(3, 0), pause(9, 0)],
            [60, 300, 1_500, 3_600]
        );
        assert_eq!([pause(1, 20), pause(1, 7_200)], [60, 7_200]);
        assert_eq!(
            back_off(1, None, u64::MAX)
                .max(Duration::from_secs(75))
                .as_secs(),
            75
        );
    }
}
