//! The JWT by which a service shows that it has the private half of a key.
//!
//! The algorithm is the key's and no other, the key is looked up by the exact id in the header, and every
//! claim is required and typed (AU-01, AU-02). Times are compared with [`crate::model::Clock`].

use std::time::Duration;

use jsonwebtoken::Validation;
use serde::Deserialize;

use super::jwk::PublicKey;
use crate::auth::claims::LEEWAY;
use crate::model::Timestamp;

/// Longest token that is looked at.
const TOKEN_BYTES: usize = 16 * 1024;

/// Longest time for which a proof may be good (Quay: 3660 s).
const LONGEST: Duration = Duration::from_secs(3660);

/// What a proof says; other claims do not matter.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: u64,
    nbf: u64,
    iat: u64,
}

/// RFC 7519 section 4.1.3: one text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Several(several) => several.iter().any(|one| one == wanted),
        }
    }
}

/// Who signed a token, as it says itself; `None` if it is no token at all.
pub(super) fn signer(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES {
        return None;
    }
    let header = jsonwebtoken::decode_header(token).ok()?;
    // RFC 7515 section 4.1.11: extensions that must be understood are none of ours.
    let plain = header.crit.is_none();
    plain.then(|| header.kid.unwrap_or_default())
}

/// Whether `key` signed the token, of `service`, for `audience`, good at `now`.
pub(super) fn holds(
    token: &str,
    key: &PublicKey,
    (service, audience): (&str, &str),
    now: Timestamp,
) -> bool {
    let Some(decoding) = key.decoding() else {
        return false;
    };
    let decoded = jsonwebtoken::decode::<Claims>(token, &decoding, &only_signature(key));
    let Ok(claims) = decoded.map(|token| token.claims) else {
        return false;
    };
    let now = u64::try_from(now.as_secs()).unwrap_or(0);
    let leeway = LEEWAY.as_secs();
    let lifetime = claims.exp.saturating_sub(claims.iat);
    claims.iss == service
        && claims.aud.names(audience)
        && claims.exp.saturating_add(leeway) > now
        && claims.nbf.max(claims.iat) <= now.saturating_add(leeway)
        && lifetime <= LONGEST.as_secs() + leeway
}

/// The JWT crate checks the signature, by the key's algorithm only; the claims are checked here.
fn only_signature(key: &PublicKey) -> Validation {
    let mut validation = Validation::new(key.algorithm);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}
