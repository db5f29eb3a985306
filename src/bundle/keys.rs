//! Keys of bundles: ed25519, in the forms of minisign, so that anybody can verify a bundle without us.
//!
//! A signature is one of minisign's plain form ("Ed": over the bytes themselves) with a trusted comment.
//! `minisign -Vm entrepot/inventory.json -P KEY` says the same as an import.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use crate::oci::Digest;

/// minisign: the bytes themselves are signed.
const PLAIN: &[u8; 2] = b"Ed";

/// Longest key or signature file that is looked at.
pub(super) const FILE_BYTES: usize = 4096;

/// The number that tells keys apart: the first bytes of the key's SHA-256.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct KeyId([u8; 8]);

impl std::fmt::Display for KeyId {
    /// As minisign prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016X}", u64::from_le_bytes(self.0))
    }
}

/// A key that signatures are compared with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PublicKey {
    pub(super) id: KeyId,
    bytes: [u8; 32],
}

/// The key that this registry signs with.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    document: Vec<u8>,
}

/// A signature, taken apart.
pub(super) struct Signature {
    pub(super) id: KeyId,
    bytes: [u8; 64],
    comment: String,
    whole: [u8; 64],
}

impl SigningKey {
    /// Makes a new one.
    pub(super) fn make() -> Result<Self, Error> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = document.map_err(|_| Error::refused("the system gives no random bytes"))?;
        Self::read(document.as_ref())
    }

    /// Reads what [`SigningKey::document`] gave.
    pub(super) fn read(document: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8(document);
        let pair = pair.map_err(|_| Error::refused("the signing key is damaged"))?;
        let document = document.to_vec();
        Ok(Self { pair, document })
    }

    /// PKCS #8.
    pub(super) fn document(&self) -> &[u8] {
        &self.document
    }

    pub(super) fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey::of(bytes)
    }

    /// A signature file over `bytes`; `comment` is signed as well.
    pub(super) fn sign(&self, bytes: &[u8], comment: &str) -> String {
        let id = self.public().id;
        let signature = self.pair.sign(bytes);
        let line = [&PLAIN[..], &id.0, signature.as_ref()].concat();
        let whole = self
            .pair
            .sign(&[signature.as_ref(), comment.as_bytes()].concat());
        format!(
            "untrusted comment: signature of an entrepot bundle, key {id}\n{}\ntrusted comment: \
             {comment}\n{}\n",
            STANDARD.encode(line),
            STANDARD.encode(whole)
        )
    }
}

impl PublicKey {
    fn of(bytes: [u8; 32]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&Digest::of(&bytes).hash()[..8]);
        Self {
            id: KeyId(id),
            bytes,
        }
    }

    /// The one line that minisign takes behind `-P`.
    pub(super) fn line(&self) -> String {
        STANDARD.encode([&PLAIN[..], &self.id.0, &self.bytes].concat())
    }

    /// A key file of minisign.
    pub(super) fn file(&self) -> String {
        format!(
            "untrusted comment: minisign public key {}\n{}\n",
            self.id,
            self.line()
        )
    }

    /// Reads a key file of minisign, or its one line.
    ///
    /// # Errors
    /// If it is neither.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let refused = || Error::refused("it is no ed25519 public key in the form of minisign");
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let line = lines.rfind(|line| !line.starts_with("untrusted comment:"));
        let bytes = STANDARD
            .decode(line.ok_or_else(refused)?)
            .map_err(|_| refused())?;
        let bytes: [u8; 42] = bytes.try_into().map_err(|_| refused())?;
        let (kind, rest) = bytes.split_at(2);
        let (id, key) = rest.split_at(8);
        if kind != PLAIN {
            return Err(refused());
        }
        Ok(Self {
            id: KeyId(id.try_into().map_err(|_| refused())?),
            bytes: key.try_into().map_err(|_| refused())?,
        })
    }

    /// Whether it made this signature over these bytes, and its comment.
    pub(super) fn verifies(&self, signature: &Signature, bytes: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.bytes);
        let whole = [&signature.bytes[..], signature.comment.as_bytes()].concat();
        self.id == signature.id
            && key.verify(bytes, &signature.bytes).is_ok()
            && key.verify(&whole, &signature.whole).is_ok()
    }
}

impl Signature {
    /// Takes a signature file apart.
    ///
    /// # Errors
    /// In words.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let refused = || "its signature is not one of minisign's plain form".to_owned();
        let lines: Vec<&str> = text.lines().collect();
        let [first, line, comment, whole] = lines[..] else {
            return Err(refused());
        };
        let comment = comment
            .strip_prefix("trusted comment: ")
            .ok_or_else(refused)?;
        if !first.starts_with("untrusted comment:") {
            return Err(refused());
        }
        let line: [u8; 74] = decoded(line).ok_or_else(refused)?;
        let (kind, rest) = line.split_at(2);
        let (id, bytes) = rest.split_at(8);
        if kind != PLAIN {
            return Err(refused());
        }
        Ok(Self {
            id: KeyId(id.try_into().map_err(|_| refused())?),
            bytes: bytes.try_into().map_err(|_| refused())?,
            comment: comment.to_owned(),
            whole: decoded(whole).ok_or_else(refused)?,
        })
    }
}

fn decoded<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AG-08: one bit anywhere, in the bytes, the signature or the comment, and it is not believed.
    #[test]
    fn a_signature_is_of_these_bytes_by_this_key() {
        let (key, other) = (SigningKey::make().unwrap(), SigningKey::make().unwrap());
        let file = key.sign(b"content", "sequence 7");
        let public = PublicKey::read(&key.public().file()).unwrap();
        assert_eq!(public, PublicKey::read(&key.public().line()).unwrap());
        let signature = Signature::read(&file).unwrap();
        assert!(public.verifies(&signature, b"content"));
        assert!(!public.verifies(&signature, b"contenT"));
        assert!(!other.public().verifies(&signature, b"content"));
        let moved = file.replace("sequence 7", "sequence 8");
        assert!(!public.verifies(&Signature::read(&moved).unwrap(), b"content"));
        let again = SigningKey::read(key.document()).unwrap();
        assert_eq!(
            again.sign(b"content", "sequence 7"),
            file,
            "signing is deterministic"
        );
    }

    #[test]
    fn what_is_no_key_or_signature_is_refused() {
        for text in [
            "",
            "RWQ",
            "untrusted comment: x\n",
            "-----BEGIN PUBLIC KEY-----\nMCowBQ\n",
        ] {
            assert!(PublicKey::read(text).is_err(), "{text:?}");
            assert!(Signature::read(text).is_err(), "{text:?}");
        }
    }
}
