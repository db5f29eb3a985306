//! What the registry counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts, Registry};

use super::GcReport;

/// Counters of the room.
#[derive(Clone)]
pub struct Metrics {
    pub evictions: IntCounter,
    pub freed_bytes: IntCounter,
    /// Fills and uploads that waited until older content had gone.
    pub room_waits: IntCounter,
    pub damaged: IntCounter,
    pub swept_files: IntCounter,
    /// What clients changed, by [`Changed`].
    changed: [IntCounter; Changed::ALL.len()],
    /// Time that a transaction of the collector holds the writer.
    pub gc_transaction_seconds: Histogram,
    /// The same of a transaction that ends tags by policies.
    pub prune_transaction_seconds: Histogram,
    /// The same of a transaction that evicts.
    pub evict_transaction_seconds: Histogram,
    pub pruned_tags: IntCounter,
    reviews: IntCounter,
    collected_manifests: IntCounter,
    collected_blobs: IntCounter,
    collected_bytes: IntCounter,
}

/// What a client changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Changed {
    PushedManifest,
    PushedBlob,
    MountedBlob,
    DeletedTag,
    DeletedManifest,
    DeletedBlob,
}

impl Changed {
    const ALL: [Self; 6] = [
        Self::PushedManifest,
        Self::PushedBlob,
        Self::MountedBlob,
        Self::DeletedTag,
        Self::DeletedManifest,
        Self::DeletedBlob,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::PushedManifest => "pushed_manifest",
            Self::PushedBlob => "pushed_blob",
            Self::MountedBlob => "mounted_blob",
            Self::DeletedTag => "deleted_tag",
            Self::DeletedManifest => "deleted_manifest",
            Self::DeletedBlob => "deleted_blob",
        }
    }
}

/// Around the 5 ms that a transaction of the collector may take.
const TRANSACTION_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.1,
];

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let changes = Opts::new(
            "entrepot_registry_changes_total",
            "What clients changed in local repositories.",
        );
        let changes = IntCounterVec::new(changes, &["change"])?;
        registry.register(Box::new(changes.clone()))?;
        let seconds = HistogramOpts::new(
            "entrepot_registry_gc_transaction_seconds",
            "Time that a transaction of the collector holds the writer.",
        );
        let seconds = Histogram::with_opts(seconds.buckets(TRANSACTION_SECONDS.to_vec()))?;
        registry.register(Box::new(seconds.clone()))?;
        let pruning = HistogramOpts::new(
            "entrepot_registry_prune_transaction_seconds",
            "Time that a transaction of a prune run holds the writer.",
        );
        let pruning = Histogram::with_opts(pruning.buckets(TRANSACTION_SECONDS.to_vec()))?;
        registry.register(Box::new(pruning.clone()))?;
        let evicting = HistogramOpts::new(
            "entrepot_registry_evict_transaction_seconds",
            "Time that a transaction that evicts holds the writer.",
        );
        let evicting = Histogram::with_opts(evicting.buckets(TRANSACTION_SECONDS.to_vec()))?;
        registry.register(Box::new(evicting.clone()))?;
        Ok(Self {
            prune_transaction_seconds: pruning,
            evict_transaction_seconds: evicting,
            pruned_tags: counter(
                "entrepot_registry_pruned_tags_total",
                "Tags that ended by policies.",
            )?,
            changed: Changed::ALL.map(|changed| changes.with_label_values(&[changed.label()])),
            gc_transaction_seconds: seconds,
            reviews: counter(
                "entrepot_registry_gc_reviews_total",
                "Reviews that the collector looked at.",
            )?,
            collected_manifests: counter(
                "entrepot_registry_gc_manifests_total",
                "Manifests that the collector removed.",
            )?,
            collected_blobs: counter(
                "entrepot_registry_gc_blobs_total",
                "Blobs that the collector took out of repositories.",
            )?,
            collected_bytes: counter(
                "entrepot_registry_gc_freed_bytes_total",
                "Bytes of files that the collector removed.",
            )?,
            evictions: counter("entrepot_registry_evictions_total", "Images evicted.")?,
            freed_bytes: counter(
                "entrepot_registry_evicted_bytes_total",
                "Bytes of files that evictions removed.",
            )?,
            room_waits: counter(
                "entrepot_registry_room_waits_total",
                "Fills and uploads that waited until older content had gone.",
            )?,
            damaged: counter(
                "entrepot_registry_damaged_blobs_total",
                "Blobs whose file was gone or damaged when it was asked for.",
            )?,
            swept_files: counter(
                "entrepot_registry_swept_files_total",
                "Files that no row named and a sweep removed.",
            )?,
        })
    }

    pub(super) fn count(&self, changed: Changed) {
        self.changed[changed as usize].inc();
    }

    pub(super) fn count_collected(&self, report: &GcReport) {
        self.reviews.inc_by(report.reviewed);
        self.collected_manifests.inc_by(report.manifests);
        self.collected_blobs.inc_by(report.blobs);
        self.collected_bytes.inc_by(report.file_bytes);
    }
}
