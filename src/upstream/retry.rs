//! Which failures are worth another try, when, and how often.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{DATE, RETRY_AFTER};

use super::Error;
use crate::model::Clock;
use crate::outbound;

/// Tries after the first one.
pub(super) const MORE_TRIES: u32 = 2;

/// Whether asking again at once may help.
///
/// TLS failures are final (UP-03), a refused address stays refused, a rate limit says when, and a deadline
/// has used up the time.
pub(super) const fn is_worth_it(error: &Error) -> bool {
    matches!(
        error,
        Error::Failing { .. }
            | Error::Outbound(
                outbound::Error::Dns { .. }
                    | outbound::Error::Connect { .. }
                    | outbound::Error::Broken { .. }
            )
    )
}

/// The pause before try number `next` (the first repetition is 1): doubling, with jitter.
pub(super) fn pause(base: Duration, next: u32) -> Duration {
    jittered(base.saturating_mul(1 << next.saturating_sub(1).min(16)))
}

/// Between all of `duration` and a quarter more, so that many callers do not come back in step. Never
/// less: it may be what upstream asked for.
pub(super) fn jittered(duration: Duration) -> Duration {
    let random = f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX);
    duration.saturating_add(duration.mul_f64(random * 0.25))
}

/// `Retry-After` (RFC 9110 §10.2.3): seconds, or a date, which is measured against upstream's own clock
/// where it sends one.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let seconds_of = |text: &str| {
        let time = httpdate::parse_http_date(text).ok()?;
        time.duration_since(std::time::UNIX_EPOCH).ok()
    };
    let until = seconds_of(text)?;
    let date = headers.get(DATE).and_then(|value| value.to_str().ok());
    let now = date.and_then(seconds_of).unwrap_or_else(|| {
        Duration::from_secs(u64::try_from(Clock::System.now().as_secs()).unwrap_or(0))
    });
    Some(until.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    /// UP-08: seconds, dates, dates past, and nonsense.
    #[test]
    fn retry_after_is_read_in_both_forms() {
        let read = |value: &'static str, date: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            if let Some(date) = date {
                headers.insert(DATE, HeaderValue::from_static(date));
            }
            retry_after(&headers)
        };
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read("120", None), Some(Duration::from_secs(120)));
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT", date),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            read("Sun, 06 Nov 1994 08:00:00 GMT", date),
            Some(Duration::ZERO)
        );
        assert_eq!(
            read("Sun, 06 Nov 1994 08:50:07 GMT", None),
            Some(Duration::ZERO)
        );
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(read(nonsense, date), None, "{nonsense:?}");
        }
    }

    #[test]
    fn pauses_double_and_jitter_only_lengthens() {
        let base = Duration::from_millis(100);
        for (next, least) in [(1, 100), (2, 200), (3, 400)] {
            let pause = pause(base, next).as_millis();
            assert!((least..=least + least / 4).contains(&pause), "{pause}");
        }
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
    }
}
