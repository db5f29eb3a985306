//! Header names and values that the doors share.

use std::time::Duration;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::http::conditional;
use crate::oci::Digest;

pub(super) const DOCKER_CONTENT_DIGEST: HeaderName =
    HeaderName::from_static("docker-content-digest");
pub(super) const API_VERSION: HeaderName =
    HeaderName::from_static("docker-distribution-api-version");
pub(super) const OCI_NAMESPACE: HeaderName = HeaderName::from_static("oci-namespace");
pub(super) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

pub(super) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What `/v2/` answers besides its content; clients tell a registry by it.
pub(super) const REGISTRY_2: HeaderValue = HeaderValue::from_static("registry/2.0");

/// WB-02: nothing that is served here may run, be framed, or be taken for another type.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'none'",
);

/// Adds the security headers to an answer; a page that set its own policy keeps it.
pub(super) fn secure(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(CONTENT_POLICY);
}

/// Tells browsers to come by HTTPS only (RFC 6797 §6.1). Of other hosts nothing is said: they are not ours.
pub(super) fn stay_secure(headers: &mut HeaderMap, age: Duration) {
    let value = plain(format!("max-age={}", age.as_secs()));
    headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
}

/// A value of text that is known to be plain: digests, numbers, media types.
pub(super) fn plain(text: impl AsRef<str>) -> HeaderValue {
    HeaderValue::from_str(text.as_ref()).expect("digests, numbers and types are printable ASCII")
}

/// The strong `ETag` of content: its digest in quotes.
pub(super) fn etag(digest: &Digest) -> HeaderValue {
    plain(format!("\"{digest}\""))
}

/// Whether the client has the content of this `etag` already; some clients leave the quotes out.
pub(super) fn is_unchanged(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let quoted = etag.to_str().expect("an ETag made here is printable ASCII");
    conditional::is_unchanged(headers, quoted)
        || conditional::is_unchanged(headers, quoted.trim_matches('"'))
}

/// Whether a client wants its answer validated now (RFC 9111 §5.2.1.4, §5.4).
pub(super) fn wants_validation(headers: &HeaderMap) -> bool {
    [header::CACHE_CONTROL, header::PRAGMA].iter().any(|name| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|directive| directive.trim().eq_ignore_ascii_case("no-cache"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let pair = |value: &&'static str| (name.clone(), HeaderValue::from_static(value));
        values.iter().map(pair).collect()
    }

    #[test]
    fn if_none_match_comes_in_many_forms() {
        let etag = HeaderValue::from_static("\"sha256:ab\"");
        for value in [
            "\"sha256:ab\"",
            "W/\"sha256:ab\"",
            "sha256:ab",
            "\"x\", \"sha256:ab\"",
            "*",
        ] {
            assert!(
                is_unchanged(&headers(header::IF_NONE_MATCH, &[value]), &etag),
                "{value}"
            );
        }
        for value in ["\"sha256:a\"", "", "sha256:abc"] {
            assert!(
                !is_unchanged(&headers(header::IF_NONE_MATCH, &[value]), &etag),
                "{value}"
            );
        }
        assert!(!is_unchanged(&HeaderMap::new(), &etag));
    }

    #[test]
    fn no_cache_is_one_directive_of_many() {
        assert!(wants_validation(&headers(
            header::CACHE_CONTROL,
            &["max-age=0, No-Cache"]
        )));
        assert!(wants_validation(&headers(header::PRAGMA, &["no-cache"])));
        assert!(!wants_validation(&headers(
            header::CACHE_CONTROL,
            &["no-cache-at-all", "max-age=0"]
        )));
    }
}
