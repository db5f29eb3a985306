//! Files of earlier releases: what they hold is there afterwards, in today's form.

use redb::{Database, TableDefinition};
use serde::Serialize;

use super::*;
use crate::model::{Actor, NamespaceKind, NamespaceRecord, TagList, Visibility};
use crate::oci::Tag;

/// Writes rows as schema 1 had them.
struct First(Database);

impl First {
    fn row(&self, table: &str, key: &[u8], value: &[u8]) {
        let definition: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(table);
        let transaction = self.0.begin_write().unwrap();
        transaction
            .open_table(definition)
            .unwrap()
            .insert(key, value)
            .unwrap();
        transaction.commit().unwrap();
    }

    fn record(&self, table: &str, key: &[u8], fields: impl Serialize) {
        let value = postcard::to_extend(&fields, vec![1]).unwrap();
        self.row(table, key, &value);
    }
}

fn of(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

/// A cache with one repository, one tag, one manifest and one blob.
fn write_first(path: &Path) {
    let file = First(Database::create(path).unwrap());
    let (image, blob) = (digest("{}"), digest("blob"));
    for table in [
        "organization_names.v1",
        "blob_organizations.v1",
        "tag_history.v1",
    ] {
        file.row(table, b"", b"");
    }
    file.row("meta.v1", b"schema", &of(1));
    file.row("meta.v1", b"last_organization", &of(1));
    file.row("meta.v1", b"last_repository", &of(1));
    file.record("organizations.v1", &of(1), ("docker.io", at(7), true));
    file.record("organization_names.v1", b"docker.io", 1_u64);
    file.record("repositories.v1", &of(1), (1_u64, "library/app", at(8)));
    let name = [&of(1)[..], b"library/app"].concat();
    file.record("repository_names.v1", &name, 1_u64);
    let content = [&of(1)[..], &image.to_key()].concat();
    let blobs = vec![(blob, 4_u64)];
    let none: Option<Digest> = None;
    let manifest = (
        MediaType::OCI_MANIFEST,
        2_u64,
        Vec::<Digest>::new(),
        blobs,
        none,
        at(9),
    );
    file.record("manifests.v1", &content, manifest);
    file.row("manifest_bodies.v1", &image.to_key(), b"{}");
    let tag = [&of(1)[..], b"v1"].concat();
    let never: Option<Timestamp> = None;
    file.record("tags.v1", &tag, (image, at(9), at(10), never, true));
    let link = [&of(1)[..], &blob.to_key()].concat();
    file.row("blob_links.v1", &link, b"");
    file.record("blobs.v1", &blob.to_key(), (4_u64, at(9)));
    let owner = [&blob.to_key()[..], &of(1)].concat();
    file.record("blob_organizations.v1", &owner, 1_u64);
}

#[tokio::test]
async fn a_store_of_the_first_schema_is_read_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    write_first(&path);
    let store = open(&path).unwrap();
    let read = |tx: &ReadTx| {
        let (namespace, record) = tx
            .namespaces()
            .by_name(&"docker.io".parse().unwrap())?
            .unwrap();
        assert!(record.anonymous_pull && record.kind == NamespaceKind::Cache);
        assert_eq!((record.created, record.tag_expiration_s), (at(7), None));
        let name = "library/app".parse().unwrap();
        let repository = tx.repositories().by_name(namespace, &name)?.unwrap();
        let record = tx.repositories().record(repository)?.unwrap();
        assert_eq!(
            (record.created, record.visibility),
            (at(8), Visibility::Private)
        );
        let tag: Tag = "v1".parse().unwrap();
        let tag = tx.tags().current(repository, &tag)?.unwrap();
        assert_eq!(
            (tag.digest, tag.validated, tag.pinned),
            (digest("{}"), at(10), true)
        );
        assert_eq!((tag.by, tag.expires), (Actor::System, None));
        for list in [TagList::All, TagList::Live] {
            let places = tx.tags().places(repository, list, 0, 9)?;
            assert_eq!(places.len(), 1, "{list:?}");
            assert_eq!((places[0].1.start, places[0].1.lifetime), (at(9), None));
        }
        let manifest = tx.manifests().record(repository, &digest("{}"))?.unwrap();
        assert_eq!((manifest.pushed, manifest.deleted), (at(9), None));
        assert_eq!(tx.manifests().body(&digest("{}"))?.unwrap(), "{}");
        assert!(tx.blobs().is_linked(repository, &digest("blob"))?);
        assert!(tx.blobs().is_held_by(namespace, &digest("blob"))?);
        assert_eq!(tx.usage().of_repository(repository)?, 2 + 4);
        Ok::<_, Error>(namespace)
    };
    let old = store.read(read).await.unwrap();
    let kind = NamespaceKind::Organization;
    let record = NamespaceRecord::new("acme".parse().unwrap(), kind, at(11));
    let create = move |tx: &mut WriteTx<'_>| tx.namespaces().create(&record);
    let new: Result<_, Error> = store.write(create).await;
    assert!(new.unwrap() > old, "ids go on where they were");
}

