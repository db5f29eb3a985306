//! Sealing: secrets that must be read again, encrypted at rest (AU-10).
//!
//! ```text
//!  version 1 │ nonce, 12 bytes │ AES-256-GCM of the secret, with its tag of 16 bytes
//! ```
//!
//! What is sealed is bound to a context, a text that says what the secret is and whose: moved to
//! another row, it does not open. The key is made by HKDF from 32 bytes that lie beside the store, in
//! a file of their own; keys for other purposes may be made from the same bytes.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use crate::model::Sealed;

/// The form that is written.
const VERSION: u8 = 1;

/// The key under which secrets of this installation are sealed; cheap to clone, never printed.
#[derive(Clone)]
pub struct SealKey(Arc<Keys>);

struct Keys {
    /// What every key of this installation is made from.
    root: Prk,
    key: RandomizedNonceKey,
}

impl SealKey {
    /// The key of these bytes, which came from a source of randomness once.
    pub fn from_bytes(root: &[u8; 32]) -> Self {
        let root = Salt::new(HKDF_SHA256, b"entrepot").extract(root);
        Self::expanded(root, b"seal.v1")
    }

    /// Another key of the same installation, for one purpose: what is sealed often, at anybody's
    /// request, does not use up the nonces of what is kept.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Self {
        Self::expanded(self.0.root.clone(), purpose.as_bytes())
    }

    fn expanded(root: Prk, purpose: &[u8]) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        root.expand(&[purpose], HKDF_SHA256)
            .and_then(|derived| derived.fill(&mut *key))
            .expect("HKDF-SHA-256 gives 32 bytes");
        let key = RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("the key has 32 bytes");
        Self(Arc::new(Keys { root, key }))
    }

    /// `secret`, to be opened again in the same context only.
    pub fn seal(&self, secret: &[u8], context: &[u8]) -> Sealed {
        let mut text = secret.to_vec();
        let nonce = self
            .0
            .key
            .seal_in_place_append_tag(Aad::from(context), &mut text)
            .expect("AES-GCM seals anything below 64 GiB");
        Sealed([&[VERSION][..], nonce.as_ref(), &text].concat())
    }

    /// What was sealed in this context; `None` if this key did not seal it so, or it was changed.
    pub fn open(&self, sealed: &Sealed, context: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (&version, rest) = sealed.0.split_first()?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_LEN>()?;
        if version != VERSION {
            return None;
        }
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .key
            .open_in_place(nonce, Aad::from(context), &mut text);
        let length = opened.ok()?.len();
        text.truncate(length);
        Some(text)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[seal key]")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_in_its_context_only(
            secret: Vec<u8>,
            context: Vec<u8>,
            other: Vec<u8>,
        ) {
            let key = SealKey::from_bytes(&[7; 32]);
            let sealed = key.seal(&secret, &context);
            let opened = key.open(&sealed, &context);
            prop_assert_eq!(opened.as_deref(), Some(&secret));
            if other != context {
                prop_assert!(key.open(&sealed, &other).is_none());
            }
            let stranger = SealKey::from_bytes(&[8; 32]);
            prop_assert!(stranger.open(&sealed, &context).is_none());
        }

        #[test]
        fn one_changed_bit_is_noticed(secret: Vec<u8>, at: prop::sample::Index, bit in 0..8_u32) {
            let key = SealKey::from_bytes(&[7; 32]);
            let mut sealed = key.seal(&secret, b"context");
            let at = at.index(sealed.0.len());
            sealed.0[at] ^= 1 << bit;
            prop_assert!(key.open(&sealed, b"context").is_none());
        }

        #[test]
        fn any_bytes_are_opened_without_a_panic(bytes: Vec<u8>) {
            let key = SealKey::from_bytes(&[7; 32]);
            prop_assert!(key.open(&Sealed(bytes), b"").is_none());
        }
    }

    #[test]
    fn a_derived_key_is_another_one_and_always_the_same() {
        let key = SealKey::from_bytes(&[7; 32]);
        let sealed = key.derived("one").seal(b"secret", b"");
        assert!(key.open(&sealed, b"").is_none());
        assert!(key.derived("other").open(&sealed, b"").is_none());
        let again = SealKey::from_bytes(&[7; 32]).derived("one");
        assert_eq!(again.open(&sealed, b"").unwrap().as_slice(), b"secret");
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let key = SealKey::from_bytes(&[7; 32]);
        let [first, second] = [0, 1].map(|_| key.seal(b"secret", b"context"));
        assert_ne!(first, second);
        assert_eq!(
            format!("{key:?} {first:?}"),
            "[seal key] [sealed, 35 bytes]"
        );
    }
}
