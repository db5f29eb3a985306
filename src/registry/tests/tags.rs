//! What is said of tags: when they end, that they may not, and what they pointed to.

use std::time::Duration;

use crate::model::{Actor, RepositoryId, TagRecord};
use crate::oci::{Digest, Tag};
use crate::registry::Error;
use crate::registry::gc::tests::local::{Image, Site};

const MINUTE: Duration = Duration::from_secs(60);

/// A site with the tag `v1` that has pointed to each of the images, and that tag.
async fn stage(images: &[Image]) -> (Site, RepositoryId, Tag) {
    let site = Site::new().await;
    let placed = site.place("app").await;
    for image in images {
        site.push(&placed, image, Some("v1")).await;
    }
    (site, placed.repository, "v1".parse().unwrap())
}

async fn current(site: &Site, repository: RepositoryId, tag: &Tag) -> Option<TagRecord> {
    let found = site.registry.lookup_tag(repository, tag).await.unwrap();
    found.map(|hot| hot.record.clone())
}

/// Has the tag end some minutes from now, or never.
async fn expire(site: &Site, repository: RepositoryId, tag: &Tag, minutes: Option<u32>) {
    let expires = minutes.map(|minutes| site.clock.now() + MINUTE * minutes);
    let set = site.registry.set_tag_expiry(repository, tag, expires);
    assert!(set.await.unwrap());
    let record = current(site, repository, tag).await.unwrap();
    assert_eq!(record.expires, expires);
}

#[tokio::test]
async fn a_tag_ends_when_it_was_last_told_to() {
    let (site, repository, tag) = stage(&[Image::new(&[1])]).await;
    expire(&site, repository, &tag, Some(1)).await;
    expire(&site, repository, &tag, Some(3)).await;
    assert_eq!(site.later(MINUTE * 2).await.expired_tags, 0);
    expire(&site, repository, &tag, None).await;
    assert_eq!(site.later(MINUTE * 2).await.reviewed, 0);
    expire(&site, repository, &tag, Some(1)).await;
    assert_eq!(site.later(MINUTE).await.expired_tags, 1);
    assert_eq!(current(&site, repository, &tag).await, None);
    let set = site.registry.set_tag_expiry(repository, &tag, None);
    assert!(!set.await.unwrap(), "there is no such tag");
}

/// AZ-08; and what it outlived does not end it with its time machine already over.
#[tokio::test]
async fn an_immutable_tag_outlives_its_expiry_for_good() {
    let (site, repository, tag) = stage(&[Image::new(&[1])]).await;
    expire(&site, repository, &tag, Some(1)).await;
    let protect = |immutable| site.registry.set_tag_immutable(repository, &tag, immutable);
    assert!(protect(true).await.unwrap());
    let soon = Some(site.clock.now() + MINUTE);
    let refused = site.registry.set_tag_expiry(repository, &tag, soon).await;
    assert!(matches!(refused, Err(Error::TagImmutable { .. })));
    assert_eq!(site.later(MINUTE * 2).await.expired_tags, 0);
    assert!(protect(false).await.unwrap());
    assert_eq!(site.later(MINUTE * 2).await.expired_tags, 0);
    let record = current(&site, repository, &tag).await.unwrap();
    assert_eq!((record.expires, record.immutable), (None, false));
}

#[tokio::test]
async fn an_expiry_to_come_counts_again_when_a_tag_is_mutable_again() {
    let (site, repository, tag) = stage(&[Image::new(&[1])]).await;
    expire(&site, repository, &tag, Some(3)).await;
    for immutable in [true, false] {
        let set = site.registry.set_tag_immutable(repository, &tag, immutable);
        assert!(set.await.unwrap());
    }
    assert_eq!(site.later(MINUTE * 3).await.expired_tags, 1);
}

#[tokio::test]
async fn a_restored_tag_that_points_there_keeps_what_was_said_of_it() {
    let image = Image::new(&[1]);
    let (site, repository, tag) = stage(std::slice::from_ref(&image)).await;
    expire(&site, repository, &tag, Some(3)).await;
    let protect = site.registry.set_tag_immutable(repository, &tag, true);
    assert!(protect.await.unwrap());
    let before = current(&site, repository, &tag).await;
    let digest = image.digest();
    let restore = site
        .registry
        .restore_tag(repository, &tag, &digest, &Actor::System);
    restore.await.unwrap();
    assert_eq!(current(&site, repository, &tag).await, before);
}

#[tokio::test]
async fn a_tags_history_comes_page_by_page() {
    let images: Vec<Image> = (1..=4).map(|seed| Image::new(&[seed])).collect();
    let (site, repository, tag) = stage(&images).await;
    let placed = site.place("other").await;
    site.push(&placed, &images[0], Some("v1")).await;
    site.end(&placed, "v1").await;
    let other = crate::registry::Placed {
        namespace: site.namespace,
        repository,
    };
    site.push(&other, &images[0], Some("v10")).await;
    site.end(&other, "v10").await;
    let (mut found, mut before): (Vec<Digest>, _) = (Vec::new(), None);
    loop {
        let page = site.registry.history_of_tag(repository, &tag, before, 2);
        let page = page.await.unwrap();
        assert!(page.len() <= 2);
        let Some((last, _)) = page.last() else { break };
        before = Some(*last);
        found.extend(page.iter().map(|(_, lifetime)| lifetime.digest));
    }
    let expected = [2, 1, 0].map(|number: usize| images[number].digest());
    assert_eq!(found, expected);
}
