//! Which sockets are opened, and what each of them is for.

use std::net::SocketAddr;

use crate::api::{Entrance, MirrorAddress, Site};
use crate::config::{Config, UrlScheme};
use crate::http::{self, ClientAuthorities, Inherited, Listener, Tls, TlsPaths, TlsReloader};
use crate::model::{ByteSize, NamespaceName};

/// Where a running server listens, with the real ports where 0 was asked for.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// In the order of `LISTEN`.
    pub listen: Vec<SocketAddr>,
    /// Mirror listeners with their organisations.
    pub mirrors: Vec<(NamespaceName, SocketAddr)>,
    pub metrics: Option<SocketAddr>,
    /// Where plain HTTP is sent on to HTTPS.
    pub redirect: Option<SocketAddr>,
}

/// An address and what is to be served there.
type Wanted = (SocketAddr, Entrance);

/// Open sockets, not yet served.
pub(super) struct Bound {
    pub(super) listeners: Vec<Listener>,
    /// One a listener.
    pub(super) entrances: Vec<Entrance>,
    pub(super) addresses: Addresses,
    pub(super) tls: Option<TlsReloader>,
}

/// Opens every socket, or none; those that the service manager has opened already are taken instead.
pub(super) fn bind(config: &Config, inherited: Vec<Inherited>) -> Result<Bound, http::Error> {
    let tls = tls_paths(config)
        .map(|paths| Tls::load(&paths))
        .transpose()?;
    let mut bound = Bound {
        listeners: Vec::new(),
        entrances: Vec::new(),
        addresses: Addresses::default(),
        tls: tls.as_ref().map(Tls::reloader),
    };
    let (taken, wanted) = assign(wanted(config), inherited);
    for (entrance, socket) in taken {
        bound.add(Listener::inherit(socket)?, entrance, tls.as_ref());
    }
    let sockets: Vec<SocketAddr> = wanted.iter().map(|(address, _)| *address).collect();
    for (listener, (_, entrance)) in Listener::bind_all(&sockets)?.into_iter().zip(wanted) {
        bound.add(listener, entrance, tls.as_ref());
    }
    Ok(bound)
}

/// The files of `LISTEN`'s TLS.
pub(super) fn tls_paths(config: &Config) -> Option<TlsPaths> {
    config.tls.as_ref().map(|files| TlsPaths {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        clients: files.clients.as_ref().map(|clients| ClientAuthorities {
            file: clients.authorities.clone(),
            required: clients.required,
        }),
    })
}

/// `LISTEN`, the mirrors', `LISTEN_METRICS`, `LISTEN_REDIRECT`.
fn wanted(config: &Config) -> Vec<Wanted> {
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
    let redirect = config
        .listen_redirect
        .map(|address| (address, Entrance::Redirect));
    site.chain(mirrors).chain(metrics).chain(redirect).collect()
}

/// Finds out what each inherited socket is for, by its name or else by its address (LC-09). Where sockets
/// are named for a purpose, the configured addresses of that purpose are not opened. Returns them, and what
/// is left to be opened; a socket that nothing wants is told and closed.
fn assign(
    mut wanted: Vec<Wanted>,
    inherited: Vec<Inherited>,
) -> (Vec<(Entrance, Inherited)>, Vec<Wanted>) {
    let mut taken: Vec<(Entrance, Inherited)> = Vec::new();
    let named: Vec<Entrance> = wanted
        .iter()
        .map(|(_, entrance)| entrance.clone())
        .collect();
    for socket in inherited {
        let by_name = named
            .iter()
            .find(|entrance| is_called(entrance, socket.name()));
        let by_address = wanted
            .iter()
            .find(|(address, _)| *address == socket.address());
        let (entrance, is_named) = match (by_name, by_address) {
            (Some(entrance), _) => (entrance.clone(), true),
            (None, Some((_, entrance))) => (entrance.clone(), false),
            (None, None) => {
                tracing::warn!(
                    name = socket.name(),
                    address = %socket.address(),
                    "no setting wants this socket of the service manager; it is not used"
                );
                continue;
            }
        };
        wanted.retain(|(address, other)| match is_named {
            true => *other != entrance,
            false => *address != socket.address(),
        });
        taken.push((entrance, socket));
    }
    (taken, wanted)
}

/// Whether a socket of this name is meant for the entrance.
fn is_called(entrance: &Entrance, name: &str) -> bool {
    match entrance {
        Entrance::Site => name == "registry",
        Entrance::Mirror(organization) => name == organization.as_str(),
        Entrance::Metrics => name == "metrics",
        Entrance::Redirect => name == "redirect",
    }
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
            Entrance::Redirect => self.addresses.redirect = Some(address),
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
        hsts: config.hsts,
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

    fn inherited(name: &str) -> Inherited {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Inherited::new(name, socket).unwrap()
    }

    /// LC-09: by name, else by address; what nothing wants is left alone.
    #[test]
    fn inherited_sockets_find_their_purpose() {
        let hub: NamespaceName = "docker.io".parse().unwrap();
        let unnamed = inherited("entrepot.socket");
        let here = unnamed.address();
        let other: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let wanted = vec![
            (other, Entrance::Site),
            (here, Entrance::Site),
            (other, Entrance::Mirror(hub.clone())),
            (other, Entrance::Metrics),
        ];
        let sockets = vec![unnamed, inherited("docker.io"), inherited("quay.io")];
        let (taken, left) = assign(wanted.clone(), sockets);
        let entrances: Vec<_> = taken.iter().map(|(entrance, _)| entrance.clone()).collect();
        assert_eq!(entrances, [Entrance::Site, Entrance::Mirror(hub)]);
        assert_eq!(left, [(other, Entrance::Site), (other, Entrance::Metrics)]);

        let sockets = vec![inherited("registry"), inherited("registry")];
        let (taken, left) = assign(wanted, sockets);
        assert_eq!(taken.len(), 2);
        assert!(left.iter().all(|(_, entrance)| *entrance != Entrance::Site));
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_refused() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        assert!(Inherited::new("registry", socket.into()).is_err());
    }
}
