//! When tokens were last used: noted in memory, and written now and then, many in one write. Users and
//! robots are noted by `accounts`.
//!
//! What a crash takes with it is at most what was noted since the last write; nothing is decided by it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Auth, Error};
use crate::accounts::Accounts;
use crate::model::{AppTokenId, Member, OauthTokenId, Timestamp};
use crate::store::{self, WriteTx};

/// Notes kept at a time; what is beyond is not noted until the next write.
const NOTES: usize = 65_536;

/// Notes in one write.
const WRITTEN: usize = 1_000;

/// What was used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Used {
    Account(Member),
    AppToken(AppTokenId),
    OauthToken(OauthTokenId),
}

pub(super) struct Uses {
    accounts: Accounts,
    last: Mutex<HashMap<Used, Timestamp>>,
}

impl Uses {
    pub(super) fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            last: Mutex::default(),
        }
    }

    pub(super) fn note(&self, used: Used, now: Timestamp) {
        if let Used::Account(member) = used {
            return self.accounts.note_use(member);
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() < NOTES || last.contains_key(&used) {
            last.insert(used, now);
        }
    }

    /// Up to [`WRITTEN`] notes, which are forgotten.
    fn take(&self) -> Vec<(Used, Timestamp)> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let taken: Vec<Used> = last.keys().copied().take(WRITTEN).collect();
        let taken = taken.into_iter();
        taken
            .filter_map(|used| last.remove(&used).map(|at| (used, at)))
            .collect()
    }
}

impl Auth {
    /// Writes when accounts and tokens were last used.
    ///
    /// Called by `jobs`, and once more when the server ends. Moves no generation: nothing is decided
    /// by it.
    ///
    /// # Errors
    /// The store's; what was to be written is lost then.
    pub async fn write_uses(&self) -> Result<(), Error> {
        self.0.basic.uses.accounts.flush_uses().await?;
        loop {
            let notes = self.0.basic.uses.take();
            if notes.is_empty() {
                return Ok(());
            }
            let write = move |tx: &mut WriteTx<'_>| {
                notes
                    .iter()
                    .try_for_each(|(used, at)| touch(tx, *used, *at))
            };
            self.0.store.write(write).await?;
        }
    }
}

fn touch(tx: &mut WriteTx<'_>, used: Used, at: Timestamp) -> Result<(), store::Error> {
    match used {
        Used::AppToken(id) => tx.app_tokens().touch(id, at),
        Used::OauthToken(id) => tx.oauth_tokens().touch(id, at),
        Used::Account(_) => Ok(()),
    }
}
