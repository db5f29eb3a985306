//! Damage to indexes is told and made good, each kind of it, and costs no content.

use std::time::Duration;

use super::*;
use crate::model::{Actor, Job, TagList, TagRecord, UserId};
use crate::registry::Placed;
use crate::registry::gc::tests::local::{Image, Site};
use crate::store::{Index, Number, WrongCount};

/// Every index, and whether a row that nothing stands behind does harm.
const INDEXES: [(Index, bool); 13] = [
    (Index::TagTargets, true),
    (Index::TagPlaces, true),
    (Index::TagExpiries, false),
    (Index::LifetimeTargets, true),
    (Index::LifetimeTags, true),
    (Index::ManifestHolders, true),
    (Index::ManifestParents, true),
    (Index::BlobNamers, true),
    (Index::BlobHolders, true),
    (Index::Referrers, true),
    (Index::Stargazers, true),
    (Index::JobOrder, true),
    (Index::MirrorJobOrder, true),
];

/// A repository with a row in every index.
async fn full_site() -> (Site, Placed) {
    let site = Site::new().await;
    let placed = site.place("app").await;
    let (one, two) = (Image::new(&[1, 2]), Image::new(&[2, 3]));
    site.push(&placed, &one, Some("v1")).await;
    site.push(&placed, &two, Some("v1")).await;
    let index = Image::index(&[one, two.clone()], None);
    site.push(&placed, &index, Some("all")).await;
    let signature = Image::with_subject(&[9], Some(&index));
    site.push(&placed, &signature, None).await;
    let change = site.registry.change(Actor::Anonymous);
    let (repository, digest, change_at) = (placed.repository, two.digest(), change.at);
    let expire = site.registry.store().write(move |tx| {
        let record = TagRecord {
            expires: Some(change.at + Duration::from_secs(60)),
            ..TagRecord::new(digest, change.at, Actor::Anonymous)
        };
        let tag = "brief".parse().unwrap();
        change.point(tx, repository, &tag, &record).map(drop)
    });
    expire.await.unwrap();
    let star = site.registry.store().write(move |tx| {
        tx.stars().put(UserId(1), repository, change_at)?;
        tx.stars().put(UserId(2), repository, change_at)?;
        tx.jobs().enqueue(Job::RotateLogs, change_at)?;
        tx.jobs().enqueue(Job::Mirror(repository), change_at)
    });
    star.await.unwrap();
    let other = site.place("other").await;
    site.push(&other, &two, None).await;
    assert!(site.checked(Repair::No).await.is_empty());
    (site, placed)
}

impl Site {
    async fn rows(&self, index: Index) -> Vec<Vec<u8>> {
        let rows = self.registry.store().scan(move |tx| tx.audit().rows(index));
        rows.await.unwrap()
    }

    async fn damage(
        &self,
        damage: impl Fn(&mut WriteTx<'_>) -> Result<(), store::Error> + Send + 'static,
    ) {
        self.registry.store().write(damage).await.unwrap();
    }
}

fn is_missing(finding: &Finding, of: Index) -> bool {
    matches!(finding, Finding::MissingIndexRow { fault } if fault.index == of)
}

#[tokio::test]
async fn an_index_that_was_lost_is_written_again() {
    let (site, _) = full_site().await;
    for (index, _) in INDEXES {
        let before = site.rows(index).await;
        assert!(!before.is_empty(), "{index:?}");
        site.damage(move |tx| tx.audit().wipe(index)).await;
        for repair in [Repair::No, Repair::Yes] {
            let found = site.checked(repair).await;
            assert!(!found.is_empty(), "{index:?}");
            assert!(
                found.iter().all(|finding| is_missing(finding, index)),
                "{index:?}: {found:?}"
            );
        }
        let after = site.rows(index).await;
        match index {
            // Of the agenda only this can be derived.
            Index::TagExpiries => assert_eq!(after.len(), 1),
            _ => assert_eq!(after, before, "{index:?}"),
        }
        assert!(site.checked(Repair::No).await.is_empty(), "{index:?}");
    }
}

#[tokio::test]
async fn a_row_that_nothing_stands_behind_is_removed() {
    let (site, _) = full_site().await;
    for (index, _) in INDEXES.into_iter().filter(|(_, does_harm)| *does_harm) {
        let before = site.rows(index).await;
        site.damage(move |tx| tx.audit().forge(index)).await;
        for repair in [Repair::No, Repair::Yes] {
            let found = site.checked(repair).await;
            assert!(
                matches!(&found[..], [Finding::StrayIndexRow { fault }] if fault.index == index),
                "{index:?}: {found:?}"
            );
        }
        assert_eq!(site.rows(index).await, before);
        assert!(site.checked(Repair::No).await.is_empty(), "{index:?}");
    }
}

/// A list is put together from the documents again, as the door showed it.
#[tokio::test]
async fn a_referrers_list_that_was_lost_names_its_artifacts_again() {
    let (site, placed) = full_site().await;
    let repository = placed.repository;
    let signed = Image::new(&[1, 2]);
    let signature = Image::with_subject(&[7], Some(&signed));
    site.push(&placed, &signature, None).await;
    site.damage(|tx| tx.audit().wipe(Index::Referrers)).await;
    site.checked(Repair::Yes).await;
    let subject = signed.digest();
    let listed = site
        .registry
        .store()
        .scan(move |tx| tx.referrers().list(repository, &subject, 10));
    let listed = listed.await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].digest, signature.digest());
    assert_eq!(
        listed[0].artifact_type.as_deref(),
        Some("application/vnd.oci.image.config.v1+json")
    );
}

