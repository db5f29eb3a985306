//! Signatures: who is believed, what is asked for, and what is refused.

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
