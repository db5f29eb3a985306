//! Tokens that somebody else made, or that say what no token of ours says.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

/// What a forger has to work with: one good token, the public key, and in some tests the private one.
struct Forge {
    site: Site,
    good: String,
    header: Value,
    claims: Value,
    private: Vec<u8>,
    public: Vec<u8>,
}

impl Forge {
    async fn new() -> Self {
        let site = Site::new().await;
        site.user("alice").await;
        let alice = site.login("alice", PASSWORD).await.unwrap();
        let good = site.token(&alice).await;
        let ring = site.auth.0.tokens.keys().ring().await.unwrap();
        let private = ring.signing().encoding.as_bytes().to_vec();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).unwrap();
        let part = |at: usize| {
            let part = good.split('.').nth(at).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        Self {
            header: part(0),
            claims: part(1),
            public: pair.public_key().as_ref().to_vec(),
            site,
            good,
            private,
        }
    }

    /// The header with one field set, or taken out with `null`.
    fn header(&self, name: &str, value: Value) -> Value {
        with(&self.header, name, value)
    }

    /// A token that our own key signed, whatever it says.
    fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_text(header, &claims.to_string())
    }

    fn signed_text(&self, header: &Value, claims: &str) -> String {
        let message = message(&header.to_string(), claims);
        let signature = sign(&self.private, &message);
        format!("{message}.{signature}")
    }

    async fn refusal(&self, token: &str) -> Option<Error> {
        self.site.auth.bearer(token).await.err()
    }

    /// Whether every token is refused, as a token; the good one still is believed afterwards.
    async fn refuses_all(&self, tokens: &[(String, String)]) {
        for (what, token) in tokens {
            let refusal = self.refusal(token).await;
            assert!(
                matches!(refusal, Some(Error::Token(_))),
                "{what}: {refusal:?}"
            );
        }
        assert!(self.refusal(&self.good).await.is_none());
    }
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.as_object().unwrap().clone();
    match value {
        Value::Null => object.remove(name),
        value => object.insert(name.to_owned(), value),
    };
    object.into()
}

fn message(header: &str, claims: &str) -> String {
    let [header, claims] = [header, claims].map(|text| URL_SAFE_NO_PAD.encode(text));
    format!("{header}.{claims}")
}

fn sign(private: &[u8], message: &str) -> String {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private).unwrap();
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    URL_SAFE_NO_PAD.encode(signature)
}

fn stranger() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}

/// A public key as a JWK.
fn jwk(pair: &EcdsaKeyPair) -> Value {
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})
}

/// AU-01: no algorithm but ours, whatever is signed with what.
#[tokio::test]
async fn no_other_algorithm_is_believed() {
    let forge = Forge::new().await;
    let claims = forge.claims.to_string();
    let our_signature = forge.good.rsplit('.').next().unwrap().to_owned();
    let mut tokens = Vec::new();
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let message = message(&forge.header("alg", json!(none)).to_string(), &claims);
        tokens.push((format!("{none:?} unsigned"), format!("{message}.")));
        tokens.push((
            format!("{none:?} signed"),
            format!("{message}.{our_signature}"),
        ));
    }
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&forge.public)
    );
    let secrets: [&[u8]; 4] = [&forge.public, pem.as_bytes(), b"", &forge.public[1..]];
    for (number, secret) in secrets.into_iter().enumerate() {
        for (name, function) in [("HS256", hmac::HMAC_SHA256), ("HS512", hmac::HMAC_SHA512)] {
            let message = message(&forge.header("alg", json!(name)).to_string(), &claims);
            let tag = hmac::sign(&hmac::Key::new(function, secret), message.as_bytes());
            let tag = URL_SAFE_NO_PAD.encode(tag);
            tokens.push((
                format!("{name} with secret {number}"),
                format!("{message}.{tag}"),
            ));
        }
    }
    for other in ["RS256", "PS256", "ES384", "EdDSA", "ES256K", "es256"] {
        let token = forge.signed(&forge.header("alg", json!(other)), &forge.claims);
        tokens.push((other.to_owned(), token));
    }
    assert!(tokens.len() >= 20);
    forge.refuses_all(&tokens).await;
}

