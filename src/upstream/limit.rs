//! How much is asked of an upstream at one time: connections, its own rate limit, our bandwidth.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::HeaderMap;
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::retry::{jittered, retry_after};

/// Pause after a 429 that does not say how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// Longest of those pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);
/// However long upstream asks for, it is asked again after this.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// Of an announced budget, one part in so many is for those who wait.
const KEPT_FOR_PULLS: i64 = 5;

/// Requests in flight at one upstream.
#[derive(Debug)]
pub(super) struct Connections {
    all: Arc<Semaphore>,
    /// One fewer where possible, so that long downloads leave a place for manifests.
    bodies: Arc<Semaphore>,
    in_flight: IntGauge,
}

/// A place among the requests in flight, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _all: OwnedSemaphorePermit,
    _body: Option<OwnedSemaphorePermit>,
    in_flight: IntGauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.dec();
    }
}

impl Connections {
    pub(super) fn new(most: usize, in_flight: IntGauge) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(most)),
            bodies: Arc::new(Semaphore::new((most - 1).max(1))),
            in_flight,
        }
    }

    /// Waits for a place for a short exchange.
    pub(super) async fn place(&self) -> Place {
        let all = acquire(&self.all).await;
        self.taken(all, None)
    }

    /// Waits for a place for a long body.
    pub(super) async fn body_place(&self) -> Place {
        let body = acquire(&self.bodies).await;
        let all = acquire(&self.all).await;
        self.taken(all, Some(body))
    }

    fn taken(&self, all: OwnedSemaphorePermit, body: Option<OwnedSemaphorePermit>) -> Place {
        self.in_flight.inc();
        Place {
            _all: all,
            _body: body,
            in_flight: self.in_flight.clone(),
        }
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(semaphore).acquire_owned().await;
    permit.expect("the semaphores of an upstream are never closed")
}

/// Whether upstream told us to wait (UP-08).
#[derive(Debug, Default)]
pub(super) struct RateLimit(Mutex<Limited>);

#[derive(Debug, Default)]
struct Limited {
    until: Option<Instant>,
    /// Limit and remainder that upstream's headers told last, and when.
    announced: Option<(i64, i64, Instant)>,
    /// 429s in a row that did not say how long.
    unsaid: u32,
}

impl RateLimit {
    /// Whether upstream may be asked.
    ///
    /// # Errors
    /// How long not.
    pub(super) fn check(&self) -> Result<(), Duration> {
        let limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = limited
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        match wait {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(wait),
        }
    }

    /// Upstream answered 429; returns how long it is left alone.
    pub(super) fn hit(&self, headers: &HeaderMap) -> Duration {
        let mut limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = match retry_after(headers) {
            Some(asked) => asked.clamp(Duration::from_secs(1), LONGEST_ASKED),
            None => {
                let pause = DEFAULT_PAUSE.saturating_mul(1 << limited.unsaid.min(8));
                limited.unsaid += 1;
                pause.min(LONGEST_PAUSE)
            }
        };
        let wait = jittered(wait);
        let until = Instant::now() + wait;
        // Several requests may hit it together: the longest wait counts.
        limited.until = Some(limited.until.map_or(until, |known| known.max(until)));
        wait
    }

    /// Upstream answered something else: it is not limited now.
    pub(super) fn passed(&self) {
        let mut limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if limited.until.is_some_and(|until| until <= Instant::now()) {
            limited.until = None;
            limited.unsaid = 0;
        }
    }

    /// Upstream's headers told of a budget.
    pub(super) fn announce(&self, limit: Option<i64>, remaining: Option<i64>) {
        let Some((limit, remaining)) = limit.zip(remaining) else {
            return;
        };
        let mut limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limited.announced = Some((limit, remaining, Instant::now()));
    }

    /// The budget that was announced last, and what was left of it then.
    pub(super) fn announced(&self) -> Option<(i64, i64)> {
        let limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limited.announced.map(|(limit, left, _)| (limit, left))
    }

    /// Whether of an announced budget more is left than pulls are to have.
    ///
    /// # Errors
    /// How long until it is looked at again.
    pub(super) fn check_spare(&self) -> Result<(), Duration> {
        let limited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match limited.announced {
            Some((limit, remaining, told)) if remaining <= limit / KEPT_FOR_PULLS => {
                let since = told.elapsed();
                match LONGEST_PAUSE.checked_sub(since) {
                    None | Some(Duration::ZERO) => Ok(()),
                    Some(wait) => Err(wait),
                }
            }
            _ => Ok(()),
        }
    }
}

