//! A key pair made here for a service: the private half is given away once and not kept.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::jwk::PublicKey;
use crate::auth::Error;
use crate::model::Secret;

/// Both halves of a new RSA key.
pub(super) struct Pair {
    pub(super) public: PublicKey,
    /// `SubjectPublicKeyInfo`, PEM.
    pub(super) public_pem: String,
    /// PKCS #8, PEM.
    pub(super) private_pem: Secret,
}

impl Pair {
    /// Makes one of 2048 bits. It takes a good part of a second: not for a thread that serves.
    ///
    /// # Errors
    /// [`Error::Signing`] if no key could be made.
    pub(super) fn generate() -> Result<Self, Error> {
        let failed = |_| Error::Signing("no key could be made");
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let private = pair.as_der().map_err(failed)?;
        let public = pair.public_key();
        let spki = public.as_der().map_err(failed)?;
        let (modulus, exponent) = (public.modulus(), public.exponent());
        let jwk = PublicKey::rsa(
            modulus.big_endian_without_leading_zero(),
            exponent.big_endian_without_leading_zero(),
        );
        let private_pem = pem("PRIVATE KEY", private.as_ref());
        Ok(Self {
            public: jwk.ok_or(Error::Signing("the key made is none"))?,
            public_pem: pem("PUBLIC KEY", spki.as_ref()).to_string(),
            private_pem: Secret::new(private_pem.as_str()),
        })
    }
}

/// RFC 7468, section 3.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}
