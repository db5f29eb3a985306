//! The services, from the bottom up, in reading order: store, blobs, ledger, registry, outbound, proxy.
//!
//! The server and commands that work without one are made of the same services.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use super::lock::Lock;
use crate::blob::BlobStore;
use crate::config::Config;
use crate::jobs::{self, Intervals};
use crate::model::{ByteSize, Clock, NamespaceName};
use crate::outbound::{Names, Outbound};
use crate::proxy::{self, Proxy};
use crate::quota::{self, DiskSpace, Ledger};
use crate::registry::{self, Registry};
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::{http, upstream};

/// Everything below the doors.
pub(super) struct Services {
    pub(super) metrics: Metrics,
    pub(super) registry: Registry,
    pub(super) proxy: Proxy,
    pub(super) disk_reserve: ByteSize,
    pub(super) http_metrics: http::Metrics,
    jobs_metrics: jobs::Metrics,
    quota_metrics: quota::Metrics,
    /// Last, so that the data directory is free only when nothing here uses it any more.
    pub(super) lock: Arc<Lock>,
}

/// The file of the store.
pub(super) fn store_path(data_dir: &Path) -> PathBuf {
    data_dir.join("entrepot.redb")
}

impl Services {
    /// Opens what lies in the data directory, which `lock` keeps for us, and connects it.
    pub(super) async fn open(config: &Config, clock: Clock, lock: Lock) -> Result<Self, Error> {
        let metrics = Metrics::new()?;
        let families = metrics.registry();
        let (store, blobs) = open_files(config, &metrics).await?;
        let disk_reserve = match config.disk_reserve {
            Some(bytes) => bytes,
            None => quota::default_disk_reserve(ByteSize(blobs.disk()?.total_bytes)),
        };
        let ledger = Ledger::new(Arc::new(Volume(blobs.clone())), disk_reserve.bytes());
        load_usage(&store, &ledger).await?;
        if ledger.disk_deficit() > 0 {
            tracing::warn!(
                missing_bytes = ledger.disk_deficit(),
                "the disk has less free space than its reserve; nothing is kept until it has more"
            );
        }
        let registry = Registry::new(registry::Parts {
            store,
            blobs,
            ledger,
            clock,
            hot_cache: config.hot_cache,
            rules: registry::Rules::default(),
            metrics: registry::Metrics::new(families)?,
        });
        registry.recall_uses().await?;
        let outbound = Outbound::new(
            config.outbound.clone(),
            config.deadlines.connect,
            Names::System,
        )?;
        let parts = proxy::Parts {
            registry: registry.clone(),
            outbound,
            deadlines: config.deadlines.clone(),
            offline: config.offline,
            enabled: config.features.proxy_cache,
            metrics: proxy::Metrics::new(families)?,
            upstream_metrics: upstream::Metrics::new(families)?,
        };
        let proxy = Proxy::new(parts, config.upstreams.clone()).await?;
        proxy.set_hostnames(hostnames(config));
        Ok(Self {
            http_metrics: http::Metrics::new(families)?,
            jobs_metrics: jobs::Metrics::new(families)?,
            quota_metrics: quota::Metrics::new(families)?,
            metrics,
            registry,
            proxy,
            disk_reserve,
            lock: Arc::new(lock),
        })
    }

    /// What the loops work on.
    pub(super) fn jobs(
        &self,
        intervals: Intervals,
        reread_files: impl Fn() + Send + Sync + 'static,
    ) -> jobs::Parts {
        jobs::Parts {
            registry: self.registry.clone(),
            proxy: self.proxy.clone(),
            metrics: self.jobs_metrics.clone(),
            quota_metrics: self.quota_metrics.clone(),
            intervals,
            reread_files: Arc::new(reread_files),
        }
    }
}

/// Hostnames of the configured mirrors with their organisations.
pub(super) fn hostnames(config: &Config) -> HashMap<String, NamespaceName> {
    let mirrors = config.registry_mirrors.iter();
    mirrors
        .filter_map(|mirror| Some((mirror.hostname.clone()?, mirror.organization.clone())))
        .collect()
}

/// Both read and write files, so they are opened on the blocking pool.
async fn open_files(config: &Config, metrics: &Metrics) -> Result<(Store, BlobStore), Error> {
    let data_dir = config.data_dir.clone();
    let cache_bytes = usize::try_from(config.store_cache.bytes()).unwrap_or(usize::MAX);
    let metrics = metrics.clone();
    tokio::task::spawn_blocking(move || {
        let families = metrics.registry();
        let options = store::Options { cache_bytes };
        let store = Store::open(&store_path(&data_dir), &options, families)?;
        let blobs = BlobStore::open(&data_dir, families)?;
        Ok((store, blobs))
    })
    .await?
}

/// The ledger lives in memory; what each organisation holds is in the store.
async fn load_usage(store: &Store, ledger: &Ledger) -> Result<(), store::Error> {
    let held = store
        .scan(|tx| {
            let organizations = tx.namespaces().list()?.into_iter();
            organizations
                .map(|(id, _)| Ok((id, tx.usage().held(id)?)))
                .collect::<Result<Vec<_>, store::Error>>()
        })
        .await?;
    held.into_iter()
        .for_each(|(organization, bytes)| ledger.load(organization, bytes));
    Ok(())
}

/// The volume of the data directory, as the ledger asks it.
struct Volume(BlobStore);

impl DiskSpace for Volume {
    fn free_bytes(&self) -> Option<u64> {
        self.0.disk().ok().map(|disk| disk.free_bytes)
    }
}
