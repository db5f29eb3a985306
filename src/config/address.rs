//! Addresses, networks, URLs and host names as people write them.
//!
//! Called by the section files through `Fields`, like `value`. Nothing is resolved: a name in a
//! listener's address is a mistake, except `localhost`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;
use url::Url;

use super::document::{Node, Value};
use super::value::{Parsed, text};

/// An address to listen on.
pub(super) fn address(node: &Node) -> Parsed<SocketAddr> {
    let text = match &node.value {
        Value::Integer(port) => port.to_string(),
        _ => text(node)?,
    };
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let fail = |what: &str, port: &str| {
        let every = format!("write 0.0.0.0:{port} for every address, or 127.0.0.1:{port}");
        Err(format!("{text:?} {what}; {every}"))
    };
    if let Ok(port) = text.parse::<u16>() {
        return fail("is a port without an address", &port.to_string());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = SocketAddr::new(address, 8080);
        return Err(format!("{text:?} has no port; write {address}"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return fail("is not an address with a port", "8080");
    };
    let Ok(number) = port.parse::<u16>() else {
        return fail("has no port from 0 to 65535", "8080");
    };
    match host {
        "localhost" => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), number)),
        "" => fail("has no address", port),
        "*" => fail("has no address", port),
        _ if host.contains('/') => fail("is a URL, not an address", port),
        _ => fail("names a host where an IP address is meant", port),
    }
}

/// A network: `10.0.0.0/8`, or one address.
pub(super) fn network(node: &Node) -> Parsed<IpNet> {
    let text = text(node)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    text.parse()
        .map_err(|_| format!("{text:?} is not a network; write 10.0.0.0/8 or an IP address"))
}

/// A URL of the web without an account in it; the URL is not shown if it has one.
pub(super) fn url(node: &Node) -> Parsed<Url> {
    let text = text(node)?;
    if text.contains('@') && !text.contains("://") {
        return Err("is not a URL, and may hold an account; write https://host".to_owned());
    }
    let url = Url::parse(&text).map_err(|_| match text.contains('@') {
        true => "is not a URL; write https://host".to_owned(),
        false => format!("{text:?} is not a URL; write https://host"),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL holds an account; a URL in this file may not".to_owned());
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("{text:?} is not an http:// or https:// URL"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a query or fragment; leave it out"));
    }
    Ok(url)
}

/// A host name or address, without scheme and path; with a port only if `port` is true.
pub(super) fn host(node: &Node, port: Port) -> Parsed<String> {
    let text = text(node)?.to_ascii_lowercase();
    if text.contains("://") {
        return Err(format!("{text:?} is a URL; leave the scheme out"));
    }
    let url = Url::parse(&format!("https://{text}/")).ok();
    let url = url.filter(|url| {
        let host = url.host_str().unwrap_or_default();
        let labels = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .split(['.', ':']);
        let named = labels.into_iter().all(|label| label.len() <= 63);
        named && url.path() == "/" && url.username().is_empty() && url.query().is_none()
    });
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte));
    match url {
        Some(url) if plain && port == Port::Refused && url.port().is_some() => {
            Err(format!("{text:?} has a port; leave it out"))
        }
        Some(_) if plain => Ok(text),
        _ => Err(format!("{text:?} is not a host name")),
    }
}

/// Whether a host may have a port.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Port {
    Allowed,
    Refused,
}

#[cfg(test)]
mod tests {
    use super::super::document::Place;
    use super::*;

    fn node(text: &str) -> Node {
        let value = Value::Text(text.to_owned());
        let place = Place::BuiltIn;
        Node { place, value }
    }

    #[test]
    fn addresses_say_what_would_be_right() {
        let read = |text: &str| address(&node(text));
        assert_eq!(read("localhost:80"), Ok(([127, 0, 0, 1], 80).into()));
        assert_eq!(read("[::1]:0"), Ok("[::1]:0".parse().unwrap()));
        for (text, right) in [
            (":8080", "0.0.0.0:8080"),
            ("8080", "0.0.0.0:8080"),
            ("*:80", "0.0.0.0:80"),
            ("::1", "[::1]:8080"),
            ("10.0.0.1", "10.0.0.1:8080"),
            ("host:80", "IP address"),
            ("http://0.0.0.0:80", "URL"),
            ("127.0.0.1:99999", "65535"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.contains(right), "{text}: {reason}");
        }
    }

    #[test]
    fn hosts_are_names_without_scheme_or_path() {
        let read = |text: &str| host(&node(text), Port::Allowed);
        assert_eq!(
            read("Registry.Example:5000"),
            Ok("registry.example:5000".into())
        );
        assert_eq!(read("[::1]"), Ok("[::1]".into()));
        for text in [
            "https://a",
            "a/b",
            "a b",
            "a@b",
            "a?b",
            "a:99999",
            "a..\u{1b}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(host(&node("a:5000"), Port::Refused).is_err());
    }

    /// SE-01: the password of a URL is not repeated in the message about it.
    #[test]
    fn urls_with_an_account_are_refused_without_showing_it() {
        for text in [
            "https://user:hunter2@host/",
            "user:hunter2@host",
            "http://u:hunter2@:x",
        ] {
            let reason = url(&node(text)).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
        assert!(url(&node("https://host/path")).is_ok());
        assert!(url(&node("ftp://host/")).is_err());
    }
}
