//! Making room: carries out what `quota` decides about the least recently used units.
//!
//! Called by whoever takes room, which waits for what is missing, and by `jobs`, which makes room ahead
//! of need so that this is rare. One walk runs at a time; one that runs ahead of need gives way.

mod candidates;
mod gain;
mod walk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Error, Registry};
use crate::model::{NamespaceId, Unit};
use crate::quota::{Pressure, Reservation, Shortage};
use walk::{Ended, Urgency, Walk};

/// Whose content may go.
#[derive(Clone, Copy, Debug)]
enum Scope {
    Namespace(NamespaceId),
    /// Every cache: the disk is short.
    Disk,
}

/// Who makes room, one at a time and in the order of asking.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turn: tokio::sync::Mutex<()>,
    /// Those who need room now and wait for their turn.
    waiting: AtomicUsize,
}

impl Turns {
    /// The turn of somebody who cannot go on without room.
    async fn now(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let _waits = Waits::new(&self.waiting);
        self.turn.lock().await
    }

    /// Whether somebody waits who cannot go on without room.
    fn are_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// Counts one that waits until it is dropped, also where the waiting is given up.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Units that running fills work for; they are not evicted.
#[derive(Clone, Default)]
pub(super) struct InFlight {
    units: Arc<Mutex<HashMap<Unit, usize>>>,
}

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, HashMap<Unit, usize>> {
        // Counts only: a panic elsewhere leaves them whole.
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps units from being evicted until it is dropped.
pub struct Protected {
    in_flight: InFlight,
    units: Vec<Unit>,
}

impl Drop for Protected {
    fn drop(&mut self) {
        let mut counts = self.in_flight.lock();
        for unit in &self.units {
            match counts.get_mut(unit) {
                Some(1) => _ = counts.remove(unit),
                Some(count) => *count -= 1,
                None => {}
            }
        }
    }
}

impl Registry {
    /// Keeps `units` from being evicted while the guard lives.
    pub fn protect(&self, units: Vec<Unit>) -> Protected {
        let in_flight = self.inner.in_flight.clone();
        let mut counts = in_flight.lock();
        for unit in &units {
            *counts.entry(*unit).or_default() += 1;
        }
        drop(counts);
        Protected { in_flight, units }
    }

    /// Takes `bytes` for new content of a namespace, evicting older content where needed.
    ///
    /// # Errors
    /// As [`Registry::cover`].
    pub async fn reserve(
        &self,
        namespace: NamespaceId,
        bytes: u64,
        needed_for: &[Unit],
    ) -> Result<Reservation, Error> {
        let mut reservation = self.inner.ledger.nothing(namespace);
        self.cover(&mut reservation, bytes, needed_for).await?;
        Ok(reservation)
    }

    /// Makes a reservation cover `total` bytes, evicting older content where needed.
    ///
    /// `needed_for` are the units that the content belongs to: they do not go to make room for it.
    ///
    /// # Errors
    /// [`Error::NoRoom`] if it does not fit and nothing more can go, [`Error::QuotaExceeded`] if that is
    /// a namespace's limit; then it covers what it did before. The store's or the disk's.
    pub async fn cover(
        &self,
        reservation: &mut Reservation,
        total: u64,
        needed_for: &[Unit],
    ) -> Result<(), Error> {
        if reservation.cover(total).is_ok() {
            return Ok(());
        }
        self.inner.metrics.room_waits.inc();
        let _turn = self.inner.turns.now().await;
        let _protected = self.protect(needed_for.to_vec());
        loop {
            let Err(shortage) = reservation.cover(total) else {
                return Ok(());
            };
            let scope = match shortage {
                Shortage::Disk { .. } => Scope::Disk,
                Shortage::Quota { .. } | Shortage::Never { .. } => {
                    Scope::Namespace(reservation.namespace())
                }
            };
            let Some(missing) = shortage.missing() else {
                return Err(self.refused(reservation.namespace(), shortage).await);
            };
            let walk = Walk::new(self, scope, missing, Urgency::Now);
            if walk.run().await?.freed == 0 {
                return Err(self.refused(reservation.namespace(), shortage).await);
            }
        }
    }

    /// Brings the disk back over its reserve and every cache under its cap, for when others filled
    /// the disk or a cap was lowered; returns the bytes it freed.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn relieve(&self) -> Result<u64, Error> {
        let _turn = self.inner.turns.now().await;
        let mut freed = 0;
        for namespace in self.inner.policies.load().keys() {
            let excess = self.inner.ledger.excess(*namespace);
            freed += self.free(Scope::Namespace(*namespace), excess).await?;
        }
        let deficit = self.inner.ledger.disk_deficit();
        freed += self.free(Scope::Disk, deficit).await?;
        Ok(freed)
    }

    /// Frees `missing` bytes, if so many may go: a walk that freed some leaves what it passed over to the next.
    async fn free(&self, scope: Scope, missing: u64) -> Result<u64, Error> {
        let mut freed = 0;
        while freed < missing {
            let walk = Walk::new(self, scope, missing - freed, Urgency::Now);
            match walk.run().await?.freed {
                0 => break,
                more => freed += more,
            }
        }
        Ok(freed)
    }

    /// Makes room ahead of need: where caches or the disk are past their high marks, the least recently
    /// used goes until they are down to the low ones; returns the bytes it freed.
    ///
    /// Never goes below a low mark: where the next to go is larger than what is above it, nothing goes
    /// before somebody needs its room. Whoever does has its turn first.
    ///
    /// # Errors
    /// The store's or the disk's.
    pub async fn ease(&self) -> Result<u64, Error> {
        let namespaces: Vec<_> = self.inner.policies.load().keys().copied().collect();
        let scopes = namespaces.into_iter().map(Scope::Namespace);
        let mut freed = 0;
        for scope in scopes.chain([Scope::Disk]) {
            if self.pressure(scope).is_high {
                freed += self.ease_one(scope).await?;
            }
        }
        Ok(freed)
    }

    /// Resolves when room has become scarce since it last did: it should be made before the interval
    /// ends.
    pub async fn room_wanted(&self) {
        self.inner.ledger.pressed().await;
    }

    async fn ease_one(&self, scope: Scope) -> Result<u64, Error> {
        let mut freed = 0;
        loop {
            let _turn = self.inner.turns.turn.lock().await;
            let surplus = self.pressure(scope).surplus;
            let walk = Walk::new(self, scope, surplus, Urgency::Ahead);
            let walked = walk.run().await?;
            freed += walked.freed;
            if walked.ended == Ended::ForGood {
                return Ok(freed);
            }
        }
    }

    fn pressure(&self, scope: Scope) -> Pressure {
        match scope {
            Scope::Namespace(namespace) => self.inner.ledger.pressure(namespace),
            Scope::Disk => self.inner.ledger.disk_pressure(),
        }
    }
}
