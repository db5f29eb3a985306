//! How fast a run may take bytes now, and how long its tags may take.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::model::{BandwidthWindow, Clock};

/// How often it is looked whether a window in which nothing is taken has ended.
const LOOK: Duration = Duration::from_secs(1);

/// The bandwidth of a run, shared by everything it fetches.
pub(super) struct Throttle {
    windows: Vec<BandwidthWindow>,
    clock: Clock,
    free_at: Mutex<Instant>,
}

impl Throttle {
    pub(super) fn new(windows: Vec<BandwidthWindow>, clock: Clock) -> Self {
        Self {
            windows,
            clock,
            free_at: Mutex::new(Instant::now()),
        }
    }

    /// Bytes a second that may be taken now; `None`: as fast as they come.
    fn rate(&self) -> Option<u64> {
        rate_at(&self.windows, minute(self.clock.now().as_secs()))
    }

    /// Books bytes that came, and waits until the next may be taken.
    pub(super) async fn pass(&self, bytes: usize) {
        if self.windows.is_empty() {
            return;
        }
        while self.rate() == Some(0) {
            sleep(LOOK).await;
        }
        let Some(rate) = self.rate() else {
            return;
        };
        let until = self.book(bytes, rate);
        sleep_until(until).await;
    }

    fn book(&self, bytes: usize, rate: u64) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = bytes as f64 / rate.max(1) as f64;
        *free_at = (*free_at).max(Instant::now()) + Duration::from_secs_f64(seconds);
        *free_at
    }
}

/// The minute of the day, UTC.
fn minute(seconds: i64) -> u16 {
    u16::try_from(seconds.div_euclid(60).rem_euclid(1_440)).unwrap_or(0)
}

/// What the first window says that holds at a minute of the day.
fn rate_at(windows: &[BandwidthWindow], minute: u16) -> Option<u64> {
    let holds = |window: &&BandwidthWindow| {
        let (from, until) = (window.from, window.until);
        match from < until {
            true => (from..until).contains(&minute),
            // Over midnight, or always.
            false => from == until || minute >= from || minute < until,
        }
    };
    let window = windows.iter().find(holds)?;
    Some(window.bytes_per_second)
}

/// How long something may take. Time in which it waits because we want it to does not count.
pub(super) struct Patience {
    state: Mutex<Left>,
    whole: Duration,
}

struct Left {
    until: Instant,
    /// Waits under way that do not count.
    suspended: usize,
}

/// One of them.
struct Suspended<'a> {
    patience: &'a Patience,
    begun: Instant,
}

impl Drop for Suspended<'_> {
    fn drop(&mut self) {
        let mut left = self.patience.lock();
        left.suspended -= 1;
        left.until += self.begun.elapsed();
    }
}

impl Patience {
    pub(super) fn of(whole: Duration) -> Self {
        Self {
            state: Mutex::new(Left {
                until: Instant::now() + whole,
                suspended: 0,
            }),
            whole,
        }
    }

    pub(super) const fn whole(&self) -> Duration {
        self.whole
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        // Plain values: a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn until(&self) -> Instant {
        self.lock().until
    }

    /// Waits with it, but not at its cost.
    pub(super) async fn suspended<T>(&self, wait: impl Future<Output = T>) -> T {
        self.lock().suspended += 1;
        let _suspended = Suspended {
            patience: self,
            begun: Instant::now(),
        };
        wait.await
    }

    /// Waits until it is used up.
    pub(super) async fn ended(&self) {
        loop {
            let (until, suspended) = {
                let left = self.lock();
                (left.until, left.suspended)
            };
            let now = Instant::now();
            match (suspended, until <= now) {
                (0, true) => return,
                (0, false) => sleep_until(until).await,
                _ => sleep(LOOK).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn window(from: u16, until: u16, bytes_per_second: u64) -> BandwidthWindow {
        BandwidthWindow {
            from,
            until,
            bytes_per_second,
        }
    }

    #[test]
    fn the_first_window_that_holds_says_how_fast() {
        let windows = [
            window(480, 1_080, 1_000),
            window(1_380, 120, 5),
            window(0, 0, 7),
        ];
        for (minute, rate) in [
            (480, 1_000),
            (1_079, 1_000),
            (1_080, 7),
            (1_380, 5),
            (0, 5),
            (119, 5),
            (120, 7),
        ] {
            assert_eq!(rate_at(&windows, minute), Some(rate), "{minute}");
        }
        assert_eq!(rate_at(&windows[..1], 1_200), None);
        assert_eq!(minute(1_767_225_600 + 3_661), 61);
        assert_eq!(minute(-1), 1_439);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_paid_for_before_the_next_come() {
        let clock = Clock::manual(Timestamp::default());
        let throttle = Throttle::new(vec![window(0, 0, 1_000)], clock);
        let begun = Instant::now();
        throttle.pass(2_000).await;
        throttle.pass(1_000).await;
        assert_eq!(begun.elapsed().as_secs(), 3);
        let free = Throttle::new(Vec::new(), Clock::System);
        free.pass(1 << 40).await;
        assert_eq!(begun.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_taken_until_the_window_ends() {
        let clock = Clock::manual(Timestamp::default());
        let throttle = Throttle::new(vec![window(0, 60, 0)], clock.clone());
        let waited = tokio::time::timeout(Duration::from_secs(600), throttle.pass(1)).await;
        assert!(waited.is_err());
        clock.advance(Duration::from_secs(3_600));
        throttle.pass(1).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_we_want_costs_no_patience() {
        let patience = Patience::of(Duration::from_secs(10));
        let begun = Instant::now();
        patience.suspended(sleep(Duration::from_secs(60))).await;
        patience.ended().await;
        assert_eq!(begun.elapsed().as_secs(), 70);
    }
}
