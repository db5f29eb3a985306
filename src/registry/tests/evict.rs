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
    assert!(refused.is_unkept(), "{refused}");
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

/// Images with a large layer of their own, and small ones, oldest first.
async fn crowd(site: &Site, placed: &Placed) -> (Image, Vec<Image>) {
    let small: Vec<_> = (0..8)
        .map(|seed| Image::new(&[layer(seed, 1000)]))
        .collect();
    for image in &small {
        site.pull(placed, image, None).await;
    }
    let large = Image::new(&[layer(100, 80_000)]);
    site.pull(placed, &large, None).await;
    (large, small)
}

/// Room is made ahead of need between two marks, the oldest first, and no further than the low one.
#[tokio::test]
async fn past_the_high_mark_the_oldest_goes_until_the_low_one() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (large, small) = crowd(&site, &placed).await;
    let used = site.stored_usage().await;
    site.cap(used + used / 30);
    assert_eq!(
        site.registry.ease().await.unwrap(),
        0,
        "under the high mark"
    );
    let limit = used + used / 100;
    site.cap(limit);
    let freed = site.registry.ease().await.unwrap();
    let low = limit - limit / 20;
    let left = site.stored_usage().await;
    assert_eq!(left, used - freed);
    assert!(
        (low..low + small[0].size()).contains(&left),
        "{left}, {low}"
    );
    assert!(!site.holds(&placed, small[0].digest()).await);
    assert!(site.holds_all(&placed, &small[7]).await);
    assert!(site.holds_all(&placed, &large).await);
    assert_eq!(site.registry.ease().await.unwrap(), 0);
    site.assert_accounts().await;
}

/// What is larger than all that is to go ahead of need stays until somebody needs its room.
#[tokio::test]
async fn room_ahead_of_need_never_empties_a_cache_of_few_images() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (large, small) = crowd(&site, &placed).await;
    for image in &small {
        site.clock.advance(Duration::from_secs(1));
        site.registry.touch(site.unit(&placed, image.digest()));
    }
    site.cap(site.stored_usage().await);
    assert_eq!(site.registry.ease().await.unwrap(), 0);
    assert!(site.holds_all(&placed, &large).await);
    site.registry.reserve(site.namespace, 1, &[]).await.unwrap();
    assert!(!site.holds(&placed, large.digest()).await, "the oldest");
    assert!(site.holds_all(&placed, &small[0]).await);
}

/// Who cannot go on without room has the turn before who makes it ahead of need.
#[tokio::test]
async fn making_room_ahead_gives_way_to_who_needs_it_now() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (_, small) = crowd(&site, &placed).await;
    site.cap(site.stored_usage().await);
    let easing = site.registry.ease();
    tokio::pin!(easing);
    let needing = site.registry.reserve(site.namespace, 100, &[]);
    let reservation = tokio::select! {
        biased;
        freed = &mut easing => panic!("{freed:?} went before who waits had its turn"),
        reservation = needing => reservation.unwrap(),
    };
    assert!(
        site.holds_all(&placed, &small[1]).await,
        "enough went for it"
    );
    assert!(easing.await.unwrap() > 0, "then it goes on");
    assert!(!site.holds(&placed, small[1].digest()).await);
    assert_eq!(site.registry.inner.metrics.room_waits.get(), 1);
    drop(reservation);
    site.assert_accounts().await;
}

/// DK-04: on the disk too, before its reserve is reached, and for all caches together.
#[tokio::test]
async fn on_the_disk_room_is_made_before_its_reserve_is_reached() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (_, small) = crowd(&site, &placed).await;
    site.registry.ledger().set_disk_reserve(10_000);
    site.volume.0.store(15_000, Ordering::Relaxed);
    assert_eq!(site.registry.ease().await.unwrap(), 0);
    site.volume.0.store(14_999, Ordering::Relaxed);
    assert_eq!(
        site.registry.relieve().await.unwrap(),
        0,
        "nothing is missing"
    );
    let freed = site.registry.ease().await.unwrap();
    assert!(
        (5001 - 1012..=5001).contains(&freed),
        "{freed} bytes of files"
    );
    assert!(!site.holds(&placed, small[3].digest()).await);
    assert!(site.holds_all(&placed, &small[5]).await);
}

