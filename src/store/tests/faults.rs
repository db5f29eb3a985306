//! The disk fails at the n-th call, for every n.

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;

const WRITES: u64 = 3;

/// A file whose writes, syncs and growth fail once the budget is spent.
#[derive(Debug)]
struct Faulty {
    file: FileBackend,
    budget: Arc<AtomicI64>,
}

impl Faulty {
    fn spend(&self) -> io::Result<()> {
        if self.budget.fetch_sub(1, Ordering::SeqCst) <= 0 {
            return Err(io::Error::other("an injected fault"));
        }
        Ok(())
    }
}

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.spend()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.spend()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.spend()?;
        self.file.write(offset, data)
    }
}

/// Opens the store at `path` over a backend that fails after `budget` calls.
fn open_faulty(path: &Path, budget: i64) -> Store {
    let file: File = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let remaining = Arc::new(AtomicI64::new(i64::MAX));
    let backend = Faulty {
        file: FileBackend::new(file).unwrap(),
        budget: Arc::clone(&remaining),
    };
    let database = Database::builder().create_with_backend(backend).unwrap();
    remaining.store(budget, Ordering::SeqCst);
    let metrics = Metrics::new(&Registry::new()).unwrap();
    let volume = Volume::writable(path, metrics.read_only.clone());
    Store::start(path, database, volume, metrics).unwrap()
}

/// Writes `fact` until the store fails or [`WRITES`] are done; returns the last acknowledged.
async fn write_until_failure(store: &Store) -> u64 {
    for n in 1..=WRITES {
        if let Err(error) = set(store, "fact", n).await {
            assert!(matches!(error, Error::Failed { .. }), "{error:?}");
            assert!(store.failed());
            return n - 1;
        }
        assert_eq!(value(store, "fact").await, Some(n));
    }
    WRITES
}

/// DK-05, CR-02: whichever call fails, nothing acknowledged is lost and nothing is half done.
#[tokio::test]
async fn whichever_call_fails_what_was_acknowledged_stays() {
    let directory = tempfile::tempdir().unwrap();
    for budget in 0.. {
        let path = directory.path().join(format!("{budget}.redb"));
        drop(open(&path).unwrap());
        let store = open_faulty(&path, budget);
        let acknowledged = write_until_failure(&store).await;
        let failed = store.failed();
        drop(store);
        let store = open(&path).unwrap();
        let found = value(&store, "fact").await.unwrap_or(0);
        // The write that failed may have taken place, or not.
        let possible = acknowledged..=acknowledged + u64::from(failed);
        assert!(possible.contains(&found), "{found} of {possible:?}");
        if !failed {
            assert!(budget > 4 * 3, "{WRITES} commits made {budget} calls only");
            return;
        }
    }
}

/// DK-05: the first failure is final.
#[tokio::test]
async fn after_a_failure_writes_are_refused_and_reads_go_on() {
    let site = Site::new();
    set(&site.store, "kept", 1).await.unwrap();
    let path = site.path();
    drop(site.store);
    let store = open_faulty(&path, i64::MAX);
    assert_eq!(value(&store, "kept").await, Some(1));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_failed().await }
    });
    assert!(!store.failed());
    drop(store);
    waiting.abort();
    assert!(waiting.await.is_err(), "nothing failed, nobody was woken");

    let store = open_faulty(&path, 0);
    assert_eq!(value(&store, "kept").await, Some(1));
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.wait_failed().await }
    });
    let hooked = Arc::new(AtomicI64::new(0));
    let hook = Arc::clone(&hooked);
    let write = move |tx: &mut WriteTx<'_>| {
        let hook = Arc::clone(&hook);
        tx.after_commit(move || _ = hook.fetch_add(1, Ordering::SeqCst));
        tx.settings().put_number("lost", 2)
    };
    let error = store.write(write).await.unwrap_err();
    assert!(error.to_string().contains("an injected fault"), "{error}");
    assert_eq!(hooked.load(Ordering::SeqCst), 0);
    waiting.await.unwrap();
    for _ in 0..2 {
        let again = set(&store, "lost", 2).await.unwrap_err();
        assert!(matches!(again, Error::Failed { .. }), "{again:?}");
    }
    assert_eq!(value(&store, "kept").await, Some(1));
    assert_eq!(value(&store, "lost").await, None);
}
