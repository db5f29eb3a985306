//! What goes when room is needed, and what the accounts say afterwards.

use super::*;
use crate::quota::PinSet;
use crate::registry::Error;

impl Site {
    fn cap(&self, bytes: u64) {
        self.registry
            .ledger()
            .set_limit(self.namespace, Some(bytes));
    }

    /// Every account agrees with the rows, and the cap holds.
    async fn assert_accounts(&self) {
        let held = self.recount().await;
        assert_eq!(self.stored_usage().await, held);
        let ledger = self.registry.ledger();
        assert_eq!(ledger.held(self.namespace), held);
        assert_eq!(
            ledger.used(self.namespace),
            held,
            "nothing lingers or is reserved"
        );
        assert!(
            ledger
                .limit(self.namespace)
                .is_none_or(|limit| held <= limit)
        );
    }
}

#[tokio::test]
async fn the_least_recently_used_image_goes_first() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let images: Vec<_> = (0..3)
        .map(|seed| Image::new(&[layer(seed, 1000)]))
        .collect();
    for image in &images {
        site.pull(&placed, image, None).await;
    }
    site.clock.advance(Duration::from_secs(1));
    site.registry.touch(site.unit(&placed, images[0].digest()));
    site.cap(site.stored_usage().await + 100);

    let newcomer = Image::new(&[layer(9, 1000)]);
    site.pull(&placed, &newcomer, None).await;
    assert!(
        site.holds_all(&placed, &images[0]).await,
        "used after the others"
    );
    assert!(!site.holds(&placed, images[1].digest()).await);
    assert!(site.holds_all(&placed, &newcomer).await);
    site.assert_accounts().await;
    let gone = Digest::of(&images[1].blobs[1]);
    assert!(
        !site.files().await.contains(&gone),
        "its bytes are gone from the disk"
    );
}

#[tokio::test]
async fn a_layer_that_another_image_names_stays() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let base = layer(1, 1000);
    let old = Image::new(&[base.clone(), layer(2, 500)]);
    let new = Image::new(&[base.clone(), layer(3, 500)]);
    site.pull(&placed, &old, Some("old")).await;
    site.pull(&placed, &new, Some("new")).await;
    let before = site.stored_usage().await;
    let freed = site
        .registry
        .evict(site.unit(&placed, old.digest()))
        .await
        .unwrap();
    assert_eq!(freed.on_disk, 500);
    assert_eq!(freed.held, 500 + old.raw.bytes.len() as u64);
    assert_eq!(site.stored_usage().await, before - freed.held);
    assert!(site.holds_all(&placed, &new).await);
    let tag = "old".parse().unwrap();
    assert!(
        site.registry
            .lookup_tag(placed.repository, &tag)
            .await
            .unwrap()
            .is_none()
    );
    site.assert_accounts().await;
}

#[tokio::test]
async fn a_blob_that_another_namespace_holds_keeps_its_file() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[layer(1, 1000)]);
    site.pull(&placed, &image, None).await;
    let other = site
        .registry
        .ensure_namespace(&"other".parse().unwrap(), true)
        .await
        .unwrap();
    let name = "app".parse().unwrap();
    let repository = site.registry.ensure_repository(other, &name).await.unwrap();
    let elsewhere = Placed {
        namespace: other,
        repository,
    };
    let digest = Digest::of(&image.blobs[1]);
    assert!(
        site.registry
            .link_held_blob(&elsewhere, digest)
            .await
            .unwrap()
    );

    site.registry
        .evict(site.unit(&placed, image.digest()))
        .await
        .unwrap();
    assert!(!site.holds(&placed, digest).await);
    assert!(
        site.registry
            .lookup_blob(other, repository, &digest)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(site.registry.ledger().held(other), 1000);
    site.assert_accounts().await;
}

#[tokio::test]
async fn pinned_images_stay_whatever_comes() {
    let site = Site::new().await;
    let placed = site.place("library/alpine").await;
    let pins = PinSet::new(&["library/*:keep*".to_owned()]).unwrap();
    let policy = Policy {
        pins,
        expiration: None,
    };
    site.registry
        .set_policies(HashMap::from([(site.namespace, policy)]));
    let child = Image::new(&[layer(1, 1000)]);
    let index = Image::index(&[&child]);
    let by_hand = Image::new(&[layer(2, 1000)]);
    site.pull(&placed, &index, Some("keep-it")).await;
    site.pull(&placed, &child, None).await;
    site.pull(&placed, &by_hand, Some("mine")).await;
    site.registry
        .pin_tag(placed.repository, &"mine".parse().unwrap(), true)
        .await
        .unwrap();
    site.cap(site.stored_usage().await);

    let refused = site
        .registry
        .reserve(site.namespace, 1, &[])
        .await
        .unwrap_err();
    assert!(refused.is_no_room(), "{refused}");
    assert!(site.holds_all(&placed, &child).await && site.holds_all(&placed, &by_hand).await);
    site.registry
        .pin_tag(placed.repository, &"mine".parse().unwrap(), false)
        .await
        .unwrap();
    site.registry.reserve(site.namespace, 1, &[]).await.unwrap();
    assert!(!site.holds(&placed, by_hand.digest()).await);
    assert!(site.holds(&placed, index.digest()).await);
}

