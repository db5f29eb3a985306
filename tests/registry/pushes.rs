//! Many pushes at once, and content that lists are made of while others change it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::harness::content::{self, Document, Image, OCI_MANIFEST, document};
use crate::harness::local::REPOSITORY;
use crate::harness::site::Site;

/// The path that a `Link` leads to.
fn next(link: &str) -> Option<String> {
    let path = link.strip_prefix('<')?.split_once('>')?.0;
    assert!(link.ends_with(">; rel=\"next\""), "{link}");
    Some(path.to_owned())
}

/// The tags of every page of a list.
async fn all_pages(site: &Site, path: &str) -> Vec<String> {
    let (mut all, mut path) = (Vec::new(), path.to_owned());
    loop {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list = answer.json()["tags"].as_array().unwrap().clone();
        all.extend(list.iter().map(|entry| entry.as_str().unwrap().to_owned()));
        match next(answer.header("link")) {
            Some(next) => path = next,
            None => return all,
        }
    }
}

/// PR-16: while 100 pushes run, no page misses a tag that was there, none is told twice, and the order is
/// that of bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_are_listed_whole_while_a_hundred_pushes_run() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "first", &image).await;
    let before: BTreeSet<String> = (0..40).map(|n| format!("old-{n}")).collect();
    for tag in &before {
        site.push_manifest(REPOSITORY, tag, &image.manifest).await;
    }
    let done = AtomicBool::new(false);
    let pushing = async {
        let push = |n: usize| {
            let (site, image) = (&site, &image);
            async move {
                site.push_manifest(REPOSITORY, format!("new-{n}"), &image.manifest)
                    .await;
            }
        };
        join_all((0..100).map(push)).await;
        done.store(true, Ordering::Relaxed);
    };
    let listing = async {
        let mut rounds = 0;
        while !done.load(Ordering::Relaxed) || rounds == 0 {
            let path = format!("/v2/{REPOSITORY}/tags/list?n=7");
            let tags = all_pages(&site, &path).await;
            assert!(tags.is_sorted_by(|one, two| one < two), "{tags:?}");
            let tags: BTreeSet<String> = tags.into_iter().collect();
            assert!(tags.is_superset(&before), "{tags:?}");
            rounds += 1;
        }
    };
    tokio::join!(pushing, listing);
    assert_eq!(site.tags(REPOSITORY).await.len(), 141);
}

