//! Whether a connection still moves, told by those who see bytes pass.
//!
//! One [`Pulse`] a connection: the head guard, the exchanges and the chunks note what happens; the
//! connection's task looks now and then and ends it when its peer is too slow (RS-02). Noting costs
//! an atomic store; there is one timer a connection, not one a request.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;

/// Bytes a client must take before that counts as movement, so that one byte a minute does not.
const STEP: u64 = 4 << 10;

/// The movements of one connection.
pub(super) struct Pulse {
    epoch: Instant,
    /// Milliseconds from `epoch` to the last movement.
    moved: AtomicU64,
    /// Bytes taken since.
    taken: AtomicU64,
    /// A request was ever made.
    begun: AtomicBool,
    /// Requests whose answer is not wholly written.
    open: AtomicUsize,
    /// Requests whose body may still come, answered or not.
    bodies: AtomicUsize,
    /// Chunks of answers that hyper has and the peer has not.
    offered: AtomicUsize,
    /// When the head under way began, in milliseconds plus one; 0 if there is none.
    head: AtomicU64,
    /// An answer broke off, or its peer must not take the end for a good one.
    broken: AtomicBool,
}

/// What a look at the pulse says.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Fine; look again after this time.
    Fine(Duration),
    /// Nothing was asked for too long.
    Idle,
    /// A request's head is taking too long.
    SlowHead,
    /// The peer does not take what it asked for.
    Stalled,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            moved: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            begun: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            offered: AtomicUsize::new(0),
            head: AtomicU64::new(0),
            broken: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn touch(&self) {
        self.moved.store(self.now(), Relaxed);
    }

    /// The first byte of a head came.
    pub(super) fn head_begins(&self) {
        if self.head.load(Relaxed) == 0 {
            self.head.store(self.now() + 1, Relaxed);
        }
    }

    /// The head is complete.
    pub(super) fn head_ends(&self) {
        self.head.store(0, Relaxed);
        self.touch();
    }

    pub(super) fn exchange_begins(&self) {
        self.begun.store(true, Relaxed);
        self.open.fetch_add(1, Relaxed);
        self.touch();
    }

    pub(super) fn exchange_ends(&self) {
        self.open.fetch_sub(1, Relaxed);
        self.touch();
    }

    pub(super) fn body_begins(&self) {
        self.bodies.fetch_add(1, Relaxed);
    }

    pub(super) fn body_ends(&self) {
        self.bodies.fetch_sub(1, Relaxed);
        self.touch();
    }

    /// Whether any request was made on this connection.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Whether no request is being read or answered.
    pub(super) fn is_resting(&self) -> bool {
        self.open.load(Relaxed) == 0 && self.bodies.load(Relaxed) == 0
    }

    pub(super) fn chunk_offered(&self) {
        if self.offered.fetch_add(1, Relaxed) == 0 {
            self.touch();
        }
    }

    pub(super) fn chunk_gone(&self) {
        self.offered.fetch_sub(1, Relaxed);
        self.touch();
    }

    /// The peer took `bytes` of a chunk.
    pub(super) fn taken(&self, bytes: u64) {
        if self.taken.fetch_add(bytes, Relaxed) + bytes >= STEP {
            self.taken.store(0, Relaxed);
            self.touch();
        }
    }

    /// From here on the connection must end so that no short body passes for a whole one.
    pub(super) fn breaks(&self) {
        self.broken.store(true, Relaxed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Relaxed)
    }

    /// Judges the connection as of now.
    pub(super) fn judge(&self, limits: &Limits) -> Verdict {
        let now = self.now();
        let head = self.head.load(Relaxed);
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let still = since(self.moved.load(Relaxed));
        let (waited, allowed, verdict) = if head != 0 {
            (since(head - 1), limits.head, Verdict::SlowHead)
        } else if self.offered.load(Relaxed) > 0 {
            (still, limits.stall, Verdict::Stalled)
        } else if self.is_resting() {
            (still, limits.idle, Verdict::Idle)
        } else {
            return Verdict::Fine(rhythm(limits));
        };
        match allowed.checked_sub(waited) {
            None | Some(Duration::ZERO) => verdict,
            Some(left) => Verdict::Fine(left.min(rhythm(limits))),
        }
    }
}

/// The longest time between two looks: what begins just after one is noticed half a limit late at most.
fn rhythm(limits: &Limits) -> Duration {
    (limits.head.min(limits.stall).min(limits.idle) / 2).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// RS-02: each phase has its own limit.
    #[tokio::test(start_paused = true)]
    async fn every_phase_has_its_limit() {
        let (pulse, limits) = (Pulse::new(), Limits::default());
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(15)));
        advance(secs(80)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(10)));
        pulse.head_begins();
        advance(secs(29)).await;
        pulse.head_begins();
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(1)));
        advance(secs(1)).await;
        assert_eq!(pulse.judge(&limits), Verdict::SlowHead);
        pulse.head_ends();
        pulse.exchange_begins();
        advance(secs(3600)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(15)));
        pulse.chunk_offered();
        advance(secs(45)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Stalled);
        pulse.chunk_gone();
        pulse.body_begins();
        pulse.exchange_ends();
        advance(secs(3600)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(15)));
        pulse.body_ends();
        advance(secs(90)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Idle);
    }

    /// RS-02: a reader that takes a byte now and then makes no progress.
    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_not_movement() {
        let (pulse, limits) = (Pulse::new(), Limits::default());
        pulse.exchange_begins();
        pulse.chunk_offered();
        for _ in 0..44 {
            advance(secs(1)).await;
            pulse.taken(1);
        }
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(1)));
        advance(secs(1)).await;
        assert_eq!(pulse.judge(&limits), Verdict::Stalled);
        pulse.taken(STEP);
        assert_eq!(pulse.judge(&limits), Verdict::Fine(secs(15)));
    }
}
