//! What the receiver allows: names, quotas, immutable tags, caches, what is not complete; and layouts that
//! others made.

use serde_json::Value;

use super::Side;
use crate::harness::clients::source::Source;
use crate::harness::content::Image;
use crate::harness::images::{Dialect, Image as Real, Index};

/// AG-13: names change as told, new organisations are made, and everything is private.
#[tokio::test]
async fn names_change_and_nothing_becomes_public() {
    let (one, two) = (Side::new().await, Side::new().await);
    let images = [1, 2].map(Image::small);
    one.push("local/app", "v1", &images[0]).await;
    one.push("local/tools/web", "v1", &images[1]).await;
    one.export(&["local", "-o", "b.tar"]).await;
    two.imports(&one, &["b.tar"], &["--into", "corp"]).await;
    two.imports(&one, &["b.tar"], &["--map", "local/tools=local/imported"])
        .await;
    two.has("local/imported/web", "v1", &images[1]).await;
    two.has("local/app", "v1", &images[0]).await;
    let listed = two
        .place
        .run_well(&["repository", "ls", "corp", "--json"])
        .await;
    let rows: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = rows
        .iter()
        .map(|row| row["repository"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["corp/app", "corp/tools/web"]);
    assert!(
        rows.iter().all(|row| row["visibility"] == "private"),
        "{listed}"
    );
    let maps = [
        "--map",
        "local/tools/web=local/one",
        "--map",
        "local/app=local/one",
    ];
    let refused = two.refuses(&one, &["b.tar"], &maps).await;
    assert!(refused.contains("would both be local/one:v1"), "{refused}");
}

/// AG-13: a tag that may not move stays, and with it everything of the bundle stays away.
#[tokio::test]
async fn immutable_tags_stay() {
    let (one, two) = (Side::new().await, Side::new().await);
    let (old, new) = (Image::small(1), Image::small(2));
    two.push("local/app", "v1", &old).await;
    two.place
        .run_well(&["tag", "immutable", "local/app:v1"])
        .await;
    one.push("local/app", "v1", &new).await;
    one.push("local/app", "v2", &new).await;
    one.export(&["local", "-o", "b.tar"]).await;
    let refused = two.refuses(&one, &["b.tar"], &[]).await;
    assert!(refused.contains("local/app:v1 is immutable"), "{refused}");
    assert_eq!(two.tags("local/app").await, ["v1"]);
    two.has("local/app", "v1", &old).await;
}

/// AG-13: a quota holds, before anything is visible.
#[tokio::test]
async fn a_quota_holds() {
    let one = Side::new().await;
    one.push("local/app", "small", &Image::with_layers(1, &[10_000]))
        .await;
    one.push("local/app", "large", &Image::with_layers(2, &[400_000]))
        .await;
    let two = Side::with("DEFAULT_SYSTEM_REJECT_QUOTA_BYTES: 200000\n").await;
    one.export(&["local", "-o", "b.tar"]).await;
    let refused = two.refuses(&one, &["b.tar"], &[]).await;
    assert!(refused.contains("Quota has been exceeded"), "{refused}");
    assert!(two.tags("local/app").await.is_empty());
    one.export(&["local/app:small", "-o", "s.tar"]).await;
    two.imports(&one, &["s.tar"], &[]).await;
}

/// AG-12: what is not complete is left out only where that is asked for, and listed for programs.
#[tokio::test]
async fn what_is_incomplete_is_left_out_only_when_asked() {
    let (mut one, two) = (Side::new().await, Side::new().await);
    let images = [1, 2, 3].map(|seed| Image::with_layers(seed, &[30_000]));
    for (tag, image) in ["v1", "v2", "v3"].iter().zip(&images) {
        one.push("local/app", tag, image).await;
    }
    let lost = entrepot::oci::Digest::of(&images[1].layers[0]);
    let hex = lost.hex();
    let file = one.path(&format!("data/blobs/sha256/{}/{hex}", &hex[..2]));
    // A file that the server has open is still there for it.
    one.stop().await;
    std::fs::remove_file(&file).unwrap();
    let refused = one
        .place
        .run_badly(&["export", "local", "-o", "b.tar"])
        .await;
    assert!(refused.contains("1 images are not here whole"), "{refused}");
    let dry = one
        .place
        .run(&["export", "local", "-o", "b.tar", "--dry-run"])
        .await;
    assert_eq!(
        dry.status.code(),
        Some(1),
        "a dry run fails where the run would"
    );
    let partial = one
        .place
        .run(&["export", "local", "-o", "b.tar", "--keep-going", "--json"])
        .await;
    assert_eq!(partial.status.code(), Some(3));
    let text = String::from_utf8(partial.stdout).unwrap();
    let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["image"], &row["missing"][0]),
        (&"local/app:v2".into(), &lost.to_string().into())
    );
    two.imports(&one, &["b.tar"], &[]).await;
    assert_eq!(two.tags("local/app").await, ["v1", "v3"]);

    one.start().await;
    // The receiver's side of it: the blob was left out since another is said to have it.
    one.push("local/app", "v2", &images[1]).await;
    let have = serde_json::json!({
        "format": "entrepot.inventory/1", "by": "x", "created": "x", "digests": [lost.to_string()],
    });
    std::fs::write(one.path("have"), have.to_string()).unwrap();
    one.export(&["local", "-o", "c.tar", "--since", "have"])
        .await;
    let two = Side::new().await;
    two.refuses(&one, &["c.tar"], &[]).await;
    assert!(two.tags("local/app").await.is_empty());
    let partial = two.import(&one, &["c.tar"], &["--keep-going"]).await;
    assert_eq!(partial.status.code(), Some(3));
    let text = String::from_utf8(partial.stdout).unwrap();
    let row: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&row["image"], &row["missing"][0]),
        (&"local/app:v2".into(), &lost.to_string().into())
    );
    assert_eq!(two.tags("local/app").await, ["v1", "v3"]);
}

