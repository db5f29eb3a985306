//! What a door of `/api/v1` or of the web says when it cannot do what was asked.
//!
//! Quay has five forms of it (`quay-api` section 2), and clients read them all: an exception with its
//! kind, a message of the framework, a message of the web layer, and the notice of a registry that is
//! only read. A door names the form; what the rooms below say is put into one of them in `domain`.
//! Texts for clients name no path, no host and no row.

mod domain;
mod kind;

use std::fmt::Display;
use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::json;
use crate::http::{Response, response};

pub(in crate::api) use kind::ErrorKind;

/// Why a door did not do what was asked.
#[derive(Debug)]
pub(in crate::api) enum ApiError {
    /// An exception of the API, with keys that stand before its own.
    Exception {
        kind: ErrorKind,
        detail: Option<String>,
        payload: Map<String, Value>,
    },
    /// `{"message": ...}`: what the framework or the data model refuses.
    Message { status: StatusCode, message: Value },
    /// `{"detail": ...}`: what mirrors and states of repositories refuse.
    Detail { status: StatusCode, detail: String },
    /// `{"error": ...}`: what the web layer refuses.
    Web { status: StatusCode, error: String },
    /// Nothing can be written (`REGISTRY_STATE: readonly`).
    ReadOnly,
    /// Too many wrong passwords.
    Throttled { retry_after: Duration },
    /// As many search at the same time as may.
    Busy { retry_after: Duration },
    /// What is nobody's fault but ours; logged where it is made.
    Failed,
    /// Trying again may help: the server is stopping, or its disk failed.
    Unavailable,
}

impl ApiError {
    /// 404, as for everything that is not there.
    pub(in crate::api) fn not_found() -> Self {
        Self::plain(ErrorKind::NotFound)
    }

    /// 400 with Quay's words.
    pub(in crate::api) fn invalid(detail: impl Display) -> Self {
        Self::exception(ErrorKind::InvalidRequest, detail)
    }

    /// 401: nobody is known, or not well enough.
    pub(in crate::api) fn unauthenticated() -> Self {
        Self::plain(ErrorKind::InvalidToken)
    }

    /// 403: somebody is known and may not.
    pub(in crate::api) fn forbidden() -> Self {
        Self::plain(ErrorKind::InsufficientScope)
    }

    /// 401: the password must have been shown a moment ago.
    pub(in crate::api) fn stale_login() -> Self {
        Self::plain(ErrorKind::FreshLoginRequired)
    }

    /// An exception with words of its own.
    pub(in crate::api) fn exception(kind: ErrorKind, detail: impl Display) -> Self {
        Self::Exception {
            kind,
            detail: Some(detail.to_string()),
            payload: Map::new(),
        }
    }

    /// `{"message": ...}`.
    pub(in crate::api) fn message(status: StatusCode, message: impl Display) -> Self {
        Self::Message {
            status,
            message: Value::String(message.to_string()),
        }
    }

    /// `{"message": ...}` with 400: the data model refused.
    pub(in crate::api) fn refused(message: impl Display) -> Self {
        Self::message(StatusCode::BAD_REQUEST, message)
    }

    /// `{"detail": ...}`.
    pub(in crate::api) fn detail(status: StatusCode, detail: impl Display) -> Self {
        Self::Detail {
            status,
            detail: detail.to_string(),
        }
    }

    /// `{"error": ...}`.
    pub(in crate::api) fn web(status: StatusCode, error: impl Display) -> Self {
        Self::Web {
            status,
            error: error.to_string(),
        }
    }

    /// What went wrong here, which the client can only be told of.
    pub(in crate::api) fn failed(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::Failed
    }

    /// What failed here and may work at the next try.
    pub(in crate::api) fn unavailable(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request could not be decided");
        Self::Unavailable
    }

