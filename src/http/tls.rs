//! TLS of a listener: certificate and key from PEM files, exchanged while connections go on.
//!
//! Handshakes read the pair through a pointer that [`TlsReloader`] swaps; a connection keeps what it
//! began with. A new pair that is damaged or does not match leaves the old one in use.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::error::Error;

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct TlsPaths {
    /// PEM: the certificate, then the intermediate ones.
    pub certificate: PathBuf,
    /// PEM: the private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// What a listener needs to speak TLS; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    reloader: TlsReloader,
}

/// Puts a changed pair in the place of the one in use.
#[derive(Clone)]
pub struct TlsReloader(Arc<Reloader>);

struct Reloader {
    paths: TlsPaths,
    pair: Arc<Pair>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<[Stamp; 2]>,
}

/// The pair in use.
struct Pair(ArcSwap<CertifiedKey>);

/// What tells one content of a file from the next: modification time, length, inode; all zero for
/// a file that is not there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stamp(i64, i64, u64, u64);

impl Tls {
    /// Reads the pair; TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// If a file cannot be read, is damaged, or the two do not match.
    pub fn load(paths: &TlsPaths) -> Result<Self, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let seen = stamps(paths);
        let pair = Arc::new(Pair(ArcSwap::from(read(paths, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(pair.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            reloader: TlsReloader(Arc::new(Reloader {
                paths: paths.clone(),
                pair,
                provider,
                seen: Mutex::new(seen),
            })),
        })
    }

    /// What exchanges the pair.
    pub fn reloader(&self) -> TlsReloader {
        self.reloader.clone()
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

impl TlsReloader {
    /// Reads the files again if one of them changed; says whether there is another pair in use now.
    /// Reads files: call it on the blocking pool.
    ///
    /// # Errors
    /// If the changed files make no pair. The old one stays, and the next change is looked at again.
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let Reloader {
            paths,
            pair,
            provider,
            seen,
        } = &*self.0;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        // The stamps are taken first: a change while the files are read is seen the next time.
        let now = stamps(paths);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        pair.0.store(read(paths, provider)?);
        Ok(true)
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

fn stamps(paths: &TlsPaths) -> [Stamp; 2] {
    [&paths.certificate, &paths.key].map(|path| {
        fs::metadata(path).map_or_else(
            |_| Stamp::default(),
            |file| Stamp(file.mtime(), file.mtime_nsec(), file.len(), file.ino()),
        )
    })
}

fn read(paths: &TlsPaths, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let TlsPaths { certificate, key } = paths;
    let chain = CertificateDer::pem_slice_iter(&bytes(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|source| unusable(certificate, "certificate", source))?;
    let private = PrivateKeyDer::from_pem_slice(&bytes(key)?)
        .map_err(|source| unusable(key, "private key", source))?;
    let pair = CertifiedKey::from_der(chain, private, provider);
    let pair = pair.map_err(|source| Error::Pair {
        certificate: certificate.clone(),
        key: key.clone(),
        source,
    })?;
    Ok(Arc::new(pair))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source: io::Error| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn unusable(path: &Path, what: &'static str, source: pem::Error) -> Error {
    Error::Pem {
        path: path.to_owned(),
        what,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(paths: &TlsPaths, certificate: &str, key: &str) {
        fs::write(&paths.certificate, certificate).unwrap();
        fs::write(&paths.key, key).unwrap();
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn in_use(tls: &Tls) -> Vec<u8> {
        tls.reloader.0.pair.0.load().cert[0].to_vec()
    }

    /// LC-04: a certificate is exchanged in place, and a bad one changes nothing.
    #[test]
    fn only_a_sound_pair_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let paths = TlsPaths {
            certificate: directory.path().join("tls.crt"),
            key: directory.path().join("tls.key"),
        };
        assert!(matches!(Tls::load(&paths), Err(Error::Unreadable { .. })));
        let (old, new) = (pair(), pair());
        write(&paths, &old.0, &old.1);
        let tls = Tls::load(&paths).unwrap();
        let reloader = tls.reloader();
        let before = in_use(&tls);
        assert!(!reloader.reload_if_changed().unwrap());

        write(&paths, &new.0, &old.1);
        let error = reloader.reload_if_changed().unwrap_err();
        assert!(matches!(error, Error::Pair { .. }), "{error}");
        write(&paths, "nothing of the kind", &new.1);
        let error = reloader.reload_if_changed().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Pem {
                    what: "certificate",
                    ..
                }
            ),
            "{error}"
        );
        write(&paths, &new.0, "");
        let error = reloader.reload_if_changed().unwrap_err();
        assert!(
            matches!(
                error,
                Error::Pem {
                    what: "private key",
                    ..
                }
            ),
            "{error}"
        );
        fs::remove_file(&paths.key).unwrap();
        assert!(matches!(
            reloader.reload_if_changed(),
            Err(Error::Unreadable { .. })
        ));
        assert_eq!(in_use(&tls), before);

        write(&paths, &new.0, &new.1);
        assert!(reloader.reload_if_changed().unwrap());
        assert_ne!(in_use(&tls), before);
    }
}
