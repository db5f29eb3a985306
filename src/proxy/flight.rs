//! One fetch a key, many waiters.
//!
//! The fetch is a task of its own, so an asker who leaves hurts nobody; its outcome is cloned to all
//! who asked while it ran.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Whether an asker began the fetch or joined it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Leader,
    Follower,
}

/// Running fetches by key; cheap to clone.
pub(super) struct Flights<K, V> {
    running: Arc<Mutex<Running<K, V>>>,
}

type Running<K, V> = HashMap<K, watch::Receiver<Option<V>>>;

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self {
            running: self.running.clone(),
        }
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            running: Arc::default(),
        }
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Waits for the running fetch of `key`, begun with `fetch` if there is none.
    ///
    /// `None` if the fetch ended without an outcome (it panicked, or the process stops).
    ///
    /// # Cancel safety
    /// Dropping the wait leaves the fetch running.
    pub(super) async fn join<F>(&self, key: K, fetch: impl FnOnce() -> F) -> (Option<V>, Role)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (mut outcome, role) = self.enter(key, fetch);
        let landed = outcome.wait_for(Option::is_some).await;
        (landed.ok().and_then(|value| value.clone()), role)
    }

    fn enter<F>(&self, key: K, fetch: impl FnOnce() -> F) -> (watch::Receiver<Option<V>>, Role)
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut running = self.lock();
        if let Some(outcome) = running.get(&key) {
            return (outcome.clone(), Role::Follower);
        }
        let (land, outcome) = watch::channel(None);
        running.insert(key.clone(), outcome.clone());
        drop(running);
        let landing = Landing {
            flights: self.clone(),
            key,
        };
        let fetch = fetch();
        tokio::spawn(async move {
            let value = fetch.await;
            drop(landing);
            land.send_replace(Some(value));
        });
        (outcome, Role::Leader)
    }

    fn lock(&self) -> MutexGuard<'_, Running<K, V>> {
        // Inserts and removes only: a panic elsewhere leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the key out when the fetch ends, in whatever way.
struct Landing<K: Eq + Hash, V> {
    flights: Flights<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.flights
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_askers_share_one_fetch() {
        let flights = Flights::<u8, u8>::default();
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (flights, begun, gate) = (flights.clone(), begun.clone(), gate.clone());
            async move {
                flights
                    .join(1, || async move {
                        begun.fetch_add(1, Ordering::Relaxed);
                        gate.notified().await;
                        7
                    })
                    .await
            }
        };
        let leader = tokio::spawn(ask());
        while begun.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let followers: Vec<_> = (0..10).map(|_| tokio::spawn(ask())).collect();
        leader.abort();
        assert!(leader.await.unwrap_err().is_cancelled());
        tokio::task::yield_now().await;
        gate.notify_one();
        for follower in followers {
            assert_eq!(follower.await.unwrap(), (Some(7), Role::Follower));
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        gate.notify_one();
        assert_eq!(ask().await, (Some(7), Role::Leader));
    }

    #[tokio::test]
    async fn a_panic_frees_the_key() {
        let flights = Flights::<u8, u8>::default();
        let (outcome, _) = flights.join(1, || async { panic!("on purpose") }).await;
        assert_eq!(outcome, None);
        assert_eq!(
            flights.join(1, || async { 2 }).await,
            (Some(2), Role::Leader)
        );
    }
}