#[tokio::test]
async fn pages_of_tags_are_those_that_were_asked_for() {
    let site = Site::local().await;
    let unknown = site.get("/v2/local/app/tags/list").await;
    assert_eq!(
        (unknown.status.as_u16(), &*unknown.code()),
        (404, "NAME_UNKNOWN")
    );
    let image = Image::small(1);
    let by_digest = image.digest();
    site.push_image(REPOSITORY, by_digest, &image).await;
    let list = format!("/v2/{REPOSITORY}/tags/list");
    let empty = site.get(&list).await;
    assert_eq!(empty.text(), r#"{"name":"local/app","tags":[]}"#);
    for tag in ["b", "a", "B", "_x", "a.1", "a-1", "0"] {
        site.push_manifest(REPOSITORY, tag, &image.manifest).await;
    }
    let sorted = ["0", "B", "_x", "a", "a-1", "a.1", "b"];
    assert_eq!(site.tags(REPOSITORY).await, sorted);
    for (query, expected, link) in [
        ("?n=0", &sorted[..0], None),
        ("?n=2", &sorted[..2], Some("last=B&n=2")),
        ("?n=7", &sorted[..], None),
        ("?n=18446744073709551616", &sorted[..], None),
        ("?last=B", &sorted[2..], None),
        ("?last=a%21", &sorted[4..], None),
        ("?n=1&last=a.1", &sorted[6..], None),
        ("?last=zz&n=3", &sorted[..0], None),
        ("?n=2&last=_x&x=y", &sorted[3..5], Some("last=a-1&n=2")),
    ] {
        let answer = site.get(&format!("{list}{query}")).await;
        assert_eq!(answer.json()["tags"], json!(expected), "{query}");
        let link = link.map_or_else(String::new, |link| format!("<{list}?{link}>; rel=\"next\""));
        assert_eq!(answer.header("link"), link, "{query}");
    }
    for query in ["?n=-1", "?n=x", "?n=", "?n=1.5", "?n=%00"] {
        let answer = site.get(&format!("{list}{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert_eq!(answer.code(), "PAGINATION_NUMBER_INVALID");
    }
}

/// SC-080: one image by tag and by digest, as it was pushed; and the answers' headers.
#[tokio::test]
async fn an_image_is_pulled_as_it_was_pushed() {
    let site = Site::local().await;
    for (tag, image) in [("oci", Image::small(1)), ("docker", Image::docker(2))] {
        let pushed = site.push_image(REPOSITORY, tag, &image).await;
        let digest = image.digest();
        let place = format!("/v2/{REPOSITORY}/manifests/{digest}");
        assert_eq!(pushed.header("location"), place);
        assert_eq!(pushed.header("docker-content-digest"), digest.to_string());
        assert_eq!(pushed.header("content-length"), "0");
        for reference in [tag.to_owned(), digest.to_string()] {
            let pulled = site.pull(REPOSITORY, &reference).await;
            assert_eq!(pulled.body, image.manifest.bytes);
            assert_eq!(pulled.header("content-type"), image.manifest.media_type);
            let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
            let head = site.head(&path).await;
            for name in [
                "content-length",
                "content-type",
                "docker-content-digest",
                "etag",
            ] {
                assert_eq!(head.header(name), pulled.header(name), "{name}");
                assert!(!head.header(name).is_empty(), "{name}");
            }
        }
    }
}

/// Two pushes of one tag at once: the tag is one of them, whole, and the other stays by digest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_pushes_of_one_tag_one_is_it() {
    let site = Site::local().await;
    let images: Vec<Image> = (0..16).map(Image::small).collect();
    let push = |image| site.push_image(REPOSITORY, "latest", image);
    join_all(images.iter().map(push)).await;
    let latest = site.pull(REPOSITORY, "latest").await;
    let is_one = |image: &&Image| image.manifest.bytes == latest.body;
    assert_eq!(images.iter().filter(is_one).count(), 1);
    for image in &images {
        site.pull(REPOSITORY, &image.digest().to_string()).await;
    }
}

/// Of many pushes that all want to be the first, one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_pushes_that_want_to_be_first_one_is() {
    let site = Site::local().await;
    let images: Vec<Image> = (0..16).map(Image::small).collect();
    let first = [("if-none-match", "*"), ("content-type", OCI_MANIFEST)];
    let push = async |image: &Image| {
        for blob in image.blobs() {
            site.push_blob(REPOSITORY, blob).await;
        }
        let path = format!("/v2/{REPOSITORY}/manifests/only");
        let body = image.manifest.bytes.clone();
        let answer = site.send(Method::PUT, &path, &first, body).await;
        answer.status.as_u16()
    };
    let mut statuses = join_all(images.iter().map(push)).await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 201);
    assert!(statuses[1..].iter().all(|status| *status == 412));
}

fn annotated(text: &str, seed: u64) -> Document {
    let image = Image::small(seed);
    let mut value: serde_json::Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    value["annotations"] = json!({ "text": text });
    document(OCI_MANIFEST, &value)
}

/// DO-01: 4 MiB are taken, one byte more is not, whether its length is told or not.
#[tokio::test]
async fn a_manifest_has_at_most_four_mebibytes() {
    let site = Site::local().await;
    let image = Image::small(3);
    site.push_image(REPOSITORY, "small", &image).await;
    let bare = annotated("", 3).bytes.len();
    let most = annotated(&"x".repeat((4 << 20) - bare), 3);
    assert_eq!(most.bytes.len(), 4 << 20);
    site.push_manifest(REPOSITORY, "most", &most).await;
    let pulled = site.get(&format!("/v2/{REPOSITORY}/manifests/most")).await;
    assert_eq!(pulled.body, most.bytes);
    let over = annotated(&"x".repeat((4 << 20) - bare + 1), 3);
    let path = format!("/v2/{REPOSITORY}/manifests/over");
    let headers = [("content-type", OCI_MANIFEST)];
    let bodies = [
        reqwest::Body::from(over.bytes.clone()),
        crate::harness::local::streamed(&over.bytes),
        crate::harness::local::streamed(&content::bytes(1, 30 << 20)),
    ];
    for body in bodies {
        let answer = site.send(Method::PUT, &path, &headers, body).await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert_eq!(answer.code(), "MANIFEST_INVALID");
    }
    assert_eq!(site.tags(REPOSITORY).await, ["most", "small"]);
}