/// `ratelimit-limit` and `ratelimit-remaining` as Docker Hub sends them: `100;w=21600`.
pub(super) fn announced_rate(headers: &HeaderMap) -> (Option<i64>, Option<i64>) {
    let read = |name: &str| {
        let text = headers.get(name)?.to_str().ok()?;
        text.split(';').next()?.trim().parse().ok()
    };
    (read("ratelimit-limit"), read("ratelimit-remaining"))
}

/// A cap on bytes a second, shared by all bodies of an upstream.
///
/// A piece is paid for after it came: the next one is read once the debt is worked off, so nothing that
/// arrived ever waits in a future that may be dropped.
#[derive(Debug)]
pub(super) struct Bandwidth {
    bytes_per_second: f64,
    free_at: Mutex<Instant>,
}

impl Bandwidth {
    pub(super) fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1) as f64,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Books `bytes`; returns when the next piece may be read.
    pub(super) fn book(&self, bytes: usize) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = bytes as f64 / self.bytes_per_second;
        *free_at = (*free_at).max(Instant::now()) + Duration::from_secs_f64(seconds);
        *free_at
    }
}

#[cfg(test)]
mod tests {
    use ::http::HeaderValue;
    use tokio::time::advance;

    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            ::http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )])
    }

    /// UP-08: what upstream asks for is kept, with jitter that only lengthens it.
    #[tokio::test(start_paused = true)]
    async fn a_429_is_honoured_for_as_long_as_it_says() {
        let limit = RateLimit::default();
        assert!(limit.check().is_ok());
        let wait = limit.hit(&headers("retry-after", "20"));
        assert!((20.0..=25.0).contains(&wait.as_secs_f32()), "{wait:?}");
        advance(Duration::from_secs(19)).await;
        assert!(limit.check().is_err());
        advance(Duration::from_secs(7)).await;
        assert!(limit.check().is_ok());
        let wait = limit.hit(&headers("retry-after", "99999999999"));
        assert!(wait <= LONGEST_ASKED.mul_f32(1.25), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_fifth_of_a_budget_is_for_pulls() {
        let limit = RateLimit::default();
        assert!(limit.check_spare().is_ok());
        limit.announce(Some(100), Some(21));
        assert!(limit.check_spare().is_ok());
        limit.announce(Some(100), Some(20));
        assert!(limit.check_spare().is_err() && limit.check().is_ok());
        limit.announce(None, None);
        assert!(limit.check_spare().is_err(), "nothing new was told");
        advance(LONGEST_PAUSE).await;
        assert!(limit.check_spare().is_ok(), "to hear how much is left now");
        limit.announce(Some(100), Some(100));
        assert!(limit.check_spare().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_nobody_asked_for_grow_to_a_quarter_of_an_hour() {
        let limit = RateLimit::default();
        for least in [60, 120, 240, 480, 900, 900] {
            let wait = limit.hit(&HeaderMap::new()).as_secs();
            assert!((least..=least + least / 4).contains(&wait), "{wait}");
        }
        advance(Duration::from_secs(2000)).await;
        limit.passed();
        assert!(limit.hit(&HeaderMap::new()).as_secs() <= 75);
    }

    #[test]
    fn docker_hubs_rate_headers_are_read() {
        let mut both = headers("ratelimit-limit", "100;w=21600");
        both.extend(headers("ratelimit-remaining", "76;w=21600"));
        assert_eq!(announced_rate(&both), (Some(100), Some(76)));
        assert_eq!(
            announced_rate(&headers("ratelimit-limit", "many")),
            (None, None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bandwidth_is_shared_by_those_who_book() {
        let bandwidth = Bandwidth::new(1000);
        let start = Instant::now();
        assert_eq!(bandwidth.book(500) - start, Duration::from_millis(500));
        assert_eq!(bandwidth.book(500) - start, Duration::from_secs(1));
        advance(Duration::from_secs(5)).await;
        assert_eq!(bandwidth.book(1000) - start, Duration::from_secs(6));
    }

    /// Downloads never take the last place.
    #[tokio::test]
    async fn a_place_is_left_for_short_exchanges() {
        let gauge = IntGauge::new("in_flight", "test").unwrap();
        let connections = Connections::new(2, gauge.clone());
        let body = connections.body_place().await;
        let place = connections.place().await;
        assert_eq!(gauge.get(), 2);
        assert_eq!(connections.all.available_permits(), 0);
        drop((body, place));
        assert_eq!(gauge.get(), 0);
        assert_eq!(connections.bodies.available_permits(), 1);
    }
}
