//! Which addresses may be called.
//!
//! The table follows the IANA special-purpose address registries (RFC 6890 and its updates). An address
//! that carries an IPv4 address inside (mapped, NAT64) is judged by that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::AllowedHost;

/// Whom a client may call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AddressPolicy {
    /// Any address: the operator wrote the endpoint into the configuration.
    Any,
    /// Public addresses, and what `SSRF_ALLOWED_HOSTS` names: somebody else gave the URL.
    PublicOrAllowed,
}

/// All allowed hosts, asked by name and by address.
#[derive(Debug, Default)]
pub struct AllowedHosts(Vec<AllowedHost>);

impl AllowedHosts {
    pub fn new(hosts: Vec<AllowedHost>) -> Self {
        Self(hosts)
    }

    /// Whether `host`, a name, is allowed whatever it resolves to.
    pub fn allows_name(&self, host: &str) -> bool {
        let host = plain_name(host);
        self.0.iter().any(|allowed| match allowed {
            AllowedHost::Name(name) if name.starts_with('.') => host.ends_with(name.as_str()),
            AllowedHost::Name(name) => *name == host,
            AllowedHost::Network(_) => false,
        })
    }

    /// Whether `address` is public or inside an allowed network.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        let within = |allowed: &AllowedHost| match allowed {
            AllowedHost::Network(network) => network.contains(&plain) || network.contains(&address),
            AllowedHost::Name(_) => false,
        };
        is_public(address) || self.0.iter().any(within)
    }
}

/// Lower case, without the dot of an absolute name.
fn plain_name(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// Whether `address` is a unicast address of the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        [0 | 10 | 127 | 224..=255, ..] // this network, private, loopback, multicast, reserved
            | [100, 64..=127, ..] // shared address space, RFC 6598
            | [169, 254, ..] // link-local, and every cloud's metadata service
            | [172, 16..=31, ..]
            | [192, 168, ..]
            | [192, 0, 0 | 2, _] // protocol assignments, documentation
            | [192, 88, 99, _] // 6to4 relays
            | [198, 18 | 19, ..] // benchmarks
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    )
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = embedded_v4(address) {
        return is_public_v4(inner);
    }
    let segments = address.segments();
    // Only 2000::/3 is global unicast; inside it, what has a special purpose is taken out.
    let global = segments[0] & 0xe000 == 0x2000;
    let special = matches!(
        segments,
        [0x2001, 0..=0x01ff, ..] // Teredo, ORCHID and other protocol assignments
            | [0x2001, 0x0db8, ..]
            | [0x2002, ..] // 6to4 reaches whatever IPv4 address it carries
            | [0x3fff, 0..=0x0fff, ..]
    );
    global && !special
}

/// The IPv4 address inside `::ffff:0:0/96` (RFC 4291) and `64:ff9b::/96` (NAT64, RFC 6052).
const fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UP-04: every special range, in both families.
    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "4000::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn public_addresses_pass_also_through_nat64() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.254",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn allowed_hosts_are_names_suffixes_and_networks() {
        let parse = |text: &str| text.parse::<AllowedHost>().unwrap();
        let hosts = [
            "Registry.LAN.",
            ".corp.test",
            "10.1.0.0/16",
            "192.168.1.7",
            "[fd00::1]",
        ];
        let allowed = AllowedHosts::new(hosts.map(parse).to_vec());
        for name in [
            "registry.lan",
            "REGISTRY.lan.",
            "a.corp.test",
            "a.b.corp.test",
        ] {
            assert!(allowed.allows_name(name), "{name}");
        }
        for name in ["x.registry.lan", "corp.test", "acorp.test", "lan", ""] {
            assert!(!allowed.allows_name(name), "{name}");
        }
        for address in [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "192.168.1.7",
            "fd00::1",
            "8.8.8.8",
        ] {
            assert!(
                allowed.allows_address(address.parse().unwrap()),
                "{address}"
            );
        }
        for address in ["10.2.0.1", "192.168.1.8", "fd00::2", "127.0.0.1"] {
            assert!(
                !allowed.allows_address(address.parse().unwrap()),
                "{address}"
            );
        }
        for bad in ["", ".", "a b", "http://x", "10.0.0.0/33", "user@host"] {
            assert!(bad.parse::<AllowedHost>().is_err(), "{bad:?}");
        }
    }
}
