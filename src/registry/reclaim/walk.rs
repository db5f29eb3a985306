//! One walk along the least recently used units, until enough has gone or nothing more may.

use super::Scope;
use super::candidates::Place;
use super::gain::{self, HeldBack};
use crate::model::{RecencyRecord, Unit};
use crate::quota::{self, Candidate, Verdict};
use crate::registry::{Error, Registry};

/// Most units held back in a walk; then the oldest of them goes, whatever it gives back.
const MOST_HELD_BACK: usize = 256;

/// Why room is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Urgency {
    /// It is missing: what was passed over once goes if nothing else can.
    Now,
    /// It will be: no more goes than was asked for, and who needs room now has its turn first.
    Ahead,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ended {
    /// Enough has gone, or nothing more may.
    ForGood,
    /// It gave way to somebody who needs room now.
    GaveWay,
}

/// What a walk did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walked {
    /// Bytes that no longer count in its scope.
    pub(super) freed: u64,
    pub(super) ended: Ended,
}

/// A walk; whoever makes one has the turn.
pub(super) struct Walk<'a> {
    registry: &'a Registry,
    scope: Scope,
    urgency: Urgency,
    missing: u64,
    freed: u64,
    place: Place,
    held_back: HeldBack,
    /// Something was passed over that goes in a second round.
    passed_over: bool,
    is_second_round: bool,
    /// What would go next is larger than what is missing ahead of need.
    is_too_large: bool,
}

impl<'a> Walk<'a> {
    /// A walk to free `missing` bytes.
    pub(super) fn new(
        registry: &'a Registry,
        scope: Scope,
        missing: u64,
        urgency: Urgency,
    ) -> Self {
        Self {
            registry,
            scope,
            urgency,
            missing,
            freed: 0,
            place: Place::default(),
            held_back: HeldBack::default(),
            passed_over: false,
            is_second_round: false,
            is_too_large: false,
        }
    }

    /// Walks.
    pub(super) async fn run(mut self) -> Result<Walked, Error> {
        self.registry.flush_recency().await?;
        let ended = self.walk().await?;
        Ok(Walked {
            freed: self.freed,
            ended,
        })
    }

    async fn walk(&mut self) -> Result<Ended, Error> {
        loop {
            let page = self.place.next_page(self.registry, self.scope).await?;
            if page.is_empty() && !self.has_another_round().await? {
                return Ok(Ended::ForGood);
            }
            for candidate in page {
                if self.is_enough() || self.is_too_large {
                    return Ok(Ended::ForGood);
                }
                if self.urgency == Urgency::Ahead && self.registry.inner.turns.are_wanted() {
                    return Ok(Ended::GaveWay);
                }
                self.carry_out(&candidate).await?;
            }
        }
    }

    const fn is_enough(&self) -> bool {
        self.freed >= self.missing
    }

    /// At the end of all there is: whether it is gone through once more.
    async fn has_another_round(&mut self) -> Result<bool, Error> {
        if self.urgency == Urgency::Ahead || self.freed > 0 {
            return Ok(false);
        }
        // What was passed over gives back more than what was held back, unless that is enough.
        if !self.passed_over || self.held_back.bytes >= self.missing {
            while !self.is_enough()
                && let Some(unit) = self.held_back.pop()
            {
                self.let_go(unit).await?;
            }
            if self.freed > 0 || !self.passed_over {
                return Ok(false);
            }
        }
        // All there is was passed over once: now it goes, the first of it first.
        self.passed_over = false;
        self.is_second_round = true;
        self.place = Place::default();
        self.held_back = HeldBack::default();
        Ok(true)
    }

    /// Lets a candidate go, keeps it, or passes it over for this time.
    async fn carry_out(&mut self, candidate: &Candidate) -> Result<(), Error> {
        let now = self.registry.use_time();
        let candidate = Candidate {
            in_flight: self.is_in_use(&candidate.unit),
            ..*candidate
        };
        let moved = match quota::verdict(&candidate, now) {
            Verdict::Evict => return self.weigh(candidate.unit).await,
            Verdict::Keep => return Ok(()),
            Verdict::Spare => quota::spared(candidate.recency, now),
            Verdict::Postpone(until) => RecencyRecord {
                last_used: until,
                ..candidate.recency
            },
        };
        self.passed_over |= !self.is_second_round;
        let put =
            move |tx: &mut crate::store::WriteTx<'_>| tx.recency().put(&candidate.unit, &moved);
        self.registry.inner.store.write(put).await?;
        Ok(())
    }

    /// Lets a unit go, with those held back for it, if that gives something back.
    async fn weigh(&mut self, unit: Unit) -> Result<(), Error> {
        let (scope, held_back) = (self.scope, &self.held_back);
        let store = &self.registry.inner.store;
        let weighed = store
            .read(|tx| gain::weigh(tx, scope, &unit, held_back))
            .await?;
        if weighed.gain.is_negligible() {
            self.held_back.push(unit, &weighed);
            if self.held_back.len() > MOST_HELD_BACK
                && self.urgency == Urgency::Now
                && let Some(oldest) = self.held_back.pop()
            {
                self.let_go(oldest).await?;
            }
            return Ok(());
        }
        if self.urgency == Urgency::Ahead && weighed.gain.freed > self.missing - self.freed {
            self.is_too_large = true;
            return Ok(());
        }
        self.held_back.remove(&weighed.with);
        for unit in weighed.with.into_iter().chain([unit]) {
            self.let_go(unit).await?;
        }
        Ok(())
    }

    async fn let_go(&mut self, unit: Unit) -> Result<(), Error> {
        // Looked up again: somebody may have begun to use it since the page was read.
        if self.is_in_use(&unit) {
            return Ok(());
        }
        let freed = self.registry.evict(unit).await?;
        self.freed += match self.scope {
            Scope::Namespace(_) => freed.held,
            Scope::Disk => freed.on_disk,
        };
        Ok(())
    }

    /// Whether a fill works for it, or it was used since the walk began.
    fn is_in_use(&self, unit: &Unit) -> bool {
        let in_flight = self.registry.inner.in_flight.lock().contains_key(unit);
        in_flight || self.registry.inner.recency.used_at(unit).is_some()
    }
}
