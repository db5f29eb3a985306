//! Tags: how they move, end, expire and come back.

use std::time::Duration;

use bytes::Bytes;
use entrepot::model::{Actor, RepositoryId};
use entrepot::oci::{Digest, Tag};
use entrepot::registry::Budget;
use serde_json::{Value, json};

use crate::harness::content::{self, Image, OCI_INDEX, OCI_MANIFEST, document};
use crate::harness::local::REPOSITORY;
use crate::harness::site::Site;

const HOUR: Duration = Duration::from_secs(3600);

fn path(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

async fn repository(site: &Site) -> RepositoryId {
    let (namespace, name) = ("local".parse().unwrap(), "app".parse().unwrap());
    let registry = site.registry();
    let (namespace, _) = registry.namespace(&namespace).await.unwrap().unwrap();
    registry
        .repository(namespace, &name)
        .await
        .unwrap()
        .unwrap()
}

/// What tags pointed to, the last first.
async fn history(site: &Site) -> Vec<(String, Digest)> {
    let repository = repository(site).await;
    let history = site.registry().tag_history(repository, None, 100);
    let history = history.await.unwrap().into_iter();
    history
        .map(|(_, lifetime)| (lifetime.tag.to_string(), lifetime.digest))
        .collect()
}

/// Points a tag at what it pointed to before; false if that is gone.
async fn restore(site: &Site, name: &str, image: &Image) -> bool {
    let (id, tag, digest) = (repository(site).await, tag(name), image.digest());
    let by = Actor::Anonymous;
    let restored = site.registry().restore_tag(id, &tag, &digest, &by).await;
    restored.is_ok()
}

async fn collect(site: &Site) -> entrepot::registry::GcReport {
    site.registry().collect(Budget::UNBOUNDED).await.unwrap()
}

/// An image whose config has these labels.
fn labelled(seed: u64, labels: Value) -> Image {
    let mut image = Image::small(seed);
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Labels": labels}, "seed": seed,
    });
    image.config = Bytes::from(config.to_string());
    let mut value: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    value["config"]["digest"] = json!(Digest::of(&image.config).to_string());
    value["config"]["size"] = json!(image.config.len());
    image.manifest = document(OCI_MANIFEST, &value);
    image
}

fn annotated(mut image: Image, annotations: Value) -> Image {
    let mut value: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
    value["annotations"] = annotations;
    image.manifest = document(OCI_MANIFEST, &value);
    image
}

#[tokio::test]
async fn a_tag_that_moves_leaves_its_history() {
    let site = Site::local().await;
    let images: Vec<Image> = (0..3).map(Image::small).collect();
    for image in &images {
        site.push_image(REPOSITORY, "v1", image).await;
        site.clock.advance(HOUR);
        // The same again is no move.
        site.push_image(REPOSITORY, "v1", image).await;
    }
    let [one, two, three] = [0, 1, 2].map(|n: usize| images[n].digest());
    let moved = [("v1".to_owned(), two), ("v1".to_owned(), one)];
    assert_eq!(history(&site).await, moved);
    assert_eq!(site.get(&path("v1")).await.body, images[2].manifest.bytes);
    for image in &images {
        site.pull(REPOSITORY, &image.digest().to_string()).await;
    }
    let deleted = site.delete(&path("v1")).await;
    assert_eq!(deleted.status, 202);
    assert_eq!(deleted.header("content-length"), "0");
    assert_eq!(history(&site).await[0], ("v1".to_owned(), three));
    let gone = site.get(&path("v1")).await;
    assert_eq!((gone.status.as_u16(), &*gone.code()), (404, "TAG_EXPIRED"));
    let never = site.get(&path("v9")).await;
    assert_eq!(never.code(), "MANIFEST_UNKNOWN");
    assert_eq!(site.delete(&path("v1")).await.status, 404);
    assert_eq!(site.delete(&path("v9")).await.status, 404);
    assert!(site.tags(REPOSITORY).await.is_empty());
    site.pull(REPOSITORY, &three.to_string()).await;
}

