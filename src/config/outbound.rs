//! Calls to the outside: what may be reached, whom to trust, which proxy stands between.
//!
//! Taken by the room of the same name, the only maker of HTTP clients.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use super::document::Node;
use super::environment::{Environment, ProxyEnvironment};
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed};

/// Rules for every outgoing call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OutboundConfig {
    /// Hosts on private addresses that addresses given by API may name.
    pub ssrf_allowed_hosts: Vec<AllowedHost>,
    /// Folder of CA certificates trusted besides the system's.
    pub extra_ca_certs: Option<PathBuf>,
    /// Proxies named by the environment.
    pub proxies: ProxyEnvironment,
}

/// One exemption from the rule that outgoing calls go to public addresses.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AllowedHost {
    /// A host name in lower case; with a leading dot, every name below it.
    Name(String),
    Network(IpNet),
}

impl FromStr for AllowedHost {
    type Err = String;

    /// Accepts `10.0.0.0/8`, `192.168.1.7`, `fd00::/8`, `registry.lan`, `.lan`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self::Network(network));
        }
        let literal = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = literal.parse::<IpAddr>() {
            return Ok(Self::Network(address.into()));
        }
        if text.contains('/') {
            return Err("it is not a network; write 10.0.0.0/8".to_owned());
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if text.trim_matches('.').is_empty() || !text.bytes().all(word) {
            return Err("it is neither a host name nor a network such as 10.0.0.0/8".to_owned());
        }
        Ok(Self::Name(text.trim_end_matches('.').to_ascii_lowercase()))
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

impl OutboundConfig {
    /// Loopback may be reached; no proxy, no extra authorities.
    pub fn for_testing() -> Self {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        Self {
            ssrf_allowed_hosts: vec![AllowedHost::Network(loopback.into())],
            ..Self::default()
        }
    }

    pub(super) fn read(
        fields: &Fields,
        environment: &Environment,
        report: &mut Report<'_>,
    ) -> Self {
        Self {
            ssrf_allowed_hosts: fields
                .list(report, "SSRF_ALLOWED_HOSTS", value::parsed)
                .unwrap_or_default(),
            extra_ca_certs: fields.read(report, "EXTRA_CA_CERTS", folder),
            proxies: ProxyEnvironment::read(environment, report),
        }
    }
}

fn folder(node: &Node) -> Parsed<PathBuf> {
    let path = value::path(node)?;
    let shown = path.display();
    let read = std::fs::read_dir(&path);
    read.map_err(|error| format!("cannot read the folder {shown}: {error}"))?;
    Ok(path)
}
