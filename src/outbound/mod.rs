//! Everything that leaves this machine over HTTP: resolve, check the address, connect, proxy.
//!
//! `upstream` (and later whoever else calls out) asks [`Outbound`] for a [`Client`]; nobody else makes one.
//! Promised: a client never follows a redirect by itself, never decompresses, reads no environment and
//! no `.netrc`, speaks TLS 1.2 and 1.3 with verified certificates only (unless somebody said otherwise of one
//! upstream, [`ClientSpec::any_certificate`]), and, under [`AddressPolicy::PublicOrAllowed`], connects only to an
//! address that it checked itself (UP-04).
//! Not done here: authentication, redirects, retries. Whoever sends a request decides those.

mod address;
mod any_certificate;
mod client;
mod error;
mod names;
mod resolver;
mod time;
mod trust;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::RootCertStore;
use url::{Host, Url};

pub use address::{AddressPolicy, AllowedHosts, is_public};
pub use client::{Client, ClientSpec, Response};
pub use error::Error;
pub use names::Names;

use resolver::{LastGood, Resolver};

use crate::config::OutboundConfig;
use crate::model::Clock;

/// The one maker of HTTP clients. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

/// What all clients have in common.
struct Shared {
    config: OutboundConfig,
    /// Longest time for connecting, TLS included; half of it for resolving the name.
    connect: Duration,
    names: Names,
    /// By which certificates are judged.
    clock: Clock,
    allowed: Arc<AllowedHosts>,
    /// Certificates of `extra_ca_certs`, read once at start so that a bad file is found there.
    extra: RootCertStore,
    /// The system's authorities and the extra ones; loaded when first needed.
    roots: OnceLock<Arc<RootCertStore>>,
    last_good: Arc<LastGood>,
}

impl Outbound {
    /// Takes the operator's words on outgoing connections, with the longest time for one to stand, and the clock
    /// that certificates are judged by.
    /// Reads `extra_ca_certs`; call it at start.
    ///
    /// # Errors
    /// [`Error::Authorities`] if a file of `extra_ca_certs` cannot be read or holds no certificate.
    pub fn new(
        config: OutboundConfig,
        connect: Duration,
        names: Names,
        clock: Clock,
    ) -> Result<Self, Error> {
        let extra = match &config.extra_ca_certs {
            Some(directory) => trust::from_directory(directory)?,
            None => RootCertStore::empty(),
        };
        let allowed = Arc::new(AllowedHosts::new(config.ssrf_allowed_hosts.clone()));
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                connect,
                names,
                clock,
                allowed,
                extra,
                roots: OnceLock::new(),
                last_good: Arc::default(),
            }),
        })
    }

    /// Whether somebody who is no operator may have this host called, as far as the name service tells
    /// now; a client judges again whenever it connects.
    ///
    /// # Errors
    /// [`Error::Refused`] if its address is not public and not allowed; [`Error::Dns`] if it has none now.
    pub async fn judge(&self, url: &Url) -> Result<(), Error> {
        let shared = &self.shared;
        let allowed = |address: IpAddr| match shared.allowed.allows_address(address) {
            true => Ok(()),
            false => Err(Error::Refused {
                host: address.to_string().into(),
            }),
        };
        match url.host() {
            Some(Host::Ipv4(address)) => allowed(address.into()),
            Some(Host::Ipv6(address)) => allowed(address.into()),
            Some(Host::Domain(name)) => {
                let resolver = Resolver {
                    policy: AddressPolicy::PublicOrAllowed,
                    allowed: Arc::clone(&shared.allowed),
                    proxies: Arc::default(),
                    last_good: Arc::clone(&shared.last_good),
                    names: shared.names.clone(),
                    deadline: shared.connect / 2,
                };
                resolver.resolve(&name.to_ascii_lowercase()).await.map(drop)
            }
            None => Err(Error::Url {
                url_part: "a URL without a host".into(),
            }),
        }
    }

    /// Makes a client with connections of its own.
    ///
    /// # Errors
    /// [`Error::Authorities`] for a bad `ca_file`, [`Error::Proxy`] for a proxy that is no URL or, under
    /// [`AddressPolicy::PublicOrAllowed`], stands at an address that is not allowed.
    pub fn client(&self, spec: &ClientSpec) -> Result<Client, Error> {
        Client::new(&self.shared, spec)
    }
}

impl Shared {
    /// The authorities for clients without a `ca_file` of their own; may be none at all.
    fn roots(&self) -> Arc<RootCertStore> {
        let load = || Arc::new(trust::system_and(&self.extra));
        Arc::clone(self.roots.get_or_init(load))
    }
}
