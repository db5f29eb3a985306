//! Places in long listings, as clients hold them: `next_page` of the REST API.
//!
//! Quay's are encrypted JSON; so are these, under the installation's key, because a place can tell more
//! than its holder may read. A token is bound to its listing and good for two days; one that cannot be
//! read, whatever the reason, begins at the first page (Quay). Who may read the listing is decided at
//! each request, and not by the token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::accounts::SealKey;
use crate::model::{Clock, Sealed, Timestamp};

/// How long a token is good for (Quay: 2 days).
const LIFE: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// Longer ones are not looked at.
const TOKEN_BYTES: usize = 4096;

/// Makes and reads page tokens; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct PageTokens {
    key: SealKey,
    clock: Clock,
}

#[derive(Deserialize, Serialize)]
struct Sealable<T> {
    issued: Timestamp,
    place: T,
}

impl PageTokens {
    pub(super) const fn new(key: SealKey, clock: Clock) -> Self {
        Self { key, clock }
    }

    /// A token that leads to `place` of the listing of that name.
    pub(super) fn make(&self, listing: &str, place: &impl Serialize) -> String {
        let issued = self.clock.now();
        let text = serde_json::to_vec(&Sealable { issued, place })
            .expect("places are made of names and numbers");
        let Sealed(sealed) = self.key.seal(&text, &context(listing));
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Where a token leads to in the listing of that name; `None`: to its first page.
    pub(super) fn read<T: DeserializeOwned>(&self, listing: &str, token: &str) -> Option<T> {
        if token.len() > TOKEN_BYTES {
            return None;
        }
        let sealed = Sealed(URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).ok()?);
        let text = self.key.open(&sealed, &context(listing))?;
        let Sealable { issued, place } = serde_json::from_slice(&text).ok()?;
        (self.clock.now().since(issued) <= LIFE).then_some(place)
    }
}

fn context(listing: &str) -> Vec<u8> {
    [b"page-token.v1/", listing.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> PageTokens {
        let clock = Clock::manual(Timestamp::from_millis(0));
        PageTokens::new(SealKey::from_bytes(&[7; 32]), clock)
    }

    #[test]
    fn a_token_leads_back_to_its_place_in_its_listing_only() {
        let tokens = tokens();
        let place = (Timestamp::from_millis(5), 7_u64);
        let token = tokens.make("logs", &place);
        assert_eq!(tokens.read("logs", &token), Some(place));
        assert_eq!(tokens.read("logs", &format!("{token}=")), Some(place));
        assert_eq!(tokens.read::<(Timestamp, u64)>("tags", &token), None);
        assert_eq!(tokens.read::<String>("logs", &token), None);
        let strange = PageTokens::new(SealKey::from_bytes(&[8; 32]), Clock::System);
        assert_eq!(strange.read::<(Timestamp, u64)>("logs", &token), None);
        let long = "A".repeat(TOKEN_BYTES + 1);
        for bad in ["", "?", "AAAA", &token[1..], &long] {
            assert_eq!(tokens.read::<(Timestamp, u64)>("logs", bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_good_for_two_days() {
        let tokens = tokens();
        let token = tokens.make("logs", &1_u64);
        tokens.clock.advance(LIFE);
        assert_eq!(tokens.read("logs", &token), Some(1_u64));
        tokens.clock.advance(Duration::from_millis(1));
        assert_eq!(tokens.read::<u64>("logs", &token), None);
    }
}
