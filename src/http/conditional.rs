//! Conditions on a request: `If-None-Match` and `If-Range` (RFC 9110 §13.1).

use ::http::{HeaderMap, HeaderName, header};

/// Whether the client has this already: `If-None-Match` names `etag`, or is `*`. Answer 304.
///
/// Compares weakly, as RFC 9110 §13.1.2 wants it here.
pub fn is_unchanged(headers: &HeaderMap, etag: &str) -> bool {
    names(headers, &header::IF_NONE_MATCH, |tag| {
        tag == "*" || opaque(tag) == opaque(etag)
    })
}

/// Whether a `Range` counts: there is no `If-Range`, or it is exactly the strong `etag`. If not, answer
/// with everything (RFC 9110 §13.1.5). A date never matches, since content here has none.
pub fn may_range(headers: &HeaderMap, etag: &str) -> bool {
    match headers.get(header::IF_RANGE) {
        None => true,
        Some(tag) => !etag.starts_with("W/") && tag.as_bytes().trim_ascii() == etag.as_bytes(),
    }
}

/// Whether a tag in the header's lists fulfils `wanted`.
fn names(headers: &HeaderMap, name: &HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    let lines = headers.get_all(name);
    let mut lines = lines.iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| tags(line).any(&wanted))
}

/// The entity tags of a list. A comma may stand within the quotes of one.
fn tags(line: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    line.split(move |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    })
    .map(str::trim)
}

/// A tag without its mark of weakness.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;

    use super::*;

    const ETAG: &str = "\"sha256:ab\"";

    fn with(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let asks = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            is_unchanged(&headers, ETAG)
        };
        for has in [
            &["\"sha256:ab\""][..],
            &["*"],
            &["W/\"sha256:ab\""],
            &["\"x\" , \"sha256:ab\""],
            &["\"x\"", "\"y,z\",\"sha256:ab\""],
        ] {
            assert!(asks(has), "{has:?}");
        }
        for lacks in [
            &[][..],
            &["\"sha256:a\""],
            &["sha256:ab"],
            &["\",\"sha256:ab\""],
        ] {
            assert!(!asks(lacks), "{lacks:?}");
        }
    }

    /// PR-13: a range of something else than the client has is not served.
    #[test]
    fn a_range_counts_only_for_the_same_content() {
        assert!(may_range(&HeaderMap::new(), ETAG));
        assert!(may_range(&with(header::IF_RANGE, &["\"sha256:ab\""]), ETAG));
        for other in [
            "\"x\"",
            "W/\"sha256:ab\"",
            "Sat, 29 Oct 1994 19:43:31 GMT",
            "",
        ] {
            assert!(
                !may_range(&with(header::IF_RANGE, &[other]), ETAG),
                "{other}"
            );
        }
        let weak = with(header::IF_RANGE, &["W/\"a\""]);
        assert!(!may_range(&weak, "W/\"a\""));
    }
}
