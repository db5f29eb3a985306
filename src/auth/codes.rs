//! Authorization codes: what an application gets for a person's consent, and changes for a token.
//!
//! RFC 6749 section 4.1. A code is good once, for a few minutes, for the application, the redirect URI
//! and the scope that the person saw. Codes are kept in memory only: they live for less time than it
//! takes to begin anew, and one that a restart lost is asked for again.

use std::time::Duration;

use moka::sync::Cache;

use super::{Auth, Scopes};
use crate::accounts::{new_oauth_code, oauth_token_hash};
use crate::model::{Clock, OauthApplicationId, Secret, Timestamp, UserId};

/// RFC 6749 section 4.1.2 recommends at most ten minutes.
const FOR: Duration = Duration::from_secs(10 * 60);

/// Codes at a time; only people who consent make any.
const CODES: u64 = 16_384;

/// What a person consented to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Consent {
    pub application: OauthApplicationId,
    pub user: UserId,
    pub redirect_uri: String,
    pub scopes: Scopes,
}

pub(super) struct Codes {
    clock: Clock,
    /// By the hash of the code, which is no use to who reads the memory.
    given: Cache<[u8; 32], (Consent, Timestamp)>,
}

impl Codes {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            // By the real clock, to free memory; whether a code counts is told by ours.
            given: Cache::builder()
                .max_capacity(CODES)
                .time_to_live(FOR)
                .build(),
        }
    }
}

impl Auth {
    /// A code for what somebody has just consented to.
    pub fn make_code(&self, consent: Consent) -> Secret {
        let code = new_oauth_code();
        let codes = &self.0.codes;
        let key = oauth_token_hash(code.expose());
        codes.given.insert(key, (consent, codes.clock.now()));
        code
    }

    /// What a code was given for; it is worth nothing from then on, whoever showed it.
    pub fn redeem_code(&self, code: &str) -> Option<Consent> {
        let codes = &self.0.codes;
        let (consent, given) = codes.given.remove(&oauth_token_hash(code))?;
        (codes.clock.now().since(given) < FOR).then_some(consent)
    }
}
