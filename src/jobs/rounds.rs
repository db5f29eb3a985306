//! One turn of each loop.

use super::Metrics;
use super::metrics::clamp;
use crate::proxy::Proxy;
use crate::quota;
use crate::registry::{Holding, Registry};

/// What the loops do, and with what; cheap to clone.
#[derive(Clone)]
pub struct Rounds {
    pub registry: Registry,
    pub proxy: Proxy,
    pub metrics: Metrics,
    pub quota_metrics: quota::Metrics,
}

impl Rounds {
    /// Writes last-used times and validations.
    pub async fn flush(&self) {
        if let Err(error) = self.registry.flush_recency().await {
            tracing::warn!(%error, "last-used times could not be written");
        }
    }

    /// Makes room where the disk is under its reserve or an organisation over its quota.
    pub async fn relieve(self) {
        match self.registry.relieve().await {
            Ok(0) => {}
            Ok(freed) => tracing::info!(size_bytes = freed, "made room"),
            Err(error) => tracing::warn!(%error, "room could not be made"),
        }
    }

    /// Puts what is held and free into the gauges.
    pub async fn refresh_gauges(self) {
        if let Ok(disk) = self.registry.blobs().disk() {
            self.metrics.set_disk(disk.free_bytes, disk.total_bytes);
        }
        match self.registry.holdings().await {
            Ok(holdings) => {
                for holding in holdings {
                    self.show(&holding).await;
                }
            }
            Err(error) => tracing::warn!(%error, "what is held could not be counted"),
        }
    }

    /// Organisations are few and named by configuration, so they may be labels (DO-10).
    async fn show(&self, holding: &Holding) {
        let gauges = &self.quota_metrics;
        let name = [holding.namespace.as_str()];
        gauges
            .held
            .with_label_values(&name)
            .set(clamp(holding.held_bytes));
        gauges
            .limit
            .with_label_values(&name)
            .set(clamp(holding.limit_bytes.unwrap_or(0)));
        if let Ok(Some((id, _))) = self.registry.namespace(&holding.namespace).await {
            gauges
                .used
                .with_label_values(&name)
                .set(clamp(self.registry.ledger().used(id)));
        }
    }

    /// Removes files that no row names (CR-07).
    pub async fn sweep(self) {
        match self.proxy.sweep().await {
            Ok(report) => tracing::info!(
                examined = report.examined,
                removed_files = report.removed_files,
                removed_partials = report.removed_partials,
                "swept"
            ),
            Err(error) => tracing::warn!(%error, "the sweep ended early"),
        }
    }
}
