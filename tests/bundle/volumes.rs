//! Bundles on media of bounded size: numbered, in any order, one at a time; lost, damaged and exchanged.

use super::Side;
use crate::harness::content::Image;

const SPLIT: &str = "400000";

/// A registry whose bundle takes several volumes, one blob too large for any of them; and their names.
async fn written() -> (Side, Vec<Image>, Vec<String>) {
    written_of(1).await
}

/// The same with content that grows from `seed`.
async fn written_of(seed: u64) -> (Side, Vec<Image>, Vec<String>) {
    let one = Side::new().await;
    let mut images: Vec<Image> = (seed..seed + 5)
        .map(|seed| Image::with_layers(seed, &[120_000]))
        .collect();
    images.push(Image::with_layers(99, &[900_000]));
    for (at, image) in images.iter().enumerate() {
        one.push("local/app", &format!("v{at}"), image).await;
    }
    one.export(&["local", "-o", "b.tar", "--split", SPLIT])
        .await;
    let names = (1..).map(|number| format!("b.{number:03}.tar"));
    let names: Vec<String> = names.take_while(|name| one.path(name).exists()).collect();
    assert!(names.len() > 3, "{names:?}");
    (one, images, names)
}

async fn has_all(two: &Side, images: &[Image]) {
    for (at, image) in images.iter().enumerate() {
        two.has("local/app", &format!("v{at}"), image).await;
    }
}

/// AG-07: the size is a bound, the order does not matter, and what is missing is named.
#[tokio::test]
async fn volumes_are_taken_in_any_order() {
    let (one, images, names) = written().await;
    for name in &names {
        assert!(one.size(name) <= 400_000, "{name}: {}", one.size(name));
    }
    let sums = std::fs::read_to_string(one.path("b.tar.sha256")).unwrap();
    assert_eq!(sums.lines().count(), names.len());
    let two = Side::new().await;
    let mut shuffled: Vec<&str> = names.iter().map(String::as_str).collect();
    shuffled.reverse();
    shuffled.swap(1, 2);
    let without = &shuffled[1..];
    let lost = names.len();
    let refused = two.refuses(&one, without, &[]).await;
    assert!(
        refused.contains(&format!("volume {lost} of {lost} is missing")),
        "{refused}"
    );
    assert!(two.tags("local/app").await.is_empty(), "nothing is visible");
    two.imports(&one, &shuffled, &[]).await;
    has_all(&two, &images).await;
    // Once more: nothing happens, and nothing breaks.
    two.imports(&one, &shuffled, &[]).await;
    has_all(&two, &images).await;
}

/// AG-04, AG-07: one drive, one volume at a time; what came is kept.
#[tokio::test]
async fn volumes_are_taken_one_at_a_time() {
    let (one, images, names) = written().await;
    let mut two = Side::new().await;
    let (last, first) = names.split_last().unwrap();
    for name in first {
        let refused = two.refuses(&one, &[name], &[]).await;
        assert!(refused.contains("is missing"), "{refused}");
        two.kill().await;
        two.start().await;
    }
    two.imports(&one, &[last], &[]).await;
    has_all(&two, &images).await;
}

/// AG-03: one bit in any part of a volume: it is named, and nothing is visible. A good copy heals.
#[tokio::test]
async fn a_flipped_bit_is_found() {
    let (one, images, names) = written().await;
    let two = Side::new().await;
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let good = std::fs::read(one.path(&names[1])).unwrap();
    // Headers, description, index, manifests, blobs: somewhere in each.
    let steps = good.len() / 23;
    for at in (600..good.len() - 2048).step_by(steps) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(one.path(&names[1]), &bad).unwrap();
        let output = two.import(&one, &all, &[]).await;
        assert!(!output.status.success(), "byte {at}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_named = said.contains(&names[1]) || said.contains("in the volumes 1, 2, 3");
        assert!(is_named, "{said}");
        assert!(two.tags("local/app").await.is_empty(), "byte {at}");
    }
    std::fs::write(one.path(&names[1]), &good).unwrap();
    two.imports(&one, &all, &[]).await;
    has_all(&two, &images).await;
}

/// Volumes of two bundles do not mix. (Two of the same content, made in the same second, are one bundle.)
#[tokio::test]
async fn volumes_of_another_bundle_are_refused() {
    let (one, _, names) = written().await;
    let (other, _, _) = written_of(50).await;
    std::fs::copy(other.path(&names[1]), one.path("strange.tar")).unwrap();
    let two = Side::new().await;
    let refused = two.refuses(&one, &[&names[0], "strange.tar"], &[]).await;
    assert!(refused.contains("another bundle"), "{refused}");
}
