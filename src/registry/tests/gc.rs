//! What the collector takes and what it leaves, over a real store and real files.

#[path = "local.rs"]
pub(in crate::registry) mod local;
#[path = "gc_model.rs"]
mod model;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::{Budget, PAGE};
use crate::model::{
    Actor, BlobRecord, NamespaceKind, NamespaceRecord, RepositoryId, Review, TagRecord,
};
use crate::oci::{Digest, Tag};
use crate::store;
use local::{GRACE, Image, Site, TIME_MACHINE};

#[tokio::test]
async fn an_image_without_a_tag_goes_when_its_tag_can_no_longer_be_restored() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (old, new) = (Image::new(&[1, 2]), Image::new(&[2, 3]));
    site.push(&placed, &old, Some("v1")).await;
    site.push(&placed, &new, Some("v1")).await;
    site.later(TIME_MACHINE - Duration::from_millis(1)).await;
    assert!(site.holds(&placed, &old).await);

    let report = site.later(Duration::from_millis(1)).await;
    assert_eq!(
        (report.lifetimes, report.manifests, report.blobs),
        (1, 1, 1)
    );
    assert_eq!(
        (report.files, report.file_bytes),
        (1, old.blobs[1].len() as u64)
    );
    assert!(!site.manifests(&placed).await.contains(&old.digest()));
    assert!(site.holds(&placed, &new).await);
    site.assert_accounts().await;
}

#[tokio::test]
async fn a_time_machine_that_became_longer_keeps_for_longer() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1]);
    site.push(&placed, &image, Some("v1")).await;
    assert!(site.end(&placed, "v1").await);
    let namespace = site.namespace;
    let lengthen = site.registry.store().write(move |tx| {
        let record = tx.namespaces().record(namespace)?.expect("it was made");
        let record = NamespaceRecord {
            tag_expiration_s: Some(2 * TIME_MACHINE.as_secs()),
            ..record
        };
        tx.namespaces().put(namespace, &record)
    });
    lengthen.await.unwrap();
    site.later(TIME_MACHINE).await;
    assert!(site.holds(&placed, &image).await);
    assert_eq!(site.later(TIME_MACHINE).await.manifests, 1);
    site.assert_accounts().await;
}

#[tokio::test]
async fn an_expired_tag_ends_and_one_that_was_moved_stays() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1]);
    site.push(&placed, &image, None).await;
    let (repository, digest) = (placed.repository, image.digest());
    let change = site.registry.change(Actor::Anonymous);
    let expires = change.at + Duration::from_secs(60);
    let point = site.registry.store().write(move |tx| {
        let expiring = TagRecord {
            expires: Some(expires),
            ..TagRecord::new(digest, change.at, Actor::Anonymous)
        };
        for tag in ["ends", "stays"] {
            change.point(tx, repository, &tag.parse().expect("a tag"), &expiring)?;
        }
        // As if the review had not been taken off: it is looked at, not obeyed.
        let lasting = TagRecord::new(digest, change.at, Actor::Anonymous);
        let stays: Tag = "stays".parse().expect("a tag");
        change.point(tx, repository, &stays, &lasting)?;
        let tag = stays;
        tx.reviews().put(expires, &Review::Tag { repository, tag })
    });
    point.await.unwrap();
    let [ends, stays] = ["ends", "stays"].map(|tag| tag.parse::<Tag>().unwrap());
    let hot = site.registry.lookup_tag(repository, &ends).await;
    assert!(hot.unwrap().is_some());
    let report = site.later(Duration::from_secs(90)).await;
    assert_eq!(report.expired_tags, 1);
    let hot = site.registry.lookup_tag(repository, &ends).await;
    assert!(hot.unwrap().is_none(), "it is forgotten at once");
    let history = site
        .registry
        .store()
        .read(|tx| tx.tags().lifetimes(repository, None, 9));
    let history = history.await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!(
        (history[0].1.end, &history[0].1.ended_by),
        (expires, &Actor::System)
    );
    let stays = site.registry.lookup_tag(repository, &stays).await;
    assert!(stays.unwrap().is_some());
}