#[tokio::test]
async fn what_a_fill_works_for_stays() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (first, second) = (Image::new(&[layer(1, 1000)]), Image::new(&[layer(2, 1000)]));
    site.pull(&placed, &first, None).await;
    site.pull(&placed, &second, None).await;
    let protected = site
        .registry
        .protect(vec![site.unit(&placed, first.digest())]);
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 500, &[])
        .await
        .unwrap();
    assert!(site.holds_all(&placed, &first).await);
    assert!(!site.holds(&placed, second.digest()).await);
    drop(protected);
    let room = site.registry.ledger().limit(site.namespace).unwrap();
    site.registry
        .reserve(site.namespace, room, &[])
        .await
        .unwrap();
    assert!(!site.holds(&placed, first.digest()).await);
}

#[tokio::test]
async fn an_index_goes_after_its_children() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let child = Image::new(&[layer(1, 1000)]);
    let index = Image::index(&[&child]);
    let other = Image::new(&[layer(2, 1000)]);
    site.pull(&placed, &index, Some("v1")).await;
    site.pull(&placed, &other, None).await;
    site.pull(&placed, &child, None).await;
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 100, &[])
        .await
        .unwrap();
    assert!(
        !site.holds(&placed, other.digest()).await,
        "older than the child"
    );
    assert!(
        site.holds(&placed, index.digest()).await,
        "as recent as its child"
    );
    assert!(site.holds_all(&placed, &child).await);
}

/// An image that is pulled again and again survives a scan of images that are pulled once.
#[tokio::test]
async fn a_scan_does_not_flush_what_is_in_demand() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let wanted = Image::new(&[layer(1, 1000)]);
    site.pull(&placed, &wanted, Some("wanted")).await;
    site.clock.advance(Duration::from_secs(3600));
    site.registry.touch(site.unit(&placed, wanted.digest()));
    site.cap(site.stored_usage().await + 2600);
    for seed in 10..14 {
        site.pull(&placed, &Image::new(&[layer(seed, 900)]), None)
            .await;
    }
    assert!(site.holds_all(&placed, &wanted).await);
    site.assert_accounts().await;
}

/// Where everything is in demand, the least recently used of it goes all the same.
#[tokio::test]
async fn what_is_in_demand_makes_room_when_nothing_else_can() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let images = [1, 2].map(|seed| Image::new(&[layer(seed, 1000)]));
    for image in &images {
        site.pull(&placed, image, None).await;
    }
    site.clock.advance(Duration::from_secs(3600));
    for image in &images {
        site.registry.touch(site.unit(&placed, image.digest()));
        site.clock.advance(Duration::from_secs(1));
    }
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 100, &[])
        .await
        .unwrap();
    assert!(!site.holds(&placed, images[0].digest()).await);
    assert!(site.holds_all(&placed, &images[1]).await);
    site.assert_accounts().await;
}

/// GC-02 and the cap at every moment: a file that is unlinked and still read counts until it is closed.
#[tokio::test]
async fn a_reader_of_evicted_content_finishes_and_its_bytes_count_until_then() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[layer(7, 4000)]);
    site.pull(&placed, &image, None).await;
    let digest = Digest::of(&image.blobs[1]);
    let (namespace, repository) = (site.namespace, placed.repository);
    let held = site
        .registry
        .lookup_blob(namespace, repository, &digest)
        .await
        .unwrap()
        .unwrap();
    site.cap(site.stored_usage().await);

    let refused = site
        .registry
        .reserve(namespace, 3000, &[])
        .await
        .unwrap_err();
    assert!(refused.is_no_room());
    assert!(!site.files().await.contains(&digest));
    assert_eq!(site.registry.ledger().used(namespace), 4000, "lingering");
    let range = crate::oci::ByteRange {
        start: 0,
        end: 4000,
    };
    assert_eq!(held.file.region(range).unwrap().bytes, image.blobs[1]);
    drop(held);
    site.registry.reserve(namespace, 3000, &[]).await.unwrap();
    site.assert_accounts().await;
}

