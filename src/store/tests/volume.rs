//! A store on a volume that takes no writes: read as it is, and left as it is.

use std::fs;

use super::*;

/// Opens the store at `path` as if its volume took no writes.
fn open_overlaid(path: &Path) -> Result<Store, Error> {
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let volume = Volume::overlaid(path, metrics.read_only.clone());
    let database = open::overlaid(path, OPTIONS.cache_bytes)?;
    Store::start(path, database, volume, metrics)
}

/// DK-10, CR-01: also after a crash everything acknowledged can be read, the start may settle what it needs,
/// and not a byte of the file changes.
#[tokio::test]
async fn a_read_only_file_is_read_whole_and_stays_as_it_is() {
    let site = Site::new();
    for n in 0..20 {
        set(&site.store, n.to_string(), n).await.unwrap();
    }
    // Never closed, as a crash leaves it.
    let path = site.directory.path().join("copy.redb");
    fs::copy(site.path(), &path).unwrap();
    let before = fs::read(&path).unwrap();
    for _ in 0..2 {
        let store = open_overlaid(&path).unwrap();
        for n in 0..20 {
            assert_eq!(value(&store, &n.to_string()).await, Some(n));
        }
        set(&store, "settled", 1).await.unwrap();
        assert_eq!(value(&store, "settled").await, Some(1));
        store.seal();
        assert!(!store.takes_writes().await);
        let refused = set(&store, "settled", 2).await.unwrap_err();
        assert!(matches!(refused, Error::ReadOnly) && refused.is_temporary());
        assert_eq!(value(&store, "settled").await, Some(1));
        assert!(!store.failed(), "it is no failure");
        // A write that changes nothing is none.
        let nothing = |_: &mut WriteTx<'_>| Ok::<_, Error>(7);
        assert_eq!(store.write(nothing).await.unwrap(), 7);
        drop(store);
        assert!(fs::read(&path).unwrap() == before, "the file has changed");
    }
    let store = open(&path).unwrap();
    assert_eq!(value(&store, "settled").await, None, "it was memory");
}

/// Whoever waits for the volume is told at once when it takes writes.
#[tokio::test]
async fn a_volume_that_takes_writes_again_is_noticed() {
    let site = Site::new();
    let path = site.path();
    site.store.seal();
    assert!(
        site.store.takes_writes().await,
        "sealing is for overlaid stores"
    );
    drop(site.store);
    let store = open_overlaid(&path).unwrap();
    store.seal();
    // This volume takes them in truth.
    store.wait_writable().await;
}

/// A store of an older schema is refused, in words that say what to do.
#[test]
fn an_older_schema_is_not_brought_up_to_date_in_memory() {
    let site = Site::new();
    let path = site.path();
    drop(site.store);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let older = migrate::SCHEMA - 1;
    transaction
        .open_table(tables::Table::Meta.definition())
        .unwrap()
        .insert(&b"schema"[..], &older.to_be_bytes()[..])
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let Err(Error::Open { source, .. }) = open_overlaid(&path) else {
        panic!("it opens");
    };
    let said = source.to_string();
    assert!(said.contains("read-only volume"), "{said}");
}