/// An offline cache is filled from a bundle: pulls by its names work, and nothing of it is evicted.
#[tokio::test]
async fn a_cache_without_a_line_takes_what_a_bundle_brings() {
    let one = Side::new().await;
    let image = Image::with_layers(1, &[20_000]);
    one.push("local/library/alpine", "3", &image).await;
    one.export(&["local", "-o", "b.tar"]).await;
    let mut two = Side::new().await;
    two.stop().await;
    two.place.configure(
        "OFFLINE: true\nPROXY_CACHES:\n- {organization: docker.io, upstream: docker.io}\n",
    );
    two.start().await;
    two.imports(&one, &["b.tar"], &["--map", "local=docker.io"])
        .await;
    two.has("docker.io/library/alpine", "3", &image).await;
    let listed = two
        .place
        .run_well(&["cache", "ls", "docker.io", "--json"])
        .await;
    let row: Value = serde_json::from_str(listed.trim()).unwrap();
    assert_eq!((&row["tag"], &row["pinned"]), (&"3".into(), &true.into()));
}

/// AG-01: layouts as other tools write them, in a directory and in an archive, with and without names.
#[tokio::test]
async fn layouts_of_others_are_taken() {
    let two = Side::new().await;
    let image = Real::for_this_machine("layout", Dialect::Oci, &[40_000]);
    let index = Index::new("layout", Dialect::Oci, &[5_000]);
    let image = Source::image(&image);
    image.write_layout(&two.path("folder"), "v1");
    Source::index(&index).write_archive(&two.path("index.tar"), "all");
    let refused = two.refuses(&two, &["folder"], &[]).await;
    assert!(refused.contains("--into NAMESPACE/REPOSITORY"), "{refused}");
    two.imports(&two, &["folder"], &["--into", "local/app"])
        .await;
    two.imports(&two, &["index.tar"], &["--into", "local/app"])
        .await;
    assert_eq!(two.tags("local/app").await, ["all", "v1"]);
    let tagged = two.manifest("local/app", "v1").await.unwrap();
    assert_eq!(entrepot::oci::Digest::of(&tagged), image.digest());
    std::fs::remove_file(two.path("folder/index.json")).unwrap();
    let refused = two.refuses(&two, &["folder"], &["--into", "local/x"]).await;
    assert!(refused.contains("index.json"), "{refused}");
}