#[tokio::test]
async fn what_can_never_fit_is_refused_and_evicts_nothing() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[layer(1, 100)]);
    site.pull(&placed, &image, None).await;
    site.cap(5000);
    let refused = site
        .registry
        .reserve(site.namespace, 5001, &[])
        .await
        .unwrap_err();
    assert!(
        matches!(refused, Error::NoRoom(crate::quota::Shortage::Never { .. })),
        "{refused}"
    );
    assert!(site.holds_all(&placed, &image).await);
}

/// DK-04: the disk's reserve is restored before anything fails.
#[tokio::test]
async fn a_short_disk_is_relieved_and_a_lowered_cap_is_met() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let images: Vec<_> = (0..4)
        .map(|seed| Image::new(&[layer(seed, 1000)]))
        .collect();
    for image in &images {
        site.pull(&placed, image, None).await;
    }
    site.registry.ledger().set_disk_reserve(5000);
    site.volume.0.store(4500, Ordering::Relaxed);
    assert!(site.registry.relieve().await.unwrap() >= 500);
    assert!(!site.holds(&placed, images[0].digest()).await);
    assert!(site.holds_all(&placed, &images[1]).await);
    site.volume.0.store(1 << 40, Ordering::Relaxed);

    site.cap(site.stored_usage().await - 1);
    site.registry.relieve().await.unwrap();
    assert!(!site.holds(&placed, images[1].digest()).await);
    site.assert_accounts().await;
}

#[tokio::test]
async fn dropping_a_tag_frees_what_only_it_leads_to() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (shared, own) = (Image::new(&[layer(1, 100)]), Image::new(&[layer(2, 100)]));
    let index = Image::index(&[&shared, &own]);
    let other = Image::index(&[&shared]);
    site.pull(&placed, &index, Some("all")).await;
    site.pull(&placed, &other, Some("one")).await;
    site.pull(&placed, &shared, None).await;
    site.pull(&placed, &own, None).await;
    let tag = "all".parse().unwrap();
    let freed = site
        .registry
        .drop_tag(site.namespace, placed.repository, &tag)
        .await
        .unwrap();
    assert!(freed.unwrap() > 100);
    assert!(!site.holds(&placed, index.digest()).await && !site.holds(&placed, own.digest()).await);
    assert!(site.holds_all(&placed, &shared).await);
    site.assert_accounts().await;
    let again = site
        .registry
        .drop_tag(site.namespace, placed.repository, &tag)
        .await
        .unwrap();
    assert_eq!(again, None);

    site.registry
        .drop_repository(site.namespace, placed.repository)
        .await
        .unwrap();
    assert_eq!(site.stored_usage().await, 0);
    assert!(site.files().await.is_empty());
}

/// What an upstream gave goes with its deleted repository as what was pushed does: rows, order of use and files;
/// what another repository of the organisation has stays.
#[tokio::test]
async fn a_deleted_repository_of_what_was_fetched_leaves_nothing() {
    let site = Site::new().await;
    let (gone, kept) = (site.place("gone").await, site.place("kept").await);
    let base = layer(1, 1000);
    let doomed = Image::new(&[base.clone(), layer(2, 500)]);
    let other = Image::new(&[base.clone(), layer(3, 500)]);
    site.pull(&gone, &doomed, Some("v1")).await;
    site.pull(&kept, &other, Some("v1")).await;
    site.clock.advance(Duration::from_secs(1));
    site.registry.touch(site.unit(&gone, doomed.digest()));
    site.registry.flush_recency().await.unwrap();
    let nobody = crate::model::Performer::default();
    let delete = site.registry.delete_repository(gone.repository, &nobody);
    delete.await.unwrap();
    assert_eq!(site.registry.purge().await.unwrap(), 1);

    assert!(site.holds_all(&kept, &other).await);
    let files = site.files().await;
    assert!(files.contains(&Digest::of(&base)) && !files.contains(&Digest::of(&layer(2, 500))));
    let (namespace, repository) = (site.namespace, gone.repository);
    let left = site.registry.store().scan(move |tx| {
        let used = tx.recency().oldest(namespace, None, 99)?;
        let bytes = tx.usage().of_repository(repository)?;
        Ok::<_, store::Error>((used, bytes))
    });
    let (used, bytes) = left.await.unwrap();
    assert!(used.iter().all(|(unit, _)| unit.repository != repository));
    assert!(!used.is_empty(), "the other is still in the order of use");
    assert_eq!(bytes, 0);
    site.assert_accounts().await;
    let check = site.registry.check(crate::registry::Repair::No, |_| {});
    assert_eq!(check.await.unwrap().findings, 0);
}