/// LC-05: the earlier release refuses the file from then on, rather than reading it wrongly.
#[test]
fn a_store_is_brought_up_to_date_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    write_first(&path);
    drop(open(&path).unwrap());
    let file = Database::open(&path).unwrap();
    assert_eq!(migrate::check(&path, &file).unwrap(), migrate::SCHEMA);
    drop(file);
    open(&path).unwrap();
}

/// A store of the second schema counted nothing, or only what came after the count was made.
#[tokio::test]
async fn bytes_of_repositories_are_counted_for_a_store_that_did_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    write_first(&path);
    drop(open(&path).unwrap());
    let second = |wrong: Option<u64>| {
        let file = First(Database::open(&path).unwrap());
        let usage: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("repository_usage.v1");
        let transaction = file.0.begin_write().unwrap();
        assert!(transaction.delete_table(usage).unwrap());
        transaction.commit().unwrap();
        if let Some(wrong) = wrong {
            file.record("repository_usage.v1", &of(1), wrong);
            file.record("repository_usage.v1", &of(9), wrong);
        }
        file.row("meta.v1", b"schema", &of(2));
    };
    for wrong in [None, Some(1), Some(1_000)] {
        second(wrong);
        let store = open(&path).unwrap();
        let read = |tx: &ReadTx| {
            let usage = tx.usage();
            let (one, none) = (RepositoryId(1), RepositoryId(9));
            assert_eq!(usage.of_repository(one)?, 2 + 4, "{wrong:?}");
            assert_eq!(usage.of_repository(none)?, 0, "{wrong:?}");
            Ok::<_, Error>(())
        };
        store.read(read).await.unwrap();
        let closed = store.closed();
        drop(store);
        closed.await;
    }
}

/// LC-05: a store of the third schema keeps what it has, and says from then on what earlier releases must know.
#[tokio::test]
async fn a_store_without_mirrors_is_refused_by_earlier_releases_once_it_may_have_some() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let store = open(&path).unwrap();
    set(&store, "kept", 7).await.unwrap();
    let closed = store.closed();
    drop(store);
    closed.await;
    let file = First(Database::open(&path).unwrap());
    file.row("meta.v1", b"schema", &of(3));
    drop(file);
    let store = open(&path).unwrap();
    assert_eq!(value(&store, "kept").await, Some(7));
    let closed = store.closed();
    drop(store);
    closed.await;
    let file = Database::open(&path).unwrap();
    assert_eq!(migrate::check(&path, &file).unwrap(), 4);
}

/// What a later build of the same schema added is made when the store is opened.
#[tokio::test]
async fn a_table_that_is_not_there_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    drop(open(&path).unwrap());
    let file = Database::open(&path).unwrap();
    let stars: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("stars.v1");
    let transaction = file.begin_write().unwrap();
    assert!(transaction.delete_table(stars).unwrap());
    transaction.commit().unwrap();
    drop(file);
    let store = open(&path).unwrap();
    let starred = store.read(|tx| tx.stars().has(crate::model::UserId(1), RepositoryId(1)));
    assert!(!starred.await.unwrap());
}
