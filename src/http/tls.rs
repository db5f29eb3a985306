//! TLS of a listener: certificate and key from PEM files, exchanged while connections go on.
//!
//! Handshakes take their settings through a pointer that [`TlsReloader`] swaps; a connection keeps what it
//! began with. A new pair that is damaged or does not match leaves the old one in use. With authorities for
//! clients, a certificate of one of them opens the connection and says nothing of who logs in on it; sessions
//! that were resumable under other authorities begin anew.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::error::Error;

/// Where a certificate and its key are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsPaths {
    /// PEM: the certificate, then the intermediate ones.
    pub certificate: PathBuf,
    /// PEM: the private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
    /// Who signs the certificates of clients; `None`: they are not asked for any.
    pub clients: Option<ClientAuthorities>,
}

/// Authorities for the certificates of clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientAuthorities {
    /// PEM: their certificates.
    pub file: PathBuf,
    /// Whether a client without a certificate is turned away.
    pub required: bool,
}

/// What a listener needs to speak TLS; cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

/// Puts changed files in the place of those in use.
#[derive(Clone)]
pub struct TlsReloader(Arc<Shared>);

struct Shared {
    config: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
}

/// Which files were read last, and as what.
struct Seen {
    paths: TlsPaths,
    stamps: [Stamp; 3],
}

/// The pair in use.
struct Pair(Arc<CertifiedKey>);

/// What tells one content of a file from the next: modification time, length, inode; all zero for
/// a file that is not there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Stamp(i64, i64, u64, u64);

impl Tls {
    /// Reads the files; TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// If a file cannot be read, is damaged, or the pair does not match.
    pub fn load(paths: &TlsPaths) -> Result<Self, Error> {
        let stamps = stamps(paths);
        Ok(Self(Arc::new(Shared {
            config: ArcSwap::from_pointee(configure(paths)?),
            seen: Mutex::new(Seen {
                paths: paths.clone(),
                stamps,
            }),
        })))
    }

    /// What exchanges the files.
    pub fn reloader(&self) -> TlsReloader {
        TlsReloader(self.0.clone())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.config.load_full())
    }
}

impl TlsReloader {
    /// Reads the files again if one of them changed; says whether there are others in use now.
    /// Reads files: call it on the blocking pool.
    ///
    /// # Errors
    /// If the changed files cannot be used. The old ones stay, and the next change is looked at again.
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        let paths = self.seen().paths.clone();
        self.exchange(&paths)
    }

    /// The same with files of other names, from here on.
    ///
    /// # Errors
    /// As [`TlsReloader::reload_if_changed`].
    pub fn exchange(&self, paths: &TlsPaths) -> Result<bool, Error> {
        let mut seen = self.seen();
        // The stamps are taken first: a change while the files are read is seen the next time.
        let now = stamps(paths);
        if seen.stamps == now && seen.paths == *paths {
            return Ok(false);
        }
        *seen = Seen {
            paths: paths.clone(),
            stamps: now,
        };
        self.0.config.store(Arc::new(configure(paths)?));
        Ok(true)
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pair")
    }
}

/// Settings made of the files as they are.
fn configure(paths: &TlsPaths) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = Pair(read(paths, &provider)?);
    let clients = match &paths.clients {
        Some(authorities) => verifier(authorities, provider.clone())?,
        None => Arc::new(NoClientAuth),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(pair));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A key of its own: a ticket holds the client's certificate as it was judged, and is not judged again.
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(Error::Tls)?;
    Ok(config)
}

fn verifier(
    authorities: &ClientAuthorities,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let ClientAuthorities { file, required } = authorities;
    let unfit = |reason: String| Error::Authorities {
        path: file.clone(),
        reason,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        let added = roots.add(certificate);
        added.map_err(|error| unfit(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = match required {
        true => verifier,
        false => verifier.allow_unauthenticated(),
    };
    verifier.build().map_err(|error| unfit(error.to_string()))
}

fn stamps(paths: &TlsPaths) -> [Stamp; 3] {
    let clients = paths.clients.as_ref().map(|clients| &clients.file);
    [Some(&paths.certificate), Some(&paths.key), clients].map(|path| {
        let file = path.and_then(|path| fs::metadata(path).ok());
        file.map_or_else(Stamp::default, |file| {
            Stamp(file.mtime(), file.mtime_nsec(), file.len(), file.ino())
        })
    })
}

fn read(paths: &TlsPaths, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let TlsPaths {
        certificate, key, ..
    } = paths;
    let chain = certificates(certificate)?;
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

/// The certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(&bytes(path)?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| match chain.is_empty() {
            true => Err(pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|source| unusable(path, "certificate", source))
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

    fn in_use(tls: &Tls) -> Arc<ServerConfig> {
        tls.0.config.load_full()
    }

    /// LC-04: a certificate is exchanged in place, and a bad one changes nothing.
    #[test]
    fn only_a_sound_pair_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let paths = TlsPaths {
            certificate: directory.path().join("tls.crt"),
            key: directory.path().join("tls.key"),
            clients: None,
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
        assert!(Arc::ptr_eq(&in_use(&tls), &before));

        write(&paths, &new.0, &new.1);
        assert!(reloader.reload_if_changed().unwrap());
        assert!(!Arc::ptr_eq(&in_use(&tls), &before));
    }

    /// Files of other names count when they are sound, and a bad file of authorities is named.
    #[test]
    fn other_files_are_taken_when_they_are_sound() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let paths = |name: &str| TlsPaths {
            certificate: file(name).with_extension("crt"),
            key: file(name).with_extension("key"),
            clients: None,
        };
        for name in ["one", "two"] {
            let made = pair();
            write(&paths(name), &made.0, &made.1);
        }
        let tls = Tls::load(&paths("one")).unwrap();
        let reloader = tls.reloader();
        assert!(!reloader.exchange(&paths("one")).unwrap());
        assert!(reloader.exchange(&paths("two")).unwrap());
        let before = in_use(&tls);
        let with = |name: &str| TlsPaths {
            clients: Some(ClientAuthorities {
                file: file(name),
                required: true,
            }),
            ..paths("two")
        };
        fs::write(
            file("broken"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let error = reloader.exchange(&with("broken")).unwrap_err().to_string();
        assert!(
            error.contains("broken") && error.contains("clients"),
            "{error}"
        );
        assert!(Arc::ptr_eq(&in_use(&tls), &before));
        assert!(reloader.exchange(&with("one.crt")).unwrap());
    }
}
