//! The certificate authorities that outgoing TLS trusts.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::Error;

/// The system's authorities together with `extra`.
///
/// A system without any is no error here: plain http may be all that is wanted. Whoever tries TLS without
/// an authority gets [`Error::NoAuthorities`].
pub(super) fn system_and(extra: &RootCertStore) -> RootCertStore {
    let mut roots = extra.clone();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "part of the system's certificate authorities cannot be read");
    }
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(ignored, "system authorities that do not parse");
    }
    roots
}

/// The authorities of one PEM file, and no others.
pub(super) fn from_file(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    add_file(&mut roots, path)?;
    Ok(roots)
}

/// The authorities of every `.pem`, `.crt` and `.cer` file of a directory.
pub(super) fn from_directory(directory: &Path) -> Result<RootCertStore, Error> {
    let fail = |error: std::io::Error| authorities(directory, error.to_string());
    let mut roots = RootCertStore::empty();
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .map_err(fail)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    paths.retain(|path| {
        let extension = path.extension().and_then(|text| text.to_str());
        extension.is_some_and(|text| ["pem", "crt", "cer"].contains(&text))
    });
    paths
        .iter()
        .try_for_each(|path| add_file(&mut roots, path))?;
    Ok(roots)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let pem = std::fs::read(path).map_err(|error| authorities(path, error.to_string()))?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| authorities(path, error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| authorities(path, error.to_string()))?;
    }
    if roots.len() == before {
        return Err(authorities(
            path,
            "it holds no certificate in PEM form".to_owned(),
        ));
    }
    Ok(())
}

fn authorities(path: &Path, reason: String) -> Error {
    Error::Authorities {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> String {
        rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()])
            .unwrap()
            .cert
            .pem()
    }

    #[test]
    fn a_directory_gives_all_its_certificates() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.pem"), authority() + &authority()).unwrap();
        std::fs::write(directory.path().join("b.crt"), authority()).unwrap();
        std::fs::write(directory.path().join("README"), "not a certificate").unwrap();
        assert_eq!(from_directory(directory.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty.pem");
        std::fs::write(&path, "nothing here").unwrap();
        let error = from_directory(directory.path()).unwrap_err();
        assert!(error.to_string().contains("empty.pem"), "{error}");
        assert!(from_file(&directory.path().join("absent.pem")).is_err());
    }
}
