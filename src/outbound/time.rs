//! The time by which certificates are judged: that of the process's own clock, which tests move.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, Error as TlsError};

use super::Error;
use crate::model::{Clock, Timestamp};

/// A clock as TLS asks it.
#[derive(Debug)]
pub(super) struct CertificateTime(pub(super) Clock);

impl TimeProvider for CertificateTime {
    /// Never `None`; a clock before 1970 stands at its beginning.
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().as_millis()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

/// What a failure of TLS is to the operator: a certificate of the future is seldom the other side's fault (RS-06).
pub(super) fn told(error: &TlsError) -> Error {
    match error {
        TlsError::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => {
            Error::NotValidYet {
                now: timestamp(*time),
                begins: timestamp(*not_before),
            }
        }
        error => Error::Tls {
            reason: error.to_string().into(),
        },
    }
}

fn timestamp(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_millis(seconds.saturating_mul(1000))
}
