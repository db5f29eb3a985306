//! Figures of the blob room: what was written, published, thrown away and found damaged.

use prometheus::{
    Error, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// The figures, with every child made once.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    /// Bytes written to files, whether they became blobs or not.
    pub(super) written_bytes: IntCounter,
    /// Blobs that became durable under their final name.
    pub(super) published: IntCounter,
    /// Blobs unlinked.
    pub(super) removed: IntCounter,
    /// Files moved to quarantine.
    pub(super) quarantined: IntCounter,
    /// Writes that failed since the bytes did not match their digest or length.
    pub(super) failed_mismatch: IntCounter,
    /// Writes that failed since the volume was full.
    pub(super) failed_no_space: IntCounter,
    /// Writes that the system failed to carry out, sync or rename.
    pub(super) failed_io: IntCounter,
    /// Pieces read on the blocking pool, because the page cache lacked them.
    pub(super) cold_reads: IntCounter,
    /// Blob and partial files open at this moment.
    pub(super) open_files: IntGauge,
    /// 1 once a sync or rename has failed; the volume needs a look.
    pub(super) degraded: IntGauge,
    /// How long one blob's bytes took to become durable.
    pub(super) sync_seconds: Histogram,
}

impl Metrics {
    /// Makes the figures and registers them.
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(format!("entrepot_blob_{name}"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, Error>(counter)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(format!("entrepot_blob_{name}"), help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, Error>(gauge)
        };
        let failed = IntCounterVec::new(
            Opts::new(
                "entrepot_blob_failed_total",
                "Content that did not become a blob.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(failed.clone()))?;
        let sync_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "entrepot_blob_sync_seconds",
                "Time from the last byte written to the blob being durable.",
            )
            .buckets(prometheus::exponential_buckets(0.0005, 4.0, 9)?),
        )?;
        registry.register(Box::new(sync_seconds.clone()))?;
        Ok(Self {
            written_bytes: counter("written_bytes_total", "Bytes written to files.")?,
            published: counter("published_total", "Blobs made durable.")?,
            removed: counter("removed_total", "Blobs unlinked.")?,
            quarantined: counter("quarantined_total", "Files moved to quarantine.")?,
            failed_mismatch: failed.with_label_values(&["mismatch"]),
            failed_no_space: failed.with_label_values(&["no_space"]),
            failed_io: failed.with_label_values(&["io"]),
            cold_reads: counter("cold_reads_total", "Pieces read on the blocking pool.")?,
            open_files: gauge("open_files", "Blob files open.")?,
            degraded: gauge("degraded", "1 once a sync or rename has failed.")?,
            sync_seconds,
        })
    }
}
