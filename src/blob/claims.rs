//! Who writes which blob: one at a time.
//!
//! A claim that is *leaving* belongs to a writer that has ended or was dropped, while its last write
//! may still run on the blocking pool; the next writer waits for that moment instead of being
//! refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::oci::Digest;

use super::{Error, lock};

/// All claims.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<Digest, Held>>);

#[derive(Debug)]
struct Held {
    leaving: Arc<AtomicBool>,
    /// Closes when the claim is gone.
    gone: watch::Receiver<()>,
}

/// The right to write one blob, until dropped.
#[derive(Debug)]
pub(super) struct Claim {
    digest: Digest,
    claims: Arc<Claims>,
    leaving: Arc<AtomicBool>,
    // Invariant: drops after `Claim::drop` has taken the entry away.
    _gone: watch::Sender<()>,
}

impl Claims {
    /// Claims `digest`, waiting for one who is leaving.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody else writes it.
    pub(super) async fn claim(self: &Arc<Self>, digest: &Digest) -> Result<Claim, Error> {
        loop {
            let mut gone = match self.try_claim(digest) {
                Ok(claim) => return Ok(claim),
                Err(Some(gone)) => gone,
                Err(None) => return Err(Error::Busy { digest: *digest }),
            };
            // Nothing is ever sent: this ends when the sender is dropped.
            gone.changed().await.ok();
        }
    }

    /// Whether anybody writes `digest`.
    pub(super) fn is_claimed(&self, digest: &Digest) -> bool {
        lock(&self.0).contains_key(digest)
    }

    /// On failure: what closes once the one who is leaving has left, if he is.
    fn try_claim(self: &Arc<Self>, digest: &Digest) -> Result<Claim, Option<watch::Receiver<()>>> {
        let mut claims = lock(&self.0);
        if let Some(held) = claims.get(digest) {
            let leaving = held.leaving.load(Ordering::Acquire);
            return Err(leaving.then(|| held.gone.clone()));
        }
        let (sender, gone) = watch::channel(());
        let leaving = Arc::new(AtomicBool::new(false));
        let held = Held {
            leaving: leaving.clone(),
            gone,
        };
        claims.insert(*digest, held);
        Ok(Claim {
            digest: *digest,
            claims: self.clone(),
            leaving,
            _gone: sender,
        })
    }
}

impl Claim {
    /// Says that the claim will go soon, and that waiting for it is worth while.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

/// Has a claim leave unless it is kept: the caller may be dropped while it waits for the work.
pub(super) struct LeaveUnlessKept(Option<Arc<Claim>>);

impl LeaveUnlessKept {
    pub(super) fn new(claim: &Arc<Claim>) -> Self {
        Self(Some(claim.clone()))
    }

    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for LeaveUnlessKept {
    fn drop(&mut self) {
        if let Some(claim) = &self.0 {
            claim.leave();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.claims.0).remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_second_claim_is_refused_until_the_first_leaves() {
        let claims = Arc::new(Claims::default());
        let digest = Digest::of(b"x");
        let first = claims.claim(&digest).await.unwrap();
        assert!(matches!(
            claims.claim(&digest).await,
            Err(Error::Busy { .. })
        ));
        first.leave();
        let mut second = Box::pin(claims.claim(&digest));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        drop(second);
        assert!(!claims.is_claimed(&digest));
    }
}
