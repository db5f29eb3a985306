//! Opening: again, twice, after a crash, and files that are not ours.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::Database;

use super::*;
use crate::store::tables::Table;

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let site = Site::new();
    set(&site.store, "fact", 1).await.unwrap();
    let site = site.reopened();
    assert_eq!(value(&site.store, "fact").await, Some(1));
    set(&site.store, "fact", 2).await.unwrap();
    let site = site.reopened();
    assert_eq!(value(&site.store, "fact").await, Some(2));
}

/// CR-09.
#[test]
fn a_store_that_is_open_says_that_it_is_in_use() {
    let site = Site::new();
    let second = open(&site.path());
    assert!(matches!(second, Err(Error::InUse { .. })));
    drop(site.store);
    open(&site.directory.path().join("store.redb")).unwrap();
}

/// CR-01, CR-10: a file that was never closed holds all that was acknowledged.
#[tokio::test]
async fn a_copy_of_a_live_file_opens_with_everything_acknowledged() {
    let site = Site::new();
    let copy = site.directory.path().join("copy.redb");
    for n in 0..20 {
        set(&site.store, n.to_string(), n).await.unwrap();
        fs::copy(site.path(), &copy).unwrap();
        let store = open(&copy).unwrap();
        for acknowledged in 0..=n {
            let value = value(&store, &acknowledged.to_string()).await;
            assert_eq!(value, Some(acknowledged));
        }
        set(&store, "after", n).await.unwrap();
    }
}

/// CR-10: opening after a crash does not walk the file, so its time does not grow with it.
#[tokio::test]
async fn a_file_that_was_never_closed_needs_no_repair() {
    let site = Site::new();
    for n in 0..3 {
        set(&site.store, "fact", n).await.unwrap();
    }
    let copy = site.directory.path().join("copy.redb");
    fs::copy(site.path(), &copy).unwrap();
    let walked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&walked);
    let mut builder = Database::builder();
    builder.set_repair_callback(move |_| seen.store(true, Ordering::SeqCst));
    drop(builder.open(&copy).unwrap());
    assert!(!walked.load(Ordering::SeqCst));
}

/// LC-05.
#[test]
fn a_newer_schema_is_refused_and_the_file_left_alone() {
    let site = Site::new();
    let path = site.path();
    drop(site.store);
    let newer = migrate::SCHEMA + 1;
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction
        .open_table(Table::Meta.definition())
        .unwrap()
        .insert(&b"schema"[..], &newer.to_be_bytes()[..])
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    match open(&path) {
        Err(Error::NewerSchema { found, known, .. }) => {
            assert_eq!((found, known), (newer, migrate::SCHEMA));
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// DK-09: never silently starts empty.
#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("foreign.redb");
    drop(Database::create(&foreign).unwrap());
    let text = directory.path().join("text");
    fs::write(&text, "not a database at all").unwrap();
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    for path in [foreign, text, empty] {
        let before = fs::read(&path).unwrap();
        let opened = open(&path).map(|_| ());
        assert!(matches!(opened, Err(Error::Open { .. })), "{opened:?}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

/// CR-04: a crash while the first store was made leaves nothing in the way.
#[tokio::test]
async fn an_unfinished_store_is_swept_away() {
    let directory = tempfile::tempdir().unwrap();
    let unfinished = directory.path().join("store.redb.new-0123456789abcdef");
    fs::write(&unfinished, [0; 4096]).unwrap();
    let neighbour = directory.path().join("store.redb.backup");
    fs::write(&neighbour, "kept").unwrap();
    let store = open(&directory.path().join("store.redb")).unwrap();
    set(&store, "fact", 1).await.unwrap();
    assert!(!unfinished.exists());
    assert!(neighbour.exists());
}

#[test]
fn of_first_starts_at_once_one_at_most_wins_and_the_others_hear_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let start = std::sync::Barrier::new(8);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    open(&path)
                })
            })
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    let mut stores = 0;
    for outcome in &opened {
        match outcome {
            Ok(_) => stores += 1,
            Err(Error::InUse { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(stores <= 1);
    drop(opened);
    open(&path).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn the_file_is_its_owners_alone() {
    let site = Site::new();
    let mode = fs::metadata(site.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_that_does_not_exist_is_an_error_of_opening() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(&directory.path().join("none/store.redb")).map(|_| ());
    assert!(matches!(opened, Err(Error::Open { .. })), "{opened:?}");
}
