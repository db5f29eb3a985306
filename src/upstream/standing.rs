//! What is believed of an upstream without asking it.
//!
//! Called by `proxy`, for people who look.

use std::time::Duration;

use super::Upstream;

/// How an upstream stands, as the last answers left it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Standing {
    /// It failed so often that it is not asked for this long.
    pub shunned_for: Option<Duration>,
    /// It told us to wait this long (429).
    pub limited_for: Option<Duration>,
    /// The budget of requests that it announced last, and what was left of it then.
    pub announced: Option<(i64, i64)>,
    /// Requests and bodies in flight.
    pub in_flight: u64,
}

impl Upstream {
    /// How the upstream stands now.
    pub fn standing(&self) -> Standing {
        let remote = &self.remote;
        Standing {
            shunned_for: remote.breaker.check().err(),
            limited_for: remote.host.rate.check().err(),
            announced: remote.host.rate.announced(),
            in_flight: u64::try_from(remote.metrics.in_flight.get()).unwrap_or(0),
        }
    }
}
