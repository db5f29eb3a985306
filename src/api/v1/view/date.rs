//! Times as the answers write them (`quay-api` section 0).

use crate::model::Timestamp;

/// `Fri, 10 May 2024 17:46:02 -0000`: most answers (RFC 2822, with the zone that Quay writes).
pub(in crate::api) fn rfc2822(time: Timestamp) -> String {
    print(time, "%a, %d %b %Y %H:%M:%S -0000")
}

/// `Mon, 20 Jan 2025 14:46:01 GMT`: service keys, and times inside the usage log.
pub(in crate::api) fn gmt(time: Timestamp) -> String {
    print(time, "%a, %d %b %Y %H:%M:%S GMT")
}

/// `2025-01-15T12:00:00Z`: tokens of applications, mirrors.
pub(in crate::api) fn iso(time: Timestamp) -> String {
    print(time, "%Y-%m-%dT%H:%M:%SZ")
}

/// `2025-01-15`.
pub(in crate::api) fn day(time: Timestamp) -> String {
    print(time, "%Y-%m-%d")
}

/// Beyond the years that calendars know, the nearest that they do.
fn print(time: Timestamp, form: &str) -> String {
    let (least, most) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let seconds = time.as_secs().clamp(least.as_second(), most.as_second());
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_guide_shows() {
        let time = Timestamp::from_millis(1_715_363_162_999);
        assert_eq!(rfc2822(time), "Fri, 10 May 2024 17:46:02 -0000");
        assert_eq!(gmt(time), "Fri, 10 May 2024 17:46:02 GMT");
        assert_eq!(iso(time), "2024-05-10T17:46:02Z");
        assert_eq!(day(time), "2024-05-10");
        for odd in [i64::MIN, -1, i64::MAX] {
            assert!(rfc2822(Timestamp::from_millis(odd)).ends_with("-0000"));
        }
    }
}
