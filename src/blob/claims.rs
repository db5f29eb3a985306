//! Who writes which blob or upload: one at a time.
//!
//! A claim that is *leaving* belongs to a writer that has ended or was dropped, while its last write
//! may still run on the blocking pool; the next writer waits for that moment instead of being
//! refused.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::lock;

/// All claims on things of one kind, by what names them.
#[derive(Debug)]
pub(super) struct Claims<K>(Mutex<HashMap<K, Held>>);

impl<K> Default for Claims<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[derive(Debug)]
struct Held {
    leaving: Arc<AtomicBool>,
    /// Closes when the claim is gone.
    gone: watch::Receiver<()>,
}

/// The right to write one thing, until dropped.
#[derive(Debug)]
pub(super) struct Claim<K: Copy + Eq + Hash> {
    key: K,
    claims: Arc<Claims<K>>,
    leaving: Arc<AtomicBool>,
    // Invariant: drops after `Claim::drop` has taken the entry away.
    _gone: watch::Sender<()>,
}

impl<K: Copy + Eq + Hash> Claims<K> {
    /// Claims `key`, waiting for one who is leaving; `None` if somebody else has it.
    pub(super) async fn claim(self: &Arc<Self>, key: &K) -> Option<Claim<K>> {
        loop {
            let mut gone = match self.try_claim(key) {
                Ok(claim) => return Some(claim),
                Err(leaving) => leaving?,
            };
            // Nothing is ever sent: this ends when the sender is dropped.
            gone.changed().await.ok();
        }
    }

    /// Whether anybody has `key`.
    pub(super) fn is_claimed(&self, key: &K) -> bool {
        lock(&self.0).contains_key(key)
    }

    /// On failure: what closes once the one who is leaving has left, if he is.
    fn try_claim(self: &Arc<Self>, key: &K) -> Result<Claim<K>, Option<watch::Receiver<()>>> {
        let mut claims = lock(&self.0);
        if let Some(held) = claims.get(key) {
            let leaving = held.leaving.load(Ordering::Acquire);
            return Err(leaving.then(|| held.gone.clone()));
        }
        let (sender, gone) = watch::channel(());
        let leaving = Arc::new(AtomicBool::new(false));
        let held = Held {
            leaving: leaving.clone(),
            gone,
        };
        claims.insert(*key, held);
        Ok(Claim {
            key: *key,
            claims: self.clone(),
            leaving,
            _gone: sender,
        })
    }
}

impl<K: Copy + Eq + Hash> Claim<K> {
    /// Says that the claim will go soon, and that waiting for it is worth while.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

/// Has a claim leave unless it is kept: the caller may be dropped while it waits for the work.
pub(super) struct LeaveUnlessKept<K: Copy + Eq + Hash>(Option<Arc<Claim<K>>>);

impl<K: Copy + Eq + Hash> LeaveUnlessKept<K> {
    pub(super) fn new(claim: &Arc<Claim<K>>) -> Self {
        Self(Some(claim.clone()))
    }

    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl<K: Copy + Eq + Hash> Drop for LeaveUnlessKept<K> {
    fn drop(&mut self) {
        if let Some(claim) = &self.0 {
            claim.leave();
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Claim<K> {
    fn drop(&mut self) {
        lock(&self.claims.0).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_second_claim_is_refused_until_the_first_leaves() {
        let claims = Arc::new(Claims::default());
        let first = claims.claim(&7).await.unwrap();
        assert!(claims.claim(&7).await.is_none());
        first.leave();
        let mut second = Box::pin(claims.claim(&7));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert!(!claims.is_claimed(&7));
    }
}
