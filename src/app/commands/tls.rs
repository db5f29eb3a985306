//! `entrepot tls self-signed`: a certificate for a site without an authority.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

use super::{Output, Stop};
use crate::app::Error;
use crate::model::Clock;

/// A self-signed certificate is trusted by hand on every client, so it lasts.
const YEARS: i32 = 10;

/// Hosts of a certificate for this machine alone.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

pub(super) fn self_signed(hosts: &[String], dir: &Path, output: &Output) -> Result<(), Stop> {
    let hosts = match hosts.is_empty() {
        true => LOCAL.map(str::to_owned).to_vec(),
        false => hosts.to_vec(),
    };
    let (certificate, key) = make(&hosts).map_err(|error| Error::Refused(error.to_string()))?;
    let dir = dir
        .canonicalize()
        .map_err(|error| Error::file("use", dir, error))?;
    let (certificate_path, key_path) = (dir.join("entrepot.crt"), dir.join("entrepot.key"));
    // The key first: a certificate without its key would be in the way of the next try.
    write(&key_path, &key)?;
    write(&certificate_path, &certificate)?;
    explain(&hosts, &certificate_path, &key_path, output);
    Ok(())
}

fn make(hosts: &[String]) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(hosts.to_vec())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("entrepot at {}", hosts[0]));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, day) = today();
    params.not_before = rcgen::date_time_ymd(year, month, day);
    // The 28th is a day of every month of every year.
    params.not_after = rcgen::date_time_ymd(year + YEARS, month, day.min(28));
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// Year, month and day in UTC.
fn today() -> (i32, u8, u8) {
    let text = Clock::System.now().to_string();
    let mut parts = text.splitn(3, '-');
    let mut next = |digits: usize| {
        parts
            .next()
            .and_then(|part| part.get(..digits)?.parse().ok())
    };
    let (year, month, day) = (next(4), next(2), next(2));
    let byte = |number: Option<i32>| number.and_then(|number| u8::try_from(number).ok());
    match (year, byte(month), byte(day)) {
        (Some(year), Some(month), Some(day)) => (year, month, day),
        // A clock beyond the year 9999: any date is as good.
        _ => (2000, 1, 1),
    }
}

/// Writes a new file that only its owner reads.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .map_err(|error| Error::file("write", path, error))
}

fn explain(hosts: &[String], certificate: &Path, key: &Path, output: &Output) {
    let (crt, key) = (certificate.display(), key.display());
    output.line(format_args!("TLS_CERTIFICATE: {crt}\nTLS_KEY: {key}"));
    output.progress(
        "Put these two lines into the configuration. Clients trust it when they find it:",
    );
    let host = match hosts[0].parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => hosts[0].clone(),
    };
    output.progress(format_args!(
        "  Docker:     cp {crt} /etc/docker/certs.d/{host}:PORT/ca.crt\n  \
           Podman:     cp {crt} /etc/containers/certs.d/{host}:PORT/ca.crt\n  \
           containerd: ca = \"{crt}\" in its hosts.toml\n  \
           Debian:     cp {crt} /usr/local/share/ca-certificates/ && update-ca-certificates"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_for_names_and_addresses() {
        let hosts = [
            "registry.lan".to_owned(),
            "10.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        let (certificate, key) = make(&hosts).unwrap();
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        assert!(key.contains("PRIVATE KEY-----"));
        let (year, month, day) = today();
        assert!(year > 2024 && (1..=12).contains(&month) && (1..=31).contains(&day));
    }
}
