//! Bearer tokens by scope: fetched once for any number of waiters, renewed before they end.
//!
//! The cache belongs to one `Upstream`: another organisation with the same upstream never sees its tokens
//! (UP-07). Ages are measured by our own monotonic clock from the moment a token came; `issued_at` is what
//! another clock says and is not believed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::http::HeaderValue;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout_at};

use super::redirect::Hop;
use super::token_endpoint::Source;
use super::{Error, Remote};
use crate::oci::RepositoryName;

/// Most tokens kept.
const KEPT: usize = 1024;

/// Where a token is valid and what for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    origin: String,
    /// Obtained with our account; never used behind a redirect.
    home: bool,
    pub(super) repository: Option<RepositoryName>,
}

impl Key {
    pub(super) fn new(hop: &Hop, repository: Option<&RepositoryName>) -> Self {
        Self {
            origin: hop.url.origin().ascii_serialization(),
            home: hop.home,
            repository: repository.cloned(),
        }
    }
}

/// The tokens of one upstream.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<Key, Arc<Slot>>>);

impl Tokens {
    pub(super) fn slot(&self, key: &Key) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KEPT && !slots.contains_key(key) {
            slots.retain(|_, slot| slot.is_worth_keeping());
            if slots.len() >= KEPT {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

/// The token of one key. Its lock is held while a token is fetched: that is what waiters wait for.
#[derive(Debug, Default)]
pub(super) struct Slot {
    grant: tokio::sync::Mutex<Grant>,
    /// Fetches that have ended, to tell a waiter from a latecomer.
    ended: AtomicU64,
}

#[derive(Debug, Default)]
struct Grant {
    source: Option<Source>,
    token: Option<(HeaderValue, Instant)>,
    failure: Option<Error>,
}

impl Grant {
    fn valid_token(&self) -> Option<HeaderValue> {
        let (token, renew_at) = self.token.as_ref()?;
        (Instant::now() < *renew_at).then(|| token.clone())
    }
}

impl Slot {
    fn is_worth_keeping(&self) -> bool {
        self.grant
            .try_lock()
            .map_or(true, |grant| grant.valid_token().is_some())
    }

    /// What authenticates us, renewed if it is old; `None` if nothing is known to be needed.
    pub(super) async fn current(
        &self,
        remote: &Remote,
        deadline: Instant,
    ) -> Result<Option<HeaderValue>, Error> {
        let source = self.lock(remote, deadline).await?.source.clone();
        let Some(source) = source else {
            return Ok(None);
        };
        match self.obtain(remote, source, deadline).await {
            Ok(value) => Ok(Some(value)),
            // What was learnt holds no longer: begin without.
            Err(Error::Unauthorized(_) | Error::Denied | Error::Unexpected(_)) => {
                self.lock(remote, deadline).await?.source = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A valid token of `source`: the one that is there, the one another caller is fetching, or a new one.
    pub(super) async fn obtain(
        &self,
        remote: &Remote,
        source: Source,
        deadline: Instant,
    ) -> Result<HeaderValue, Error> {
        let realm = match &source {
            Source::Bearer(realm) => realm.clone(),
            Source::Basic => {
                self.lock(remote, deadline).await?.source = Some(source);
                return remote.basic().await;
            }
        };
        let ended = self.ended.load(Ordering::Acquire);
        let mut grant = self.lock(remote, deadline).await?;
        if let Some(token) = grant.valid_token() {
            return Ok(token);
        }
        let waited = ended != self.ended.load(Ordering::Acquire);
        if let (true, Some(failure)) = (waited, &grant.failure) {
            return Err(failure.clone());
        }
        let fetched = remote.fetch_token(&realm, deadline).await;
        *grant = Grant {
            source: fetched.is_ok().then_some(source),
            token: fetched.as_ref().ok().cloned(),
            failure: fetched.as_ref().err().cloned(),
        };
        self.ended.fetch_add(1, Ordering::Release);
        fetched.map(|(token, _)| token)
    }

    /// Drops `refused`, unless it has been replaced already.
    pub(super) async fn forget(&self, refused: &HeaderValue) {
        let mut grant = self.grant.lock().await;
        let same = grant
            .token
            .as_ref()
            .is_none_or(|(token, _)| token == refused);
        if same {
            *grant = Grant::default();
        }
    }

    async fn lock(
        &self,
        remote: &Remote,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, Grant>, Error> {
        let locked = timeout_at(deadline, self.grant.lock()).await;
        locked.map_err(|_| Error::Timeout(remote.deadlines.token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_tokens_is_bounded() {
        let tokens = Tokens::default();
        for number in 0..3 * KEPT {
            let repository = format!("r{number}").parse().ok();
            tokens.slot(&Key {
                origin: String::new(),
                home: true,
                repository,
            });
        }
        assert!(tokens.0.lock().unwrap().len() <= KEPT);
    }
}
