//! What an upstream failed to give us.

use std::path::PathBuf;
use std::time::Duration;

use crate::oci::{Digest, InvalidManifest, ParseError};
use crate::outbound;

/// Why an upstream did not give what it was asked for.
///
/// Texts hold neither credentials nor URLs with their queries: a presigned URL is a credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Outbound(#[from] outbound::Error),
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    #[error("the body made no progress for {} s", .0.as_secs_f32())]
    Stalled(Duration),
    #[error("the body ended after {received} of {expected} bytes")]
    Short { expected: u64, received: u64 },
    #[error("answered {status}")]
    Failing {
        status: u16,
        retry_after: Option<Duration>,
    },
    #[error("asked us to wait {} s", retry_after.as_secs())]
    RateLimited { retry_after: Duration },
    #[error("not asked: it failed repeatedly, next try in {} s", retry_after.as_secs_f32())]
    BreakerOpen { retry_after: Duration },
    #[error("refused our authentication: {0}")]
    Unauthorized(Refusal),
    #[error("denied access (403)")]
    Denied,
    #[error("does not have it")]
    NotFound,
    #[error("{what} is larger than {limit_bytes} bytes")]
    TooLarge {
        what: &'static str,
        limit_bytes: usize,
    },
    #[error("the body is encoded ({0}), its bytes are not those that were asked for")]
    Encoded(String),
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    #[error("unexpected answer: status {status}")]
    Status { status: u16 },
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    #[error("sent {found} where {expected} was asked for")]
    Digest {
        expected: Box<Digest>,
        found: Box<Digest>,
    },
    #[error("redirect refused: {0}")]
    Redirect(&'static str),
    #[error(transparent)]
    Name(#[from] ParseError),
}

/// How authentication came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("401 without a challenge that we know")]
    NoChallenge,
    #[error("credentials are wanted, none are configured")]
    NoCredentials,
    #[error("the token endpoint answered {status}")]
    Token { status: u16 },
    #[error("a fresh token or password was refused")]
    Rejected,
    #[error("its token endpoint {host} is of another site, the configured credentials stay here")]
    ForeignRealm { host: String },
    #[error("the password file {}: {reason}", path.display())]
    PasswordFile { path: PathBuf, reason: String },
}

/// The kinds of failure, a closed set for metrics and `Cache-Status`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FailureKind {
    Dns,
    Connect,
    Tls,
    /// A certificate that begins later than this machine's clock says it is.
    Clock,
    Timeout,
    Status5xx,
    RateLimited,
    Unauthorized,
    Denied,
    NotFound,
    TooLarge,
    Encoded,
    Invalid,
    Digest,
    Redirect,
    RefusedAddress,
    BreakerOpen,
    Body,
}

impl FailureKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Timeout => "timeout",
            Self::Status5xx => "status_5xx",
            Self::RateLimited => "rate_limited",
            Self::Unauthorized => "unauthorized",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::Invalid => "invalid",
            Self::Digest => "digest",
            Self::Redirect => "redirect",
            Self::RefusedAddress => "refused_address",
            Self::BreakerOpen => "breaker_open",
            Self::Body => "body",
        }
    }
}

impl Error {
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Outbound(error) => outbound_kind(error),
            Self::Timeout(_) | Self::Stalled(_) => FailureKind::Timeout,
            Self::Short { .. } => FailureKind::Body,
            Self::Failing { .. } => FailureKind::Status5xx,
            Self::RateLimited { .. } => FailureKind::RateLimited,
            Self::BreakerOpen { .. } => FailureKind::BreakerOpen,
            Self::Unauthorized(_) => FailureKind::Unauthorized,
            Self::Denied => FailureKind::Denied,
            Self::NotFound => FailureKind::NotFound,
            Self::TooLarge { .. } | Self::Manifest(InvalidManifest::TooLarge { .. }) => {
                FailureKind::TooLarge
            }
            Self::Encoded(_) => FailureKind::Encoded,
            Self::Unexpected(_) | Self::Status { .. } | Self::Manifest(_) | Self::Name(_) => {
                FailureKind::Invalid
            }
            Self::Digest { .. } => FailureKind::Digest,
            Self::Redirect(_) => FailureKind::Redirect,
        }
    }

    /// Whether upstream itself said that it does not have this.
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::NotFound)
    }

    /// Whether upstream could not answer now: what is held may be served instead, and asking later may
    /// help. A refusal (401, 403) or a wrong answer is none.
    pub const fn is_outage(&self) -> bool {
        matches!(
            self.kind(),
            FailureKind::Dns
                | FailureKind::Connect
                | FailureKind::Tls
                | FailureKind::Clock
                | FailureKind::Timeout
                | FailureKind::Status5xx
                | FailureKind::RateLimited
                | FailureKind::BreakerOpen
                | FailureKind::Body
        )
    }

    /// How long to leave upstream alone, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::BreakerOpen { retry_after } => {
                Some(*retry_after)
            }
            Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn unexpected(reason: impl Into<String>) -> Self {
        Self::Unexpected(reason.into())
    }
}

const fn outbound_kind(error: &outbound::Error) -> FailureKind {
    match error {
        outbound::Error::Dns { .. } => FailureKind::Dns,
        outbound::Error::Connect { .. }
        | outbound::Error::Broken { .. }
        | outbound::Error::Proxy { .. } => FailureKind::Connect,
        outbound::Error::ConnectTimeout => FailureKind::Timeout,
        outbound::Error::NotValidYet { .. } => FailureKind::Clock,
        outbound::Error::Tls { .. }
        | outbound::Error::NoAuthorities
        | outbound::Error::Authorities { .. } => FailureKind::Tls,
        outbound::Error::Refused { .. } | outbound::Error::Url { .. } => {
            FailureKind::RefusedAddress
        }
        outbound::Error::Body { .. } => FailureKind::Body,
    }
}
