//! The claims of a token, and what must hold of them before anybody believes one.
//!
//! Every claim is required and has one type; what is missing, `null` or of another type fails to
//! parse. Times are checked against [`crate::model::Clock`], not by the JWT crate, so that tests move
//! them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::TokenFault;
use super::grant::{AccessClaim, Grant};
use super::identity::{Holder, Identity};
use crate::model::{AppTokenId, OauthTokenId, RobotId, Timestamp, UserId};

/// How far the clocks of two machines may be apart (Quay: 30 s).
pub(super) const LEEWAY: Duration = Duration::from_secs(30);

/// The shape of the `context` claim (Quay's second).
const CONTEXT_VERSION: u32 = 2;

/// What a token says (RFC 7519 section 4.1; distribution, token specification).
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    access: Vec<AccessClaim>,
    context: Context,
}

/// Whom the token stands for. The id decides, so that a later account of the same name is nobody.
#[derive(Debug, Deserialize, Serialize)]
struct Context {
    version: u32,
    entity_kind: EntityKind,
    entity_id: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum EntityKind {
    Anonymous,
    User,
    Robot,
    /// A user's OAuth token, whose end is the end of this one.
    Token,
    /// A user's app token, likewise.
    AppToken,
}

/// A token's content once believed.
#[derive(Debug)]
pub(super) struct Believed {
    pub(super) holder: Holder,
    pub(super) access: Vec<Grant>,
    pub(super) validity: Validity,
}

/// When a token is good, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    iat: u64,
    nbf: u64,
    exp: u64,
}

impl Claims {
    /// Claims for `identity`, good from `now` for `lifetime`.
    pub(super) fn new(
        service: &str,
        identity: &Identity,
        access: &[Grant],
        now: Timestamp,
        lifetime: Duration,
    ) -> Self {
        let now = seconds(now);
        Self {
            iss: service.to_owned(),
            aud: service.to_owned(),
            sub: identity.to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(lifetime.as_secs()),
            access: access.iter().map(AccessClaim::from).collect(),
            context: Context::of(identity.holder()),
        }
    }

    /// Checks everything but the signature.
    ///
    /// # Errors
    /// The first claim that is wrong.
    pub(super) fn believe(
        self,
        service: &str,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Believed, TokenFault> {
        if self.iss != service {
            return Err(TokenFault::Issuer);
        }
        if self.aud != service {
            return Err(TokenFault::Audience);
        }
        let validity = Validity {
            iat: self.iat,
            nbf: self.nbf,
            exp: self.exp,
        };
        validity.check(now)?;
        let longest = lifetime.saturating_add(LEEWAY).as_secs();
        if self.exp.saturating_sub(self.iat) > longest {
            return Err(TokenFault::Lifetime);
        }
        if self.sub.is_empty() {
            return Err(TokenFault::Subject);
        }
        Ok(Believed {
            holder: self.context.holder()?,
            access: self.access.into_iter().map(Grant::from).collect(),
            validity,
        })
    }
}

impl Context {
    const fn of(holder: Holder) -> Self {
        let (entity_kind, entity_id) = match holder {
            Holder::Anonymous => (EntityKind::Anonymous, None),
            Holder::User(UserId(id)) => (EntityKind::User, Some(id)),
            Holder::Robot(RobotId(id)) => (EntityKind::Robot, Some(id)),
            Holder::Token(OauthTokenId(id)) => (EntityKind::Token, Some(id)),
            Holder::AppToken(AppTokenId(id)) => (EntityKind::AppToken, Some(id)),
        };
        Self {
            version: CONTEXT_VERSION,
            entity_kind,
            entity_id,
        }
    }

    fn holder(&self) -> Result<Holder, TokenFault> {
        if self.version != CONTEXT_VERSION {
            return Err(TokenFault::Malformed);
        }
        match (self.entity_kind, self.entity_id) {
            (EntityKind::Anonymous, None) => Ok(Holder::Anonymous),
            (EntityKind::User, Some(id)) => Ok(Holder::User(UserId(id))),
            (EntityKind::Robot, Some(id)) => Ok(Holder::Robot(RobotId(id))),
            (EntityKind::Token, Some(id)) => Ok(Holder::Token(OauthTokenId(id))),
            (EntityKind::AppToken, Some(id)) => Ok(Holder::AppToken(AppTokenId(id))),
            (EntityKind::Anonymous, Some(_))
            | (
                EntityKind::User | EntityKind::Robot | EntityKind::Token | EntityKind::AppToken,
                None,
            ) => Err(TokenFault::Subject),
        }
    }
}

impl Validity {
    /// # Errors
    /// If the token has ended or has not begun, a difference of clocks allowed for.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), TokenFault> {
        let (now, leeway) = (seconds(now), LEEWAY.as_secs());
        if self.exp.saturating_add(leeway) <= now {
            return Err(TokenFault::Expired);
        }
        if self.nbf.max(self.iat) > now.saturating_add(leeway) {
            return Err(TokenFault::NotYet);
        }
        Ok(())
    }

    /// How long from `now` on the token can be good at most.
    pub(super) fn remaining(&self, now: Timestamp) -> Duration {
        Duration::from_secs(self.exp.saturating_sub(seconds(now))).saturating_add(LEEWAY)
    }
}

/// RFC 7519 section 2, `NumericDate`: whole seconds; a clock before 1970 stands at its beginning.
fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_secs()).unwrap_or(0)
}
