//! Why a pull cannot be answered.

use std::time::Duration;

use crate::model::NamespaceName;
use crate::upstream::{self, FailureKind};
use crate::{blob, registry};

/// Why there is no content to answer with. Texts are fit for clients: no credentials, no URLs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("the repository is not known")]
    NameUnknown,
    #[error("the manifest is not known")]
    ManifestUnknown,
    #[error("the blob is not known")]
    BlobUnknown,
    /// Upstream refuses, and no account is configured: unknown or private, it does not say which.
    #[error("upstream knows no such public repository")]
    Refused,
    /// Upstream refuses the configured account: the operator's to mend.
    #[error("upstream refuses the account configured for {organization}")]
    UpstreamCredentials { organization: NamespaceName },
    #[error("upstream limits the rate of requests")]
    RateLimited { retry_after: Duration },
    #[error("upstream is not available ({})", kind.as_str())]
    Unavailable {
        kind: FailureKind,
        retry_after: Option<Duration>,
    },
    #[error("upstream did not answer in time")]
    Timeout,
    /// `strict_expiration`: what is held may not be served without upstream's word.
    #[error("the tag has expired and upstream cannot confirm it")]
    Expired,
    /// Upstream answered with what cannot be passed on.
    #[error("upstream sent what cannot be served: {reason}")]
    BadGateway { reason: String },
    /// A rule that cannot be carried out.
    #[error("{organization}: {reason}")]
    Rule {
        organization: NamespaceName,
        reason: String,
    },
    /// A task of ours ended without an outcome.
    #[error("the request was given up")]
    Abandoned,
    #[error(transparent)]
    Registry(#[from] registry::Error),
    #[error(transparent)]
    Blob(#[from] blob::Error),
}

/// What was asked for, which decides what "upstream has none" is called.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    Manifest,
    Blob,
    Listing,
}

impl Error {
    /// Maps what upstream failed with to what the client is told (never upstream's own 401).
    pub(super) fn from_upstream(
        error: &upstream::Error,
        asked: Asked,
        organization: &NamespaceName,
        has_account: bool,
    ) -> Self {
        match error.kind() {
            FailureKind::NotFound => match asked {
                Asked::Manifest => Self::ManifestUnknown,
                Asked::Blob => Self::BlobUnknown,
                Asked::Listing => Self::NameUnknown,
            },
            FailureKind::Unauthorized | FailureKind::Denied if has_account => {
                Self::UpstreamCredentials {
                    organization: organization.clone(),
                }
            }
            FailureKind::Unauthorized | FailureKind::Denied => Self::Refused,
            FailureKind::RateLimited => Self::RateLimited {
                retry_after: error.retry_after().unwrap_or(Duration::from_secs(60)),
            },
            FailureKind::Timeout => Self::Timeout,
            kind @ (FailureKind::Dns
            | FailureKind::Connect
            | FailureKind::Tls
            | FailureKind::Clock
            | FailureKind::Status5xx
            | FailureKind::BreakerOpen
            | FailureKind::Body) => Self::Unavailable {
                kind,
                retry_after: error.retry_after(),
            },
            FailureKind::TooLarge
            | FailureKind::Encoded
            | FailureKind::Invalid
            | FailureKind::Digest
            | FailureKind::Redirect
            | FailureKind::RefusedAddress => Self::BadGateway {
                reason: error.to_string(),
            },
        }
    }

    /// Whether upstream said that it has no such thing, or hides it.
    pub(super) const fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::NameUnknown | Self::ManifestUnknown | Self::BlobUnknown | Self::Refused
        )
    }
}
