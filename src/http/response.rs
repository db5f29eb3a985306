//! Answers that every door gives: JSON, text, nothing.

use ::http::{HeaderValue, StatusCode, header};
use bytes::Bytes;
use serde::Serialize;

use super::body::Body;
use super::service::Response;

/// `application/json`, as all JSON answers are marked.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// 204.
pub fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

/// An answer of ready bytes.
pub fn bytes(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content_type);
    // What a body is, we say; a browser must not guess otherwise.
    let exact = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, exact);
    *response.body_mut() = body.into().into();
    response
}

/// An answer for people.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response {
    bytes(status, TEXT, body)
}

/// An answer for programs.
///
/// A value that cannot be written as JSON (a map with keys that are no text) is a bug: it is logged, and
/// the answer is 500.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, JSON, body),
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            let text_body = "The server failed to write its answer.\n";
            text(StatusCode::INTERNAL_SERVER_ERROR, text_body)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[tokio::test]
    async fn json_says_what_it_is() {
        let response = json(StatusCode::CREATED, &["a", "b"]);
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(
            response.into_body().collect().await.unwrap(),
            r#"["a","b"]"#
        );
    }

    #[test]
    fn what_is_no_json_is_our_fault() {
        let odd = BTreeMap::from([((1, 2), 3)]);
        let response = json(StatusCode::OK, &odd);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(no_content().status(), StatusCode::NO_CONTENT);
        assert_eq!(text(StatusCode::OK, "").body().size(), Some(0));
    }
}