    /// Adds a key in front of an exception's own.
    #[must_use]
    pub(in crate::api) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        if let Self::Exception { payload, .. } = &mut self {
            payload.insert(key.to_owned(), value.into());
        }
        self
    }

    /// The answer; `site` is the URL that clients reach this site by.
    pub(in crate::api) fn answer(self, site: &str) -> Response {
        match self {
            Self::Exception {
                kind,
                detail,
                payload,
            } => exception(site, kind, detail, payload),
            Self::Message { status, message } => {
                json::spaced(status, &json!({ "message": message }))
            }
            Self::Detail { status, detail } => json::spaced(status, &json!({ "detail": detail })),
            Self::Web { status, error } => json::compact(status, &json!({ "error": error })),
            Self::ReadOnly => {
                let message = "System is currently read-only. Pulls will succeed but all write \
                               operations are currently suspended.";
                let body = json!({ "message": message, "is_readonly": true });
                json::compact(StatusCode::SERVICE_UNAVAILABLE, &body)
            }
            Self::Throttled { retry_after } => throttled(retry_after),
            Self::Busy { retry_after } => busy(retry_after),
            Self::Failed => {
                let message = "The server failed to do that; its log says why.";
                let body = json!({ "message": message });
                json::spaced(StatusCode::INTERNAL_SERVER_ERROR, &body)
            }
            Self::Unavailable => {
                let message = "The server cannot do that now.";
                json::spaced(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &json!({ "message": message }),
                )
            }
        }
    }

    fn plain(kind: ErrorKind) -> Self {
        Self::Exception {
            kind,
            detail: None,
            payload: Map::new(),
        }
    }
}

/// Quay: `detail` is `error_message`, `title` is `error_type`, and both texts are left out where the kind
/// has none and the door gave none.
fn exception(
    site: &str,
    kind: ErrorKind,
    detail: Option<String>,
    payload: Map<String, Value>,
) -> Response {
    let mut body = payload;
    let detail = detail.or_else(|| kind.default_detail().map(str::to_owned));
    if let Some(detail) = detail {
        body.insert("detail".to_owned(), detail.clone().into());
        body.insert("error_message".to_owned(), detail.into());
    }
    let name = kind.as_str();
    body.insert("error_type".to_owned(), name.into());
    body.insert("title".to_owned(), name.into());
    body.insert("type".to_owned(), kind.url(site).into());
    body.insert("status".to_owned(), kind.status().as_u16().into());
    let mut answer = json::spaced(kind.status(), &Value::Object(body));
    if kind.status() == StatusCode::UNAUTHORIZED {
        // RFC 9110 §11.6.1: a 401 says how to do better.
        let challenge = HeaderValue::from_static("Bearer realm=\"api\"");
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn throttled(retry_after: Duration) -> Response {
    let text = "Too many failed login attempts; try again later.\n";
    let answer = response::text(StatusCode::TOO_MANY_REQUESTS, text);
    later(answer, retry_after)
}

fn busy(retry_after: Duration) -> Response {
    let message = "Too many searches run at the same time; try again later.";
    let body = json!({ "message": message });
    later(
        json::spaced(StatusCode::TOO_MANY_REQUESTS, &body),
        retry_after,
    )
}

/// RFC 9110 §10.2.3: when to try again.
fn later(mut answer: Response, retry_after: Duration) -> Response {
    let seconds = HeaderValue::from(retry_after.as_secs().max(1));
    answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(error: ApiError) -> (StatusCode, String) {
        let answer = error.answer("http://site:1");
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// SC-419: the body of a 404, to the byte.
    #[tokio::test]
    async fn what_is_not_there_is_told_as_the_guide_shows() {
        let (status, body) = read(ApiError::not_found()).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        let expected = "{\"detail\": \"Not Found\", \"error_message\": \"Not Found\", \
                        \"error_type\": \"not_found\", \"title\": \"not_found\", \
                        \"type\": \"http://site:1/api/v1/error/not_found\", \"status\": 404}\n";
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_payload_stands_first_and_a_message_alone() {
        let error = ApiError::unauthenticated().with("session_required", false);
        let (_, body) = read(error).await;
        assert!(
            body.starts_with("{\"session_required\": false, \"detail\": "),
            "{body}"
        );
        let (_, body) = read(ApiError::refused("no")).await;
        assert_eq!(body, "{\"message\": \"no\"}\n");
        let (status, body) = read(ApiError::web(StatusCode::FORBIDDEN, "no")).await;
        assert_eq!(
            (status.as_u16(), body.as_str()),
            (403, "{\"error\":\"no\"}\n")
        );
        let retry_after = Duration::from_millis(10);
        let answer = ApiError::Busy { retry_after }.answer("http://site:1");
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        let (status, body) = read(ApiError::ReadOnly).await;
        assert!(body.contains("\"is_readonly\":true"), "{body}");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}
