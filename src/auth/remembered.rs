//! Credentials that were right a moment ago, so that a client that sends its password with every
//! request is not hashed every time.
//!
//! Neither names nor passwords are kept, only their HMAC under a key that lives as long as the
//! process. An entry counts for a minute and only under the generation of the accounts that it was
//! verified under; a password may be carried over to the next generation if its stored hash is still
//! the same.

use std::time::Duration;

use aws_lc_rs::hmac;
use moka::sync::Cache;

use super::Identity;
use super::uses::Used;
use crate::model::{Secret, Timestamp};

/// How long credentials count without being looked at again.
const FOR: Duration = Duration::from_secs(60);

/// About 300 bytes each.
const ENTRIES: u64 = 16_384;

/// The keyed hash of something secret.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub(super) struct Mac([u8; 32]);

pub(super) struct Remembered {
    key: hmac::Key,
    entries: Cache<Mac, Entry>,
}

#[derive(Clone)]
struct Entry {
    identity: Identity,
    used: Used,
    generation: u64,
    /// Of what is stored to compare with.
    stored: Mac,
    verified: Timestamp,
    /// When the credential itself ends.
    ends: Option<Timestamp>,
}

/// Credentials found right.
pub(super) struct Right {
    pub(super) identity: Identity,
    pub(super) used: Used,
    pub(super) stored: Mac,
    pub(super) ends: Option<Timestamp>,
}

impl Remembered {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).expect("the system gives random bytes");
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            // By the real clock, to free memory; whether an entry counts is told by ours.
            entries: Cache::builder()
                .max_capacity(ENTRIES)
                .time_to_live(FOR)
                .build(),
        }
    }

    pub(super) fn credentials(&self, username: &str, password: &Secret) -> Mac {
        let length = (username.len() as u64).to_be_bytes();
        self.mac(&[&length, username.as_bytes(), password.expose().as_bytes()])
    }

    pub(super) fn stored(&self, secret: &[u8]) -> Mac {
        self.mac(&[secret])
    }

    /// Whose these credentials are, if they were verified under this generation a moment ago.
    pub(super) fn recall(
        &self,
        credentials: &Mac,
        generation: u64,
        now: Timestamp,
    ) -> Option<(Identity, Used)> {
        let entry = self.fresh(credentials, now)?;
        (entry.generation == generation).then_some((entry.identity, entry.used))
    }

    /// Whether these credentials were verified a moment ago, under whatever generation.
    pub(super) fn knows(&self, credentials: &Mac, now: Timestamp) -> bool {
        self.fresh(credentials, now).is_some()
    }

    /// Whether these credentials were verified a moment ago against what is still stored, whatever
    /// else has changed. Carries the entry over to `generation`; it ends when it would have.
    pub(super) fn carry_over(
        &self,
        credentials: &Mac,
        right: &Right,
        generation: u64,
        now: Timestamp,
    ) -> bool {
        match self.fresh(credentials, now) {
            Some(entry)
                if entry.stored == right.stored
                    && entry.identity.holder() == right.identity.holder() =>
            {
                let carried = Entry {
                    identity: right.identity.clone(),
                    generation,
                    ..entry
                };
                self.entries.insert(*credentials, carried);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Notes credentials as verified against what was stored under `generation`.
    pub(super) fn note(&self, credentials: Mac, right: Right, generation: u64, now: Timestamp) {
        let entry = Entry {
            identity: right.identity,
            used: right.used,
            generation,
            stored: right.stored,
            verified: now,
            ends: right.ends,
        };
        self.entries.insert(credentials, entry);
    }

    fn fresh(&self, credentials: &Mac, now: Timestamp) -> Option<Entry> {
        let entry = self.entries.get(credentials)?;
        let has_ended = entry.ends.is_some_and(|ends| ends <= now);
        (now.since(entry.verified) < FOR && !has_ended).then_some(entry)
    }

    fn mac(&self, parts: &[&[u8]]) -> Mac {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        Mac(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Member, UserId};

    fn right(remembered: &Remembered, ends: Option<Timestamp>) -> Right {
        Right {
            identity: Identity::User {
                id: UserId(1),
                name: "alice".parse().unwrap(),
                superuser: false,
                global_readonly: false,
                restricted: false,
                scopes: crate::auth::Scopes::ALL,
                token: None,
            },
            used: Used::Account(Member::User(UserId(1))),
            stored: remembered.stored(b"hash"),
            ends,
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn credentials_count_for_a_minute_under_their_generation() {
        let remembered = Remembered::new();
        let credentials = remembered.credentials("alice", &Secret::new("password"));
        remembered.note(credentials, right(&remembered, None), 7, at(0));
        assert!(remembered.recall(&credentials, 7, at(59)).is_some());
        assert!(remembered.recall(&credentials, 7, at(60)).is_none());
        assert!(remembered.recall(&credentials, 8, at(1)).is_none());
        for (name, password) in [
            ("alice", "Password"),
            ("alicep", "assword"),
            ("bob", "password"),
        ] {
            let other = remembered.credentials(name, &Secret::new(password));
            assert!(
                remembered.recall(&other, 7, at(1)).is_none(),
                "{name}:{password}"
            );
        }
    }

    #[test]
    fn carrying_over_needs_the_same_hash_and_prolongs_nothing() {
        let remembered = Remembered::new();
        let credentials = remembered.credentials("alice", &Secret::new("password"));
        remembered.note(credentials, right(&remembered, None), 7, at(0));
        let changed = Right {
            stored: remembered.stored(b"other"),
            ..right(&remembered, None)
        };
        assert!(!remembered.carry_over(&credentials, &changed, 8, at(30)));
        assert!(remembered.carry_over(&credentials, &right(&remembered, None), 8, at(30)));
        assert!(remembered.recall(&credentials, 8, at(59)).is_some());
        assert!(remembered.recall(&credentials, 8, at(60)).is_none());
    }

    #[test]
    fn a_credential_that_ends_is_not_remembered_beyond_its_end() {
        let remembered = Remembered::new();
        let credentials = remembered.credentials("$app", &Secret::new("code"));
        remembered.note(credentials, right(&remembered, Some(at(10))), 7, at(0));
        assert!(remembered.recall(&credentials, 7, at(9)).is_some());
        assert!(remembered.recall(&credentials, 7, at(10)).is_none());
    }
}
