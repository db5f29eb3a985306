//! The store from outside: nouns, batches, opening, and what it does when the disk fails.

mod churn;
mod faults;
mod inbox;
mod logs;
mod mirrors;
mod model;
mod nouns;
mod oauth;
mod opening;
mod people;
mod upgrade;
mod volume;
mod writes;

use std::path::{Path, PathBuf};

use prometheus::Registry;

use super::*;
use crate::model::{ManifestRecord, NamespaceId, RepositoryId, Timestamp};
use crate::oci::{Digest, MediaType};

const ORGANIZATION: NamespaceId = NamespaceId(1);
const REPOSITORY: RepositoryId = RepositoryId(1);

const OPTIONS: Options = Options {
    cache_bytes: 1 << 20,
};

/// A store in a directory of its own, with its metrics.
struct Site {
    store: Store,
    metrics: Registry,
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Registry::new();
        let store = Store::open(&directory.path().join("store.redb"), &OPTIONS, &metrics).unwrap();
        Self {
            store,
            metrics,
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.redb")
    }

    /// Closes the store and opens it again.
    fn reopened(self) -> Self {
        let path = self.path();
        drop(self.store);
        Self {
            store: open(&path).unwrap(),
            ..self
        }
    }

    /// The value of a gauge or counter, or the number of observations of a histogram.
    fn metric(&self, name: &str) -> u64 {
        let families = self.metrics.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metric = &family.unwrap().get_metric()[0];
        let value = metric.get_gauge().get_value() + metric.get_counter().get_value();
        value as u64 + metric.get_histogram().get_sample_count()
    }
}

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(path, &OPTIONS, &Registry::new())
}

fn digest(of: &str) -> Digest {
    Digest::of(of.as_bytes())
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The record of a manifest that names these children and blobs.
fn manifest(children: &[Digest], blobs: &[Digest]) -> ManifestRecord {
    ManifestRecord {
        media_type: MediaType::OCI_MANIFEST,
        size_bytes: 1,
        children: children.to_vec(),
        blobs: blobs.iter().map(|blob| (*blob, 1)).collect(),
        subject: None,
        created: at(0),
        pushed: at(0),
        deleted: None,
        expires_after_s: None,
        layers_bytes: None,
    }
}

async fn set(store: &Store, name: impl Into<String>, number: u64) -> Result<(), Error> {
    let name = name.into();
    let write = move |tx: &mut WriteTx<'_>| tx.settings().put_number(&name, number);
    store.write(write).await
}

async fn value(store: &Store, name: &str) -> Option<u64> {
    store.read(|tx| tx.settings().number(name)).await.unwrap()
}
