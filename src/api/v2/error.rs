//! Failures in the words of the distribution specification.
//!
//! Every error of the rooms below is matched here by name, without a wildcard, so that a new one
//! cannot be forgotten at the edge. What a client reads holds a code, a message and the request's
//! id; hosts, paths and upstream's own words stay in the log (WB-03).

use std::borrow::Cow;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::READ;
use crate::api::headers;
use crate::http::{RequestId, Response, response};
use crate::oci::{EndpointError, ErrorCode, upload_progress};
use crate::{auth, blob, proxy, registry};

/// When to come again where too much waits to be written (DK-11).
const AGAIN: Duration = Duration::from_secs(10);

/// Why a request gets no content: code, status, and words for the client.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: ErrorCode,
    pub(super) status: StatusCode,
    pub(super) message: Cow<'static, str>,
    /// Headers that belong to the status: `Allow`, `Retry-After`, `Content-Range`, `Location`.
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure with the status that its code usually has.
    pub(super) fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: StatusCode::from_u16(code.status()).expect("the codes' statuses are valid"),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// 404 for a path of no endpoint.
    pub(super) fn no_such_path() -> Self {
        Self::new(ErrorCode::Unknown, "no such path").with_status(StatusCode::NOT_FOUND)
    }

    /// 405 for a method that the path does not offer; `allow` lists those it does.
    pub(super) fn method(allow: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
            .with_header(header::ALLOW, HeaderValue::from_static(allow))
    }

    /// 416 for content of `size` bytes.
    pub(super) fn range(size: u64) -> Self {
        Self::new(ErrorCode::RangeInvalid, "no byte of the range exists").with_header(
            header::CONTENT_RANGE,
            headers::plain(format!("bytes */{size}")),
        )
    }

    /// 416 for a piece that does not begin where its upload of `len` bytes ends.
    pub(super) fn upload_range(message: String, location: &str, len: u64) -> Self {
        Self::new(ErrorCode::BlobUploadInvalid, message)
            .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
            .with_header(header::RANGE, headers::plain(upload_progress(len)))
            .with_header(header::LOCATION, headers::plain(location))
    }

    fn unavailable(message: &'static str, retry_after: Option<Duration>) -> Self {
        Self::new(ErrorCode::Unavailable, message).retry_after(retry_after)
    }

    /// The data volume takes no writes (DK-10).
    pub(super) fn read_only() -> Self {
        let message = "the registry's data volume is read-only: nothing can be pushed for now";
        Self::unavailable(message, Some(AGAIN))
    }

    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Whole seconds, rounded up: zero would ask for a storm.
    pub(super) fn retry_after(self, after: Option<Duration>) -> Self {
        let Some(after) = after else { return self };
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.with_header(
            header::RETRY_AFTER,
            headers::plain(seconds.max(1).to_string()),
        )
    }

    /// The answer.
    pub(super) fn into_response(self, id: &RequestId) -> Response {
        let body = ErrorBody {
            errors: [ErrorEntry {
                code: self.code.as_str(),
                message: &self.message,
                detail: Detail {
                    request_id: id.as_str(),
                },
            }],
        };
        let mut answer = response::json(self.status, &body);
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, headers::NO_STORE);
        headers.extend(self.headers);
        answer
    }
}

/// distribution-spec, "Error Codes".
#[derive(Serialize)]
struct ErrorBody<'a> {
    errors: [ErrorEntry<'a>; 1],
}

#[derive(Serialize)]
struct ErrorEntry<'a> {
    code: &'static str,
    message: &'a str,
    detail: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    request_id: &'a str,
}

impl From<EndpointError> for Failure {
    fn from(error: EndpointError) -> Self {
        let message = error.to_string();
        match error {
            EndpointError::NotFound => Self::no_such_path(),
            EndpointError::Name(_) => Self::new(ErrorCode::NameInvalid, message),
            EndpointError::Digest(_) => Self::new(ErrorCode::DigestInvalid, message),
            // A tag that breaks the grammar cannot exist (oci-registry 4.1: never 400 on a pull).
            EndpointError::Tag(_) => Self::new(ErrorCode::ManifestUnknown, message),
        }
    }
}