/// Everything that a tag pointed to comes back until the time machine ends, and not after (GC-05).
#[tokio::test]
async fn what_a_tag_pointed_to_is_restored_until_the_time_machine_ends() {
    let mut site = Site::local().await;
    let (one, two) = (Image::small(1), Image::small(2));
    site.push_image(REPOSITORY, "v1", &one).await;
    site.push_image(REPOSITORY, "v1", &two).await;
    assert_eq!(site.delete(&path(two.digest())).await.status, 202);
    let time_machine = site.config.retention.time_machine;
    site.clock.advance(time_machine - HOUR);
    assert_eq!(collect(&site).await.blobs, 0);
    site.restart().await;
    for image in [&one, &two] {
        assert!(restore(&site, "v1", image).await);
        let pulled = site.pull(REPOSITORY, "v1").await;
        assert_eq!(pulled.body, image.manifest.bytes);
    }
    // What is restored stays, whatever its age; what is not, goes.
    site.clock.advance(2 * HOUR);
    collect(&site).await;
    site.pull(REPOSITORY, "v1").await;
    site.clock.advance(time_machine);
    collect(&site).await;
    site.pull(REPOSITORY, "v1").await;
    assert_eq!(site.head_status(&path(one.digest())).await, 404);
    assert!(!restore(&site, "v1", &one).await, "it is too late");
    assert!(history(&site).await.is_empty());
}

/// SC-085: hours, days and weeks, counted from the push, in labels and annotations; what has another
/// form says nothing.
#[tokio::test]
async fn a_label_has_tags_expire() {
    let site = Site::local().await;
    let label = |text: &str| json!({"quay.expires-after": text});
    let plain = |seed| labelled(seed, json!({}));
    let images = [
        ("h20", labelled(1, label("20h")), Some(20)),
        ("d2", labelled(2, label("2d")), Some(48)),
        ("w3", labelled(3, label("3w")), Some(3 * 7 * 24)),
        ("note", annotated(plain(4), label("20h")), Some(20)),
        (
            "note-wins",
            annotated(labelled(5, label("3w")), label("2d")),
            Some(48),
        ),
        ("bad", labelled(6, label("soon")), None),
        ("null", labelled(7, Value::Null), None),
        ("odd", labelled(8, json!({"quay.expires-after": 7})), None),
        ("plain", plain(9), None),
    ];
    for (name, image, _) in &images {
        site.push_image(REPOSITORY, name, image).await;
    }
    let mut hours = 0;
    for moment in [19, 21, 47, 49, 503, 505, 10_000] {
        site.clock.advance(HOUR * (moment - hours));
        hours = moment;
        if moment % 2 == 0 {
            collect(&site).await;
        }
        let mut alive: Vec<&str> = images
            .iter()
            .filter(|(_, _, after)| after.is_none_or(|after| after > moment))
            .map(|(name, ..)| *name)
            .collect();
        alive.sort_unstable();
        assert_eq!(site.tags(REPOSITORY).await, alive, "after {moment} hours");
    }
    for (name, image, after) in &images {
        let status = if after.is_some() { 404 } else { 200 };
        assert_eq!(site.head_status(&path(name)).await, status, "{name}");
        assert_eq!(site.head_status(&path(image.digest())).await, status);
    }
}

/// A tag ends when its time has come, not when the collector comes by, which may be never.
#[tokio::test]
async fn a_tag_that_has_expired_is_gone_without_a_collection() {
    let mut site = Site::local().await;
    let image = labelled(1, json!({"quay.expires-after": "2h"}));
    for name in ["a", "b"] {
        site.push_image(REPOSITORY, name, &image).await;
    }
    site.pull(REPOSITORY, "a").await;
    site.clock.advance(2 * HOUR - Duration::from_secs(1));
    site.pull(REPOSITORY, "a").await;
    site.clock.advance(Duration::from_secs(1));
    for _ in 0..2 {
        let gone = site.get(&path("a")).await;
        assert_eq!((gone.status.as_u16(), &*gone.code()), (404, "TAG_EXPIRED"));
        assert!(site.tags(REPOSITORY).await.is_empty());
        site.pull(REPOSITORY, &image.digest().to_string()).await;
        site.restart().await;
    }
    site.push_manifest(REPOSITORY, "a", &image.manifest).await;
    site.pull(REPOSITORY, "a").await;
    assert_eq!(collect(&site).await.expired_tags, 1);
    assert_eq!(site.tags(REPOSITORY).await, ["a"]);
}

/// An immutable tag does not expire. An expiry that passed meanwhile is forgotten; one to come counts.
#[tokio::test]
async fn a_tag_does_not_expire_while_it_is_immutable() {
    let site = Site::local_with(|config| config.retention.time_machine = Duration::ZERO).await;
    let image = labelled(1, json!({"quay.expires-after": "2h"}));
    site.push_image(REPOSITORY, "passed", &image).await;
    let id = repository(&site).await;
    let fix = async |name: &str, immutable| {
        let registry = site.registry();
        registry.set_tag_immutable(id, &tag(name), immutable).await
    };
    assert!(fix("passed", true).await.unwrap());
    site.clock.advance(100 * HOUR);
    assert_eq!(collect(&site).await.expired_tags, 0);
    site.pull(REPOSITORY, "passed").await;
    assert!(fix("passed", false).await.unwrap());

    site.push_image(REPOSITORY, "to-come", &image).await;
    assert!(fix("to-come", true).await.unwrap());
    site.clock.advance(HOUR);
    assert!(fix("to-come", false).await.unwrap());
    site.clock.advance(HOUR);
    assert_eq!(site.head_status(&path("to-come")).await, 404);
    site.clock.advance(25 * HOUR);
    assert_eq!(collect(&site).await.expired_tags, 1);
    assert_eq!(site.tags(REPOSITORY).await, ["passed"]);
}

