//! `REGISTRY_MIRRORS`: where one organisation's content is served at the root.
//!
//! Called by `Config::load` after the caches and listeners are known. There Docker's
//! `registry-mirrors` works, which can ask no other path.

use std::net::{IpAddr, SocketAddr};

use super::address::{self, Port};
use super::document::Place;
use super::fields::{Fields, suggestion};
use super::report::Report;
use super::value;
use crate::model::NamespaceName;

/// Keys of an entry.
pub(super) const KEYS: [&str; 3] = ["organization", "listen", "hostname"];

/// A listener or host name that stands for an organisation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryMirror {
    pub organization: NamespaceName,
    /// An address of its own.
    pub listen: Option<SocketAddr>,
    /// A `Host` on the common listeners, in lower case and without port.
    pub hostname: Option<String>,
}

/// What stands elsewhere in the configuration and a mirror must fit to.
pub(super) struct Surroundings<'a> {
    pub(super) organizations: Vec<&'a NamespaceName>,
    /// Addresses that are taken, with the key that takes each.
    pub(super) taken: Vec<(SocketAddr, String)>,
    pub(super) server_hostname: Option<&'a str>,
}

/// Reads the list; `None` if the key is absent.
pub(super) fn read(
    fields: &Fields,
    mut around: Surroundings<'_>,
    report: &mut Report<'_>,
) -> Option<Vec<RegistryMirror>> {
    let mut mirrors: Vec<RegistryMirror> = Vec::new();
    for (path, node) in fields.items(report, "REGISTRY_MIRRORS")? {
        let Some(entry) = Fields::open(&node, &path, &KEYS, report) else {
            continue;
        };
        let Some(mirror) = read_entry(&entry, report) else {
            continue;
        };
        check_organization(&mirror, &entry, &around, report);
        check_hostname(&mirror, &entry, &around, &mirrors, report);
        if let Some(address) = mirror.listen {
            let key = entry.path("listen");
            check_free(
                address,
                &around.taken,
                (entry.place_of("listen"), &key),
                report,
            );
            around.taken.push((address, key));
        }
        mirrors.push(mirror);
    }
    Some(mirrors)
}

fn read_entry(entry: &Fields, report: &mut Report<'_>) -> Option<RegistryMirror> {
    let organization = entry.require(report, "organization", value::parsed);
    let listen = entry.read(report, "listen", address::address);
    let hostname = entry.read(report, "hostname", |node| {
        address::host(node, Port::Refused)
    });
    if entry.get("listen").is_none() && entry.get("hostname").is_none() {
        let reason = "is missing; give listen (an address) or hostname";
        report.mistake(entry.place, &entry.path("listen"), reason);
    }
    Some(RegistryMirror {
        organization: organization?,
        listen,
        hostname,
    })
}

fn check_organization(
    mirror: &RegistryMirror,
    entry: &Fields,
    around: &Surroundings<'_>,
    report: &mut Report<'_>,
) {
    let name = &mirror.organization;
    if !around.organizations.contains(&name) {
        let known = around.organizations.iter().map(|name| name.as_str());
        let hint = suggestion(name.as_str(), known);
        let reason = format!("{name} is not an organisation of PROXY_CACHES{hint}");
        report.mistake(
            entry.place_of("organization"),
            &entry.path("organization"),
            reason,
        );
    }
}

fn check_hostname(
    mirror: &RegistryMirror,
    entry: &Fields,
    around: &Surroundings<'_>,
    mirrors: &[RegistryMirror],
    report: &mut Report<'_>,
) {
    let Some(hostname) = &mirror.hostname else {
        return;
    };
    let server = around
        .server_hostname
        .map(|name| match name.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => name,
        });
    let taken = mirrors
        .iter()
        .any(|other| other.hostname == mirror.hostname);
    let reason = if server == Some(hostname) {
        "is SERVER_HOSTNAME, where every organisation is served"
    } else if taken {
        "is already the host name of another mirror"
    } else {
        return;
    };
    report.mistake(entry.place_of("hostname"), &entry.path("hostname"), reason);
}

/// Reports an address that another listener takes.
pub(super) fn check_free(
    address: SocketAddr,
    taken: &[(SocketAddr, String)],
    (place, key): (Place, &str),
    report: &mut Report<'_>,
) {
    if let Some((other, owner)) = taken.iter().find(|(other, _)| overlap(*other, address)) {
        let owner = match *other == address {
            true => owner.clone(),
            false => format!("{owner} ({other})"),
        };
        report.mistake(place, key, format!("{address} is already taken by {owner}"));
    }
}

/// Whether two listeners cannot stand side by side. `[::]` takes IPv4 too, as Linux has it.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let everything = |ip: IpAddr| ip == IpAddr::from([0_u16; 8]);
    let every_v4 = |ip: IpAddr| ip == IpAddr::from([0_u8; 4]);
    let (a, b) = (one.ip(), other.ip());
    let same = a == b
        || everything(a)
        || everything(b)
        || (every_v4(a) && b.is_ipv4())
        || (every_v4(b) && a.is_ipv4());
    one.port() == other.port() && one.port() != 0 && same
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_overlap_as_sockets_do() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (one, other, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("127.0.0.1:1", "[::]:1", true),
            ("[::1]:1", "0.0.0.0:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("127.0.0.1:1", "127.0.0.1:2", false),
        ] {
            assert_eq!(
                overlap(address(one), address(other)),
                expected,
                "{one} {other}"
            );
            assert_eq!(
                overlap(address(other), address(one)),
                expected,
                "{other} {one}"
            );
        }
    }
}
