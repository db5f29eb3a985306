//! How long the program waits for others.
//!
//! One struct for all of them, since tests set them short together; `upstream`, `proxy` and `app`
//! take the fields they obey.

use std::time::Duration;

use super::document::Node;
use super::fields::Fields;
use super::report::Report;
use super::value;

/// Every deadline.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deadlines {
    /// How long a pull waits for upstream to confirm a held tag.
    pub revalidate: Duration,
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// From the request until the head of the answer.
    pub headers: Duration,
    /// Without a byte of a body.
    pub idle: Duration,
    /// Until a token service has answered.
    pub token: Duration,
    /// How long an upstream's 404 is remembered.
    pub negative: Duration,
    /// How long running requests may take to end at shutdown.
    pub shutdown: Duration,
    /// Failures in a row after which an upstream is left alone; not configurable.
    pub breaker_threshold: u32,
    /// How long it is left alone first, about; doubled while it goes on failing; not configurable.
    pub breaker_first: Duration,
    /// The longest it is left alone; not configurable.
    pub breaker_longest: Duration,
    /// Pause before the second try of a request that failed in passing; not configurable.
    pub retry_pause: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            revalidate: Duration::from_secs(1),
            connect: Duration::from_secs(5),
            headers: Duration::from_secs(20),
            idle: Duration::from_secs(30),
            token: Duration::from_secs(10),
            negative: Duration::from_secs(30),
            shutdown: Duration::from_secs(25),
            breaker_threshold: 3,
            breaker_first: Duration::from_secs(1),
            breaker_longest: Duration::from_secs(60),
            retry_pause: Duration::from_millis(200),
        }
    }
}

impl Deadlines {
    /// Short ones: a test that waits for a deadline ends soon, one that does not is not hurt.
    pub fn for_testing() -> Self {
        Self {
            revalidate: Duration::from_millis(300),
            connect: Duration::from_secs(2),
            headers: Duration::from_millis(1_500),
            idle: Duration::from_millis(1_000),
            token: Duration::from_secs(2),
            shutdown: Duration::from_secs(5),
            retry_pause: Duration::from_millis(1),
            ..Self::default()
        }
    }

    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let default = Self::default();
        let mut read = |key: &str, least_ms: u64, most_s: u64, default: Duration| {
            let (least, most) = (Duration::from_millis(least_ms), Duration::from_secs(most_s));
            let parse = |node: &Node| value::duration(node, least, most);
            fields.read(report, key, parse).unwrap_or(default)
        };
        Self {
            revalidate: read("REVALIDATE_DEADLINE", 1, 60, default.revalidate),
            connect: read("UPSTREAM_CONNECT_TIMEOUT", 10, 120, default.connect),
            headers: read("UPSTREAM_HEADER_TIMEOUT", 10, 600, default.headers),
            idle: read("UPSTREAM_IDLE_TIMEOUT", 10, 600, default.idle),
            token: read("UPSTREAM_TOKEN_TIMEOUT", 10, 120, default.token),
            negative: read("NEGATIVE_CACHE", 0, 3600, default.negative),
            shutdown: read("SHUTDOWN_TIMEOUT", 0, 600, default.shutdown),
            ..default
        }
    }
}
