//! From one registry to another and everything that belongs to an image with it.

use std::io::Read as _;

use entrepot::oci::Digest;
use serde_json::Value;

use super::{Side, sum_of};
use crate::harness::content::{Image, index, referrer, referrers_index};

/// AG-01, AG-02, AG-03, AG-09, AG-13: images, an index of platforms, referrers, the tags of signatures
/// and of referrers; with a server on both sides, and again without one on either.
#[tokio::test]
async fn everything_that_belongs_to_an_image_arrives() {
    let mut one = Side::new().await;
    let (amd, arm) = (Image::with_layers(1, &[90_000, 10]), Image::small(2));
    let platforms = index(&[(&amd, "amd64"), (&arm, "arm64")]);
    one.push("local/team/app", "v1", &amd).await;
    one.push("local/team/app", "arm", &arm).await;
    one.put("local/team/app", "all", &platforms).await;
    let sbom = referrer(&amd.manifest, "application/vnd.example.sbom");
    one.push_blobs("local/team/app", [bytes::Bytes::from_static(b"{}")].iter())
        .await;
    one.put("local/team/app", &sbom.digest().to_string(), &sbom)
        .await;
    let fallback = format!("sha256-{}", arm.digest().hex());
    let list = referrers_index(&[]);
    one.put("local/team/app", &fallback, &list).await;
    let signature = Image::small(3);
    let signed = format!("sha256-{}.sig", amd.digest().hex());
    one.push("local/team/app", &signed, &signature).await;
    one.push("local/other", "x", &Image::small(9)).await;

    let mut two = Side::new().await;
    for is_offline in [false, true] {
        if is_offline {
            one.stop().await;
            two = Side::new().await;
            two.stop().await;
        }
        let name = if is_offline { "again.tar" } else { "first.tar" };
        one.export(&["local/team/*:all", "--output", name]).await;
        two.imports(&one, &[name], &[]).await;
        if is_offline {
            two.start().await;
        }
        assert_eq!(
            two.manifest("local/team/app", "all").await,
            Some(platforms.bytes.clone())
        );
        two.has("local/team/app", &amd.digest().to_string(), &amd)
            .await;
        two.has("local/team/app", &arm.digest().to_string(), &arm)
            .await;
        let referrers = format!("/v2/local/team/app/referrers/{}", amd.digest());
        let referrers = two.client().get(&referrers).await.unwrap();
        assert!(String::from_utf8_lossy(&referrers.body).contains(&sbom.digest().to_string()));
        two.has("local/team/app", &signed, &signature).await;
        let mut tags = ["all".to_owned(), fallback.clone(), signed.clone()];
        tags.sort();
        assert_eq!(
            two.tags("local/team/app").await,
            tags,
            "and no tag that was not chosen"
        );
        assert!(two.tags("local/other").await.is_empty());
    }
}

/// AG-01: any tar reader finds an image layout in it.
#[tokio::test]
async fn a_bundle_is_an_image_layout() {
    let one = Side::new().await;
    let image = Image::with_layers(1, &[5_000]);
    one.push("local/app", "v1", &image).await;
    one.push("local/copy", "v2", &image).await;
    one.export(&["local", "-o", "b.tar"]).await;
    let mut files = std::collections::BTreeMap::new();
    let file = std::fs::File::open(one.path("b.tar")).unwrap();
    for entry in tar::Archive::new(file).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        assert!(files.insert(path, bytes).is_none(), "each blob once");
    }
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let names: Vec<&Value> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["annotations"]["org.opencontainers.image.ref.name"])
        .collect();
    assert_eq!(names, ["local/app:v1", "local/copy:v2"]);
    for bytes in image.blobs().chain([&image.manifest.bytes]) {
        assert_eq!(
            files[&format!("blobs/sha256/{}", Digest::of(bytes).hex())],
            *bytes
        );
    }
    assert!(files["oci-layout"].starts_with(b"{\"imageLayoutVersion\":\"1.0.0\"}"));
    let sums = std::fs::read_to_string(one.path("b.tar.sha256")).unwrap();
    assert_eq!(sums, format!("{}  b.tar\n", sum_of(&one, "b.tar").hex()));
}

