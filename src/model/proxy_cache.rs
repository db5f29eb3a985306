//! Caches that organisations make of themselves by the API, as stored.

use serde::{Deserialize, Serialize};

use super::{Sealed, Timestamp};

/// What an organisation that is a cache by the API caches (Quay: proxy cache configuration).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProxyCacheRecord {
    /// As it was given; a [`super::UpstreamName`].
    pub upstream: String,
    /// The account there, if there is one.
    pub account: Option<ProxyAccountRecord>,
    /// Seconds after its last validation for which a tag may be served unasked; 0 for ever.
    pub expiration_s: u64,
    /// Plain http.
    pub insecure: bool,
    pub created: Timestamp,
}

/// An account at an upstream; both halves are sealed, since some upstreams take a token as user name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProxyAccountRecord {
    pub username: Sealed,
    pub password: Sealed,
}
