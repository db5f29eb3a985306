//! Indexes that lead to one image on more ways than anybody can walk.

use super::Side;
use crate::harness::content::{Image, lattice};

/// Sixty times sixty times sixty ways.
const WIDE: usize = 60;
const LEVELS: usize = 3;

/// DO-03: each manifest is looked at once, exported once, and imported with all that it names.
#[tokio::test]
async fn a_lattice_of_indexes_travels() {
    let one = Side::new().await;
    let image = Image::small(1);
    one.push("local/app", "image", &image).await;
    let documents = lattice(&image, WIDE, LEVELS);
    let (root, below) = documents.split_last().unwrap();
    for document in below {
        let digest = document.digest().to_string();
        one.put("local/app", &digest, document).await;
    }
    one.put("local/app", "root", root).await;
    one.export(&["local/app:root", "-o", "b.tar"]).await;
    let content: u64 = documents.iter().map(|it| it.bytes.len() as u64).sum();
    assert!(one.size("b.tar") < content + (1 << 20));
    let two = Side::new().await;
    two.imports(&one, &["b.tar"], &[]).await;
    assert_eq!(two.tags("local/app").await, ["root"]);
    for document in &documents {
        let digest = document.digest().to_string();
        let held = two.manifest("local/app", &digest).await;
        assert_eq!(held.as_ref(), Some(&document.bytes));
    }
    two.has("local/app", &image.digest().to_string(), &image)
        .await;
    let said = one.place.run_well(&["explain", "local/app:root"]).await;
    assert!(said.contains(&root.digest().to_string()), "{said}");
}

/// What of it is not here is named once, and nothing is exported.
#[tokio::test]
async fn a_lattice_without_its_image_is_named() {
    let one = Side::new().await;
    let image = Image::small(1);
    let documents = lattice(&image, WIDE, LEVELS);
    let (root, below) = documents.split_last().unwrap();
    for document in below {
        let digest = document.digest().to_string();
        one.put("local/app", &digest, document).await;
    }
    one.put("local/app", "root", root).await;
    let output = one.place.run(&["export", "local/app:root", "-o", "b.tar"]);
    let output = output.await;
    assert!(!output.status.success());
    let listed = String::from_utf8_lossy(&output.stdout);
    let digest = image.digest().to_string();
    assert_eq!(listed.matches(&digest).count(), 1, "{listed}");
    assert!(!one.path("b.tar").exists());
}
