//! From when to when: the dates of a request for the log.
//!
//! Quay reads `MM/DD/YYYY`, takes the last day or now for what is missing or cannot be read, and adds a
//! day to the end in any case. Its documents also print `YYYY-MM-DD`, which it ignores; here it is
//! honoured (SC-384). Counts reach over 31 days, as in Quay; asked for in that second form, which the
//! documents print for half a year, over 366.

use ::http::StatusCode;

use crate::api::v1::context::Context;
use crate::api::v1::error::ApiError;
use crate::api::v1::view::rfc2822;
use crate::model::Timestamp;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Days between the first and the last that counts reach over.
const QUAY_DAYS: i64 = 31;
const ISO_DAYS: i64 = 366;

const INVALID: &str = "Invalid date range for logs";

/// A window of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Window {
    pub(super) since: Timestamp,
    /// The asked end, and a day.
    pub(super) until: Timestamp,
    most_days: i64,
}

impl Window {
    /// What the request asks for.
    ///
    /// # Errors
    /// 400 if it ends before it begins.
    pub(super) fn of(context: &Context) -> Result<Self, ApiError> {
        let (start, end) = (context.text("starttime"), context.text("endtime"));
        Self::parse(start.as_deref(), end.as_deref(), context.now())
    }

    fn parse(start: Option<&str>, end: Option<&str>, now: Timestamp) -> Result<Self, ApiError> {
        let read = |text: Option<&str>| text.and_then(read);
        let (start, end) = (read(start), read(end));
        let is_iso = [start, end]
            .iter()
            .flatten()
            .any(|(_, form)| *form == Form::Iso);
        let day_ago = Timestamp::from_millis(now.as_millis() - DAY);
        let since = start.map_or(day_ago, |(at, _)| at);
        let end = end.map_or(now, |(at, _)| at);
        if end < since {
            return Err(ApiError::message(StatusCode::BAD_REQUEST, INVALID));
        }
        Ok(Self {
            since,
            until: Timestamp::from_millis(end.as_millis() + DAY),
            most_days: if is_iso { ISO_DAYS } else { QUAY_DAYS },
        })
    }

    /// # Errors
    /// 400 for a window that is too long to be counted.
    pub(super) fn check_length(&self) -> Result<(), ApiError> {
        let asked = self.until.as_millis() - self.since.as_millis() - DAY;
        match asked <= self.most_days * DAY {
            true => Ok(()),
            false => Err(ApiError::message(StatusCode::BAD_REQUEST, INVALID)),
        }
    }

    pub(super) fn start_time(&self) -> String {
        rfc2822(self.since)
    }

    pub(super) fn end_time(&self) -> String {
        rfc2822(self.until)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Quay,
    Iso,
}

/// The beginning of a day, or a moment of RFC 3339.
fn read(text: &str) -> Option<(Timestamp, Form)> {
    if let Ok(moment) = text.parse() {
        return Some((moment, Form::Iso));
    }
    let (date, form) = match jiff::civil::Date::strptime("%m/%d/%Y", text) {
        Ok(date) => (date, Form::Quay),
        Err(_) => (
            jiff::civil::Date::strptime("%Y-%m-%d", text).ok()?,
            Form::Iso,
        ),
    };
    let day = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    let millis = day.timestamp().as_millisecond();
    Some((Timestamp::from_millis(millis), form))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-06-20T12:00:00Z
    const NOW: Timestamp = Timestamp::from_millis(1_718_884_800_000);

    fn told(start: &str, end: &str) -> (String, String) {
        let window = Window::parse(Some(start), Some(end), NOW).unwrap();
        (window.start_time(), window.end_time())
    }

    /// SC-385: the answer's end is the day after the asked one.
    #[test]
    fn a_window_ends_a_day_after_its_last_day() {
        let expected = (
            "Mon, 01 Jan 2024 00:00:00 -0000".to_owned(),
            "Wed, 19 Jun 2024 00:00:00 -0000".to_owned(),
        );
        assert_eq!(told("01/01/2024", "06/18/2024"), expected);
        assert_eq!(told("2024-01-01", "2024-06-18"), expected);
    }

    /// SC-326: two days that end tomorrow.
    #[test]
    fn what_cannot_be_read_is_the_last_day() {
        let expected = (
            "Wed, 19 Jun 2024 12:00:00 -0000".to_owned(),
            "Fri, 21 Jun 2024 12:00:00 -0000".to_owned(),
        );
        for odd in [
            "",
            "yesterday",
            "13/01/2024",
            "02/30/2024",
            "2024-02-30",
            "1/1/1/1",
        ] {
            assert_eq!(told(odd, odd), expected, "{odd:?}");
        }
        let window = Window::parse(None, None, NOW).unwrap();
        assert_eq!((window.start_time(), window.end_time()), expected);
    }

    #[test]
    fn a_window_does_not_end_before_it_begins() {
        let refused = Window::parse(Some("06/19/2024"), Some("06/18/2024"), NOW);
        assert!(refused.is_err());
        assert!(Window::parse(Some("06/18/2024"), Some("06/18/2024"), NOW).is_ok());
        assert!(Window::parse(Some("12/31/2024"), None, NOW).is_err());
    }

    /// SC-384: the documents' own request has half a year in ISO form.
    #[test]
    fn counts_reach_over_a_month_or_in_iso_form_a_year() {
        let is_counted = |start, end| {
            let window = Window::parse(Some(start), Some(end), NOW).unwrap();
            window.check_length().is_ok()
        };
        assert!(is_counted("01/01/2024", "02/01/2024"));
        assert!(!is_counted("01/01/2024", "02/02/2024"));
        assert!(is_counted("2024-01-01", "2024-06-18"));
        assert!(!is_counted("2022-01-01", "2024-01-01"));
    }
}
