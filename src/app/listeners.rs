//! Which sockets are opened, and what each of them is for.

use std::net::SocketAddr;

use crate::api::{Entrance, MirrorAddress, Site};
use crate::config::{Config, UrlScheme};
use crate::http::{self, Listener, Tls, TlsPaths, TlsReloader};
use crate::model::{ByteSize, NamespaceName};

/// Where a running server listens, with the real ports where 0 was asked for.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// In the order of `LISTEN`.
    pub listen: Vec<SocketAddr>,
    /// Mirror listeners with their organisations.
    pub mirrors: Vec<(NamespaceName, SocketAddr)>,
    pub metrics: Option<SocketAddr>,
}

/// Open sockets, not yet served.
pub(super) struct Bound {
    pub(super) listeners: Vec<Listener>,
    /// One a listener.
    pub(super) entrances: Vec<Entrance>,
    pub(super) addresses: Addresses,
    pub(super) tls: Option<TlsReloader>,
}

/// Opens every socket, or none.
pub(super) fn bind(config: &Config) -> Result<Bound, http::Error> {
    let tls = match &config.tls {
        Some(files) => Some(Tls::load(&TlsPaths {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
        })?),
        None => None,
    };
    let wanted = wanted(config);
    let sockets: Vec<SocketAddr> = wanted.iter().map(|(address, _)| *address).collect();
    let mut bound = Bound {
        listeners: Vec::new(),
        entrances: Vec::new(),
        addresses: Addresses::default(),
        tls: tls.as_ref().map(Tls::reloader),
    };
    for (listener, (_, entrance)) in Listener::bind_all(&sockets)?.into_iter().zip(wanted) {
        bound.add(listener, entrance, tls.as_ref());
    }
    Ok(bound)
}

/// `LISTEN`, the mirrors', `LISTEN_METRICS`.
fn wanted(config: &Config) -> Vec<(SocketAddr, Entrance)> {
    let site = config
        .listen
        .iter()
        .map(|address| (*address, Entrance::Site));
    let mirrors = config.registry_mirrors.iter().filter_map(|mirror| {
        Some((
            mirror.listen?,
            Entrance::Mirror(mirror.organization.clone()),
        ))
    });
    let metrics = config
        .listen_metrics
        .map(|address| (address, Entrance::Metrics));
    site.chain(mirrors).chain(metrics).collect()
}

impl Bound {
    /// `TLS_CERTIFICATE` is for `LISTEN`: a mirror for the Docker of this machine stays plain, and so
    /// does what Prometheus reads.
    fn add(&mut self, listener: Listener, entrance: Entrance, tls: Option<&Tls>) {
        let address = listener.address();
        let listener = match (&entrance, tls) {
            (Entrance::Site, Some(tls)) => listener.with_tls(tls.clone()),
            _ => listener,
        };
        match &entrance {
            Entrance::Site => self.addresses.listen.push(address),
            Entrance::Mirror(name) => self.addresses.mirrors.push((name.clone(), address)),
            Entrance::Metrics => self.addresses.metrics = Some(address),
        }
        self.listeners.push(listener);
        self.entrances.push(entrance);
    }
}

/// How a client names the registry: `SERVER_HOSTNAME`, or else by the first address of `LISTEN`.
///
/// No client can use an address that stands for all of this machine; `everywhere` is put in its place.
pub(super) fn client_host(
    hostname: Option<&str>,
    listen: Option<&SocketAddr>,
    everywhere: &str,
) -> Option<String> {
    let address = listen.map(|address| {
        let (ip, port) = (address.ip(), address.port());
        if ip.is_loopback() {
            // Docker takes it for a registry without TLS, as it does the address.
            format!("localhost:{port}")
        } else if ip.is_unspecified() {
            format!("{everywhere}:{port}")
        } else {
            address.to_string()
        }
    });
    hostname.map(str::to_owned).or(address)
}

/// What the landing page says of the site.
pub(super) fn site(config: &Config, addresses: &Addresses, disk_reserve: ByteSize) -> Site {
    let of_listeners = addresses.mirrors.iter().map(|(organization, address)| {
        let ip = address.ip();
        let host = SocketAddr::new(ip, 0).to_string();
        MirrorAddress {
            organization: organization.clone(),
            host: (!ip.is_unspecified()).then(|| host.trim_end_matches(":0").to_owned()),
            port: address.port(),
            secure: false,
        }
    });
    let of_hostnames = config.registry_mirrors.iter().filter_map(|mirror| {
        Some(MirrorAddress {
            organization: mirror.organization.clone(),
            host: Some(mirror.hostname.clone()?),
            port: addresses.listen.first()?.port(),
            secure: config.tls.is_some(),
        })
    });
    Site {
        hostname: config.server_hostname.clone(),
        secure: config.url_scheme.map(|scheme| scheme == UrlScheme::Https),
        mirrors: of_listeners.chain(of_hostnames).collect(),
        data_dir: config.data_dir.clone(),
        disk_reserve,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_told_a_host_that_it_can_use() {
        for (hostname, listen, expected) in [
            (None, "127.0.0.1:8080", "localhost:8080"),
            (None, "[::1]:8080", "localhost:8080"),
            (None, "0.0.0.0:80", "HOST:80"),
            (None, "[::]:80", "HOST:80"),
            (None, "192.0.2.1:5000", "192.0.2.1:5000"),
            (Some("r.example:444"), "0.0.0.0:80", "r.example:444"),
        ] {
            let listen = listen.parse().unwrap();
            let found = client_host(hostname, Some(&listen), "HOST");
            assert_eq!(found.as_deref(), Some(expected));
        }
        assert_eq!(client_host(None, None, "HOST"), None);
    }
}
