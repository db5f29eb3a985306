//! Signatures: who is believed, what is asked for, and what is refused.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Side;
use crate::harness::content::Image;

/// The public key that a side signs with.
async fn key_of(side: &Side) -> String {
    side.place.run_well(&["keys", "make"]).await;
    let said = side.place.run_well(&["keys", "ls", "--json"]).await;
    let row: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
    row["public"].as_str().unwrap().to_owned()
}

/// AG-08: unsigned, of another key, changed, older: refused each, once a key is trusted.
#[tokio::test]
async fn only_what_a_trusted_key_signed_is_taken() {
    let (one, two) = (Side::new().await, Side::new().await);
    let image = Image::small(1);
    one.push("local/app", "v1", &image).await;
    one.export(&["local", "-o", "unsigned.tar"]).await;
    let key = key_of(&one).await;
    assert!(
        one.place
            .run_badly(&["keys", "make"])
            .await
            .contains("already")
    );
    one.export(&["local", "-o", "signed.tar"]).await;
    one.push("local/app", "v2", &Image::small(2)).await;
    one.export(&["local", "-o", "newer.tar"]).await;
    let stranger = Side::new().await;
    let strange = key_of(&stranger).await;
    two.place.run_well(&["keys", "trust", &strange]).await;
    let refused = two.refuses(&one, &["unsigned.tar"], &[]).await;
    assert!(refused.contains("not signed"), "{refused}");
    let refused = two.refuses(&one, &["signed.tar"], &[]).await;
    assert!(refused.contains("not trusted here"), "{refused}");
    two.place.run_well(&["keys", "trust", &key]).await;
    let listed = two.place.run_well(&["keys", "ls"]).await;
    assert!(
        listed.contains(&key) && listed.contains(&strange),
        "{listed}"
    );
    two.imports(&one, &["signed.tar"], &[]).await;
    two.has("local/app", "v1", &image).await;

    let mut bytes = std::fs::read(one.path("newer.tar")).unwrap();
    let at = bytes
        .windows(11)
        .position(|it| it == b"\"sequence\":")
        .unwrap();
    bytes[at + 11] += 5;
    std::fs::write(one.path("forged.tar"), &bytes).unwrap();
    let refused = two.refuses(&one, &["forged.tar"], &[]).await;
    assert!(refused.contains("forged.tar"), "{refused}");
    two.imports(&one, &["newer.tar"], &[]).await;
    let refused = two.refuses(&one, &["signed.tar"], &[]).await;
    assert!(refused.contains("--allow-older"), "{refused}");
    two.imports(&one, &["signed.tar"], &["--allow-older"]).await;
    two.imports(&one, &["unsigned.tar"], &["--signature", "warn"])
        .await;
    two.imports(&one, &["unsigned.tar"], &["--signature", "off"])
        .await;

    let id = listed.lines().find(|line| line.contains(&key)).unwrap();
    let id = id.split_whitespace().next().unwrap().to_owned();
    two.place.run_well(&["keys", "rm", &id]).await;
    assert!(
        two.place
            .run_badly(&["keys", "rm", &id])
            .await
            .contains("no key")
    );
    let refused = two.refuses(&one, &["newer.tar"], &[]).await;
    assert!(refused.contains("not trusted here"), "{refused}");
    for text in [
        "nonsense",
        "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3x",
    ] {
        let refused = two.place.run_badly(&["keys", "trust", text]).await;
        assert!(refused.contains("minisign"), "{refused}");
    }
}

/// AG-08: the signature is what minisign's description says, and verified without us: "Ed", the number of the
/// key, the signature of the file; then the signature of that and of the comment.
#[tokio::test]
async fn a_signature_is_one_of_minisign() {
    let one = Side::new().await;
    let key = STANDARD.decode(key_of(&one).await).unwrap();
    one.push("local/app", "v1", &Image::small(1)).await;
    one.export(&["local", "-o", "b.tar"]).await;
    let content = one.member("b.tar", "entrepot/inventory.json");
    let file = one.member("b.tar", "entrepot/inventory.json.minisig");
    let file = String::from_utf8(file).unwrap();
    let [untrusted, signature, trusted, global] = file.lines().collect::<Vec<_>>()[..] else {
        panic!("{file}");
    };
    assert!(untrusted.starts_with("untrusted comment: "), "{file}");
    let comment = trusted.strip_prefix("trusted comment: ").unwrap();
    let signature = STANDARD.decode(signature).unwrap();
    let (begin, signature) = signature.split_at(10);
    let (number, key) = key.split_at(10);
    assert_eq!((&begin[..2], begin), (&b"Ed"[..], number));
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(&content, signature).unwrap();
    let both = [signature, comment.as_bytes()].concat();
    key.verify(&both, &STANDARD.decode(global).unwrap())
        .unwrap();
}

/// SE-01: the private part is for its owner alone.
#[tokio::test]
async fn the_signing_key_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let one = Side::new().await;
    key_of(&one).await;
    let mode = |name: &str| {
        let metadata = std::fs::metadata(one.path(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(mode("data/bundles/signing.key"), 0o600);
    assert_eq!(mode("data/bundles"), 0o700);
}
