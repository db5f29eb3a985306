//! What nobody has pulled before.

use bytes::Bytes;
use entrepot::oci::{Algorithm, Digest};
use serde_json::json;

use super::{BLOBS, BY_TAG, LARGE, MANIFESTS, blob, manifest, patient, stage, stage_with, way};
use crate::harness::content::{Image, bytes, document, index};
use crate::harness::origin::Fault;
use crate::harness::soon;

const OCTETS: &str = "application/octet-stream";

/// SC-242, CA-06: the client reads while upstream still sends; what it read is held afterwards.
#[tokio::test]
async fn a_first_pull_streams_while_it_is_stored() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    site.get(BY_TAG).await;
    origin.once("GET", BLOBS, Fault::StallAt(600_000));
    let mut response = site.begin(&blob(layer), &[]).await;
    assert_eq!(
        response.headers()["content-length"],
        LARGE.to_string().as_str()
    );
    let mut body = Vec::new();
    while body.len() < 600_000 {
        body.extend(soon("a piece", response.chunk()).await.unwrap().unwrap());
    }
    assert!(
        site.registry().blobs().partials().await.unwrap().is_empty(),
        "it is being written"
    );
    origin.release();
    while let Some(piece) = soon("a piece", response.chunk()).await.unwrap() {
        body.extend(piece);
    }
    assert!(body == layer[..]);
    site.settled().await;
    origin.stop().await;
    let again = site.get(&blob(layer)).await;
    assert!(again.body == layer && way(&again) == "entrepot; hit");
}

/// SC-242: one GET of each thing, and none of anything the second time.
#[tokio::test]
async fn a_pull_asks_for_each_thing_once() {
    let (origin, site, image) = stage(&[1_000, LARGE, 3]).await;
    let pulled = site.pull("docker.io/library/app", "v1").await;
    assert_eq!(pulled.body, image.manifest.bytes);
    assert_eq!(way(&pulled), "entrepot; fwd=uri-miss; stored");
    assert_eq!(origin.count("GET", MANIFESTS), 1);
    assert_eq!(origin.count("GET", BLOBS), 4);
    site.pull("docker.io/library/app", "v1").await;
    assert_eq!(origin.count("GET", "/v2/"), 5);
    assert_eq!(
        origin.count("HEAD", BLOBS),
        0,
        "blobs are never asked for by HEAD"
    );
}

#[tokio::test]
async fn every_kind_of_manifest_is_pulled_by_tag_and_digest() {
    let (origin, site, _) = stage(&[10]).await;
    let docker = Image::docker(2);
    origin.push_image("library/app", "docker", &docker);
    let list = index(&[(&docker, "amd64")]);
    origin.push_manifest("library/app", Some("list"), &list);
    for (tag, document) in [("docker", &docker.manifest), ("list", &list)] {
        for reference in [tag, &document.digest().to_string()] {
            let answer = site.get(&manifest(reference)).await;
            assert_eq!(answer.body, document.bytes);
            assert_eq!(answer.header("content-type"), document.media_type);
            assert_eq!(
                answer.header("docker-content-digest"),
                document.digest().to_string()
            );
        }
    }
    assert_eq!(origin.count("GET", MANIFESTS), 2, "by digest it was held");
    let sha512 = Digest::with(Algorithm::Sha512, &docker.manifest.bytes);
    assert_eq!(
        site.get(&manifest(sha512)).await.body,
        docker.manifest.bytes
    );
}

/// oci-registry 13.8: an index is kept as it is, its children come when they are asked for.
#[tokio::test]
async fn children_of_an_index_are_fetched_when_asked_for() {
    let (origin, site, _) = stage(&[10]).await;
    let (amd64, arm64) = (Image::small(2), Image::small(3));
    for image in [&amd64, &arm64] {
        origin.push_untagged("library/app", image);
    }
    let both = index(&[(&amd64, "amd64"), (&arm64, "arm64")]);
    origin.push_manifest("library/app", Some("multi"), &both);
    let answer = site.get(&manifest("multi")).await;
    assert_eq!(answer.body, both.bytes);
    assert_eq!(
        origin.count("GET", "/v2/"),
        1,
        "nothing but the index itself"
    );
    let child = site
        .pull("docker.io/library/app", &amd64.digest().to_string())
        .await;
    assert_eq!(child.body, amd64.manifest.bytes);
    assert_eq!(origin.count("GET", "/v2/"), 4);
    assert_eq!(
        origin.count("GET", &format!("{MANIFESTS}{}", arm64.digest())),
        0
    );
    site.get(&manifest("multi")).await;
    assert_eq!(site.get(&manifest(both.digest())).await.body, both.bytes);
    assert_eq!(origin.count("GET", "/v2/"), 4);
}