/// AU-01: a token cannot bring its key, nor name one by anything but its exact id.
#[tokio::test]
async fn no_other_key_is_believed() {
    let forge = Forge::new().await;
    let pair = stranger();
    let private = pair.to_pkcs8v1().unwrap();
    let id = forge.header["kid"].as_str().unwrap().to_owned();
    let certificate = json!([STANDARD.encode(pair.public_key())]);
    let extras = [
        ("jwk", jwk(&pair)),
        ("jku", json!("http://127.0.0.1:1/keys.json")),
        ("x5u", json!("http://127.0.0.1:1/key.pem")),
        ("x5c", certificate),
        ("x5t", json!("AAAA")),
    ];
    let mut tokens = Vec::new();
    for (name, value) in extras {
        for kid in [json!(id), json!("mine"), Value::Null] {
            let header = with(&forge.header(name, value.clone()), "kid", kid.clone());
            let message = message(&header.to_string(), &forge.claims.to_string());
            let token = format!("{message}.{}", sign(private.as_ref(), &message));
            tokens.push((format!("{name}, kid {kid}"), token));
        }
    }
    let (short, long, upper) = (&id[1..], format!("{id}0"), id.to_uppercase());
    let ids = [
        json!(""),
        json!("../../x"),
        json!("/dev/null"),
        json!(format!("../{id}")),
        json!(short),
        json!(long),
        json!(upper),
        json!(format!("{id} ")),
        json!(format!("{id}\0")),
        json!("' OR 1=1 --"),
        json!("*"),
        json!(format!("http://127.0.0.1:1/{id}")),
        json!(1),
        json!([id]),
        json!({"id": id}),
        json!(true),
        Value::Null,
    ];
    for kid in ids {
        // Signed by our own key: the id alone is wrong.
        let token = forge.signed(&forge.header("kid", kid.clone()), &forge.claims);
        tokens.push((format!("kid {kid}"), token));
    }
    assert!(tokens.len() >= 20);
    forge.refuses_all(&tokens).await;
}

/// AU-01: what carries no key of ours' signature, or is no token.
#[tokio::test]
async fn no_broken_token_is_believed() {
    let forge = Forge::new().await;
    let parts: Vec<&str> = forge.good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("a token has three parts");
    };
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = raw.clone();
    flipped[40] ^= 1;
    let asn1 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &forge.private).unwrap();
    let asn1 = asn1.sign(
        &SystemRandom::new(),
        format!("{header}.{claims}").as_bytes(),
    );
    let richer = with(
        &forge.claims,
        "access",
        json!([
            {"type": "repository", "name": "acme/app", "actions": ["*"]}
        ]),
    );
    let richer = URL_SAFE_NO_PAD.encode(richer.to_string());
    let root = with(
        &forge.claims,
        "context",
        json!(
            {"version": 2, "entity_kind": "user", "entity_id": 2}
        ),
    );
    let root = URL_SAFE_NO_PAD.encode(root.to_string());
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let tokens = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        "null".into(),
        header.into(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{}.{signature}", forge.good),
        format!(".{}", forge.good),
        format!("{}.", forge.good),
        format!(" {}", forge.good),
        format!("{}\n", forge.good),
        format!("{}=", forge.good),
        format!("Bearer {}", forge.good),
        format!("{header}.{claims}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{claims}.{signature}AAAA"),
        format!("{header}.{claims}.{}", encode(&flipped)),
        format!("{header}.{claims}.{}", encode(&[0; 64])),
        format!("{header}.{claims}.{}", encode(&[255; 64])),
        format!("{header}.{claims}.{}", encode(asn1.unwrap().as_ref())),
        format!("{header}.{claims}.{}", STANDARD.encode(&raw) + "=="),
        format!("{header}.{richer}.{signature}"),
        format!("{header}.{root}.{signature}"),
        format!("{claims}.{header}.{signature}"),
        forge.signed(&forge.header("typ", Value::Null), &forge.claims),
        forge.signed(&forge.header("typ", json!("JWE")), &forge.claims),
        forge.signed(&forge.header("crit", json!(["b64"])), &forge.claims),
        forge.signed(&forge.header("jwk", json!("x")), &forge.claims),
        forge.signed_text(&forge.header, ""),
        forge.signed_text(&forge.header, "[]"),
        forge.signed_text(&forge.header, &"[".repeat(4000)),
        "\u{1f98a}".repeat(50),
        format!("{}.{}", "a".repeat(16_300), forge.good),
    ];
    let tokens: Vec<_> = tokens
        .into_iter()
        .map(|token| (token.clone(), token))
        .collect();
    assert!(tokens.len() >= 30);
    forge.refuses_all(&tokens).await;
}

