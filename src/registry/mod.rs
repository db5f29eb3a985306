//! Content of a registry: what is held, how it comes to be held, and how it goes.
//!
//! Called by `proxy` (content fetched from upstream), `api` and `jobs`. Every change is one store
//! transaction; bytes are durable before the row that names them, and rows go before bytes. A blob is
//! one file whatever number of repositories name it, and is readable in a repository only if a row
//! links it there. Knows neither HTTP nor upstream registries.

mod commit;
mod error;
mod evict;
mod holdings;
mod hot;
mod lookup;
mod metrics;
mod pointing;
mod recency;
mod reclaim;
mod rules;
mod sweep;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use commit::Placed;
pub use error::Error;
pub use holdings::{HeldTag, Holding};
pub use hot::{HeldManifest, HotTag};
pub use lookup::HeldBlob;
pub use metrics::Metrics;
pub use reclaim::Protected;
pub use rules::Rules;
pub use sweep::SweepReport;

use crate::blob::BlobStore;
use crate::model::{Actor, ByteSize, Clock, NamespaceId};
use crate::quota::{Ledger, Policy};
use crate::store::Store;

/// The content of all repositories; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    blobs: BlobStore,
    ledger: Ledger,
    clock: Clock,
    hot: hot::Hot,
    recency: recency::Recency,
    /// One lock per share of the digests, held from a blob's publication to its row, and from the
    /// look at its rows to its removal, so that neither slips in between.
    content_locks: [tokio::sync::Mutex<()>; CONTENT_LOCKS],
    /// One eviction at a time: two that run side by side would both free what one needs.
    reclaiming: tokio::sync::Mutex<()>,
    in_flight: reclaim::InFlight,
    /// The namespaces whose content may be evicted, and by which policy.
    policies: ArcSwap<HashMap<NamespaceId, Policy>>,
    rules: ArcSwap<Rules>,
    metrics: Metrics,
}

const CONTENT_LOCKS: usize = 64;

/// What a registry is built from.
pub struct Parts {
    pub store: Store,
    pub blobs: BlobStore,
    pub ledger: Ledger,
    pub clock: Clock,
    /// Memory for hot manifests.
    pub hot_cache: ByteSize,
    pub rules: Rules,
    pub metrics: Metrics,
}

impl Registry {
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            blobs,
            ledger,
            clock,
            hot_cache,
            rules,
            metrics,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                store,
                blobs,
                ledger,
                clock,
                hot: hot::Hot::new(hot_cache),
                recency: recency::Recency::default(),
                content_locks: std::array::from_fn(|_| tokio::sync::Mutex::default()),
                reclaiming: tokio::sync::Mutex::default(),
                in_flight: reclaim::InFlight::default(),
                policies: ArcSwap::default(),
                rules: ArcSwap::from_pointee(rules),
                metrics,
            }),
        }
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub fn blobs(&self) -> &BlobStore {
        &self.inner.blobs
    }

    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Says which namespaces are caches, whose content may go to make room, and how.
    pub fn set_policies(&self, policies: HashMap<NamespaceId, Policy>) {
        self.inner.policies.store(Arc::new(policies));
    }

    /// Says what holds for local repositories from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.inner.rules.store(Arc::new(rules));
    }

    /// How tags are changed now, and by whom.
    fn change(&self, by: Actor) -> pointing::Change {
        pointing::Change {
            at: self.inner.clock.now(),
            by,
            default_time_machine: self.inner.rules.load().time_machine,
        }
    }

    async fn content_lock(&self, digest: &crate::oci::Digest) -> tokio::sync::MutexGuard<'_, ()> {
        let share = usize::from(digest.hash()[0]) % CONTENT_LOCKS;
        self.inner.content_locks[share].lock().await
    }
}
