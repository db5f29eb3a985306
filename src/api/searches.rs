//! A bound on what searches at the same time: a search may look at 100,000 names, and many at once would
//! leave nothing for those who pull.
//!
//! Who comes when all places are taken waits for one, in the order of arrival, and is sent away after a
//! while (429 with `Retry-After`). Whoever goes away while he waits has taken nothing.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Searches at the same time.
const PLACES: usize = 4;

/// Longest wait for a place.
const WAIT: Duration = Duration::from_secs(5);

/// The places of those who search.
pub(super) struct Searches {
    places: Semaphore,
    wait: Duration,
}

/// Every place was taken for as long as anybody waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Busy;

impl Default for Searches {
    fn default() -> Self {
        Self::new(PLACES, WAIT)
    }
}

impl Searches {
    const fn new(places: usize, wait: Duration) -> Self {
        Self {
            places: Semaphore::const_new(places),
            wait,
        }
    }

    /// A place, held until it is dropped.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>, Busy> {
        match tokio::time::timeout(self.wait, self.places.acquire()).await {
            Ok(place) => Ok(place.expect("nobody closes the semaphore")),
            Err(_) => Err(Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_is_sent_away_after_a_while() {
        let searches = Searches::new(2, WAIT);
        let first = searches.place().await.unwrap();
        let _second = searches.place().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(searches.place().await.err(), Some(Busy));
        assert_eq!(begun.elapsed(), WAIT);
        drop(first);
        assert!(searches.place().await.is_ok(), "a place is free again");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_the_place_that_becomes_free() {
        let searches = Searches::new(1, WAIT);
        let place = searches.place().await.unwrap();
        let later = async {
            tokio::time::advance(WAIT / 2).await;
            drop(place);
        };
        let (waited, ()) = tokio::join!(searches.place(), later);
        assert!(waited.is_ok());
    }
}
