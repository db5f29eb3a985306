//! AG-10 at the command: bundles that are well-formed archives and lie in what they hold.

use std::path::Path;

use entrepot::oci::Digest;
use serde_json::{Value, json};
use tar::{Builder, Header};

use super::Side;
use crate::harness::content::{Image, index};

/// A file's name and bytes.
type Entry = (String, Vec<u8>);

/// An archive of these files.
fn write(path: &Path, files: &[Entry]) {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_path(name).unwrap();
        header.set_cksum();
        builder.append(&header, &bytes[..]).unwrap();
    }
    std::fs::write(path, builder.into_inner().unwrap()).unwrap();
}

fn blob(bytes: &[u8]) -> Entry {
    (
        format!("blobs/sha256/{}", Digest::of(bytes).hex()),
        bytes.to_vec(),
    )
}

fn named(name: &str, manifest: &[u8], media_type: &str, size: usize) -> Entry {
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": media_type, "digest": Digest::of(manifest).to_string(), "size": size,
        "annotations": {"org.opencontainers.image.ref.name": name},
    }]});
    ("index.json".to_owned(), index.to_string().into_bytes())
}

fn layout() -> Entry {
    (
        "oci-layout".to_owned(),
        br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
    )
}

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// Whatever lies in a layout, nothing of it is visible.
#[tokio::test]
async fn layouts_that_lie_change_nothing() {
    let two = Side::new().await;
    let image = Image::with_layers(1, &[2_000]);
    let manifest = image.manifest.bytes.to_vec();
    let (config, layer) = (image.config.to_vec(), image.layers[0].to_vec());
    let name = "local/app:v1";
    let whole = || named(name, &manifest, OCI, manifest.len());
    let lying = |bytes: &[u8]| (blob(&layer).0, bytes.to_vec());
    let strange = index(&[(&Image::small(9), "amd64")]);
    let endless = format!(
        "{{\"manifests\":{}{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    )
    .into_bytes();
    let cases: Vec<(&str, Vec<Entry>)> = vec![
        (
            "other bytes under a digest",
            vec![
                layout(),
                whole(),
                blob(&manifest),
                blob(&config),
                lying(&[0; 2_000]),
            ],
        ),
        (
            "a blob too short",
            vec![
                layout(),
                whole(),
                blob(&manifest),
                blob(&config),
                lying(&layer[..1_000]),
            ],
        ),
        (
            "a blob is missing",
            vec![layout(), whole(), blob(&manifest), blob(&config)],
        ),
        (
            "the manifest is missing",
            vec![layout(), whole(), blob(&config), blob(&layer)],
        ),
        (
            "no index",
            vec![layout(), blob(&manifest), blob(&config), blob(&layer)],
        ),
        (
            "no layout",
            vec![whole(), blob(&manifest), blob(&config), blob(&layer)],
        ),
        (
            "another version",
            vec![
                (
                    "oci-layout".to_owned(),
                    br#"{"imageLayoutVersion":"2.0"}"#.to_vec(),
                ),
                whole(),
            ],
        ),
        (
            "a manifest of another type",
            vec![
                layout(),
                named(name, &manifest, strange.media_type, 7),
                blob(&manifest),
                blob(&config),
                blob(&layer),
            ],
        ),
        (
            "a name that leads out",
            vec![
                layout(),
                named("../../etc:x", &manifest, OCI, 7),
                blob(&manifest),
                blob(&config),
                blob(&layer),
            ],
        ),
        (
            "an index that is none",
            vec![
                layout(),
                ("index.json".to_owned(), b"[]".to_vec()),
                blob(&manifest),
            ],
        ),
        (
            "an index without bottom",
            vec![layout(), ("index.json".to_owned(), endless)],
        ),
    ];
    for (what, files) in cases {
        write(&two.path("x.tar"), &files);
        let said = two.refuses(&two, &["x.tar"], &[]).await;
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(two.tags("local/app").await.is_empty(), "{what}");
    }
    write(
        &two.path("x.tar"),
        &[
            layout(),
            whole(),
            blob(&manifest),
            blob(&config),
            blob(&layer),
        ],
    );
    two.imports(&two, &["x.tar"], &[]).await;
    two.has("local/app", "v1", &image).await;
}

/// A description that contradicts itself, or the content, is refused; so is content that it does not have.
#[tokio::test]
async fn descriptions_that_lie_change_nothing() {
    let (one, two) = (Side::new().await, Side::new().await);
    let image = Image::with_layers(1, &[2_000]);
    one.push("local/app", "v1", &image).await;
    one.export(&["local", "-o", "b.tar"]).await;
    let good = files(&one.path("b.tar"));
    let other = blob(b"other");
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("another format", |it| it["format"] = "x".into()),
        ("a digest twice", |it| {
            let first = it["content"][0].clone();
            it["content"].as_array_mut().unwrap().push(first);
        }),
        ("a tag to nothing", |it| {
            it["repositories"][0]["manifests"] = json!([])
        }),
        ("another size", |it| {
            for content in it["content"].as_array_mut().unwrap() {
                content["size"] = 3.into();
            }
        }),
        ("a repository twice", |it| {
            let first = it["repositories"][0].clone();
            it["repositories"].as_array_mut().unwrap().push(first);
        }),
        ("a name that is none", |it| {
            it["repositories"][0]["name"] = "../x".into()
        }),
        ("pieces that overlap", |it| {
            it["content"][0]["pieces"] = json!([{"volume": 1, "offset": 0, "length": 9}, {"volume": 1, "offset": 3, "length": 9}]);
        }),
        ("another index", |it| {
            it["index"] = Digest::of(b"x").to_string().into()
        }),
        ("blobs that nobody carries", |it| {
            for content in it["content"].as_array_mut().unwrap() {
                content.as_object_mut().unwrap().remove("volume");
            }
        }),
    ];
    for (what, change) in changes {
        let mut bad = good.clone();
        let at = bad
            .iter()
            .position(|(name, _)| name.ends_with("inventory.json"))
            .unwrap();
        let mut described: Value = serde_json::from_slice(&bad[at].1).unwrap();
        change(&mut described);
        bad[at].1 = described.to_string().into_bytes();
        let id = Digest::of(&bad[at].1).to_string();
        let volume = json!({"bundle": id, "volume": 1, "volumes": 1});
        let own = bad
            .iter()
            .position(|(name, _)| name.ends_with("volume.json"))
            .unwrap();
        bad[own].1 = volume.to_string().into_bytes();
        write(&one.path("bad.tar"), &bad);
        let said = two.refuses(&one, &["bad.tar"], &[]).await;
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(two.tags("local/app").await.is_empty(), "{what}");
    }
    let mut more = good.clone();
    more.push(other);
    write(&one.path("bad.tar"), &more);
    let said = two.refuses(&one, &["bad.tar"], &[]).await;
    assert!(said.contains("does not have there"), "{said}");
    let mut late = good.clone();
    let inventory = late
        .iter()
        .position(|(name, _)| name.ends_with("inventory.json"))
        .unwrap();
    let inventory = late.remove(inventory);
    late.push(inventory);
    write(&one.path("bad.tar"), &late);
    two.refuses(&one, &["bad.tar"], &[]).await;
    assert!(two.tags("local/app").await.is_empty());
    write(&one.path("bad.tar"), &good);
    two.imports(&one, &["bad.tar"], &[]).await;
}

fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    use std::io::Read as _;
    let mut archive = tar::Archive::new(std::fs::File::open(path).unwrap());
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.push((name, bytes));
    }
    files
}
