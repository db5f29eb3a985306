//! The circuit breaker of an endpoint (CA-09).
//!
//! After a number of outages in a row nobody is kept waiting for a dead upstream: requests are answered at
//! once, and one at a time is let through as a probe after a growing pause. What counts as outage is the
//! caller's judgement: no connection, no answer in time, 5xx.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntGauge;
use tokio::time::Instant;

use super::retry::jittered;

/// When a breaker opens and how long it stays so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// Outages in a row that open it.
    pub(super) failures: u32,
    /// First pause; doubles with every failed probe.
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant, pause: Duration },
    Probing { pause: Duration },
}

/// Decides whether an endpoint is asked at all.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    thresholds: Thresholds,
    gauge: IntGauge,
}

impl Breaker {
    pub(super) fn new(thresholds: Thresholds, gauge: IntGauge) -> Self {
        gauge.set(0);
        Self {
            state: Mutex::new(State::Closed { failures: 0 }),
            thresholds,
            gauge,
        }
    }

    /// Whether a request may be made now, without making it.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn check(&self) -> Result<(), Duration> {
        match *self.state() {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } => match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Ok(()),
                wait => Err(wait),
            },
            State::Probing { pause } => Err(pause),
        }
    }

    /// Lets a request through; the first one after the pause is the probe that decides.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn admit(&self) -> Result<Admission<'_>, Duration> {
        self.check()?;
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { pause, .. } => {
                *state = State::Probing { pause };
                true
            }
            // Another one slipped in between check and lock.
            State::Probing { pause } => return Err(pause),
        };
        self.show(*state);
        Ok(Admission {
            breaker: self,
            probe,
        })
    }

    /// The endpoint answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        if !matches!(*state, State::Closed { .. }) {
            tracing::info!("upstream answers again");
        }
        *state = State::Closed { failures: 0 };
        self.show(*state);
    }

    /// The endpoint is out.
    pub(super) fn failed(&self) {
        let mut state = self.state();
        *state = match *state {
            State::Closed { failures } if failures + 1 < self.thresholds.failures => {
                State::Closed {
                    failures: failures + 1,
                }
            }
            State::Closed { .. } => self.opened(self.thresholds.first),
            State::Probing { pause } => {
                self.opened(pause.saturating_mul(2).min(self.thresholds.longest))
            }
            // Of a request that began before it opened: known already.
            open @ State::Open { .. } => open,
        };
        self.show(*state);
    }

    fn opened(&self, pause: Duration) -> State {
        State::Open {
            until: Instant::now() + jittered(pause),
            pause,
        }
    }

    fn show(&self, state: State) {
        self.gauge.set(match state {
            State::Closed { .. } => 0,
            State::Open { .. } => 1,
            State::Probing { .. } => 2,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Permission for one request. A probe that is dropped undecided gives its turn to the next.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        let mut state = self.breaker.state();
        if let State::Probing { pause } = *state {
            *state = State::Open {
                until: Instant::now(),
                pause,
            };
            self.breaker.show(*state);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn breaker() -> Breaker {
        let thresholds = Thresholds {
            failures: 3,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(4),
        };
        Breaker::new(thresholds, IntGauge::new("breaker", "test").unwrap())
    }

    fn open(breaker: &Breaker) {
        (0..3).for_each(|_| breaker.failed());
    }

    /// CA-09: three outages in a row open it, an answer in between does not let them add up.
    #[tokio::test(start_paused = true)]
    async fn outages_in_a_row_open_it() {
        let breaker = breaker();
        breaker.failed();
        breaker.failed();
        breaker.succeeded();
        breaker.failed();
        breaker.failed();
        assert!(breaker.admit().is_ok());
        breaker.failed();
        let wait = breaker.admit().unwrap_err();
        assert!((1.0..=1.25).contains(&wait.as_secs_f32()), "{wait:?}");
        assert_eq!(breaker.gauge.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_decides() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_secs(2)).await;
        let probe = breaker.admit().unwrap();
        assert_eq!(breaker.gauge.get(), 2);
        assert!(breaker.admit().is_err());
        breaker.succeeded();
        drop(probe);
        assert!(breaker.admit().is_ok());
        assert_eq!(breaker.gauge.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_double_the_pause_up_to_the_longest() {
        let breaker = breaker();
        open(&breaker);
        for least in [2.0, 4.0, 4.0] {
            advance(Duration::from_secs(6)).await;
            let probe = breaker.admit().unwrap();
            breaker.failed();
            drop(probe);
            let wait = breaker.admit().unwrap_err().as_secs_f32();
            assert!((least..=least * 1.25).contains(&wait), "{wait}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_given_up_leaves_its_turn_to_the_next() {
        let breaker = breaker();
        open(&breaker);
        advance(Duration::from_secs(2)).await;
        drop(breaker.admit().unwrap());
        assert!(breaker.admit().is_ok());
    }
}
