//! What each noun promises by itself; what they promise together is in `model`.

use super::*;
use crate::model::{
    Actor, BlobRecord, LinkRecord, NamespaceKind, NamespaceRecord, RecencyRecord, RepositoryRecord,
    Review, TagLifetime, TagList, TagRecord, Unit, UserId,
};
use crate::oci::{Descriptor, RepositoryName, Tag};

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn pointing(digest: Digest) -> TagRecord {
    TagRecord {
        pinned: true,
        ..TagRecord::new(digest, at(1), Actor::System)
    }
}

/// Runs `f` in one write and unwraps what it returns.
async fn write<T: Send + 'static>(
    site: &Site,
    f: impl Fn(&mut WriteTx<'_>) -> Result<T, Error> + Send + 'static,
) -> T {
    site.store.write(f).await.unwrap()
}

#[tokio::test]
async fn a_namespace_is_found_by_name_and_id() {
    let site = Site::new();
    let record = |name: &str| {
        NamespaceRecord::new(name.parse().unwrap(), NamespaceKind::Organization, at(1))
    };
    let (first, second) = (record("docker.io"), record("acme"));
    let ids = write(&site, move |tx| {
        Ok([
            tx.namespaces().create(&first)?,
            tx.namespaces().create(&second)?,
        ])
    });
    let ids = ids.await;
    assert_eq!(ids, [NamespaceId(1), NamespaceId(2)]);
    let read = |tx: &ReadTx| {
        let namespaces = tx.namespaces();
        let found = namespaces.by_name(&"acme".parse().unwrap())?;
        assert_eq!(found, Some((ids[1], record("acme"))));
        assert_eq!(namespaces.record(ids[0])?, Some(record("docker.io")));
        assert_eq!(namespaces.by_name(&"none".parse().unwrap())?, None);
        assert_eq!(namespaces.list()?.len(), 2);
        let rest = namespaces.list_after(Some(ids[0]), 9)?;
        assert_eq!(rest, [(ids[1], record("acme"))]);
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
    let again = move |tx: &mut WriteTx<'_>| tx.namespaces().create(&record("acme"));
    let refused = site.store.write(again).await;
    assert!(matches!(refused, Err(Error::Exists { .. })), "{refused:?}");
}

#[tokio::test]
async fn repositories_are_listed_by_name_within_their_namespace() {
    let site = Site::new();
    let record = |namespace, text| RepositoryRecord::new(NamespaceId(namespace), name(text), at(1));
    let ids = write(&site, move |tx| {
        let mut create = |record| tx.repositories().create(&record);
        Ok([
            create(record(1, "b"))?,
            create(record(1, "a/b"))?,
            create(record(2, "a"))?,
        ])
    });
    let [b, ab, other] = ids.await;
    let read = move |tx: &ReadTx| {
        let repositories = tx.repositories();
        let all = repositories.list(ORGANIZATION, None, 9)?;
        assert_eq!(all, [(name("a/b"), ab), (name("b"), b)]);
        let rest = repositories.list(ORGANIZATION, Some(&name("a/b")), 9)?;
        assert_eq!(rest, [(name("b"), b)]);
        assert_eq!(repositories.list(ORGANIZATION, None, 1)?.len(), 1);
        assert_eq!(repositories.by_name(ORGANIZATION, &name("a"))?, None);
        let found = repositories.by_name(NamespaceId(2), &name("a"))?;
        assert_eq!(found, Some(other));
        assert_eq!(repositories.record(other)?, Some(record(2, "a")));
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
}

#[tokio::test]
async fn a_removed_repository_never_gives_its_id_to_a_later_one() {
    let site = Site::new();
    let record = RepositoryRecord::new(ORGANIZATION, name("app"), at(1));
    let (first, second) = write(&site, move |tx| {
        let first = tx.repositories().create(&record)?;
        tx.repositories().remove(first)?;
        tx.repositories().remove(first)?;
        let by_name = tx.repositories().by_name(ORGANIZATION, &record.name)?;
        assert_eq!((by_name, tx.repositories().record(first)?), (None, None));
        Ok((first, tx.repositories().create(&record)?))
    })
    .await;
    assert!(second > first);
}

#[tokio::test]
async fn a_document_is_kept_until_the_last_repository_lets_go() {
    let site = Site::new();
    let other = RepositoryId(2);
    let digest = digest("{}");
    write(&site, move |tx| {
        tx.manifests()
            .put(REPOSITORY, &digest, &manifest(&[], &[]), b"{}")?;
        tx.manifests()
            .put(other, &digest, &manifest(&[], &[]), b"{}")?;
        assert!(tx.manifests().is_shared(REPOSITORY, &digest)?);
        tx.manifests().remove(REPOSITORY, &digest)
    })
    .await;
    let read = |tx: &ReadTx| {
        let manifests = tx.manifests();
        assert_eq!(manifests.record(REPOSITORY, &digest)?, None);
        assert_eq!(manifests.holders(&digest, 9)?, [other]);
        assert!(!manifests.is_shared(other, &digest)?);
        manifests.body(&digest)
    };
    let body = site.store.read(read).await.unwrap();
    assert_eq!(body.unwrap(), "{}");
    let removed = write(&site, move |tx| {
        let removed = tx.manifests().remove(other, &digest)?;
        assert_eq!(tx.manifests().remove(other, &digest)?, None);
        Ok(removed)
    });
    assert_eq!(removed.await, Some(manifest(&[], &[])));
    let read = |tx: &ReadTx| tx.manifests().body(&digest);
    assert_eq!(site.store.read(read).await.unwrap(), None);
}

/// DK-07: a manifest whose bytes changed at rest is never served.
#[tokio::test]
async fn a_document_that_is_not_its_digests_is_damage() {
    let site = Site::new();
    let digest = digest("{}");
    write(&site, move |tx| {
        tx.manifests()
            .put(REPOSITORY, &digest, &manifest(&[], &[]), b"{ }")
    })
    .await;
    let read = |tx: &ReadTx| tx.manifests().body(&digest);
    let body = site.store.read(read).await;
    assert!(matches!(body, Err(Error::Corrupt { .. })), "{body:?}");
    assert!(
        !site.store.failed(),
        "one damaged row is not the disk's end"
    );
}

#[tokio::test]
async fn history_is_read_newest_first_and_in_pages() {
    let site = Site::new();
    let ended = |millis| {
        let record = TagRecord {
            place: u64::try_from(millis).unwrap() + 1,
            ..TagRecord::new(digest("x"), at(0), Actor::System)
        };
        TagLifetime::of(tag("latest"), record, at(millis), Actor::Anonymous)
    };
    let numbers = write(&site, move |tx| {
        let mut numbers = Vec::new();
        for millis in 0..3 {
            numbers.push(tx.tags().record_lifetime(REPOSITORY, &ended(millis))?);
        }
        tx.tags().record_lifetime(RepositoryId(2), &ended(9))?;
        Ok(numbers)
    })
    .await;
    let newest = write(&site, move |tx| {
        tx.tags().record_lifetime(REPOSITORY, &ended(3))
    })
    .await;
    let read = |tx: &ReadTx| {
        let tags = tx.tags();
        let found = tags.lifetimes(REPOSITORY, None, 2)?;
        assert_eq!(found, [(newest, ended(3)), (numbers[2], ended(2))]);
        let older = tags.lifetimes(REPOSITORY, Some(numbers[2]), 9)?;
        assert_eq!(older, [(numbers[1], ended(1)), (numbers[0], ended(0))]);
        let of = tags.lifetimes_of_manifest(REPOSITORY, &digest("x"), 9)?;
        assert_eq!(of, [newest, numbers[2], numbers[1], numbers[0]]);
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
    let left = write(&site, move |tx| {
        tx.tags().drop_lifetime(REPOSITORY, newest)?;
        tx.tags().drop_lifetime(REPOSITORY, newest)?;
        let next = tx.tags().record_lifetime(REPOSITORY, &ended(4))?;
        assert!(next > newest, "a number is never given twice");
        tx.tags().lifetimes_of_manifest(REPOSITORY, &digest("x"), 9)
    });
    assert_eq!(left.await.len(), 4);
}

/// What is deleted is there for nobody, and counts until nothing can bring it back.
#[tokio::test]
async fn a_hidden_blob_is_kept_and_not_shown() {
    let site = Site::new();
    let blob = digest("blob");
    write(&site, move |tx| {
        let first = tx
            .blobs()
            .link_since(ORGANIZATION, REPOSITORY, &blob, at(5))?;
        assert!(first.first_of_namespace);
        assert!(tx.blobs().hide(REPOSITORY, &blob)?);
        assert!(!tx.blobs().hide(REPOSITORY, &blob)?);
        assert!(!tx.blobs().is_linked(REPOSITORY, &blob)?);
        assert!(tx.blobs().is_linked_at_all(&blob)?);
        let again = tx
            .blobs()
            .link_since(ORGANIZATION, REPOSITORY, &blob, at(3))?;
        assert!(!again.first_of_namespace);
        let link = LinkRecord {
            since: at(5),
            deleted: false,
        };
        assert_eq!(tx.blobs().link_record(REPOSITORY, &blob)?, Some(link));
        assert!(tx.blobs().hide(REPOSITORY, &blob)?);
        let last = tx.blobs().unlink(ORGANIZATION, REPOSITORY, &blob)?;
        assert!(last.last_of_namespace && last.last_of_all);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn reviews_come_in_the_order_of_their_time() {
    let site = Site::new();
    let review = |of| Review::Blob {
        repository: REPOSITORY,
        digest: digest(of),
    };
    let due = write(&site, move |tx| {
        tx.reviews().put(at(30), &review("late"))?;
        tx.reviews().put(at(-10), &review("early"))?;
        tx.reviews().put(at(20), &review("gone"))?;
        tx.reviews().remove(at(20), &review("gone"))?;
        tx.reviews().put(at(20), &review("now"))?;
        tx.reviews().due(at(20), None, 9)
    })
    .await;
    assert_eq!(due, [(at(-10), review("early")), (at(20), review("now"))]);
    let read = |tx: &ReadTx| tx.reviews().due(at(20), Some(&due[0]), 9);
    let rest: Vec<_> = site.store.read(read).await.unwrap();
    assert_eq!(rest, due[1..]);
    for (now, next) in [
        (-11, Some(-10)),
        (-10, Some(20)),
        (20, Some(30)),
        (29, Some(30)),
        (30, None),
    ] {
        let read = move |tx: &ReadTx| tx.reviews().next(at(now));
        assert_eq!(site.store.read(read).await.unwrap(), next.map(at), "{now}");
    }
}

#[tokio::test]
async fn tags_are_listed_in_byte_order() {
    let site = Site::new();
    write(&site, |tx| {
        for text in ["b", "B", "a", "10", "9"] {
            tx.tags()
                .put(REPOSITORY, &tag(text), &pointing(digest("x")))?;
        }
        tx.tags()
            .put(RepositoryId(2), &tag("z"), &pointing(digest("x")))
    })
    .await;
    let read = |tx: &ReadTx| {
        let all = tx.tags().list(REPOSITORY, None, 9)?;
        let names: Vec<_> = all.iter().map(|(tag, _)| tag.as_str()).collect();
        assert_eq!(names, ["10", "9", "B", "a", "b"]);
        assert_eq!(
            all[0].1,
            TagRecord {
                place: 4,
                ..pointing(digest("x"))
            }
        );
        let page = tx.tags().list(REPOSITORY, Some(&tag("B")), 1)?;
        assert_eq!(page[0].0, tag("a"));
        Ok::<_, Error>(())
    };
    site.store.read(read).await.unwrap();
}

#[tokio::test]
async fn referrers_are_replaced_by_digest_and_listed_by_subject() {
    let site = Site::new();
    let descriptor = |size| Descriptor {
        artifact_type: Some("application/x".to_owned()),
        ..Descriptor::new(MediaType::OCI_MANIFEST, digest("referrer"), size)
    };
    let subject = digest("subject");
    write(&site, move |tx| {
        tx.referrers().put(REPOSITORY, &subject, &descriptor(1))?;
        tx.referrers().put(REPOSITORY, &subject, &descriptor(2))
    })
    .await;
    let read = |tx: &ReadTx| {
        assert_eq!(
            tx.referrers().list(REPOSITORY, &digest("other"), 9)?,
            vec![]
        );
        tx.referrers().list(REPOSITORY, &subject, 9)
    };
    assert_eq!(site.store.read(read).await.unwrap(), [descriptor(2)]);
    let left = write(&site, move |tx| {
        tx.referrers()
            .remove(REPOSITORY, &subject, &digest("referrer"))?;
        tx.referrers()
            .remove(REPOSITORY, &subject, &digest("referrer"))?;
        tx.referrers().list(REPOSITORY, &subject, 9)
    });
    assert_eq!(left.await, []);
}

#[tokio::test]
async fn the_least_recently_used_comes_first_and_pages_go_on_from_there() {
    let site = Site::new();
    let unit = |of| Unit {
        namespace: ORGANIZATION,
        repository: REPOSITORY,
        digest: digest(of),
    };
    let used = |millis| RecencyRecord {
        last_used: at(millis),
        window: 4,
        windows: 1,
        spared: false,
    };
    write(&site, move |tx| {
        tx.recency().put(&unit("a"), &used(30))?;
        tx.recency().put(&unit("b"), &used(-20))?;
        tx.recency().put(&unit("c"), &used(10))?;
        tx.recency().put(&unit("b"), &used(40))
    })
    .await;
    let read = |tx: &ReadTx| {
        let oldest = tx.recency().oldest(ORGANIZATION, None, 2)?;
        assert_eq!(oldest, [(unit("c"), used(10)), (unit("a"), used(30))]);
        let after = Some((at(30), unit("a")));
        let rest = tx.recency().oldest(ORGANIZATION, after, 9)?;
        assert_eq!(rest, [(unit("b"), used(40))]);
        tx.recency().oldest(NamespaceId(2), None, 9)
    };
    assert_eq!(site.store.read(read).await.unwrap(), []);
}

#[tokio::test]
async fn usage_adds_up() {
    let site = Site::new();
    write(&site, |tx| {
        tx.usage().add(ORGANIZATION, 70)?;
        tx.usage().add(NamespaceId(2), 1)?;
        tx.usage().subtract(ORGANIZATION, 30)
    })
    .await;
    let read = |tx: &ReadTx| tx.usage().held(ORGANIZATION);
    assert_eq!(site.store.read(read).await.unwrap(), 40);
}

#[tokio::test]
async fn a_setting_is_a_number_or_a_text() {
    let site = Site::new();
    write(&site, |tx| {
        tx.settings().put_number("generation", 7)?;
        tx.settings().put_text("owner", "ops")?;
        tx.settings().put_text("gone", "x")?;
        tx.settings().remove("gone")
    })
    .await;
    let read = |tx: &ReadTx| {
        let settings = tx.settings();
        assert_eq!(settings.number("generation")?, Some(7));
        assert_eq!(settings.text("generation")?, None);
        assert_eq!(settings.text("owner")?.as_deref(), Some("ops"));
        settings.text("gone")
    };
    assert_eq!(site.store.read(read).await.unwrap(), None);
}

#[tokio::test]
async fn blobs_are_listed_in_pages_on_the_blocking_pool() {
    let site = Site::new();
    let record = BlobRecord {
        size_bytes: 9,
        created: at(1),
    };
    let kept = record.clone();
    write(&site, move |tx| {
        for of in ["a", "b", "c"] {
            tx.blobs().put(&digest(of), &kept)?;
        }
        tx.blobs().remove(&digest("b"))?;
        tx.blobs().remove(&digest("b"))
    })
    .await;
    let mut expected = [digest("a"), digest("c")];
    expected.sort();
    let first = site.store.scan(|tx| tx.blobs().list(None, 1)).await;
    let first: Result<_, Error> = first;
    assert_eq!(first.unwrap(), [(expected[0], record)]);
    let rest = move |tx: &ReadTx| tx.blobs().list(Some(&expected[0]), 9);
    let rest: Vec<_> = site.store.scan(rest).await.unwrap();
    assert_eq!(rest[0].0, expected[1]);
    assert_eq!(rest.len(), 1);
}

/// A page is found by its number, whatever was removed in between, and costs what it shows.
#[tokio::test]
async fn places_are_counted_by_block() {
    let site = Site::new();
    const TAGS: u64 = 1_300;
    write(&site, |tx| {
        for number in 1..=TAGS {
            let record = TagRecord::new(digest("x"), at(number as i64), Actor::System);
            tx.tags()
                .put(REPOSITORY, &tag(&format!("t{number}")), &record)?;
        }
        for number in (1..=TAGS).filter(|number| number % 3 == 0) {
            tx.tags().remove(REPOSITORY, &tag(&format!("t{number}")))?;
        }
        Ok(())
    })
    .await;
    let read = |tx: &ReadTx| {
        let left: Vec<_> = (1..=TAGS).rev().filter(|number| number % 3 != 0).collect();
        for list in [TagList::All, TagList::Live] {
            for skip in [0, 1, 340, 341, 342, 700, 866, 867, 5_000] {
                let page = tx.tags().places(REPOSITORY, list, skip as u64, 2)?;
                let found: Vec<_> = page.iter().map(|(place, _)| *place).collect();
                let expected: Vec<_> = left.iter().skip(skip).take(2).copied().collect();
                assert_eq!(found, expected, "{list:?} {skip}");
            }
        }
        Ok::<_, Error>(())
    };
    site.store.scan(read).await.unwrap();
}

#[tokio::test]
async fn a_star_is_counted_once_and_found_both_ways() {
    let site = Site::new();
    let (ann, bob) = (UserId(1), UserId(2));
    write(&site, move |tx| {
        assert!(tx.stars().put(ann, REPOSITORY, at(1))?);
        assert!(!tx.stars().put(ann, REPOSITORY, at(2))?);
        assert!(tx.stars().put(bob, REPOSITORY, at(3))?);
        assert!(tx.stars().put(ann, RepositoryId(2), at(4))?);
        assert_eq!(tx.stars().count(REPOSITORY)?, 2);
        assert_eq!(
            tx.stars().of_user(ann, None, 9)?,
            [REPOSITORY, RepositoryId(2)]
        );
        assert_eq!(tx.stars().gazers(REPOSITORY, 9)?, [ann, bob]);
        assert!(tx.stars().remove(ann, REPOSITORY)?);
        assert!(!tx.stars().remove(ann, REPOSITORY)?);
        assert_eq!(tx.stars().count(REPOSITORY)?, 1);
        Ok(())
    })
    .await;
}

/// Ids are never reused, so the name of what is doomed is free at once.
#[tokio::test]
async fn a_doomed_repository_is_listed_for_nobody_but_the_purge() {
    let site = Site::new();
    write(&site, |tx| {
        let record = RepositoryRecord::new(ORGANIZATION, "app".parse().unwrap(), at(1));
        let old = tx.repositories().create(&record)?;
        assert!(tx.repositories().doom(old)?.is_some());
        assert!(tx.repositories().doom(old)?.is_none());
        assert!(tx.repositories().record(old)?.is_none());
        let new = tx.repositories().create(&record)?;
        assert_eq!(tx.repositories().doomed(None, 9)?, [(ORGANIZATION, old)]);
        assert!(
            tx.repositories()
                .doomed(Some(NamespaceId(9)), 9)?
                .is_empty()
        );
        tx.repositories().remove(old)?;
        assert!(tx.repositories().doomed(None, 9)?.is_empty());
        assert_eq!(
            tx.repositories().by_name(ORGANIZATION, &record.name)?,
            Some(new)
        );
        Ok(())
    })
    .await;
}