impl From<proxy::Error> for Failure {
    fn from(error: proxy::Error) -> Self {
        use proxy::Error as E;
        let message = error.to_string();
        match error {
            E::NameUnknown => Self::new(ErrorCode::NameUnknown, message),
            E::ManifestUnknown => Self::new(ErrorCode::ManifestUnknown, message),
            E::BlobUnknown => Self::new(ErrorCode::BlobUnknown, message),
            // oci-registry 13.6: unknown or private, upstream does not say; never its 401.
            E::Refused => Self::new(ErrorCode::NameUnknown, message),
            E::UpstreamCredentials { .. } => {
                Self::new(ErrorCode::Unavailable, message).with_status(StatusCode::BAD_GATEWAY)
            }
            E::RateLimited { retry_after } => {
                Self::new(ErrorCode::TooManyRequests, message).retry_after(Some(retry_after))
            }
            E::Unavailable { retry_after, .. } => {
                Self::new(ErrorCode::Unavailable, message).retry_after(retry_after)
            }
            E::Expired => Self::new(ErrorCode::Unavailable, message),
            E::Timeout => {
                Self::new(ErrorCode::Unavailable, message).with_status(StatusCode::GATEWAY_TIMEOUT)
            }
            E::BadGateway { .. } | E::Rule { .. } => {
                tracing::warn!(%error, "upstream's answer cannot be passed on");
                Self::new(
                    ErrorCode::Unavailable,
                    "upstream sent what cannot be served",
                )
                .with_status(StatusCode::BAD_GATEWAY)
            }
            E::Abandoned => Self::unavailable("the request was given up", None),
            E::Registry(error) => error.into(),
            E::Blob(error) => error.into(),
        }
    }
}

impl From<auth::Error> for Failure {
    /// AZ-15: that it could not be found out is no word about rights.
    fn from(error: auth::Error) -> Self {
        tracing::error!(%error, "who may do what could not be found out");
        Self::unavailable("accounts cannot be looked at", None)
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        use registry::Error as E;
        match error {
            E::ManifestInvalid { reason, .. } => {
                Self::new(ErrorCode::ManifestInvalid, reason.to_string())
                    .with_status(StatusCode::BAD_GATEWAY)
            }
            E::Corrupt { .. } => {
                tracing::error!(%error, "content at rest is damaged");
                Self::unavailable("the content is damaged and will be fetched again", None)
            }
            E::NoRoom(_) => Self::unavailable("there is no room for the content", None)
                .with_status(StatusCode::INSUFFICIENT_STORAGE),
            E::QuotaExceeded => Self::new(ErrorCode::Denied, error.to_string()),
            E::NameUnknown => Self::new(ErrorCode::NameUnknown, error.to_string()),
            E::ManifestUnknown => Self::new(ErrorCode::ManifestUnknown, error.to_string()),
            E::BlobUnknown => Self::new(ErrorCode::BlobUnknown, error.to_string()),
            E::ManifestBlobUnknown { .. } => {
                Self::new(ErrorCode::ManifestBlobUnknown, error.to_string())
            }
            E::SizeInvalid { .. } => Self::new(ErrorCode::ManifestInvalid, error.to_string()),
            E::TagImmutable { .. } => Self::new(ErrorCode::TagImmutable, error.to_string()),
            E::Precondition { .. } => Self::new(ErrorCode::ManifestInvalid, error.to_string())
                .with_status(StatusCode::PRECONDITION_FAILED),
            E::BlobInUse { .. } => Self::method(READ, error.to_string()),
            E::ReadOnly | E::OrganizationMirror => Self::method("", error.to_string()),
            // What only the API asks for.
            E::Exists
            | E::ExpiryPast
            | E::Label(_)
            | E::Policy(_)
            | E::Prune(_)
            | E::Quota(_)
            | E::Superseded => Self::new(ErrorCode::Denied, error.to_string()),
            E::UploadUnknown => Self::new(ErrorCode::BlobUploadUnknown, error.to_string()),
            E::NoRandomness => {
                tracing::error!(%error, "an upload cannot begin");
                Self::unavailable("an upload cannot begin", None)
            }
            E::Store(error) if error.is_read_only() => Self::read_only(),
            E::Store(error) => {
                tracing::error!(%error, "the store did not answer");
                let again = error.is_temporary().then_some(AGAIN);
                Self::unavailable("the store did not answer", again)
            }
            E::Blob(error) => error.into(),
        }
    }
}

