//! What the room counts.

use prometheus::{IntCounter, Registry};

/// Counters of the usage log.
#[derive(Clone)]
pub struct Metrics {
    /// Lines written of what was noted; lines of changes are not among them.
    pub(super) written: IntCounter,
    /// Acts that were not written: there was no memory for them, or the store failed.
    pub(super) lost: IntCounter,
    /// Lines that went because they were old.
    pub(super) removed: IntCounter,
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
            written: counter(
                "entrepot_notify_log_lines_written_total",
                "Lines of pulls, logins and failures written to the usage log.",
            )?,
            lost: counter(
                "entrepot_notify_log_acts_lost_total",
                "Pulls, logins and failures that the usage log does not tell.",
            )?,
            removed: counter(
                "entrepot_notify_log_lines_removed_total",
                "Lines of the usage log that went with age.",
            )?,
        })
    }
}
