//! Content of a registry: what is held, how it comes to be held, and how it goes.
//!
//! Called by `proxy` (content fetched from upstream), `api` and `jobs`. Every change is one store
//! transaction; bytes are durable before the row that names them, and rows go before bytes. A blob is
//! one file whatever number of repositories name it, and is readable in a repository only if a row
//! links it there. Knows neither HTTP nor upstream registries.

mod adopt;
mod anatomy;
mod catalogue;
mod check;
mod commit;
mod delete;
mod error;
mod evict;
mod gc;
mod hold;
mod holdings;
mod hot;
mod immutability;
mod labels;
mod layers;
mod listing;
mod lookup;
mod manifest_labels;
mod metrics;
mod mirrored;
mod mount;
mod patterns;
mod pointing;
mod prune;
mod push;
mod quotas;
mod recency;
mod reclaim;
mod remove;
mod repositories;
mod rules;
mod scrub;
mod search;
mod session;
mod size;
mod stars;
mod sweep;
mod tag_changes;
mod tag_lines;
mod tags;
#[cfg(test)]
mod tests;
mod told;
mod tracking;
mod uploads;
mod usage;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;

pub use adopt::{Arrived, TagSet};
pub use anatomy::{Anatomy, BlobPart, ManifestPart, Sharer};
pub use catalogue::{Catalogue, Catalogued};
pub use check::{CheckReport, Finding, Repair};
pub use commit::Placed;
pub use error::{Error, LabelFault, PolicyFault, PruneFault, QuotaFault};
pub use gc::{Budget, GcReport};
pub use hold::Hold;
pub use holdings::{HeldTag, Holding};
pub use hot::{HeldManifest, HotTag};
pub use layers::{LayerView, ManifestView};
pub use listing::{Asked, Facts};
pub use lookup::HeldBlob;
pub use metrics::Metrics;
pub use mirrored::{Holders, Note};
pub use prune::{Follow, Origin, Prune, PruneStep, PruneWalk, PrunedTag, Pruning, Why};
pub use push::{Condition, Push};
pub use quotas::QuotaEditor;
pub use reclaim::Protected;
pub use rules::Rules;
pub use scrub::{Damage, Pace, ScrubReport};
pub use search::Searched;
pub use size::CountedSize;
pub use sweep::{ExpiredUploads, SweepReport};
pub use tag_lines::{TagFilter, TagLine, TagQuery};
pub use uploads::{Upload, UploadId};

use crate::blob::BlobStore;
use crate::model::{Actor, ByteSize, Clock, NamespaceId};
use crate::quota::{Ledger, Policy, Quotas};
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
    quotas: Quotas,
    clock: Clock,
    hot: hot::Hot,
    recency: recency::Recency,
    /// One lock per share of the digests, held from a blob's publication to its row, and from the
    /// look at its rows to its removal, so that neither slips in between.
    content_locks: [tokio::sync::Mutex<()>; CONTENT_LOCKS],
    /// One eviction at a time: two that run side by side would both free what one needs.
    turns: reclaim::Turns,
    /// One run of the collector at a time.
    collecting: tokio::sync::Mutex<()>,
    /// Something may be garbage now.
    collection_wanted: tokio::sync::Notify,
    touches: Arc<gc::Touches>,
    holds: hold::Holds,
    /// The size of everything is being counted.
    counting_size: AtomicBool,
    in_flight: reclaim::InFlight,
    /// The namespaces whose content may be evicted, and by which policy.
    policies: ArcSwap<HashMap<NamespaceId, Policy>>,
    rules: ArcSwap<Rules>,
    patterns: patterns::Patterns,
    uploads: uploads::Uploads,
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
    /// The installation's own, which upload sessions are signed with.
    pub session_secret: [u8; 32],
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
            session_secret,
            metrics,
        } = parts;
        Self {
            inner: Arc::new(Inner {
                store,
                blobs,
                quotas: Quotas::new(ledger.clone()),
                ledger,
                touches: Arc::new(gc::Touches::new(clock.now())),
                holds: hold::Holds::default(),
                collecting: tokio::sync::Mutex::default(),
                collection_wanted: tokio::sync::Notify::new(),
                clock,
                hot: hot::Hot::new(hot_cache),
                recency: recency::Recency::default(),
                content_locks: std::array::from_fn(|_| tokio::sync::Mutex::default()),
                turns: reclaim::Turns::default(),
                counting_size: AtomicBool::new(false),
                in_flight: reclaim::InFlight::default(),
                policies: ArcSwap::default(),
                rules: ArcSwap::from_pointee(rules),
                patterns: patterns::Patterns::new(),
                uploads: uploads::Uploads::new(&session_secret),
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

    /// What holds for local repositories.
    pub fn rules(&self) -> Arc<Rules> {
        self.inner.rules.load_full()
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
