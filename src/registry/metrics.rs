//! What the registry counts.

use prometheus::{IntCounter, Registry};

/// Counters of the room.
#[derive(Clone)]
pub struct Metrics {
    pub evictions: IntCounter,
    pub freed_bytes: IntCounter,
    pub damaged: IntCounter,
    pub swept_files: IntCounter,
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        Ok(Self {
            evictions: counter("entrepot_registry_evictions_total", "Images evicted.")?,
            freed_bytes: counter(
                "entrepot_registry_evicted_bytes_total",
                "Bytes of files that evictions removed.",
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
}
