//! Blobs that somebody who may push has sent, or has been told are there: he is about to name them.
//!
//! Kept in memory for the grace period, or until he has named them. A restart forgets them, so nothing
//! unnamed is collected before the grace period has passed since the start. While a transaction may take a blob away, who asks
//! for it waits for the outcome: what he is told afterwards stays true (GC-01).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::model::{RepositoryId, Timestamp};
use crate::oci::Digest;
use crate::registry::session::Owner;

/// Touches remembered, some 10 MiB of them; when there are more, everything counts as touched.
const MOST: usize = 100_000;

/// Pushers of one blob that are told apart; beyond, nobody's naming ends the wait.
const PUSHERS: usize = 16;

type Blob = (RepositoryId, Digest);

/// Who is about to name a blob, and since when; nobody in particular where there are too many.
type Pushers = Vec<(Option<Owner>, Timestamp)>;

/// When blobs were last asked for by pushers.
pub(in crate::registry) struct Touches {
    state: Mutex<State>,
    released: Notify,
}

struct State {
    /// Everything counts as touched then.
    all: Timestamp,
    touched: HashMap<Blob, Pushers>,
    /// Blobs that a running transaction may take away.
    condemned: HashSet<Blob>,
}

impl Touches {
    pub(in crate::registry) fn new(started: Timestamp) -> Self {
        Self {
            state: Mutex::new(State {
                all: started,
                touched: HashMap::new(),
                condemned: HashSet::new(),
            }),
            released: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Maps of plain values: a panic elsewhere leaves them whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a touch, after a transaction that may take the blob away has ended.
    pub(in crate::registry) async fn touch(&self, blob: Blob, by: Owner, now: Timestamp) {
        loop {
            // Made before the look, so that it hears of every release after the look.
            let released = self.released.notified();
            {
                let mut state = self.lock();
                if state.touched.len() >= MOST {
                    state.touched.clear();
                    state.all = now;
                }
                note(state.touched.entry(blob).or_default(), by, now);
                if !state.condemned.contains(&blob) {
                    return;
                }
            }
            released.await;
        }
    }

    /// Notes that blobs have been named by whoever was about to.
    pub(in crate::registry) fn settle(
        &self,
        repository: RepositoryId,
        blobs: impl Iterator<Item = Digest>,
        by: Owner,
    ) {
        let mut state = self.lock();
        for digest in blobs {
            if let Entry::Occupied(mut pushers) = state.touched.entry((repository, digest)) {
                pushers.get_mut().retain(|(of, _)| *of != Some(by));
                if pushers.get().is_empty() {
                    pushers.remove();
                }
            }
        }
    }

    /// Notes that nothing was promised before the start: nothing was there.
    pub(in crate::registry) fn forget_start(&self) {
        self.lock().all = Timestamp::default();
    }

    /// When a blob was last touched by somebody who has not named it, as far as that is known.
    pub(super) fn last(&self, blob: &Blob) -> Timestamp {
        let state = self.lock();
        let touched = state.touched.get(blob).into_iter().flatten();
        let last = touched.map(|(_, at)| *at).max();
        last.map_or(state.all, |last| last.max(state.all))
    }

    /// Forgets touches that are older than the grace period.
    pub(super) fn prune(&self, now: Timestamp, grace: Duration) {
        self.lock().touched.retain(|_, pushers| {
            pushers.retain(|(_, at)| *at + grace > now);
            !pushers.is_empty()
        });
    }

    /// Has who touches one of these wait until the guard is dropped.
    pub(super) fn condemn(&self, blobs: Vec<Blob>) -> Condemned<'_> {
        self.lock().condemned.extend(blobs.iter().copied());
        Condemned {
            touches: self,
            blobs,
        }
    }
}

fn note(pushers: &mut Pushers, by: Owner, now: Timestamp) {
    match pushers.iter().position(|(of, _)| *of == Some(by)) {
        Some(at) => pushers[at].1 = now,
        None if pushers.len() < PUSHERS => pushers.push((Some(by), now)),
        None => *pushers = vec![(None, now)],
    }
}

/// Blobs that a running transaction may take away.
pub(super) struct Condemned<'a> {
    touches: &'a Touches,
    blobs: Vec<Blob>,
}

impl Drop for Condemned<'_> {
    fn drop(&mut self) {
        let mut state = self.touches.lock();
        for blob in &self.blobs {
            state.condemned.remove(blob);
        }
        drop(state);
        self.touches.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::model::{Actor, UserId};

    const ME: Owner = Owner::of(&Actor::Anonymous);

    fn user(id: u64) -> Owner {
        let name = "somebody".parse().unwrap();
        let id = UserId(id);
        Owner::of(&Actor::User { id, name })
    }

    #[tokio::test]
    async fn a_blob_waits_for_everybody_who_is_about_to_name_it() {
        let at = Timestamp::from_millis;
        let touches = Touches::new(at(0));
        let blob = (RepositoryId(1), Digest::of(b"one"));
        touches.touch(blob, user(1), at(5)).await;
        touches.touch(blob, user(2), at(3)).await;
        touches.settle(blob.0, [blob.1].into_iter(), user(1));
        assert_eq!(touches.last(&blob), at(3));
        touches.settle(blob.0, [blob.1].into_iter(), user(2));
        assert_eq!(touches.last(&blob), at(0));
        assert!(touches.lock().touched.is_empty());
        for id in 0..=PUSHERS as u64 {
            touches.touch(blob, user(id), at(7)).await;
        }
        touches.settle(blob.0, [blob.1].into_iter(), user(1));
        assert_eq!(touches.last(&blob), at(7), "too many to tell apart");
    }

    #[tokio::test]
    async fn who_touches_what_may_go_waits_for_the_outcome() {
        let at = Timestamp::from_millis;
        let touches = Touches::new(at(5));
        let (one, other) = [b"one", b"two"]
            .map(|bytes| (RepositoryId(1), Digest::of(bytes)))
            .into();
        assert_eq!(touches.last(&one), at(5), "a start counts as a touch");
        let condemned = touches.condemn(vec![one]);
        assert!(touches.touch(other, ME, at(9)).now_or_never().is_some());
        let mut waiting = Box::pin(touches.touch(one, ME, at(9)));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(touches.last(&one), at(9), "it counts while he waits");
        drop(condemned);
        assert!(waiting.now_or_never().is_some());
        touches.prune(at(20), Duration::from_millis(11));
        assert_eq!(touches.last(&one), at(5));
    }

    #[tokio::test]
    async fn more_touches_than_fit_touch_everything() {
        let touches = Touches::new(Timestamp::default());
        let now = Timestamp::from_millis(7);
        for number in 0..=MOST {
            let blob = (RepositoryId(number as u64), Digest::of(b""));
            touches.touch(blob, ME, now).await;
        }
        assert_eq!(touches.lock().touched.len(), 1);
        assert_eq!(touches.last(&(RepositoryId(0), Digest::of(b""))), now);
    }
}
