//! What mirrors count: each of the first hundred by its name, all others together (DO-10).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// Mirrors with labels of their own.
const NAMED: usize = 100;

/// The namespace and the repository of all others.
const OTHERS: (&str, &str) = ("(other)", "(other)");

/// Families of the room.
#[derive(Clone)]
pub struct Metrics {
    runs: IntCounterVec,
    tags: IntCounterVec,
    received: IntCounterVec,
    pending: IntGaugeVec,
    last_success: IntGaugeVec,
    named: Arc<Mutex<HashSet<(String, String)>>>,
}

/// How a run ended, a closed set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RunOutcome {
    Success,
    Failed,
    Cancelled,
}

impl RunOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What became of a tag, a closed set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TagOutcome {
    Unchanged,
    Copied,
    Failed,
    Ended,
}

impl TagOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Copied => "copied",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

impl Metrics {
    /// # Errors
    /// If a family of that name is registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauges = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &["namespace", "repository"])?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let of = ["namespace", "repository"];
        Ok(Self {
            runs: counters(
                "entrepot_mirror_runs_total",
                "Runs of mirrors by how they ended.",
                &[of[0], of[1], "outcome"],
            )?,
            tags: counters(
                "entrepot_mirror_tags_total",
                "Tags of mirrors by what a run came to with them.",
                &[of[0], of[1], "outcome"],
            )?,
            received: counters(
                "entrepot_mirror_received_bytes_total",
                "Bytes of manifests and blobs that mirrors took from their sources.",
                &of,
            )?,
            pending: gauges(
                "entrepot_mirror_pending_tags",
                "Chosen tags that the run under way has not come to yet.",
            )?,
            last_success: gauges(
                "entrepot_mirror_last_success_timestamp_seconds",
                "When a mirror last succeeded.",
            )?,
            named: Arc::default(),
        })
    }

    /// The counters of a mirror.
    pub(super) fn of(&self, namespace: &str, repository: &str) -> OfMirror {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), repository.to_owned());
        let has_own = named.contains(&key) || (named.len() < NAMED && named.insert(key));
        let (namespace, repository) = match has_own {
            true => (namespace, repository),
            false => OTHERS,
        };
        OfMirror {
            families: self.clone(),
            namespace: namespace.to_owned(),
            repository: repository.to_owned(),
        }
    }
}

/// The metrics of one mirror.
pub(super) struct OfMirror {
    families: Metrics,
    namespace: String,
    repository: String,
}

impl OfMirror {
    const fn labels(&self) -> [&str; 2] {
        [self.namespace.as_str(), self.repository.as_str()]
    }

    pub(super) fn count_run(&self, outcome: RunOutcome) {
        let [namespace, repository] = self.labels();
        let labels = [namespace, repository, outcome.as_str()];
        self.families.runs.with_label_values(&labels).inc();
    }

    pub(super) fn count_tag(&self, outcome: TagOutcome) {
        let [namespace, repository] = self.labels();
        let labels = [namespace, repository, outcome.as_str()];
        self.families.tags.with_label_values(&labels).inc();
    }

    pub(super) fn received(&self, bytes: u64) {
        let family = &self.families.received;
        family.with_label_values(&self.labels()).inc_by(bytes);
    }

    pub(super) fn set_pending(&self, tags: u64) {
        let gauge = self.families.pending.with_label_values(&self.labels());
        gauge.set(i64::try_from(tags).unwrap_or(i64::MAX));
    }

    pub(super) fn set_last_success(&self, seconds: i64) {
        let family = &self.families.last_success;
        family.with_label_values(&self.labels()).set(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DO-10: however many mirrors there are.
    #[test]
    fn labels_are_bounded() {
        let registry = Registry::new();
        let metrics = Metrics::new(&registry).unwrap();
        for number in 0..3 * NAMED {
            let of = metrics.of("acme", &format!("app{number}"));
            of.count_tag(TagOutcome::Copied);
        }
        let families = registry.gather();
        let rows: usize = families
            .iter()
            .map(|family| family.get_metric().len())
            .sum();
        assert_eq!(rows, NAMED + 1);
    }
}
