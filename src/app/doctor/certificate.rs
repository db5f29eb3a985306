//! The server's certificate: when it is good, and whether others can read its key.
//!
//! Of a certificate only the two times are read, by their place (RFC 5280, section 4.1); whether key and
//! certificate belong together is found out as a start would.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::{Examination, Severity};
use crate::config::TlsConfig;
use crate::model::Timestamp;

/// How long before its end somebody should know.
const SOON: Duration = Duration::from_secs(14 * 86_400);

const RENEW: &str = "renew it; a running server takes the new files within a minute";

/// Looks at certificate and key.
pub(super) fn examine(found: &mut Examination, tls: &TlsConfig, now: Timestamp) {
    found.look("certificate");
    let shown = tls.certificate.display();
    let first = fs::read(&tls.certificate)
        .ok()
        .and_then(|pem| CertificateDer::from_pem_slice(&pem).ok());
    let Some((from, until)) = first.and_then(|der| validity(&der)) else {
        let what = format!("{shown} holds no certificate that can be read");
        return found.tell(
            Severity::Repairable,
            what,
            "give a PEM file of a certificate and its chain",
        );
    };
    if until < now {
        found.tell(
            Severity::Repairable,
            format!("{shown} has ended at {until}"),
            RENEW,
        );
    } else if until < now + SOON {
        found.tell(
            Severity::Repairable,
            format!("{shown} ends at {until}"),
            RENEW,
        );
    } else if now < from {
        let what = format!("{shown} begins at {from}, and the clock says {now}");
        found.tell(
            Severity::Repairable,
            what,
            "set the clock, or take another certificate",
        );
    }
    let mode = fs::metadata(&tls.key).map_or(0, |key| key.permissions().mode() & 0o7777);
    if mode & 0o007 != 0 {
        let key = tls.key.display();
        let what = format!("{key} can be read by everyone (mode {mode:o})");
        found.tell(Severity::Repairable, what, format!("chmod 640 {key}"));
    }
}

/// From when to when a certificate is good; `None` if it is none.
fn validity(der: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (certificate, _) = element(der, 0x30)?;
    let (mut body, _) = element(certificate, 0x30)?;
    // The version stands first, unless it is 1.
    if body.first() == Some(&0xa0) {
        body = element(body, 0xa0)?.1;
    }
    // Serial number, algorithm, issuer.
    for tag in [0x02, 0x30, 0x30] {
        body = element(body, tag)?.1;
    }
    let (times, _) = element(body, 0x30)?;
    let (from, rest) = time(times)?;
    Some((from, time(rest)?.0))
}

/// The content of an element of this kind, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&short, mut rest) = rest.split_first()?;
    let mut length = usize::from(short);
    if short >= 0x80 {
        let digits = usize::from(short & 0x7f);
        if digits == 0 || digits > 4 {
            return None;
        }
        let (number, after) = rest.split_at_checked(digits)?;
        length = number
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        rest = after;
    }
    (found == tag).then(|| rest.split_at_checked(length))?
}

/// A time, of two digits for the year or of four.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (text, rest, year) = match bytes.first()? {
        0x17 => {
            let (text, rest) = element(bytes, 0x17)?;
            let text = std::str::from_utf8(text).ok()?;
            // RFC 5280, section 4.1.2.5.1: from 50 on it is the last century.
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            (text.get(2..)?, rest, format!("{century}{}", text.get(..2)?))
        }
        _ => {
            let (text, rest) = element(bytes, 0x18)?;
            let text = std::str::from_utf8(text).ok()?;
            (text.get(4..)?, rest, text.get(..4)?.to_owned())
        }
    };
    let part = |at: usize| text.get(at..at + 2);
    let written = format!(
        "{year}-{}-{}T{}:{}:{}Z",
        part(0)?,
        part(2)?,
        part(4)?,
        part(6)?,
        part(8)?
    );
    Some((written.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_certificate_are_read() {
        for (from, until) in [((2001, 2, 3), (2049, 12, 31)), ((1975, 1, 1), (2050, 1, 1))] {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut wish = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            wish.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
            wish.not_after = rcgen::date_time_ymd(until.0, until.1, until.2);
            let made = wish.self_signed(&key).unwrap();
            let text =
                |(year, month, day): (i32, u8, u8)| format!("{year}-{month:02}-{day:02}T00:00:00Z");
            let (begins, ends) = validity(made.der()).unwrap();
            assert_eq!(
                (begins.to_string(), ends.to_string()),
                (text(from), text(until))
            );
            for length in 0..made.der().len() {
                // Whatever of it is there, nothing panics.
                let _ = validity(&made.der()[..length]);
            }
        }
        assert_eq!(validity(b"\x30\x84\xff\xff\xff\xff"), None);
    }
}
