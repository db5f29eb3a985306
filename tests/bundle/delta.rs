//! Only what the receiver lacks: inventories, receipts, removals.

use super::Side;
use crate::harness::content::Image;

/// 40 images of 400 kB.
const IMAGES: u64 = 40;
const LAYER: usize = 400_000;

async fn filled() -> Side {
    let one = Side::new().await;
    for seed in 0..IMAGES {
        one.push(
            "local/app",
            &format!("v{seed}"),
            &Image::with_layers(seed, &[LAYER]),
        )
        .await;
    }
    one
}

/// Where the receiver's file is.
fn of(two: &Side, name: &str) -> String {
    two.path(name).display().to_string()
}

/// AG-05, AG-06: 5 % of the content changes, and at most 6 % of the bytes travel; nothing changes, and next
/// to nothing does. A receipt says what is there, and so does an inventory.
#[tokio::test]
async fn only_what_changed_travels_again() {
    let (one, two) = (filled().await, Side::new().await);
    one.export(&["local", "-o", "full.tar"]).await;
    two.imports(&one, &["full.tar"], &[]).await;
    for seed in 0..IMAGES / 20 {
        let newer = Image::with_layers(1000 + seed, &[LAYER]);
        one.push("local/app", &format!("v{seed}"), &newer).await;
    }
    one.export(&["local", "-o", "delta.tar", "--since", &of(&two, "receipt")])
        .await;
    let (full, delta) = (one.size("full.tar"), one.size("delta.tar"));
    assert!(delta * 100 <= full * 6, "{delta} of {full}");
    two.imports(&one, &["delta.tar"], &[]).await;
    for seed in 0..IMAGES {
        let newer = if seed < IMAGES / 20 {
            1000 + seed
        } else {
            seed
        };
        two.has(
            "local/app",
            &format!("v{seed}"),
            &Image::with_layers(newer, &[LAYER]),
        )
        .await;
    }
    let inventory = two.place.run_well(&["inventory"]).await;
    std::fs::write(two.path("inventory"), inventory).unwrap();
    for have in ["receipt", "inventory"] {
        let name = format!("none-{have}.tar");
        one.export(&["local", "-o", &name, "--since", &of(&two, have)])
            .await;
        assert!(one.size(&name) <= 1 << 20, "{}", one.size(&name));
        two.imports(&one, &[&name], &[]).await;
    }
}

/// AG-05: a bundle was lost on the way. The next one says exactly what is missing, changes nothing, and the
/// one after it heals.
#[tokio::test]
async fn a_lost_bundle_is_noticed_and_healed() {
    let (one, two) = (Side::new().await, Side::new().await);
    let images = [1, 2, 3].map(|seed| Image::with_layers(seed, &[50_000]));
    one.push("local/app", "v1", &images[0]).await;
    one.export(&["local", "-o", "b1.tar"]).await;
    two.imports(&one, &["b1.tar"], &[]).await;
    one.push("local/app", "v2", &images[1]).await;
    let lost = Side::new().await;
    lost.imports(&one, &["b1.tar"], &[]).await;
    one.export(&["local", "-o", "b2.tar", "--since", &of(&two, "receipt")])
        .await;
    lost.imports(&one, &["b2.tar"], &[]).await;
    one.push("local/app", "v3", &images[2]).await;
    // The sender believes that the second one arrived.
    one.export(&["local", "-o", "b3.tar", "--since", &of(&lost, "receipt")])
        .await;
    let refused = two.refuses(&one, &["b3.tar"], &[]).await;
    for blob in images[1].blobs() {
        let digest = entrepot::oci::Digest::of(blob).to_string();
        assert!(refused.contains(&digest), "{refused}");
    }
    assert_eq!(two.tags("local/app").await, ["v1"]);
    let inventory = two.place.run_well(&["inventory"]).await;
    std::fs::write(two.path("inventory"), inventory).unwrap();
    one.export(&["local", "-o", "b4.tar", "--since", &of(&two, "inventory")])
        .await;
    two.imports(&one, &["b4.tar"], &[]).await;
    for (tag, image) in ["v1", "v2", "v3"].iter().zip(&images) {
        two.has("local/app", tag, image).await;
    }
}

/// AG-14: a tag that is gone is told, and goes only where that is asked for; what is merely not chosen, or
/// was never sent, stays.
#[tokio::test]
async fn removals_are_told_and_applied_only_when_asked() {
    let (one, two) = (Side::new().await, Side::new().await);
    for (seed, tag) in (1..).zip(["v1", "v2", "old"]) {
        one.push("local/app", tag, &Image::small(seed)).await;
    }
    one.export(&["local", "-o", "b1.tar"]).await;
    two.imports(&one, &["b1.tar"], &[]).await;
    two.push("local/app", "own", &Image::small(7)).await;
    one.delete_tag("local/app", "old").await;
    let receipt = of(&two, "receipt");
    one.export(&["local/app:v1", "-o", "b2.tar", "--since", &receipt])
        .await;
    let kept = two.import(&one, &["b2.tar"], &[]).await;
    let said = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(
        said.contains("local/app:old was removed by the sender: kept here"),
        "{said}"
    );
    assert!(!said.contains("v2 was removed"), "{said}");
    assert_eq!(two.tags("local/app").await, ["old", "own", "v1", "v2"]);
    two.imports(&one, &["b2.tar"], &["--apply-removals"]).await;
    assert_eq!(two.tags("local/app").await, ["own", "v1", "v2"]);
}
