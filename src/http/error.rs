//! What can go wrong in this room before a request has a handler: listening, certificates, routes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use ::http::Method;
use rustls::pki_types::pem;

/// Why the HTTP side of the server could not be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A descriptor that was passed to us as a socket is none that can be listened on.
    #[error("the socket {name:?} passed by the service manager cannot be used: {source}")]
    Inherited {
        /// What it is called, or its number.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key file is missing or unreadable.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key file holds no such PEM section, or a damaged one.
    #[error("{} holds no usable PEM {what}: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// "certificate" or "private key".
        what: &'static str,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key are each readable but cannot be used together.
    #[error("certificate {} and key {} cannot be used: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The authorities for certificates of clients cannot be used.
    #[error("{} cannot be used for the certificates of clients: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The crypto provider cannot do the protocol versions that are offered.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
    /// Two rows of the route table answer the same requests.
    #[error("route {method} {pattern} is there twice: {first} and {second}")]
    RouteTwice {
        /// The method of both.
        method: Method,
        /// The pattern of the second.
        pattern: &'static str,
        /// The operation that was there first.
        first: &'static str,
        /// The operation that came second.
        second: &'static str,
    },
    /// A pattern of the route table breaks the pattern grammar.
    #[error("route pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: &'static str,
        /// Which rule it breaks.
        reason: &'static str,
    },
}
