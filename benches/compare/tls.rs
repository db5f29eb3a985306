//! Certificates for the rows over TLS, and the client that trusts them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::{ClientConfig, RootCertStore};

use crate::failure::{Doing as _, Outcome};

/// A self-signed certificate for loopback, its own authority.
pub(crate) struct Identity {
    /// PEM file of the certificate.
    pub(crate) certificate: PathBuf,
    /// PEM file of its key.
    pub(crate) key: PathBuf,
    client: Arc<ClientConfig>,
}

impl Identity {
    /// Makes one and writes it to `folder`.
    pub(crate) fn make(folder: &Path) -> Outcome<Self> {
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).doing("make a certificate")?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, made.cert.pem()).doing("write the certificate")?;
        fs::write(&key, made.signing_key.serialize_pem()).doing("write the key")?;
        let mut roots = RootCertStore::empty();
        roots
            .add(made.cert.der().clone())
            .doing("trust the certificate")?;
        // One suite, so that all servers do the same work: the one that Go prefers, and with it
        // nearly every client of a registry.
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .doing("configure TLS 1.3")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            certificate,
            key,
            client: Arc::new(client),
        })
    }

    /// A client that trusts this certificate and speaks TLS 1.3 only.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}