/// HEAD costs no pull of Docker Hub's budget, and the GET by digest behind it makes the tag.
#[tokio::test]
async fn a_head_of_an_absent_tag_asks_by_head_and_is_remembered() {
    let (origin, site, image) = stage(&[10]).await;
    let head = site.head(BY_TAG).await;
    assert_eq!(head.status, 200);
    assert_eq!(
        head.header("docker-content-digest"),
        image.digest().to_string()
    );
    assert_eq!(head.header("content-type"), image.manifest.media_type);
    assert_eq!(
        head.header("content-length"),
        image.manifest.bytes.len().to_string()
    );
    assert_eq!(
        (origin.count("HEAD", MANIFESTS), origin.count("GET", "/v2/")),
        (1, 0)
    );
    site.get(&manifest(image.digest())).await;
    assert_eq!(origin.count("GET", "/v2/"), 1);
    origin.stop().await;
    let by_tag = site.get(BY_TAG).await;
    assert_eq!(by_tag.body, image.manifest.bytes);
    assert!(way(&by_tag).contains("stale"), "{}", way(&by_tag));
}

/// A HEAD whose digest is held already is answered from here, and makes the tag at once.
#[tokio::test]
async fn a_head_of_a_new_tag_on_held_content_makes_the_tag() {
    let (origin, site, image) = stage(&[10]).await;
    site.get(&manifest(image.digest())).await;
    assert_eq!(site.head(BY_TAG).await.status, 200);
    origin.stop().await;
    assert_eq!(site.get(BY_TAG).await.body, image.manifest.bytes);
}

/// A HEAD that says too little costs a GET.
#[tokio::test]
async fn a_head_without_a_digest_is_answered_by_a_get() {
    let (origin, site, image) = stage(&[10]).await;
    let nothing = Fault::Headers(vec![("Docker-Content-Digest", None)]);
    origin.always("HEAD", MANIFESTS, nothing);
    let head = site.head(BY_TAG).await;
    assert_eq!(
        head.header("docker-content-digest"),
        image.digest().to_string()
    );
    assert_eq!(origin.count("GET", MANIFESTS), 1);
}

#[tokio::test]
async fn a_blob_is_served_before_its_manifest() {
    let (origin, site, image) = stage(&[LARGE]).await;
    let layer = &image.layers[0];
    let cold = site.get(&blob(layer)).await;
    assert!(cold.body == layer);
    assert_eq!(cold.header("content-length"), LARGE.to_string());
    site.settled().await;
    let warm = site.get(&blob(layer)).await;
    assert!(warm.body == layer);
    assert_eq!(way(&warm), "entrepot; hit");
    site.pull("docker.io/library/app", "v1").await;
    assert_eq!(
        origin.count("GET", BLOBS),
        2,
        "the layer came once, and the config"
    );
}

/// A manifest tells the size; without one it takes the fetch.
#[tokio::test]
async fn a_head_of_a_cold_blob_tells_its_size() {
    let (origin, site, image) = stage(&[LARGE]).await;
    let loose = bytes(77, 5_000);
    origin.push_blob("library/app", &loose);
    site.get(BY_TAG).await;
    let head = site.head(&blob(&image.layers[0])).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "1000000")
    );
    assert_eq!(origin.count("GET", BLOBS), 0);
    let head = site.head(&blob(&loose)).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "5000")
    );
    assert_eq!(site.get(&blob(&loose)).await.body, loose);
    assert_eq!(origin.count("GET", BLOBS), 1);
}

#[tokio::test]
async fn a_blob_whose_size_upstream_does_not_say_is_served_once_it_is_there() {
    let (origin, site, image) = stage(&[LARGE]).await;
    origin.always("GET", BLOBS, Fault::Unsized);
    let layer = &image.layers[0];
    let answer = site.get(&blob(layer)).await;
    assert!(answer.body == layer);
    assert_eq!(answer.header("content-length"), LARGE.to_string());
    site.settled().await;
    assert_eq!(way(&site.get(&blob(layer)).await), "entrepot; hit");
    assert_eq!(origin.count("GET", BLOBS), 1);
}

