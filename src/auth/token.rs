//! Registry tokens: JWTs signed with ES256, and what is remembered of those verified.
//!
//! The algorithm is ours, the key is one of ours by its exact id, whatever else the header says
//! (AU-01). A token verified once is remembered by its hash until it ends, so that the next request
//! with it costs no signature check; whether it has ended, and whether its holder still is somebody,
//! is looked at every time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use moka::Expiry;
use moka::sync::Cache;

use super::claims::{Believed, Claims, LEEWAY, Validity};
use super::error::TokenFault;
use super::grant::Grant;
use super::identity::{Holder, Identity};
use super::keys::Keys;
use super::{Error, Metrics};
use crate::model::{Clock, Timestamp};
use crate::oci::Digest;

/// Longest token that is looked at or issued.
const TOKEN_BYTES: usize = 16 * 1024;

/// Memory for tokens verified, about.
const REMEMBERED_BYTES: u64 = 8 << 20;

/// How long a retired key is kept beyond the life of its last token: for answers under way.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// A token made for somebody.
#[derive(Clone, Debug)]
pub struct Issued {
    pub token: String,
    /// Seconds.
    pub expires_in: u64,
    pub issued_at: Timestamp,
}

pub(super) struct Tokens {
    keys: Keys,
    service: String,
    lifetime: Duration,
    clock: Clock,
    verified: Cache<Digest, Arc<Verified>>,
    metrics: Metrics,
}

/// A token whose signature and claims were right.
pub(super) struct Verified {
    pub(super) holder: Holder,
    pub(super) access: Arc<[Grant]>,
    validity: Validity,
    /// From when it was verified.
    remaining: Duration,
    weight_bytes: u32,
}

/// Forgets a token when it ends.
struct AtItsEnd;

impl Expiry<Digest, Arc<Verified>> for AtItsEnd {
    fn expire_after_create(
        &self,
        _: &Digest,
        token: &Arc<Verified>,
        _: Instant,
    ) -> Option<Duration> {
        Some(token.remaining)
    }
}

/// How long after its retirement a key may be asked for, with tokens of this lifetime.
pub(super) const fn kept_after_retirement(lifetime: Duration) -> Duration {
    lifetime.saturating_add(LEEWAY).saturating_add(IN_FLIGHT)
}

impl Tokens {
    pub(super) fn new(
        keys: Keys,
        service: String,
        lifetime: Duration,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        // With none installed the crate picks one by its features, and panics at the first use if
        // another crate of the tree has switched on both. Installing a second time changes nothing.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let weigh = |_: &Digest, token: &Arc<Verified>| token.weight_bytes;
        Self {
            keys,
            service,
            lifetime,
            clock,
            verified: Cache::builder()
                .max_capacity(REMEMBERED_BYTES)
                .weigher(weigh)
                .expire_after(AtItsEnd)
                .build(),
            metrics,
        }
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) async fn issue(
        &self,
        identity: &Identity,
        access: &[Grant],
    ) -> Result<Issued, Error> {
        let ring = self.keys.ring().await?;
        let now = self.clock.now();
        let claims = Claims::new(&self.service, identity, access, now, self.lifetime);
        let key = ring.signing();
        let header = Header {
            kid: Some(key.id.clone()),
            ..Header::new(Algorithm::ES256)
        };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .map_err(|_| Error::Signing("the key refuses to sign"))?;
        if token.len() > TOKEN_BYTES {
            return Err(Error::TokenTooLong);
        }
        self.metrics.issued.inc();
        Ok(Issued {
            token,
            expires_in: self.lifetime.as_secs(),
            issued_at: now,
        })
    }

    /// What a token says, if it is ours and good now.
    pub(super) async fn verify(&self, token: &str) -> Result<Arc<Verified>, Error> {
        if token.len() > TOKEN_BYTES {
            return Err(TokenFault::TooLong.into());
        }
        let hash = Digest::of(token.as_bytes());
        if let Some(verified) = self.verified.get(&hash) {
            verified.validity.check(self.clock.now())?;
            return Ok(verified);
        }
        let now = self.clock.now();
        let claims = self.claims(token).await?;
        let believed = claims.believe(&self.service, now, self.lifetime)?;
        let verified = Arc::new(Verified::new(believed, now, token.len()));
        self.verified.insert(hash, Arc::clone(&verified));
        Ok(verified)
    }

    /// The claims of a token that one of our keys signed.
    async fn claims(&self, token: &str) -> Result<Claims, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenFault::Malformed)?;
        if header.alg != Algorithm::ES256 {
            return Err(TokenFault::Algorithm.into());
        }
        // RFC 7515 section 4.1.11: extensions that must be understood are none of ours.
        if header.typ.as_deref() != Some("JWT") || header.crit.is_some() {
            return Err(TokenFault::Malformed.into());
        }
        let ring = self.keys.ring().await?;
        let id = header.kid.as_deref().unwrap_or_default();
        let key = ring.key(id).ok_or(TokenFault::Key)?;
        self.metrics.signatures.inc();
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &only_signature());
        claims
            .map(|token| token.claims)
            .map_err(|error| match error.kind() {
                ErrorKind::InvalidSignature => TokenFault::Signature.into(),
                _ => TokenFault::Malformed.into(),
            })
    }
}

/// The JWT crate checks signature and algorithm; `claims` checks the claims, against our clock.
fn only_signature() -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    validation
}

impl Verified {
    fn new(believed: Believed, now: Timestamp, token_bytes: usize) -> Self {
        Self {
            holder: believed.holder,
            access: believed.access.into(),
            remaining: believed.validity.remaining(now),
            validity: believed.validity,
            // The claims take about as much as their text.
            weight_bytes: u32::try_from(token_bytes + 256).unwrap_or(u32::MAX),
        }
    }
}