impl From<blob::Error> for Failure {
    /// What the client got wrong is told; of the rest it can do nothing but come again.
    fn from(error: blob::Error) -> Self {
        match error {
            blob::Error::DigestMismatch { .. } => {
                return Self::new(ErrorCode::DigestInvalid, error.to_string());
            }
            blob::Error::UploadBusy { .. } => {
                let message = "another request is writing to this upload";
                return Self::new(ErrorCode::BlobUploadInvalid, message)
                    .with_status(StatusCode::CONFLICT);
            }
            blob::Error::ReadOnly { .. } => return Self::read_only(),
            blob::Error::NoSpace { .. } => {
                tracing::error!(%error, "the disk is full");
                return Self::unavailable("there is no room for the content", None)
                    .with_status(StatusCode::INSUFFICIENT_STORAGE);
            }
            _ => {}
        }
        tracing::error!(%error, "content could not be read");
        Self::unavailable(
            "the content could not be read",
            Some(Duration::from_secs(1)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> RequestId {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("x-request-id", HeaderValue::from_static("abc"));
        RequestId::accept(&headers).unwrap()
    }

    async fn answer(failure: Failure) -> (u16, ::http::HeaderMap, serde_json::Value) {
        let (head, body) = failure.into_response(&id()).into_parts();
        let body = body.collect().await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        (head.status.as_u16(), head.headers, body)
    }

    /// WB-03: a code, a message, the request's id.
    #[tokio::test]
    async fn a_body_holds_code_message_and_request() {
        let (status, headers, body) = answer(proxy::Error::ManifestUnknown.into()).await;
        assert_eq!(status, 404);
        assert_eq!(headers["content-type"], "application/json");
        let entry = &body["errors"][0];
        assert_eq!(entry["code"], "MANIFEST_UNKNOWN");
        assert_eq!(entry["detail"]["request_id"], "abc");
    }

    #[tokio::test]
    async fn a_rate_limit_says_when_to_come_again() {
        let error = proxy::Error::RateLimited {
            retry_after: Duration::from_millis(1200),
        };
        let (status, headers, body) = answer(error.into()).await;
        assert_eq!(
            (status, headers["retry-after"].to_str().unwrap()),
            (429, "2")
        );
        assert_eq!(body["errors"][0]["code"], "TOOMANYREQUESTS");
    }

    /// WB-03: what upstream said in its own words does not reach the client.
    #[tokio::test]
    async fn a_bad_upstream_is_not_quoted() {
        let reason = "https://user:canary@host/".to_owned();
        let (status, _, body) = answer(proxy::Error::BadGateway { reason }.into()).await;
        assert_eq!(status, 502);
        assert!(!body.to_string().contains("canary"));
    }

    #[test]
    fn a_tag_that_cannot_exist_is_unknown_rather_than_invalid() {
        let error = crate::oci::Endpoint::parse("/v2/a/manifests/.x").unwrap_err();
        assert_eq!(Failure::from(error).code, ErrorCode::ManifestUnknown);
        let error = crate::oci::Endpoint::parse("/v2/a/manifests/sha256:x").unwrap_err();
        assert_eq!(Failure::from(error).status, 400);
    }
}