/// Quay: `PUSH_TEMP_TAG_EXPIRATION_SEC`.
#[tokio::test]
async fn what_nothing_names_is_kept_for_the_grace_period() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1]);
    site.push(&placed, &image, None).await;
    site.push_blob(&placed, &Bytes::from_static(b"nobody's"))
        .await;
    site.later(GRACE - Duration::from_secs(1)).await;
    assert!(site.holds(&placed, &image).await);
    assert_eq!(site.blobs(&placed).await.len(), 3);
    let report = site.later(Duration::from_secs(1)).await;
    assert_eq!((report.manifests, report.blobs, report.files), (1, 3, 3));
    assert!(site.files().await.is_empty());
    site.assert_accounts().await;
}

/// oci-registry 6.2: an untagged referrer is kept while its subject lives, and goes with it.
#[tokio::test]
async fn an_index_goes_with_its_children_their_blobs_and_their_referrers() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let children = [Image::new(&[1]), Image::new(&[2])];
    let index = Image::index(&children, None);
    let signature = Image::with_subject(&[3], Some(&children[0]));
    let countersigned = Image::with_subject(&[4], Some(&signature));
    for child in &children {
        site.push(&placed, child, None).await;
    }
    site.push(&placed, &index, Some("v1")).await;
    site.push(&placed, &signature, None).await;
    site.push(&placed, &countersigned, None).await;
    site.later(3 * TIME_MACHINE).await;
    assert_eq!(site.manifests(&placed).await.len(), 5, "all lead to a tag");

    site.end(&placed, "v1").await;
    let report = site.later(TIME_MACHINE).await;
    assert_eq!((report.manifests, report.blobs), (5, 5));
    assert!(site.manifests(&placed).await.is_empty());
    assert!(site.files().await.is_empty());
    site.assert_accounts().await;
}

#[tokio::test]
async fn a_referrer_may_come_before_its_subject() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let [subject, never] = [Image::new(&[1]), Image::new(&[2])];
    let early = Image::with_subject(&[3], Some(&subject));
    let lost = Image::with_subject(&[4], Some(&never));
    site.push(&placed, &early, None).await;
    site.push(&placed, &lost, None).await;
    site.later(GRACE * 2).await;
    assert_eq!(site.manifests(&placed).await.len(), 2);
    site.push(&placed, &subject, Some("v1")).await;
    assert_eq!(site.later(TIME_MACHINE).await.manifests, 1);
    assert!(site.holds(&placed, &early).await);
    assert!(!site.manifests(&placed).await.contains(&lost.digest()));
    site.assert_accounts().await;
}

#[tokio::test]
async fn what_needs_only_each_other_goes() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let child = Image::new(&[1]);
    let index = Image::index(std::slice::from_ref(&child), Some(&child));
    site.push(&placed, &child, None).await;
    site.push(&placed, &index, Some("v1")).await;
    site.later(GRACE).await;
    assert_eq!(site.manifests(&placed).await.len(), 2);
    site.end(&placed, "v1").await;
    site.later(TIME_MACHINE).await;
    assert!(site.manifests(&placed).await.is_empty());
    site.assert_accounts().await;
}

/// GC-05: what can be restored is whole, children of a deleted index included.
#[tokio::test]
async fn a_deleted_manifest_is_kept_for_as_long_as_it_can_be_restored() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let child = Image::new(&[1]);
    let index = Image::index(std::slice::from_ref(&child), None);
    site.push(&placed, &child, None).await;
    site.push(&placed, &index, Some("v1")).await;
    site.delete(&placed, index.digest()).await;
    site.later(TIME_MACHINE - Duration::from_secs(1)).await;
    assert!(site.holds(&placed, &child).await && site.holds(&placed, &index).await);
    assert!(site.put(&placed, &index, Some("v1")).await, "restored");
    site.later(2 * TIME_MACHINE).await;
    assert!(site.holds(&placed, &child).await && site.holds(&placed, &index).await);
    site.delete(&placed, index.digest()).await;
    site.later(TIME_MACHINE).await;
    assert!(site.manifests(&placed).await.is_empty());
    site.assert_accounts().await;
}

