//! TLS listeners: both protocols, and certificates that change while connections go on.

use std::fs;
use std::sync::Arc;

use entrepot::http::{Body, Request, Response, Tls, TlsPaths, response};
use http::{StatusCode, Version};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::site::{Site, pattern, region, serve_with, soon};

/// A certificate for `localhost` in files of its own.
struct Certificate {
    directory: tempfile::TempDir,
    trusted: Vec<CertificateDer<'static>>,
}

impl Certificate {
    fn new() -> Self {
        let mut certificate = Self {
            directory: tempfile::tempdir().unwrap(),
            trusted: Vec::new(),
        };
        certificate.renew();
        certificate
    }

    fn paths(&self) -> TlsPaths {
        TlsPaths {
            certificate: self.directory.path().join("tls.crt"),
            key: self.directory.path().join("tls.key"),
            clients: None,
        }
    }

    /// Makes another pair and trusts it too.
    fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        fs::write(self.paths().certificate, made.cert.pem()).unwrap();
        fs::write(self.paths().key, made.signing_key.serialize_pem()).unwrap();
        self.trusted.push(made.cert.der().clone());
    }

    fn load(&self) -> Tls {
        Tls::load(&self.paths()).unwrap()
    }

    async fn connect(&self, site: &Site, alpn: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.trusted.clone());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = site.connect().await;
        let connector = TlsConnector::from(Arc::new(config));
        soon(connector.connect(name, stream)).await.unwrap()
    }

    fn client(&self, site: &Site) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_der(self.trusted.last().unwrap()).unwrap();
        reqwest::Client::builder()
            .tls_certs_only([root])
            .resolve("localhost", site.address)
    }
}

fn presented(stream: &TlsStream<TcpStream>) -> &CertificateDer<'static> {
    &stream.get_ref().1.peer_certificates().unwrap()[0]
}

async fn version(request: Request) -> Response {
    response::text(StatusCode::OK, format!("{:?}", request.version()))
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut seen = String::new();
    while !seen.ends_with("HTTP/1.1") || !seen.contains("\r\n\r\n") {
        seen.push(char::from(soon(stream.read_u8()).await.unwrap()));
    }
    seen
}

#[tokio::test]
async fn both_protocols_are_negotiated() {
    let certificate = Certificate::new();
    let site = serve_with(version, Some(certificate.load()), |_| {});
    let url = format!("https://localhost:{}/", site.address.port());
    let newest = certificate
        .client(&site)
        .build()
        .unwrap()
        .get(&url)
        .send()
        .await
        .unwrap();
    assert_eq!(newest.version(), Version::HTTP_2);
    assert_eq!(newest.text().await.unwrap(), "HTTP/2.0");
    let older = certificate.client(&site).http1_only().build().unwrap();
    let older = older.get(&url).send().await.unwrap();
    assert_eq!(older.text().await.unwrap(), "HTTP/1.1");
    let mut bare = certificate.connect(&site, &[]).await;
    assert!(ask(&mut bare).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// Without sendfile, a region comes from the mapping; a body larger than any buffer arrives whole.
#[tokio::test]
async fn bodies_arrive_whole_over_tls() {
    let memory = pattern(6, 5 << 20);
    let region = region(memory.clone(), &vec![0; memory.len()]);
    let handler = move |request: Request| {
        let region = region.clone();
        async move {
            Response::new(match request.uri().path() {
                "/region" => region.into(),
                _ => Body::Full(region.bytes),
            })
        }
    };
    let certificate = Certificate::new();
    let site = serve_with(handler, Some(certificate.load()), |_| {});
    for http1 in [true, false] {
        let client = certificate.client(&site);
        let client = if http1 { client.http1_only() } else { client };
        let client = client.build().unwrap();
        for path in ["region", "memory"] {
            let url = format!("https://localhost:{}/{path}", site.address.port());
            let body = client.get(url).send().await.unwrap().bytes().await.unwrap();
            assert!(body == memory, "{path} {http1}");
        }
    }
}

/// LC-04: a certificate is exchanged under load; connections that stand keep theirs.
#[tokio::test]
async fn a_new_certificate_is_served_while_old_connections_go_on() {
    let mut certificate = Certificate::new();
    let tls = certificate.load();
    let reloader = tls.reloader();
    let site = serve_with(version, Some(tls), |_| {});
    let mut old = certificate.connect(&site, &["http/1.1"]).await;
    assert_eq!(*presented(&old), certificate.trusted[0]);
    ask(&mut old).await;

    certificate.renew();
    assert!(reloader.reload_if_changed().unwrap());
    let mut new = certificate.connect(&site, &["http/1.1"]).await;
    assert_eq!(*presented(&new), certificate.trusted[1]);
    for stream in [&mut new, &mut old] {
        assert!(ask(stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }

    fs::write(certificate.paths().key, "no key").unwrap();
    assert!(reloader.reload_if_changed().is_err());
    let still = certificate.connect(&site, &["http/1.1"]).await;
    assert_eq!(*presented(&still), certificate.trusted[1]);
}

#[tokio::test]
async fn a_handshake_that_is_none_is_closed_and_counted() {
    let certificate = Certificate::new();
    let site = serve_with(version, Some(certificate.load()), |_| {});
    site.say(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00").await;
    certificate
        .connect(&site, &["h2"])
        .await
        .shutdown()
        .await
        .unwrap();
    assert_eq!(site.metric("entrepot_http_tls_handshake_failures_total"), 1);
}

/// RS-02: a handshake that does not go on is not waited for.
#[tokio::test]
async fn a_slow_handshake_is_closed() {
    let certificate = Certificate::new();
    let site = serve_with(version, Some(certificate.load()), |options| {
        options.limits.handshake = std::time::Duration::from_millis(100);
    });
    assert_eq!(site.say("").await, "");
    assert_eq!(site.say(b"\x16\x03\x01\x02\x00\x01").await, "");
    assert_eq!(site.metric("entrepot_http_tls_handshake_failures_total"), 1);
}