/// CA-08: an empty body is a hit only where the blob is empty.
#[tokio::test]
async fn an_empty_blob_is_fetched_and_held_like_any_other() {
    let (origin, site, _) = stage(&[10]).await;
    let empty = Bytes::new();
    origin.push_blob("library/app", &empty);
    for wanted in ["entrepot; fwd=uri-miss; stored", "entrepot; hit"] {
        let answer = site.get(&blob(&empty)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-length")),
            (200, "0")
        );
        assert_eq!(way(&answer), wanted);
        site.settled().await;
    }
    assert_eq!(site.head(&blob(&empty)).await.header("content-length"), "0");
    assert_eq!(origin.count("GET", BLOBS), 1);
    let full = bytes(5, 100);
    origin.push_blob("library/app", &full);
    origin.always("GET", BLOBS, Fault::Content(OCTETS, Bytes::new()));
    assert!(site.get_broken(&blob(&full)).await.is_empty());
    origin.heal();
    assert_eq!(site.get(&blob(&full)).await.body, full);
}

/// oci-registry 11.11: `BuildKit`'s cache is an index whose entries are layers.
#[tokio::test]
async fn an_index_of_blobs_is_pulled_with_its_blobs() {
    let (origin, site, _) = stage(&[10]).await;
    let layers = [bytes(21, 1_000), bytes(22, 2_000)];
    let entry = |layer: &Bytes| {
        let media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
        json!({"mediaType": media_type, "digest": Digest::of(layer), "size": layer.len()})
    };
    let cache = document(
        crate::harness::content::OCI_INDEX,
        &json!({"schemaVersion": 2, "manifests": [entry(&layers[0]), entry(&layers[1])]}),
    );
    origin.push_manifest("library/app", Some("cache"), &cache);
    for layer in &layers {
        origin.push_blob("library/app", layer);
    }
    assert_eq!(site.get(&manifest("cache")).await.body, cache.bytes);
    let head = site.head(&blob(&layers[1])).await;
    assert_eq!(head.header("content-length"), "2000");
    assert_eq!(origin.count("GET", BLOBS), 0, "the index tells the size");
    for layer in &layers {
        assert_eq!(site.get(&blob(layer)).await.body, layer);
    }
    site.settled().await;
    origin.stop().await;
    assert_eq!(site.get(&manifest("cache")).await.body, cache.bytes);
    for layer in &layers {
        assert_eq!(site.get(&blob(layer)).await.body, layer);
    }
}

/// oci-registry 13.10: clients fetch foreign layers from where their `urls` point.
#[tokio::test]
async fn a_foreign_layer_is_not_here_and_its_image_is() {
    let (origin, site, _) = stage(&[10]).await;
    let mut image = Image::small(9);
    let foreign = bytes(31, 100);
    image.add_layer(
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        &foreign,
        &["https://example.test/layer"],
    );
    origin.push_image("library/app", "windows", &image);
    site.pull("docker.io/library/app", "windows").await;
    for _ in 0..2 {
        let answer = site.get(&blob(&foreign)).await;
        super::assert_is(&answer, 404, "BLOB_UNKNOWN");
        assert_eq!(site.head(&blob(&foreign)).await.status, 404);
    }
    let asked = format!("{BLOBS}{}", Digest::of(&foreign));
    assert_eq!(origin.count("GET", &asked), 1, "its absence is remembered");
}

/// UP-02: blobs come from wherever upstream sends us, without its credentials.
#[tokio::test]
async fn a_blob_behind_a_redirect_is_pulled() {
    let (origin, site, image) = stage(&[LARGE]).await;
    let cdn = crate::harness::origin::Origin::start().await;
    let layer = &image.layers[0];
    cdn.push_file("/cdn/layer", layer);
    let there = Fault::Redirect(cdn.url("/cdn/layer?signature=x"));
    origin.always("GET", &format!("{BLOBS}{}", Digest::of(layer)), there);
    // The CDN breaks off too: the way to it is asked for anew.
    cdn.once("GET", "/cdn/", Fault::CutAt(300_000));
    site.pull("docker.io/library/app", "v1").await;
    assert_eq!(cdn.count("GET", "/cdn/"), 2);
    assert_eq!(
        cdn.last("GET", "/cdn/").header("range").unwrap(),
        "bytes=300000-"
    );
    assert_eq!(cdn.last("GET", "/cdn/").header("authorization"), None);
}
