//! The registry over a data folder that nobody serves, without doors, accounts and upstreams.
//!
//! For commands that look at a folder, or make one, and must not begin what a server begins: nothing is
//! configured, no secret is made, nothing runs by itself.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::assemble::{Volume, load_held, rules, store_path};
use crate::blob::BlobStore;
use crate::config::Config;
use crate::model::Clock;
use crate::quota::Ledger;
use crate::registry::{self, Registry};
use crate::store::{self, Store};
use crate::telemetry::Metrics;

/// Opens a store and the blobs of a folder; the lock is the caller's.
///
/// # Errors
/// The store's, the disk's.
pub(super) async fn open(
    store: PathBuf,
    data_dir: &Path,
    config: &Config,
) -> Result<Registry, Error> {
    let (data_dir, options) = (data_dir.to_owned(), options(config));
    let open = move |families: &Families| {
        let store = Store::open(&store, &options, families)?;
        Ok((store, BlobStore::open(&data_dir, families)?))
    };
    registry(config, open).await
}

/// Opens a data folder for a look: not a byte of it changes.
///
/// # Errors
/// As [`Store::open_read_only`]; the disk's.
pub(super) async fn open_read_only(config: &Config) -> Result<Registry, Error> {
    let (data_dir, options) = (config.data_dir.clone(), options(config));
    let open = move |families: &Families| {
        let store = Store::open_read_only(&store_path(&data_dir), &options, families)?;
        Ok((store, BlobStore::open_read_only(&data_dir, families)?))
    };
    registry(config, open).await
}

/// Opens a copy of the store for a look, with the blobs where they are; the copy goes when it is dropped.
///
/// For a store that was not closed, or is of an earlier release: opening it would change it.
///
/// # Errors
/// As [`open`]; [`Error::Refused`] if there is no room for the copy.
pub(super) async fn open_copy(config: &Config) -> Result<(Registry, Copy), Error> {
    let (data_dir, options) = (config.data_dir.clone(), options(config));
    let copy = Copy::begin()?;
    let store = copy.take(&store_path(&data_dir))?;
    let open = move |families: &Families| {
        let store = Store::open(&store, &options, families)?;
        Ok((store, BlobStore::open_read_only(&data_dir, families)?))
    };
    Ok((registry(config, open).await?, copy))
}

/// A folder with a copy of a store, for this user alone.
#[derive(Debug)]
pub(super) struct Copy(PathBuf);

impl Copy {
    /// Makes the folder, under a name that nobody can have guessed; only what was made is ever removed.
    fn begin() -> Result<Self, Error> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| {
            Error::Refused(format!("the system gives no random bytes: {error}"))
        })?;
        let name = format!("entrepot-look-{:016x}", u64::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::file("create", &path, error))?;
        Ok(Self(path))
    }

    fn take(&self, store: &Path) -> Result<PathBuf, Error> {
        let failed = |error| Error::file("copy the store to", &self.0, error);
        let size = fs::metadata(store).map_err(failed)?.len();
        let volume = rustix::fs::statvfs(&self.0).map_err(|error| failed(error.into()))?;
        // Bringing it up to date takes a copy of its own.
        if volume.f_bavail.saturating_mul(volume.f_frsize) < size.saturating_mul(3) {
            let folder = self.0.display();
            let reason = format!("there is no room for a copy of the store in {folder} (TMPDIR)");
            return Err(Error::Refused(reason));
        }
        let to = self.0.join("entrepot.redb");
        fs::copy(store, &to).map_err(failed)?;
        Ok(to)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Nobody needs it; what stays of it is in the folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

type Families = prometheus::Registry;

fn options(config: &Config) -> store::Options {
    store::Options {
        cache_bytes: usize::try_from(config.store_cache.bytes()).unwrap_or(usize::MAX),
    }
}

async fn registry(
    config: &Config,
    open: impl FnOnce(&Families) -> Result<(Store, BlobStore), Error> + Send + 'static,
) -> Result<Registry, Error> {
    let metrics = Metrics::new()?;
    let families = metrics.registry().clone();
    let opening = tokio::task::spawn_blocking(move || open(&families));
    let (store, blobs) = opening.await??;
    let ledger = Ledger::new(Arc::new(Volume(blobs.clone())), 0);
    load_held(&store, &ledger).await?;
    Ok(Registry::new(registry::Parts {
        store,
        blobs,
        ledger,
        clock: Clock::System,
        hot_cache: config.hot_cache,
        rules: rules(config),
        // No session is begun or gone on with.
        session_secret: [0; 32],
        metrics: registry::Metrics::new(metrics.registry())?,
    }))
}