/// AU-02: every claim is required and has one type, also under our own signature.
#[tokio::test]
async fn every_claim_is_required_and_typed() {
    let forge = Forge::new().await;
    let untouched = forge.signed(&forge.header, &forge.claims);
    assert!(forge.refusal(&untouched).await.is_none(), "the forge works");
    let names: Vec<String> = forge.claims.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let mut tokens = Vec::new();
    for name in &names {
        let right = &forge.claims[name];
        let text = right.to_string();
        let mut wrong = vec![
            json!(true),
            json!(""),
            json!([right]),
            json!({"value": right}),
            json!({}),
            json!(1.5),
            json!(-1),
            json!(f64::from(u32::MAX) * 1e20),
            json!([null]),
            Value::Null,
        ];
        // Any other text is a subject: the account is found by its id.
        if name != "sub" {
            wrong.push(json!(text));
        }
        if !right.is_array() {
            wrong.push(json!([]));
        }
        for value in wrong {
            let token = forge.signed(&forge.header, &with(&forge.claims, name, value.clone()));
            tokens.push((format!("{name} = {value}"), token));
        }
        // `with` takes out what is null; here it stays.
        let null = text_with(&forge.claims, name, "null");
        tokens.push((
            format!("{name} null"),
            forge.signed_text(&forge.header, &null),
        ));
        let whole = forge.claims.to_string();
        let twice = format!("{{{:?}:{text},{}", name, &whole[1..]);
        tokens.push((
            format!("{name} twice"),
            forge.signed_text(&forge.header, &twice),
        ));
    }
    forge.refuses_all(&tokens).await;
}

/// AU-02: right types and wrong values.
#[tokio::test]
async fn every_claim_is_checked() {
    let forge = Forge::new().await;
    let now = forge.site.clock.now().as_secs();
    let access = |entry: Value| ("access", json!([entry]));
    let wrong = [
        ("iss", json!("quay")),
        ("iss", json!("Entrepot")),
        ("aud", json!("registry.example.org")),
        ("aud", json!(["entrepot", "other"])),
        ("exp", json!(now - 31)),
        ("exp", json!(now + 3600 + 31)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(i64::MIN)),
        ("nbf", json!(now + 31)),
        ("iat", json!(now + 31)),
        ("iat", json!(now - 3600)),
        (
            "context",
            json!({"version": 2, "entity_kind": "user", "entity_id": 4_000_000}),
        ),
        (
            "context",
            json!({"version": 2, "entity_kind": "robot", "entity_id": 1}),
        ),
        (
            "context",
            json!({"version": 2, "entity_kind": "user", "entity_id": null}),
        ),
        (
            "context",
            json!({"version": 2, "entity_kind": "anonymous", "entity_id": 1}),
        ),
        (
            "context",
            json!({"version": 2, "entity_kind": "system", "entity_id": null}),
        ),
        (
            "context",
            json!({"version": 1, "entity_kind": "user", "entity_id": 1}),
        ),
        access(json!({"type": "registry", "name": "catalog", "actions": ["*"]})),
        access(json!({"type": "repository", "name": "../x", "actions": ["pull"]})),
        access(json!({"type": "repository", "name": "acme/app", "actions": ["admin"]})),
        access(json!({"type": "repository", "name": "acme/app", "actions": "pull"})),
    ];
    let tokens: Vec<_> = wrong
        .into_iter()
        .map(|(name, value)| {
            let token = forge.signed(&forge.header, &with(&forge.claims, name, value.clone()));
            (format!("{name} = {value}"), token)
        })
        .collect();
    forge.refuses_all(&tokens).await;
    for (name, seconds) in [("nbf", 30), ("iat", 30), ("exp", -29)] {
        let claims = with(&forge.claims, name, json!(now + seconds));
        let token = forge.signed(&forge.header, &claims);
        assert!(
            forge.refusal(&token).await.is_none(),
            "{name} within the leeway"
        );
    }
}

/// The claims as text, one of them replaced by what is no value of its own.
fn text_with(claims: &Value, name: &str, text: &str) -> String {
    let marked = with(claims, name, json!("\u{1}marked"));
    let mark = json!("\u{1}marked").to_string();
    marked.to_string().replace(&mark, text)
}
