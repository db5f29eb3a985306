//! What the server itself is: listeners, names, TLS, its folder, its memory.
//!
//! Called by `Config::load`; each function reads one concern and checks it against its neighbours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::address::{self, Port};
use super::document::{Node, Place};
use super::fields::{Fields, suggestion};
use super::registry_mirrors::check_free;
use super::report::Report;
use super::value::{self, Parsed};
use crate::model::ByteSize;

/// Where metrics are served if nothing is said.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9091);

/// Files of the server's own certificate, readable when they were checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsConfig {
    /// PEM file with the certificate and its chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
    /// What clients have to show, if anything.
    pub clients: Option<ClientCertificates>,
}

/// Certificates of clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificates {
    /// PEM file with the authorities that sign them.
    pub authorities: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// Scheme of URLs made for clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UrlScheme {
    Http,
    Https,
}

/// Listeners of the registry and of the metrics.
pub(super) struct Listeners {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) metrics: Option<SocketAddr>,
    /// Every address with the key that takes it.
    pub(super) taken: Vec<(SocketAddr, String)>,
}

/// `LISTEN` and `LISTEN_METRICS`.
pub(super) fn listeners(fields: &Fields, report: &mut Report<'_>) -> Listeners {
    let mut taken = Vec::new();
    let items = fields.items(report, "LISTEN");
    if items.as_ref().is_some_and(Vec::is_empty) {
        let place = fields.place_of("LISTEN");
        report.mistake(place, "LISTEN", "is empty; give at least one address");
    }
    let items = items.unwrap_or_else(|| vec![("LISTEN".to_owned(), text_node("127.0.0.1:8080"))]);
    for (path, node) in items {
        match address::address(&node) {
            Ok(address) => {
                check_free(address, &taken, (node.place, &path), report);
                taken.push((address, path));
            }
            Err(reason) => report.mistake(node.place, &path, reason),
        }
    }
    let listen = taken.iter().map(|(address, _)| *address).collect();
    let metrics = fields.read(report, "LISTEN_METRICS", address_or_none);
    let metrics = metrics.unwrap_or(Some(METRICS));
    if let Some(address) = metrics {
        let key = "LISTEN_METRICS";
        check_free(address, &taken, (fields.place_of(key), key), report);
        taken.push((address, key.to_owned()));
    }
    Listeners {
        listen,
        metrics,
        taken,
    }
}

fn text_node(text: &str) -> Node {
    let value = super::document::Value::Text(text.to_owned());
    let place = Place::BuiltIn;
    Node { place, value }
}

/// An address, or `none`.
fn address_or_none(node: &Node) -> Parsed<Option<SocketAddr>> {
    if value::text(node).is_ok_and(|text| text == "none") {
        return Ok(None);
    }
    let address = address::address(node);
    address
        .map(Some)
        .map_err(|reason| format!("{reason}, or none"))
}

/// Warns of listeners that everyone on the network reaches in clear text.
pub(super) fn warn_of_clear_text(
    addresses: &[SocketAddr],
    (place, key): (Place, &str),
    report: &mut Report<'_>,
) {
    for address in addresses.iter().filter(|at| !at.ip().is_loopback()) {
        let text = format!(
            "{address} is reachable from the network without TLS: passwords and content cross it \
             in clear text; give TLS_CERTIFICATE and TLS_KEY, or put a TLS proxy in front"
        );
        report.warn(place, key, text);
    }
}

/// `TLS_CERTIFICATE` and `TLS_KEY`: both or neither, readable, of the right kind.
pub(super) fn tls(fields: &Fields, report: &mut Report<'_>) -> Option<TlsConfig> {
    let (one, other) = ("TLS_CERTIFICATE", "TLS_KEY");
    for (given, missing) in [(one, other), (other, one)] {
        if fields.get(given).is_some() && fields.get(missing).is_none() {
            let reason = format!("is given without {missing}; TLS needs both");
            report.mistake(fields.place_of(given), given, reason);
        }
    }
    let certificate = |node: &Node| value::pem_file(node, "-----BEGIN CERTIFICATE-----");
    let certificate = fields.read(report, one, certificate);
    let key = fields.read(report, other, |node| {
        value::pem_file(node, "PRIVATE KEY-----")
    });
    let clients = client_certificates(fields, report);
    Some(TlsConfig {
        certificate: certificate?,
        key: key?,
        clients,
    })
}