/// AZ-09: what is removed in one repository stays in the other, and is not seen again in the first.
#[tokio::test]
async fn a_blob_that_another_repository_names_keeps_its_file() {
    let site = Site::new().await;
    let (one, other) = (site.place("one").await, site.place("other").await);
    let image = Image::new(&[1]);
    site.push(&one, &image, None).await;
    site.push(&other, &image, Some("v1")).await;
    let report = site.later(GRACE).await;
    assert_eq!((report.manifests, report.blobs, report.files), (1, 2, 0));
    assert!(site.blobs(&one).await.is_empty() && site.manifests(&one).await.is_empty());
    assert!(site.holds(&other, &image).await);
    site.assert_accounts().await;
}

/// GC-01: who was told that a blob is there can name it.
#[tokio::test]
async fn a_blob_that_a_pusher_asked_for_is_kept_for_the_grace_period() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1]);
    for blob in &image.blobs {
        site.push_blob(&placed, blob).await;
    }
    site.clock.advance(GRACE);
    for blob in &image.blobs {
        let touched =
            site.registry
                .touch_blob(placed.repository, Digest::of(blob), &Actor::Anonymous);
        assert!(touched.now_or_never().is_some(), "nobody is waited for");
    }
    assert_eq!(site.later(GRACE / 2).await.blobs, 0);
    assert!(site.put(&placed, &image, Some("v1")).await);
    site.later(2 * GRACE).await;
    assert!(site.holds(&placed, &image).await);
}

#[tokio::test]
async fn nothing_unnamed_is_collected_for_a_grace_period_after_the_start() {
    let site = Site::of_kind(NamespaceKind::Organization).await;
    let placed = site.place("app").await;
    site.push_blob(&placed, &Bytes::from_static(b"unnamed"))
        .await;
    site.clock.advance(2 * GRACE);
    let restarted = super::Touches::new(site.clock.now());
    let moment = super::Moment {
        touches: Arc::new(restarted),
        ..site.registry.moment()
    };
    let (repository, digest) = (placed.repository, Digest::of(b"unnamed"));
    let until = site.clock.now() + GRACE;
    let verdict = site
        .registry
        .store()
        .scan(move |tx| moment.blob(tx, repository, &digest));
    assert_eq!(verdict.await.unwrap(), super::Verdict::Until(until));
    assert_eq!(site.collect().await.blobs, 1, "without a restart");
}

#[tokio::test]
async fn a_deleted_blob_goes_as_soon_as_nothing_restorable_names_it() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let bytes = Bytes::from_static(b"deleted");
    site.push_blob(&placed, &bytes).await;
    let (repository, digest, now) = (placed.repository, Digest::of(&bytes), site.clock.now());
    let hide = site.registry.store().write(move |tx| {
        tx.blobs().hide(repository, &digest)?;
        tx.reviews().put(now, &Review::Blob { repository, digest })
    });
    hide.await.unwrap();
    assert_eq!(site.collect().await.files, 1);
    site.assert_accounts().await;
}

/// GC-05, the other way round: what came from upstream goes by use, never by age.
#[tokio::test]
async fn a_cache_is_left_alone_but_for_its_history() {
    let site = Site::of_kind(NamespaceKind::Cache).await;
    let placed = site.place("app").await;
    let (old, new) = (Image::new(&[1]), Image::new(&[2]));
    site.push(&placed, &old, Some("v1")).await;
    site.push(&placed, &new, Some("v1")).await;
    let report = site.later(3 * TIME_MACHINE).await;
    assert_eq!(
        (report.lifetimes, report.manifests, report.blobs),
        (1, 0, 0)
    );
    assert!(site.holds(&placed, &old).await && site.holds(&placed, &new).await);
}

/// GC-01: a push that comes between the look and the removal wins.
#[tokio::test]
async fn what_is_named_between_the_look_and_the_removal_stays() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let [image, doomed] = [Image::new(&[1]), Image::new(&[9])];
    site.push(&placed, &image, None).await;
    site.push(&placed, &doomed, None).await;
    site.push_blob(&placed, &Bytes::from_static(b"layer 7"))
        .await;
    site.clock.advance(GRACE);
    let moment = site.registry.moment();
    let page = site.registry.page(&moment).await.unwrap();
    assert!(page.small.len() >= 4 && page.large.is_empty());

    assert!(site.put(&placed, &image, Some("v1")).await);
    site.push_blob(&placed, &Bytes::from_static(b"layer 7"))
        .await;
    let report = site
        .registry
        .carry_out_page(&moment, page.small)
        .await
        .unwrap();
    assert_eq!(report.manifests, 1, "{report:?}");
    site.collect().await;
    assert!(site.holds(&placed, &image).await);
    assert!(site.blobs(&placed).await.contains(&Digest::of(b"layer 7")));
    site.assert_accounts().await;
}