/// An image and its like that was built anew, with all layers but the last and smallest the same.
fn built(number: u8, base: &Bytes) -> Image {
    Image::new(&[base.clone(), layer(200 + number, 10)])
}

/// What would free next to nothing stays: its layers belong to what is in use as well.
#[tokio::test]
async fn images_whose_layers_others_keep_are_not_let_go_for_nothing() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let base = layer(1, 100_000);
    let other = Image::new(&[layer(2, 50_000)]);
    for number in 0..3 {
        site.pull(&placed, &built(number, &base), None).await;
    }
    site.pull(&placed, &other, None).await;
    site.pull(&placed, &built(3, &base), None).await;
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 20_000, &[])
        .await
        .unwrap();
    assert!(!site.holds(&placed, other.digest()).await);
    for number in 0..4 {
        assert!(
            site.holds_all(&placed, &built(number, &base)).await,
            "{number}"
        );
    }
    assert_eq!(site.registry.inner.metrics.evictions.get(), 1);
    site.assert_accounts().await;
}

/// Once the last of those that share layers is due, all of them go before anything that was used later.
#[tokio::test]
async fn images_that_share_layers_go_together_when_the_last_is_due() {
    let site = Site::new().await;
    let (placed, elsewhere) = (site.place("app").await, site.place("tool").await);
    let base = layer(1, 100_000);
    site.pull(&placed, &built(0, &base), None).await;
    site.pull(&elsewhere, &built(1, &base), None).await;
    site.pull(&placed, &built(2, &base), None).await;
    let other = Image::new(&[layer(2, 50_000)]);
    site.pull(&placed, &other, None).await;
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 60_000, &[])
        .await
        .unwrap();
    assert!(site.holds_all(&placed, &other).await, "used last");
    for (place, number) in [(&placed, 0), (&elsewhere, 1), (&placed, 2)] {
        assert!(!site.holds(place, built(number, &base).digest()).await);
    }
    assert!(!site.files().await.contains(&Digest::of(&base)));
    site.assert_accounts().await;
}

/// Where nothing else can go, what gives back little goes, and no more of it than has to.
#[tokio::test]
async fn what_was_held_back_goes_where_nothing_else_can() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let base = layer(1, 100_000);
    let images = [0, 1, 2].map(|number| built(number, &base));
    for image in &images {
        site.pull(&placed, image, None).await;
    }
    let needed = [site.unit(&placed, images[2].digest())];
    site.cap(site.stored_usage().await);
    site.registry
        .reserve(site.namespace, 100, &needed)
        .await
        .unwrap();
    assert!(!site.holds(&placed, images[0].digest()).await);
    assert!(site.holds_all(&placed, &images[1]).await);
    assert!(site.holds_all(&placed, &images[2]).await);
    site.assert_accounts().await;
}

/// On a short disk nothing goes whose files stay for somebody else.
#[tokio::test]
async fn a_short_disk_takes_nothing_whose_files_others_have() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (shared, own) = (Image::new(&[layer(1, 9000)]), Image::new(&[layer(2, 9000)]));
    site.pull(&placed, &shared, None).await;
    site.pull(&placed, &own, None).await;
    let name = "other".parse().unwrap();
    let namespace = site.registry.ensure_namespace(&name, true).await.unwrap();
    let name = "app".parse().unwrap();
    let repository = site
        .registry
        .ensure_repository(namespace, &name)
        .await
        .unwrap();
    let elsewhere = Placed {
        namespace,
        repository,
    };
    let digest = Digest::of(&shared.blobs[1]);
    assert!(
        site.registry
            .link_held_blob(&elsewhere, digest)
            .await
            .unwrap()
    );
    site.registry.ledger().set_disk_reserve(5000);
    site.volume.0.store(4500, Ordering::Relaxed);
    assert_eq!(site.registry.relieve().await.unwrap(), 9000);
    assert!(site.holds_all(&placed, &shared).await);
    assert!(!site.holds(&placed, own.digest()).await);
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
    assert!(refused.is_unkept());
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
