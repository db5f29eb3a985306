//! One turn of each loop.

use super::lease::Outcome;
use super::metrics::clamp;
use super::run::Progress;
use super::{Metrics, PruneTimes};
use crate::accounts::Accounts;
use crate::auth::Auth;
use crate::mirror::Mirror;
use crate::model::Job;
use crate::notify::Audit;
use crate::proxy::Proxy;
use crate::quota;
use crate::registry::{self, Budget, Holding, Pace, Registry};

/// Rows of deleted accounts that one turn removes.
const PURGED_ROWS: usize = 10_000;

/// What the loops do, and with what; cheap to clone.
#[derive(Clone)]
pub struct Rounds {
    pub registry: Registry,
    pub accounts: Accounts,
    pub proxy: Proxy,
    pub mirror: Mirror,
    pub metrics: Metrics,
    pub quota_metrics: quota::Metrics,
    pub auth: Auth,
    pub audit: Audit,
    pub scrub_pace: Pace,
    pub prune_times: PruneTimes,
}

impl Rounds {
    /// Whether there is a use in trying to write: a volume that takes none has been told of already, and what
    /// was noted waits in memory (DK-10).
    pub(super) async fn may_write(&self) -> bool {
        self.registry.store().takes_writes().await
    }

    /// Writes last-used times, of content and of accounts, and validations.
    pub async fn flush(&self) {
        if !self.may_write().await {
            return;
        }
        if let Err(error) = self.registry.flush_recency().await {
            tracing::warn!(%error, "last-used times could not be written");
        }
        if let Err(error) = self.auth.write_uses().await {
            tracing::warn!(%error, "when accounts were last used could not be written");
        }
    }

    /// Writes pulls, logins and failures into the usage log.
    pub async fn write_noted(&self) {
        if !self.may_write().await {
            return;
        }
        if let Err(error) = self.audit.flush().await {
            tracing::warn!(%error, "the usage log could not be written");
        }
    }

    /// Does a job of the queue.
    pub(super) async fn carry_out(self, job: Job, progress: Progress) -> Outcome {
        match job {
            Job::Prune(namespace) => self.prune(namespace, &progress).await,
            Job::PruneAll => self.prune_all(&progress).await,
            Job::RotateLogs => self.rotate_logs().await,
            Job::Mirror(repository) => self.run_mirror(repository).await,
            Job::MirrorDiscovery(namespace) => self.discover(namespace).await,
        }
    }

    /// Removes lines of the usage log that are older than they are kept (SC-098).
    async fn rotate_logs(&self) -> Outcome {
        match self.audit.rotate().await {
            Ok(0) => Outcome::Done,
            Ok(lines) => {
                tracing::info!(lines, "old lines of the usage log went");
                Outcome::Done
            }
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Makes room where the disk is under its reserve or an organisation over its quota, and ahead of need
    /// where they come near; returns the bytes it freed.
    pub async fn relieve(&self) -> u64 {
        if !self.may_write().await {
            return 0;
        }
        match self.relieve_all().await {
            Ok(0) => 0,
            Ok(freed) => {
                tracing::info!(size_bytes = freed, "made room");
                freed
            }
            Err(error) => {
                tracing::warn!(%error, "room could not be made");
                0
            }
        }
    }

    async fn relieve_all(&self) -> Result<u64, registry::Error> {
        Ok(self.registry.relieve().await? + self.registry.ease().await?)
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

    /// Caches are few and named by configuration, so they may be labels (DO-10); people are not.
    async fn show(&self, holding: &Holding) {
        let found = self.registry.namespace(&holding.namespace).await;
        let Ok(Some((id, record))) = found else {
            return;
        };
        if record.is_local() {
            return;
        }
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
        gauges
            .used
            .with_label_values(&name)
            .set(clamp(self.registry.ledger().used(id)));
    }

    /// Removes what local repositories no longer need, and uploads that nobody goes on with.
    pub async fn collect(self) {
        if !self.registry.rules().may_collect || !self.may_write().await {
            return;
        }
        self.purge().await;
        match self.registry.collect(Budget::UNBOUNDED).await {
            Ok(report) if report.manifests + report.blobs + report.expired_tags == 0 => {}
            Ok(report) => tracing::info!(
                reviewed = report.reviewed,
                expired_tags = report.expired_tags,
                manifests = report.manifests,
                blobs = report.blobs,
                size_bytes = report.file_bytes,
                "collected"
            ),
            Err(error) => tracing::warn!(%error, "the collection ended early"),
        }
        match self.registry.expire_uploads().await {
            Ok(expired) if expired.uploads == 0 => {}
            Ok(expired) => tracing::info!(
                uploads = expired.uploads,
                size_bytes = expired.bytes,
                "gave up uploads that nobody went on with"
            ),
            Err(error) => tracing::warn!(%error, "uploads could not be given up"),
        }
    }

    /// Removes what is left of deleted repositories, namespaces and users.
    async fn purge(&self) {
        if let Err(error) = self.doom_content().await {
            tracing::warn!(%error, "repositories of a deleted namespace could not be deleted");
        }
        match self.registry.purge().await {
            Ok(0) => {}
            Ok(repositories) => tracing::info!(repositories, "removed deleted repositories"),
            Err(error) => tracing::warn!(%error, "deleted repositories could not be removed"),
        }
        match self.accounts.purge_some(PURGED_ROWS).await {
            Ok(purged) if purged.finished == 0 => {}
            Ok(purged) => tracing::info!(accounts = purged.finished, "removed deleted accounts"),
            Err(error) => tracing::warn!(%error, "deleted accounts could not be removed"),
        }
    }

    /// Deletes the repositories of deleted namespaces.
    async fn doom_content(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut after = None;
        loop {
            let page = self.accounts.deleted_namespaces(after).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for namespace in page {
                self.registry.delete_repositories(namespace).await?;
            }
        }
    }

    /// Has the collector look at what it was not told of: there should be nothing.
    pub async fn recall_forgotten(self) {
        if !self.may_write().await {
            return;
        }
        match self.registry.recall_forgotten().await {
            Ok(0) => {}
            Ok(forgotten) => tracing::warn!(forgotten, "found content that nothing needs"),
            Err(error) => tracing::warn!(%error, "leftovers could not be looked for"),
        }
    }

    /// Reads everything back and compares it with its digest (DK-07, DK-08).
    pub async fn scrub(self) {
        if !self.may_write().await {
            return;
        }
        match self.registry.scrub(self.scrub_pace, |_| {}).await {
            Ok(report) => tracing::info!(
                blobs = report.blobs,
                manifests = report.manifests,
                size_bytes = report.read_bytes,
                damaged = report.damaged,
                absent = report.absent,
                lost = report.lost,
                "scrubbed"
            ),
            Err(error) => tracing::warn!(%error, "the scrub ended early"),
        }
    }

    /// Replaces the key that tokens are signed with when it has served its time, and removes keys of
    /// services that are over.
    pub async fn rotate_keys(self) {
        if !self.may_write().await {
            return;
        }
        if let Err(error) = self.auth.rotate_if_due().await {
            tracing::warn!(%error, "the signing key could not be replaced");
        }
        match self.auth.service_keys().sweep().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(
                keys,
                "removed keys of services that nobody approved or renewed"
            ),
            Err(error) => tracing::warn!(%error, "keys of services could not be looked at"),
        }
    }

    /// Removes files that no row names (CR-07).
    pub async fn sweep(self) {
        if !self.may_write().await {
            return;
        }
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
