//! The name of one request in answers and logs.
//!
//! A client's own `X-Request-Id` is kept if it is short and plain, so that a request can be followed
//! through a chain of servers; else one is made. Made ids cost no system call a request: a connection
//! draws 8 random bytes once and numbers its requests.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ::http::{HeaderMap, HeaderName, HeaderValue};

/// The header an id comes in and goes out by.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Ids longer than this are not taken over.
const LONGEST: usize = 64;

/// An id of at most 64 characters of `[A-Za-z0-9._-]`.
// Invariant: the value is plain ASCII.
#[derive(Clone, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id a client sent, if it is one that we repeat (DO-10: nothing a log line could break on).
    pub fn accept(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(HEADER)?;
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"._-".contains(b);
        let bytes = value.as_bytes();
        ((1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(plain))
            .then(|| Self(value.clone()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("a request id is plain ASCII")
    }

    /// The id as it goes into an answer.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes the ids of one connection: `<16 hex digits>-<number>`.
pub(super) struct RequestIds {
    connection: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new() -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("the system has a source of randomness");
        Self {
            connection: u64::from_le_bytes(random),
            next: AtomicU64::new(1),
        }
    }

    /// The client's id, or the next of ours.
    pub(super) fn name(&self, headers: &HeaderMap) -> RequestId {
        RequestId::accept(headers).unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let text = format!("{:016x}-{number}", self.connection);
            RequestId(HeaderValue::try_from(text).expect("hex digits make a header value"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(HEADER, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_plain_id_is_taken_over() {
        for id in ["a", "0123-abc_DEF.9", &"x".repeat(64)] {
            assert_eq!(RequestId::accept(&sent(id)).unwrap().as_str(), id);
        }
    }

    /// DO-10: what could break a log line never comes from the client.
    #[test]
    fn an_odd_id_is_replaced() {
        let ids = RequestIds::new();
        for id in ["", "a b", "a\tb", "<x>", &"x".repeat(65)] {
            assert_ne!(ids.name(&sent(id)).as_str(), id);
        }
    }

    #[test]
    fn made_ids_differ() {
        let ids = RequestIds::new();
        let none = HeaderMap::new();
        let (first, second) = (ids.name(&none), ids.name(&none));
        assert_ne!(first, second);
        assert_ne!(first, RequestIds::new().name(&none));
        assert_eq!(first.as_str().len(), 18);
    }
}
