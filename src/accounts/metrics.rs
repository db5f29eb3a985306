//! What the room counts.

use prometheus::{Histogram, HistogramOpts, IntGauge, Registry};

/// Figures about password hashing, the one thing here that costs time.
#[derive(Clone)]
pub struct Metrics {
    pub hash_seconds: Histogram,
    pub waiting_hashes: IntGauge,
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let hash_seconds = Histogram::with_opts(
            HistogramOpts::new(
                "entrepot_accounts_password_hash_seconds",
                "Time that hashing one password took, without waiting for its turn.",
            )
            .buckets(vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0]),
        )?;
        let waiting_hashes = IntGauge::new(
            "entrepot_accounts_password_hashes_waiting",
            "Passwords that wait for their turn to be hashed.",
        )?;
        registry.register(Box::new(hash_seconds.clone()))?;
        registry.register(Box::new(waiting_hashes.clone()))?;
        Ok(Self {
            hash_seconds,
            waiting_hashes,
        })
    }
}
