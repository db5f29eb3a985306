//! Gauges of the volume; nobody moves them as things happen, so they are set at intervals.

use prometheus::{IntGauge, Registry};

/// Space of the volume that holds the data directory.
#[derive(Clone)]
pub struct Metrics {
    free: IntGauge,
    size: IntGauge,
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self {
            free: gauge(
                "entrepot_jobs_disk_free_bytes",
                "Free space of the data directory.",
            )?,
            size: gauge(
                "entrepot_jobs_disk_size_bytes",
                "Size of the data directory's volume.",
            )?,
        })
    }

    pub(super) fn set_disk(&self, free_bytes: u64, size_bytes: u64) {
        self.free.set(clamp(free_bytes));
        self.size.set(clamp(size_bytes));
    }
}

/// A gauge holds no more; no volume is larger.
pub(super) fn clamp(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
