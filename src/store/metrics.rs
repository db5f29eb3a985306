//! What the store counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Registry};

/// The store's metrics, registered once.
#[derive(Clone)]
pub(super) struct Metrics {
    pub(super) commit_seconds: Histogram,
    pub(super) batch_writes: Histogram,
    pub(super) queued_writes: IntGauge,
    pub(super) panics: IntCounter,
    pub(super) failed: IntGauge,
    pub(super) read_only: IntGauge,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            commit_seconds: Histogram::with_opts(
                HistogramOpts::new(
                    "entrepot_store_commit_duration_seconds",
                    "Time to make one batch of writes durable",
                )
                .buckets(prometheus::exponential_buckets(0.000_25, 2.0, 15)?),
            )?,
            batch_writes: Histogram::with_opts(
                HistogramOpts::new(
                    "entrepot_store_batch_size_writes",
                    "Writes that shared one commit",
                )
                .buckets(prometheus::exponential_buckets(1.0, 2.0, 9)?),
            )?,
            queued_writes: IntGauge::new(
                "entrepot_store_queue_depth_writes",
                "Writes waiting for the writer thread",
            )?,
            panics: IntCounter::new(
                "entrepot_store_panics_total",
                "Write closures and hooks that panicked",
            )?,
            failed: IntGauge::new(
                "entrepot_store_failed",
                "1 after a storage failure: the store takes no more writes",
            )?,
            read_only: IntGauge::new(
                "entrepot_store_read_only",
                "1 while the data volume takes no writes: what is held is served, the rest refused",
            )?,
        };
        registry.register(Box::new(metrics.commit_seconds.clone()))?;
        registry.register(Box::new(metrics.batch_writes.clone()))?;
        registry.register(Box::new(metrics.queued_writes.clone()))?;
        registry.register(Box::new(metrics.panics.clone()))?;
        registry.register(Box::new(metrics.failed.clone()))?;
        registry.register(Box::new(metrics.read_only.clone()))?;
        Ok(metrics)
    }
}
