//! Why a call did not get through.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::time::told;
use crate::model::Timestamp;

/// Why no client could be made, or why a call brought no answer.
///
/// Texts hold no URL: a presigned one is a credential.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    #[error("certificate authorities of {}: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    #[error("proxy: {reason}")]
    Proxy { reason: String },
    #[error("{url_part} is not something to call over http or https")]
    Url { url_part: Box<str> },
    #[error("{host} is not at a public address and not in SSRF_ALLOWED_HOSTS")]
    Refused { host: Box<str> },
    #[error("{host} cannot be resolved: {reason}")]
    Dns { host: Box<str>, reason: Box<str> },
    #[error("cannot connect: {reason}")]
    Connect { reason: Arc<str> },
    #[error("connecting took too long")]
    ConnectTimeout,
    #[error("TLS: {reason}")]
    Tls { reason: Arc<str> },
    #[error(
        "TLS: the certificate begins at {begins}, and the clock of this machine says {now}; if that is wrong, set it"
    )]
    NotValidYet { now: Timestamp, begins: Timestamp },
    #[error(
        "TLS: this system has no certificate authorities; install them, or set EXTRA_CA_CERTS or ca_file"
    )]
    NoAuthorities,
    #[error("the connection broke before the answer: {reason}")]
    Broken { reason: Arc<str> },
    #[error("the answer's body broke off: {reason}")]
    Body { reason: Arc<str> },
}

impl Error {
    /// What kept a request from its answer.
    pub(super) fn of_request(error: reqwest::Error) -> Self {
        let error = error.without_url();
        for cause in causes(&error) {
            if let Some(own) = cause.downcast_ref::<Self>() {
                return own.clone();
            }
            if let Some(tls) = tls_failure(cause) {
                return told(tls);
            }
        }
        if error.is_connect() && error.is_timeout() {
            Self::ConnectTimeout
        } else if error.is_connect() {
            Self::Connect {
                reason: root(&error),
            }
        } else {
            Self::Broken {
                reason: root(&error),
            }
        }
    }

    /// What broke off a body.
    pub(super) fn of_body(error: reqwest::Error) -> Self {
        Self::Body {
            reason: root(&error.without_url()),
        }
    }
}

/// `error` and everything behind it. What an `io::Error` wraps is not its source, hence the detour.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

fn tls_failure<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref()
}

/// The innermost cause: the outer ones only say that something failed.
fn root(error: &(dyn StdError + 'static)) -> Arc<str> {
    let innermost = causes(error).last();
    innermost
        .map_or_else(|| error.to_string(), ToString::to_string)
        .into()
}