/// GC-01, GC-03: a file whose digest is pushed again between row and unlinking stays.
#[tokio::test]
async fn a_file_that_is_named_again_before_it_is_unlinked_stays() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let bytes = Bytes::from_static(b"again");
    let digest = Digest::of(&bytes);
    site.push_blob(&placed, &bytes).await;
    site.clock.advance(GRACE);
    let held = site.registry.content_lock(&digest).await;
    let collecting = site.registry.clone();
    let collecting = tokio::spawn(async move { collecting.collect(Budget::UNBOUNDED).await });
    while !site.blobs(&placed).await.is_empty() {
        tokio::task::yield_now().await;
    }
    // The row is gone, and the file waits for the lock: a push that has it comes first.
    let (repository, namespace, now) = (placed.repository, site.namespace, site.clock.now());
    let put = site.registry.store().write(move |tx| {
        let size_bytes = 5;
        let record = BlobRecord {
            size_bytes,
            created: now,
        };
        tx.blobs().put(&digest, &record)?;
        tx.usage().add(namespace, size_bytes)?;
        tx.blobs().link_since(namespace, repository, &digest, now)
    });
    assert!(put.await.unwrap().first_of_namespace);
    site.registry.ledger().nothing(namespace).hold(5);
    drop(held);
    assert_eq!(collecting.await.unwrap().unwrap().blobs, 1);
    assert!(site.files().await.contains(&digest));
    site.assert_accounts().await;
}

/// GC-03: nothing remembers that it was there.
#[tokio::test]
async fn what_was_collected_can_be_pushed_and_pulled_at_once() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let image = Image::new(&[1, 2]);
    for _ in 0..20 {
        site.push(&placed, &image, Some("v1")).await;
        assert!(site.holds(&placed, &image).await);
        site.delete(&placed, image.digest()).await;
        site.later(TIME_MACHINE).await;
        assert!(!site.holds(&placed, &image).await);
        assert!(site.files().await.is_empty());
    }
    site.assert_accounts().await;
}

/// The budget of a transaction: a large manifest goes in several.
#[tokio::test]
async fn a_large_manifest_is_taken_apart() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let layers: Vec<u32> = (0..600).collect();
    let image = Image::new(&layers);
    let base = Image::new(&[]);
    site.push(&placed, &base, Some("base")).await;
    let descriptors: Vec<_> = (0..600)
        .map(|seed: u32| Image::with_subject(&[], Some(&Image::new(&[seed]))))
        .collect();
    let index = Image::index(&descriptors, None);
    for child in &descriptors {
        assert!(site.put(&placed, child, None).await);
    }
    for blob in &image.blobs {
        site.push_blob(&placed, blob).await;
    }
    assert!(site.put(&placed, &image, Some("v1")).await);
    assert!(site.put(&placed, &index, Some("v2")).await);
    site.end(&placed, "v1").await;
    site.end(&placed, "v2").await;
    site.clock.advance(TIME_MACHINE);
    let expected = site.registry.collectable().await.unwrap();
    let transactions = &site.registry.inner.metrics.gc_transaction_seconds;
    let before = transactions.get_sample_count();
    let report = site.collect().await;
    assert_eq!((report.manifests, report.blobs), (602, 600));
    assert!(transactions.get_sample_count() - before >= 10);
    assert_eq!(
        (expected.manifests, expected.held_bytes),
        (602, report.held_bytes)
    );
    assert_eq!(site.manifests(&placed).await.len(), 1);
    site.assert_accounts().await;
}

