//! Answers to several ranges at once: `multipart/byteranges` (RFC 9110 §14.6).
//!
//! One part a range, in the order asked, since containers/image counts parts and maps them by place.
//! Nothing is buffered: parts are bodies in a row, and the length is known before the first byte.

use std::collections::VecDeque;
use std::fmt::Write;

use ::http::HeaderValue;
use bytes::Bytes;

use super::body::Body;

/// Builds the body.
pub struct Multipart {
    boundary: String,
    content_type: String,
    total: u64,
    parts: VecDeque<Body>,
}

impl Multipart {
    /// Begins an answer with ranges of something `total` bytes long.
    pub fn new(content_type: impl Into<String>, total: u64) -> Self {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system has a source of randomness");
        // Letters and digits only, so that it stands unquoted in the header.
        let boundary = format!("{:032x}", u128::from_le_bytes(random));
        Self {
            boundary,
            content_type: content_type.into(),
            total,
            parts: VecDeque::new(),
        }
    }

    /// Adds the bytes from `start` to before `end`, which are `body`.
    #[must_use]
    pub fn part(mut self, start: u64, end: u64, body: Body) -> Self {
        debug_assert!(start < end && body.size().is_none_or(|size| size == end - start));
        let mut head = String::with_capacity(160);
        let (boundary, kind, total) = (&self.boundary, &self.content_type, self.total);
        let last = end - 1;
        let line_end = if self.parts.is_empty() { "" } else { "\r\n" };
        write!(
            head,
            "{line_end}--{boundary}\r\nContent-Type: {kind}\r\n\
             Content-Range: bytes {start}-{last}/{total}\r\n\r\n",
        )
        .expect("a string takes all that is written to it");
        self.parts.push_back(Body::Full(head.into()));
        self.parts.push_back(body);
        self
    }

    /// The value of `Content-Type`, and the body.
    pub fn finish(mut self) -> (HeaderValue, Body) {
        let end = format!("\r\n--{}--\r\n", self.boundary);
        self.parts.push_back(Body::Full(Bytes::from(end)));
        let content_type = format!("multipart/byteranges; boundary={}", self.boundary);
        let content_type = HeaderValue::try_from(content_type);
        (
            content_type.expect("hex digits make a header value"),
            Body::Parts(self.parts),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PR-13 and oci-registry 4.4: exact parts, exact length.
    #[tokio::test]
    async fn parts_are_framed_exactly() {
        let whole = Bytes::from_static(b"0123456789");
        let (content_type, body) = Multipart::new("application/octet-stream", 10)
            .part(8, 10, Body::Full(whole.slice(8..10)))
            .part(0, 1, Body::Full(whole.slice(0..1)))
            .finish();
        let content_type = content_type.to_str().unwrap().to_owned();
        let boundary = content_type
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        assert!(boundary.len() >= 16);
        assert!(boundary.bytes().all(|b| b.is_ascii_alphanumeric()));
        let expected = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes 8-9/10\r\n\r\n89\r\n\
             --{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes 0-0/10\r\n\r\n0\r\n\
             --{boundary}--\r\n"
        );
        assert_eq!(body.size(), Some(expected.len() as u64));
        assert_eq!(body.collect().await.unwrap(), expected);
    }
}
