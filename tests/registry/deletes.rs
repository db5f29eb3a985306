//! Deletion at the door: what is deleted is gone at once, and nothing else is.

use entrepot::oci::Digest;
use reqwest::Method;

use crate::harness::content::{self, Image};
use crate::harness::local::REPOSITORY;
use crate::harness::site::{Answer, Site};

fn manifest(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

fn blob(digest: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

fn assert_deleted(answer: &Answer) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.header("content-length"), "0");
}

fn assert_unknown(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.code(), code);
}

/// oci-registry 6.3, with what was asked for a moment ago and is in memory.
#[tokio::test]
async fn a_manifest_goes_with_its_tags_and_at_once() {
    let site = Site::local().await;
    let (image, other) = (Image::small(1), Image::small(2));
    for tag in ["a", "b"] {
        site.push_image(REPOSITORY, tag, &image).await;
        site.pull(REPOSITORY, tag).await;
    }
    site.push_image(REPOSITORY, "other", &other).await;
    site.push_image("local/second", "a", &image).await;
    let digest = image.digest();
    assert_deleted(&site.delete(&manifest(digest)).await);
    for method in [Method::GET, Method::HEAD] {
        for reference in ["a", "b", &digest.to_string()] {
            let path = manifest(reference);
            let gone = site.send(method.clone(), &path, &[], "").await;
            assert_eq!(gone.status, 404, "{method} {reference}");
        }
    }
    assert_eq!(site.tags(REPOSITORY).await, ["other"]);
    assert_unknown(&site.delete(&manifest(digest)).await, "MANIFEST_UNKNOWN");
    assert_unknown(&site.delete(&manifest("a")).await, "MANIFEST_UNKNOWN");
    site.pull(REPOSITORY, "other").await;
    site.pull("local/second", "a").await;
    // Pushed again, it is there again, without a byte being sent.
    site.push_manifest(REPOSITORY, "c", &image.manifest).await;
    site.pull(REPOSITORY, "c").await;
    assert_eq!(site.tags(REPOSITORY).await, ["c", "other"]);
}

#[tokio::test]
async fn a_tag_goes_alone() {
    let site = Site::local().await;
    let image = Image::small(1);
    for tag in ["a", "b"] {
        site.push_image(REPOSITORY, tag, &image).await;
        site.pull(REPOSITORY, tag).await;
    }
    assert_deleted(&site.delete(&manifest("a")).await);
    assert_eq!(site.head_status(&manifest("a")).await, 404);
    assert_unknown(&site.delete(&manifest("a")).await, "MANIFEST_UNKNOWN");
    site.pull(REPOSITORY, "b").await;
    site.pull(REPOSITORY, &image.digest().to_string()).await;
}

#[tokio::test]
async fn a_blob_goes_unless_a_manifest_names_it() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    for bytes in image.blobs() {
        let digest = Digest::of(bytes);
        let refused = site.delete(&blob(digest)).await;
        assert_eq!(refused.status, 405, "{}", refused.text());
        assert_eq!(refused.code(), "UNSUPPORTED");
        let message = refused.text();
        assert!(message.contains(&image.digest().to_string()), "{message}");
        assert_eq!(site.head_status(&blob(digest)).await, 200);
    }
    let loose = site.push_blob(REPOSITORY, b"loose").await;
    site.push_blob("local/second", b"loose").await;
    assert_eq!(site.get(&blob(loose)).await.body.as_ref(), b"loose");
    assert_deleted(&site.delete(&blob(loose)).await);
    assert_eq!(site.head_status(&blob(loose)).await, 404);
    assert_unknown(&site.get(&blob(loose)).await, "BLOB_UNKNOWN");
    assert_unknown(&site.delete(&blob(loose)).await, "BLOB_UNKNOWN");
    let second = format!("/v2/local/second/blobs/{loose}");
    assert_eq!(site.get(&second).await.body.as_ref(), b"loose");
    site.push_blob(REPOSITORY, b"loose").await;
    assert_eq!(site.get(&blob(loose)).await.body.as_ref(), b"loose");
    // A manifest that is deleted no longer holds its blobs.
    assert_deleted(&site.delete(&manifest(image.digest())).await);
    for bytes in image.blobs() {
        assert_deleted(&site.delete(&blob(Digest::of(bytes))).await);
    }
    let refused = site.put_manifest(REPOSITORY, "v1", &image.manifest).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.code(), "MANIFEST_BLOB_UNKNOWN");
    site.push_image(REPOSITORY, "v1", &image).await;
    site.pull(REPOSITORY, "v1").await;
}

#[tokio::test]
async fn a_child_may_go_and_its_index_stays() {
    let site = Site::local().await;
    let (one, two) = (Image::small(1), Image::small(2));
    for image in [&one, &two] {
        site.push_image(REPOSITORY, image.digest(), image).await;
    }
    let index = content::index(&[(&one, "amd64"), (&two, "arm64")]);
    site.push_manifest(REPOSITORY, "v1", &index).await;
    assert_deleted(&site.delete(&manifest(one.digest())).await);
    assert_eq!(site.head_status(&manifest(one.digest())).await, 404);
    assert_eq!(site.get(&manifest("v1")).await.body, index.bytes);
    site.pull(REPOSITORY, &two.digest().to_string()).await;
    assert_deleted(&site.delete(&manifest(index.digest())).await);
    site.pull(REPOSITORY, &two.digest().to_string()).await;
}

#[tokio::test]
async fn what_is_not_there_is_unknown_and_what_is_no_reference_too() {
    let site = Site::local().await;
    site.push_blob(REPOSITORY, b"x").await;
    let missing = Digest::of(b"missing");
    assert_unknown(&site.delete(&manifest(missing)).await, "MANIFEST_UNKNOWN");
    assert_unknown(&site.delete(&blob(missing)).await, "BLOB_UNKNOWN");
    let nowhere = format!("/v2/local/nowhere/manifests/{missing}");
    assert_unknown(&site.delete(&nowhere).await, "NAME_UNKNOWN");
    let nowhere = format!("/v2/local/nowhere/blobs/{missing}");
    assert_unknown(&site.delete(&nowhere).await, "NAME_UNKNOWN");
    for bad in [manifest("sha256:x"), blob("sha256:x"), blob("x")] {
        let answer = site.delete(&bad).await;
        assert!([400, 404].contains(&answer.status.as_u16()), "{bad}");
    }
    assert_eq!(site.delete(&manifest(".x")).await.status, 404);
}

/// What was deleted stays deleted over a restart, and what was not is still there.
#[tokio::test]
async fn a_restart_changes_nothing_of_it() {
    let mut site = Site::local().await;
    let (kept, gone) = (Image::small(1), Image::small(2));
    site.push_image(REPOSITORY, "kept", &kept).await;
    site.push_image(REPOSITORY, "gone", &gone).await;
    let loose = site.push_blob(REPOSITORY, b"loose").await;
    assert_deleted(&site.delete(&manifest(gone.digest())).await);
    assert_deleted(&site.delete(&blob(loose)).await);
    site.restart().await;
    assert_eq!(site.tags(REPOSITORY).await, ["kept"]);
    site.pull(REPOSITORY, "kept").await;
    for path in [manifest("gone"), manifest(gone.digest()), blob(loose)] {
        assert_eq!(site.head_status(&path).await, 404, "{path}");
    }
}