/// An expiry counts from each push of a tag, and can be outlived by another push.
#[tokio::test]
async fn an_expiry_is_that_of_the_last_push() {
    let site = Site::local().await;
    let short = labelled(1, json!({"quay.expires-after": "2h"}));
    site.push_image(REPOSITORY, "again", &short).await;
    site.push_image(REPOSITORY, "moved", &short).await;
    site.clock.advance(HOUR);
    site.push_image(REPOSITORY, "again", &short).await;
    site.push_image(REPOSITORY, "moved", &Image::small(2)).await;
    site.clock.advance(HOUR + Duration::from_secs(60));
    collect(&site).await;
    assert_eq!(site.tags(REPOSITORY).await, ["again", "moved"]);
    site.clock.advance(HOUR);
    collect(&site).await;
    assert_eq!(site.tags(REPOSITORY).await, ["moved"]);
    let ended = site.get(&path("again")).await;
    assert_eq!(ended.code(), "TAG_EXPIRED");
    // It ended by itself, and can be restored like any other.
    assert!(restore(&site, "again", &short).await);
    site.pull(REPOSITORY, "again").await;
    site.clock.advance(1000 * HOUR);
    collect(&site).await;
    site.pull(REPOSITORY, "again").await;
}

/// SC-085, Quay: a list expires if all of its images say the same.
#[tokio::test]
async fn an_index_expires_with_its_images() {
    let site = Site::local().await;
    let of = |seed, text: &str| labelled(seed, json!({"quay.expires-after": text}));
    let images = [of(1, "20h"), of(2, "20h"), of(3, "2d"), Image::small(4)];
    for image in &images {
        site.push_image(REPOSITORY, image.digest(), image).await;
    }
    let [one, two, other, plain] = &images;
    for (name, children) in [
        ("agreed", vec![(one, "amd64"), (two, "arm64")]),
        ("one", vec![(one, "amd64")]),
        ("differ", vec![(one, "amd64"), (other, "arm64")]),
        ("one-plain", vec![(one, "amd64"), (plain, "arm64")]),
        ("none", vec![]),
    ] {
        let index = content::index(&children);
        site.push_manifest(REPOSITORY, name, &index).await;
    }
    site.clock.advance(21 * HOUR);
    collect(&site).await;
    assert_eq!(site.tags(REPOSITORY).await, ["differ", "none", "one-plain"]);
    site.pull(REPOSITORY, &plain.digest().to_string()).await;
}

/// SC-073: an image stays until no tag names it, directly or as part of another.
#[tokio::test]
async fn an_image_stays_while_a_tag_leads_to_it() {
    let site = Site::local_with(|config| config.retention.time_machine = Duration::ZERO).await;
    let (one, two) = (Image::small(1), Image::small(2));
    for name in ["a", "b"] {
        site.push_image(REPOSITORY, name, &one).await;
    }
    site.push_image(REPOSITORY, "child", &two).await;
    let list = content::index(&[(&one, "amd64"), (&two, "arm64")]);
    site.push_manifest(REPOSITORY, "list", &list).await;
    let outer = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{
            "mediaType": OCI_INDEX, "digest": list.digest().to_string(),
            "size": list.bytes.len(),
        }],
    });
    let outer = document(OCI_INDEX, &outer);
    site.push_manifest(REPOSITORY, "outer", &outer).await;
    let later = async || {
        site.clock.advance(2 * HOUR);
        collect(&site).await;
    };
    site.delete(&path("a")).await;
    site.delete(&path("child")).await;
    later().await;
    for digest in [one.digest(), two.digest()] {
        site.pull(REPOSITORY, &digest.to_string()).await;
    }
    site.delete(&path("list")).await;
    later().await;
    site.pull(REPOSITORY, &two.digest().to_string()).await;
    assert_eq!(site.head_status(&path(list.digest())).await, 200);
    site.delete(&path("outer")).await;
    later().await;
    for digest in [outer.digest(), list.digest(), two.digest()] {
        assert_eq!(site.head_status(&path(digest)).await, 404);
    }
    site.pull(REPOSITORY, "b").await;
}
