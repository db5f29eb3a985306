//! What the ledger shows of each organisation.

use prometheus::{IntGaugeVec, Opts, Registry};

/// Gauges by organisation; the set of organisations is the configured one.
#[derive(Clone)]
pub struct Metrics {
    pub held: IntGaugeVec,
    pub used: IntGaugeVec,
    pub limit: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["organization"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        Ok(Self {
            held: gauge("entrepot_quota_held_bytes", "Bytes of content held.")?,
            used: gauge(
                "entrepot_quota_used_bytes",
                "Bytes held, reserved by fills, and unlinked but still open.",
            )?,
            limit: gauge(
                "entrepot_quota_limit_bytes",
                "The cap on used bytes; 0 without one.",
            )?,
        })
    }
}