/// AG-02, AG-11: through a pipe come the same bytes as into a file, from two registries the same.
#[tokio::test]
async fn the_same_content_gives_the_same_bytes() {
    let (one, two) = (Side::new().await, Side::new().await);
    let images = [Image::with_layers(1, &[300_000]), Image::small(2)];
    let wish = [
        "local",
        "--created",
        "2026-01-01T00:00:00Z",
        "--sequence",
        "7",
        "--by",
        "test",
    ];
    let mut sums = Vec::new();
    for (side, order) in [(&one, [0, 1]), (&two, [1, 0])] {
        for at in order {
            side.push(&format!("local/app{at}"), "v1", &images[at])
                .await;
        }
        side.export(&[&wish[..], &["-o", "b.tar"]].concat()).await;
        sums.push(sum_of(side, "b.tar"));
        let piped = side
            .place
            .run(&[&["export"], &wish[..], &["-o", "-"]].concat())
            .await;
        assert!(piped.status.success());
        sums.push(Digest::of(&piped.stdout));
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
}

/// AG-12: a dry run tells what a run does, and fails where it would.
#[tokio::test]
async fn a_dry_run_tells_what_a_run_does() {
    let one = Side::new().await;
    let image = Image::with_layers(1, &[70_000]);
    one.push("local/app", "v1", &image).await;
    let said = one
        .export(&["local", "-o", "b.tar", "--dry-run", "--json"])
        .await;
    let row: Value = serde_json::from_str(said.trim()).unwrap();
    assert!(!one.path("b.tar").exists());
    one.export(&["local", "-o", "b.tar"]).await;
    assert_eq!(row["volumes"][0], one.size("b.tar"));
    assert_eq!(
        (&row["tags"], &row["blobs"], &row["missing"]),
        (&1.into(), &2.into(), &0.into())
    );
    let two = Side::new().await;
    two.imports(&one, &["b.tar"], &["--dry-run"]).await;
    assert!(two.tags("local/app").await.is_empty());
    for (arguments, reason) in [
        (
            &["local/nosuch", "-o", "c.tar"][..],
            "nothing here matches local/nosuch",
        ),
        (
            &["local/app:v9", "-o", "c.tar"],
            "nothing here matches local/app:v9",
        ),
        (&["local", "-o", "b.tar"], "is there already"),
        (&["local", "-o", "-", "--split", "1MiB"], "--split needs"),
        (&["local", "-o", "c.tar", "--split", "9000"], "at least"),
    ] {
        let refused = one
            .place
            .run_badly(&[&["export"], arguments].concat())
            .await;
        assert!(refused.contains(reason), "{refused}");
    }
}

/// AG-08: both sides keep a list of what was handed over.
#[tokio::test]
async fn both_sides_keep_a_list_of_hand_overs() {
    let (one, two) = (Side::new().await, Side::new().await);
    one.push("local/app", "v1", &Image::small(1)).await;
    one.export(&["local", "-o", "b.tar"]).await;
    two.imports(&one, &["b.tar"], &[]).await;
    let line = |side: &Side| -> Value {
        let text = std::fs::read_to_string(side.path("data/bundles/handover.jsonl")).unwrap();
        serde_json::from_str(text.trim()).unwrap()
    };
    let (sent, taken) = (line(&one), line(&two));
    assert_eq!(
        (&sent["act"], &taken["act"]),
        (&"export".into(), &"import".into())
    );
    for key in ["bundle", "sequence", "by", "repositories"] {
        assert_eq!(sent[key], taken[key]);
    }
    let log = two.place.run_well(&["tag", "history", "local/app"]).await;
    assert_eq!(log, "", "nothing was replaced");
}