/// `TLS_CLIENT_CA` and `TLS_CLIENT_AUTH`.
fn client_certificates(fields: &Fields, report: &mut Report<'_>) -> Option<ClientCertificates> {
    let key = "TLS_CLIENT_CA";
    let words = [("required", true), ("optional", false)];
    let required = fields.read(report, "TLS_CLIENT_AUTH", |node| word(node, &words));
    if fields.get(key).is_some() && fields.get("TLS_CERTIFICATE").is_none() {
        let reason =
            "is given without TLS_CERTIFICATE; only a client that speaks TLS has a certificate";
        report.mistake(fields.place_of(key), key, reason);
    }
    let authorities = fields.read(report, key, |node| {
        value::pem_file(node, "-----BEGIN CERTIFICATE-----")
    });
    Some(ClientCertificates {
        authorities: authorities?,
        required: required.unwrap_or(true),
    })
}

/// `LISTEN_REDIRECT`: needs to know where it leads to.
pub(super) fn redirect(
    fields: &Fields,
    taken: &mut Vec<(SocketAddr, String)>,
    report: &mut Report<'_>,
) -> Option<SocketAddr> {
    let key = "LISTEN_REDIRECT";
    let address = fields.read(report, key, address_or_none).flatten()?;
    let place = fields.place_of(key);
    for needed in ["TLS_CERTIFICATE", "SERVER_HOSTNAME"] {
        if fields.get(needed).is_none() {
            let reason = format!("is given without {needed}; it leads to https://SERVER_HOSTNAME");
            report.mistake(place, key, reason);
        }
    }
    check_free(address, taken, (place, key), report);
    taken.push((address, key.to_owned()));
    Some(address)
}

/// `HSTS_MAX_AGE`
pub(super) fn hsts(fields: &Fields, report: &mut Report<'_>) -> Option<Duration> {
    let most = Duration::from_secs(10 * 365 * 86400);
    fields.read(report, "HSTS_MAX_AGE", |node| {
        value::duration(node, Duration::ZERO, most)
    })
}

/// `SERVER_HOSTNAME`: a host, with a port if need be.
pub(super) fn hostname(fields: &Fields, report: &mut Report<'_>) -> Option<String> {
    let host = |node: &Node| address::host(node, Port::Allowed);
    fields.read(report, "SERVER_HOSTNAME", host)
}

/// `PREFERRED_URL_SCHEME`
pub(super) fn url_scheme(fields: &Fields, report: &mut Report<'_>) -> Option<UrlScheme> {
    let words = [("http", UrlScheme::Http), ("https", UrlScheme::Https)];
    fields.read(report, "PREFERRED_URL_SCHEME", |node| word(node, &words))
}

/// One of a closed set of words.
pub(super) fn word<T: Copy>(node: &Node, words: &[(&str, T)]) -> Parsed<T> {
    let text = value::text(node)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let hint = suggestion(&text, known.iter().copied());
        format!("{text:?} is not one of {}{hint}", known.join(", "))
    })
}

/// `DATA_DIR`: a folder, or nothing yet.
pub(super) fn data_dir(fields: &Fields, report: &mut Report<'_>) -> PathBuf {
    let folder = |node: &Node| {
        let path = value::path(node)?;
        match path.metadata() {
            Ok(found) if !found.is_dir() => Err(format!("{} is not a folder", path.display())),
            _ => Ok(path),
        }
    };
    fields
        .read(report, "DATA_DIR", folder)
        .unwrap_or_else(|| PathBuf::from("./data"))
}

/// `HOT_CACHE` or `STORE_CACHE`.
pub(super) fn cache_size(fields: &Fields, key: &str, report: &mut Report<'_>) -> ByteSize {
    let parse = |node: &Node| value::size(node, ByteSize::mib(1), ByteSize::gib(1024));
    let size = fields.read(report, key, parse);
    size.unwrap_or(ByteSize::mib(16))
}

/// `DISK_RESERVE`; `None` leaves the choice to the volume's size.
pub(super) fn disk_reserve(fields: &Fields, report: &mut Report<'_>) -> Option<ByteSize> {
    let parse = |node: &Node| value::size(node, ByteSize(0), ByteSize(u64::MAX));
    fields.read(report, "DISK_RESERVE", parse)
}
