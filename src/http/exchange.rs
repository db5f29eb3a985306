//! Who asks, and how: what a handler may know of the connection a request came by.
//!
//! Behind a proxy that the operator trusts, the client, the scheme and the host are those that the proxy
//! tells; from anyone else such headers mean nothing.

use std::net::{IpAddr, SocketAddr};

use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use ipnet::IpNet;

use super::request_id::RequestId;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// One request seen from outside; found in the request's extensions.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request's name in logs and in the answer.
    pub id: RequestId,
    /// Who asks. The port is 0 where a proxy did not tell it.
    pub client: SocketAddr,
    /// The place of the listener in the list given to the server.
    pub listener: usize,
    /// Whether the client speaks TLS, to us or to the proxy before us.
    pub secure: bool,
    /// The host the client meant, with its port if it named one.
    pub host: Option<Authority>,
    /// Whether a [`Region`](super::Region) as body is sent without being read; else a stream is better.
    pub sendfile: bool,
}

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Trusted(Vec<IpNet>);

impl Trusted {
    pub(super) fn new(nets: Vec<IpNet>) -> Self {
        Self(nets)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// Replaces in `exchange` what the proxy at its client address tells, if that is one of ours.
    pub(super) fn hear(&self, headers: &HeaderMap, exchange: &mut Exchange) {
        if !self.holds(exchange.client.ip()) {
            return;
        }
        exchange.client = self.client(headers, exchange.client);
        if let Some(scheme) = first(headers, &FORWARDED_PROTO) {
            exchange.secure = scheme.eq_ignore_ascii_case("https");
        }
        if let Some(host) = first(headers, &FORWARDED_HOST).and_then(authority) {
            exchange.host = Some(host);
        }
    }

    /// The last address that a trusted proxy saw and that is not one itself. What stands further left
    /// is the client's own claim.
    fn client(&self, headers: &HeaderMap, peer: SocketAddr) -> SocketAddr {
        let mut client = peer;
        let lines = headers.get_all(FORWARDED_FOR).into_iter().rev();
        let names = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for name in names {
            if !self.holds(client.ip()) {
                break;
            }
            let Some(address) = address(name.trim()) else {
                break;
            };
            client = address;
        }
        client
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let full = text.parse::<SocketAddr>().ok();
    let address = full.or_else(|| Some(SocketAddr::new(bare.parse().ok()?, 0)))?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// The first of a list: what the proxy next to the client wrote.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let line = headers.get(name)?.to_str().ok()?;
    line.split(',').next().map(str::trim)
}

/// The host a request names: in its target (HTTP/2, absolute form) or in its Host header.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let named = || headers.get(header::HOST).map(HeaderValue::to_str);
    match uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => named()?.ok().and_then(authority),
    }
}

/// A host and maybe a port, and nothing else.
fn authority(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    (!authority.as_str().contains('@') && !authority.host().is_empty()).then_some(authority)
}

#[cfg(test)]
mod tests {
    use super::super::request_id::RequestIds;
    use super::*;

    fn heard(peer: &str, headers: &[(&'static str, &'static str)]) -> Exchange {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect();
        let mut exchange = Exchange {
            id: RequestIds::new().name(&headers),
            client: SocketAddr::new(peer.parse().unwrap(), 999),
            listener: 0,
            secure: false,
            host: authority("inner:8080"),
            sendfile: false,
        };
        let nets = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        Trusted::new(nets.to_vec()).hear(&headers, &mut exchange);
        exchange
    }

    const TOLD: [(&str, &str); 3] = [
        ("x-forwarded-for", "203.0.113.9, 198.51.100.7, 10.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "images.example:8443"),
    ];

    #[test]
    fn a_trusted_proxy_tells_who_asks() {
        let exchange = heard("10.0.0.1", &TOLD);
        assert_eq!(exchange.client.to_string(), "198.51.100.7:0");
        assert!(exchange.secure);
        assert_eq!(exchange.host.unwrap(), "images.example:8443");
    }

    #[test]
    fn nobody_else_is_heard() {
        let exchange = heard("192.0.2.1", &TOLD);
        assert_eq!(exchange.client.to_string(), "192.0.2.1:999");
        assert!(!exchange.secure);
        assert_eq!(exchange.host.unwrap(), "inner:8080");
    }

    #[test]
    fn addresses_come_in_several_forms() {
        for (told, client) in [
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("::ffff:192.0.2.1", "192.0.2.1:0"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("192.0.2.1, unknown", "10.0.0.1:999"),
            ("203.0.113.1, fd00::5", "203.0.113.1:0"),
        ] {
            let exchange = heard("10.0.0.1", &[("x-forwarded-for", told)]);
            assert_eq!(exchange.client.to_string(), client, "{told}");
        }
    }

    #[test]
    fn a_host_is_a_host() {
        for good in ["a", "a:80", "127.0.0.1:8080", "[::1]:80"] {
            assert_eq!(authority(good).unwrap(), good);
        }
        for bad in ["", ":80", "user@a", "a/b", "a b", "a\u{e9}"] {
            assert_eq!(authority(bad), None, "{bad:?}");
        }
    }
}
