//! Public keys as services send them (RFC 7517), cut down to what makes the key.
//!
//! RSA from 2048 bits and the curve P-256 are taken: with each goes one algorithm, which a signature has
//! whatever its header says (AU-01). Whatever else a key says of itself, where it lies above all (`x5u`,
//! `jku`), is left out: a key is its numbers.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value, json};

/// Bytes of an RSA modulus: 2048 to 8192 bits.
const MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The member names of each kind of key, in the order of RFC 7638.
static MEMBERS: LazyLock<[(&str, &[&str]); 2]> = LazyLock::new(|| {
    [
        ("EC", &["crv", "kty", "x", "y"]),
        ("RSA", &["e", "kty", "n"]),
    ]
});

/// A public key that signatures can be checked with.
#[derive(Clone, Debug)]
pub(super) struct PublicKey {
    /// `kty` and the numbers, nothing else.
    members: Map<String, Value>,
    pub(super) algorithm: Algorithm,
}

impl PublicKey {
    /// The key that a JSON object says, if it is one that is taken.
    pub(super) fn read(jwk: &Value) -> Option<Self> {
        let kind = jwk.get("kty")?.as_str()?;
        let (_, names) = MEMBERS.iter().find(|(known, _)| *known == kind)?;
        let mut members = Map::new();
        for name in *names {
            let value = jwk.get(*name)?.as_str()?;
            members.insert((*name).to_owned(), value.into());
        }
        let key = Self {
            members,
            algorithm: match kind {
                "RSA" => Algorithm::RS256,
                _ => Algorithm::ES256,
            },
        };
        key.is_sound().then_some(key)
    }

    /// The key of these numbers, big-endian without leading zeros.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Self::read(&json!({"kty": "RSA", "n": text(modulus), "e": text(exponent)}))
    }

    /// RFC 7638: the name of a key that is made of nothing but the key.
    pub(super) fn thumbprint(&self) -> String {
        // Members in byte order of their names, without white space: as the map has them.
        let sorted: std::collections::BTreeMap<_, _> = self.members.iter().collect();
        let text = serde_json::to_vec(&sorted).expect("texts are JSON");
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &text))
    }

    /// What is kept and shown of it.
    pub(super) fn to_json(&self, key_id: &str) -> Value {
        let mut members = self.members.clone();
        members.insert("kid".to_owned(), key_id.into());
        Value::Object(members)
    }

    /// What checks its signatures.
    pub(super) fn decoding(&self) -> Option<DecodingKey> {
        match self.algorithm {
            Algorithm::RS256 => {
                DecodingKey::from_rsa_components(self.member("n"), self.member("e")).ok()
            }
            _ => DecodingKey::from_ec_components(self.member("x"), self.member("y")).ok(),
        }
    }

    fn is_sound(&self) -> bool {
        let bytes = |name| {
            URL_SAFE_NO_PAD
                .decode(self.member(name))
                .unwrap_or_default()
        };
        let sized = match self.algorithm {
            Algorithm::RS256 => {
                let (modulus, exponent) = (bytes("n"), bytes("e"));
                let odd = exponent.last().is_some_and(|last| last % 2 == 1);
                let exponent_fits = (1..=4).contains(&exponent.len()) && exponent != [1] && odd;
                MODULUS_BYTES.contains(&modulus.len()) && modulus[0] != 0 && exponent_fits
            }
            _ => {
                let coordinates = [bytes("x").len(), bytes("y").len()] == [32, 32];
                self.member("crv") == "P-256" && coordinates
            }
        };
        sized && self.decoding().is_some()
    }

    fn member(&self, name: &str) -> &str {
        let value = self.members.get(name).and_then(Value::as_str);
        value.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638, section 3.1.
    #[test]
    fn the_name_of_a_key_is_its_thumbprint() {
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        });
        let key = PublicKey::read(&jwk).unwrap();
        assert_eq!(
            key.thumbprint(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        assert_eq!(key.to_json("me")["kid"], "me");
        assert!(
            key.to_json("me").get("alg").is_none(),
            "a key is its numbers"
        );
    }

    #[test]
    fn keys_that_are_none_are_not_taken() {
        let n = URL_SAFE_NO_PAD.encode([0xff; 256]);
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        for jwk in [
            json!(null),
            json!("RSA"),
            json!({}),
            json!({"kty": "oct", "k": "AAAA"}),
            json!({"kty": "RSA", "n": n}),
            json!({"kty": "RSA", "n": n, "e": 3}),
            json!({"kty": "RSA", "n": short, "e": "AQAB"}),
            json!({"kty": "RSA", "n": n, "e": "AQ"}),
            json!({"kty": "RSA", "n": n, "e": "AAAAAAAA"}),
            json!({"kty": "RSA", "n": "!", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "P-521", "x": x, "y": x}),
            json!({"kty": "EC", "crv": "P-256", "x": x}),
        ] {
            assert!(PublicKey::read(&jwk).is_none(), "{jwk}");
        }
        assert!(PublicKey::read(&json!({"kty": "RSA", "n": n, "e": "AQAB"})).is_some());
    }
}
