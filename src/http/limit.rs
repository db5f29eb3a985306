//! How many connections there are, and may be.

use std::sync::Arc;

use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The cap on connections, shared by all listeners.
#[derive(Clone)]
pub(super) struct Connections {
    places: Arc<Semaphore>,
    cap: u32,
    gauge: IntGauge,
}

/// The place of one connection; dropped, it is free.
pub(super) struct Place {
    gauge: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(cap: usize, gauge: IntGauge) -> Self {
        // Above what a semaphore or a `u32` counts there is no cap to speak of.
        let cap = u32::try_from(cap.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX >> 3);
        Self {
            places: Arc::new(Semaphore::new(cap as usize)),
            cap,
            gauge,
        }
    }

    /// A place, if there is one.
    pub(super) fn take(&self) -> Option<Place> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        self.gauge.inc();
        Some(Place {
            gauge: self.gauge.clone(),
            _permit: permit,
        })
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        (self.cap as usize).saturating_sub(self.places.available_permits())
    }

    /// Returns when no connection is open.
    pub(super) async fn none_open(&self) {
        // The semaphore is never closed, so this cannot fail.
        let _ = self.places.acquire_many(self.cap).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn places_are_few_and_come_back() {
        let gauge = IntGauge::new("connections", "open").unwrap();
        let connections = Connections::new(2, gauge.clone());
        let (first, second) = (connections.take().unwrap(), connections.take().unwrap());
        assert!(connections.take().is_none());
        assert_eq!((connections.open(), gauge.get()), (2, 2));
        drop(first);
        assert!(connections.none_open().now_or_never().is_none());
        drop(second);
        connections.none_open().await;
        assert_eq!((connections.open(), gauge.get()), (0, 0));
    }

    #[tokio::test]
    async fn a_huge_cap_is_no_cap() {
        let gauge = IntGauge::new("connections", "open").unwrap();
        let connections = Connections::new(usize::MAX, gauge);
        drop(connections.take().unwrap());
        connections.none_open().await;
    }
}