/// What has no count would seem to be linked by nobody, and be removed.
#[tokio::test]
async fn a_wrong_count_of_links_is_corrected_and_costs_no_blob() {
    let (site, placed) = full_site().await;
    let image = Image::new(&[2, 3]);
    let (digest, namespace) = (Digest::of(&image.blobs[1]), site.namespace);
    for stored in [0, 1, 7] {
        site.damage(move |tx| tx.audit().miscount(&digest, namespace, stored))
            .await;
        let wrong = WrongCount {
            digest,
            namespace,
            stored,
            counted: 2,
        };
        let found = site.checked(Repair::Yes).await;
        assert_eq!(found, [Finding::WrongLinkCount { wrong }]);
        assert!(site.checked(Repair::No).await.is_empty());
        assert!(site.holds(&placed, &image).await);
    }
    site.assert_accounts().await;
}

#[tokio::test]
async fn counts_and_pages_of_any_size_find_the_same() {
    let (site, placed) = full_site().await;
    let (namespace, repository) = (site.namespace, placed.repository);
    site.damage(move |tx| {
        for digest in tx.blobs().linked(repository, None, 10)? {
            tx.audit().miscount(&digest, namespace, 9)?;
        }
        let nobodys = Digest::of(b"nothing");
        tx.audit().miscount(&nobodys, namespace, 1)?;
        tx.audit().wipe(Index::BlobNamers)?;
        tx.audit().forge(Index::TagTargets)
    })
    .await;
    let found = async |size: usize| {
        let found = site.registry.store().scan(move |tx| {
            let (mut counts, mut faults) = (Vec::new(), Vec::new());
            let mut after = None;
            loop {
                let (wrong, next) = tx.audit().counts(after, size)?;
                counts.extend(wrong);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            let mut progress = Some(Progress::default());
            while let Some(from) = progress {
                let (page, next) = tx.audit().page(from, size)?;
                faults.extend(page);
                progress = next;
            }
            counts.sort_by_key(|wrong: &WrongCount| wrong.digest);
            Ok::<_, store::Error>((counts, faults))
        });
        found.await.unwrap()
    };
    let all = found(1000).await;
    assert!(all.0.len() > 4 && all.1.len() > 4, "{all:?}");
    for size in [1, 2, 3, 7] {
        assert_eq!(found(size).await, all, "{size} at a time");
    }
}

/// Each number by itself, too small and too large; the first is what a limit of a repository goes by.
#[tokio::test]
async fn a_wrong_number_of_a_repository_is_set_right() {
    let (site, _) = full_site().await;
    for number in [Number::Bytes, Number::Stars, Number::TagPlaces] {
        for wrong in [1, 1_000_000] {
            site.damage(move |tx| tx.audit().misnumber(number, wrong))
                .await;
            for repair in [Repair::No, Repair::Yes] {
                let found = site.checked(repair).await;
                assert!(!found.is_empty(), "{number:?}");
                let all = found.iter().all(|finding| {
                    matches!(finding, Finding::WrongNumber { wrong: found }
                        if found.number == number && found.stored == wrong)
                });
                assert!(all, "{number:?}: {found:?}");
            }
            assert!(site.checked(Repair::No).await.is_empty(), "{number:?}");
        }
    }
}

/// Bytes of manifests and of linked blobs, whoever else has them.
#[tokio::test]
async fn the_bytes_of_a_repository_follow_what_is_pushed() {
    let (site, placed) = full_site().await;
    let (namespace, repository) = (site.namespace, placed.repository);
    let bytes = async || {
        let read = site.registry.store().read(|tx| {
            let held = tx.usage().of_repository(repository)?;
            Ok::<_, store::Error>((held, tx.usage().held(namespace)?))
        });
        read.await.unwrap()
    };
    let (held, of_namespace) = bytes().await;
    assert_eq!(
        held, of_namespace,
        "the other repository has no blob that this one has not"
    );
    let image = Image::new(&[77]);
    site.push(&placed, &image, Some("more")).await;
    let grown = bytes().await.0 - held;
    let layer = image.blobs[1].len() as u64;
    assert_eq!(
        grown, layer,
        "the config was there, and documents do not count"
    );
}

/// A tag that has no place, or one that another has, is listed again, at the end.
#[tokio::test]
async fn a_tag_that_lost_its_place_gets_one() {
    let (site, placed) = full_site().await;
    let repository = placed.repository;
    let listed = async || {
        let read = site.registry.store().scan(move |tx| {
            let mut all = Vec::new();
            for list in [TagList::All, TagList::Live] {
                let lines = tx.tags().places(repository, list, 0, 99)?;
                all.push(lines.into_iter().map(|(_, line)| line).collect::<Vec<_>>());
            }
            Ok::<_, store::Error>(all)
        });
        read.await.unwrap()
    };
    let before = listed().await;
    for place in [0, 1, 2] {
        site.damage(move |tx| {
            tx.audit()
                .misplace(repository, &"all".parse().unwrap(), place)
        })
        .await;
        assert!(!site.checked(Repair::Yes).await.is_empty(), "{place}");
        assert!(site.checked(Repair::No).await.is_empty(), "{place}");
        let after = listed().await;
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(after.len(), before.len());
            assert!(before.iter().all(|line| after.contains(line)), "{place}");
        }
        let newest = &after[1][0];
        assert_eq!(newest.tag.as_str(), "all", "{place}");
    }
}