/// A run that is cut off in the middle of a large manifest is taken up again (GC-08), and a push of the
/// manifest in between makes it whole (GC-01).
#[tokio::test]
async fn a_manifest_that_is_half_taken_apart_is_nobodys_and_can_be_pushed_again() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let layers: Vec<u32> = (0..300).collect();
    let image = Image::new(&layers);
    site.push(&placed, &image, None).await;
    site.clock.advance(GRACE);
    let (repository, digest) = (placed.repository, image.digest());
    let cut = move |tx: &mut store::WriteTx<'_>| {
        tx.manifests()
            .dismantle(repository, &digest, super::verdict::CONDEMNED, 100)
            .map(drop)
    };
    site.registry.store().write(cut).await.unwrap();
    let read = |tx: &store::ReadTx| tx.manifests().record(repository, &digest);
    let record = site.registry.store().read(read).await.unwrap().unwrap();
    assert!(!record.is_live() && record.blobs.len() == 201);
    let tag = "v1".parse().unwrap();
    let restored = site
        .registry
        .restore_tag(repository, &tag, &digest, &Actor::System);
    let refused = restored.await.unwrap_err();
    assert!(matches!(refused, crate::registry::Error::ManifestUnknown));

    assert!(site.put(&placed, &image, Some("v1")).await);
    site.collect().await;
    site.later(GRACE).await;
    assert!(site.holds(&placed, &image).await);
    site.registry.store().write(cut).await.unwrap();
    site.end(&placed, "v1").await;
    site.later(TIME_MACHINE).await;
    assert!(site.manifests(&placed).await.is_empty());
    site.assert_accounts().await;
}

#[tokio::test]
async fn a_rehearsal_tells_what_a_run_does_and_changes_nothing() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let child = Image::new(&[1, 2]);
    let index = Image::index(std::slice::from_ref(&child), None);
    site.push(&placed, &child, None).await;
    site.push(&placed, &index, Some("v1")).await;
    site.push(&placed, &Image::new(&[2, 3]), Some("v2")).await;
    site.end(&placed, "v1").await;
    site.clock.advance(TIME_MACHINE);
    let expected = site.registry.collectable().await.unwrap();
    assert_eq!(site.registry.collectable().await.unwrap(), expected);
    assert_eq!(
        (expected.manifests, expected.blobs, expected.files),
        (2, 1, 1)
    );
    assert!(site.holds(&placed, &child).await);
    assert_eq!(site.collect().await, expected);
}

#[tokio::test]
async fn what_is_kept_for_now_has_a_time_when_it_is_looked_at() {
    let site = Site::new().await;
    assert_eq!(site.registry.next_review().await.unwrap(), None);
    let placed = site.place("app").await;
    site.push(&placed, &Image::new(&[1]), Some("v1")).await;
    site.clock.advance(TIME_MACHINE);
    site.collect().await;
    site.end(&placed, "v1").await;
    let due = site.clock.now() + TIME_MACHINE;
    assert_eq!(site.registry.next_review().await.unwrap(), Some(due));
    site.clock.advance(TIME_MACHINE);
    // Due is not kept.
    assert_eq!(site.registry.next_review().await.unwrap(), None);
    assert_eq!(site.collect().await.manifests, 1);
}

/// GC-08: a run can be short, and the next one goes on.
#[tokio::test]
async fn runs_with_a_budget_end_and_go_on() {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let reviews = PAGE as u64 + 88;
    let (repository, now) = (placed.repository, site.clock.now());
    let put = site.registry.store().write(move |tx| {
        for sequence in 0..reviews {
            let review = Review::Lifetime {
                repository,
                sequence,
            };
            tx.reviews().put(now, &review)?;
        }
        Ok::<_, store::Error>(())
    });
    put.await.unwrap();
    let first = site.registry.collect(Budget { reviews: 10 }).await.unwrap();
    assert_eq!((first.reviewed, first.complete), (PAGE as u64, false));
    assert_eq!(site.collect().await.reviewed, 88);
}

#[tokio::test]
async fn reviews_of_repositories_that_are_gone_are_dropped() {
    let site = Site::new().await;
    let (repository, now) = (RepositoryId(99), site.clock.now());
    let digest = Digest::of(b"x");
    let put = site.registry.store().write(move |tx| {
        tx.reviews()
            .put(now, &Review::Blob { repository, digest })?;
        tx.reviews()
            .put(now, &Review::Manifest { repository, digest })
    });
    put.await.unwrap();
    assert_eq!(site.collect().await.reviewed, 2);
    assert_eq!(site.collect().await.reviewed, 0);
}
