//! What the read path counts, by organisation; children are made when an organisation is configured.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::cache::GivenBy;
use super::status::Outcome;
use crate::model::NamespaceName;

/// The label of organisations that are caches by the API.
const MADE_BY_API: &str = "(api)";

/// What was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Manifest,
    Blob,
    Listing,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Manifest, Self::Blob, Self::Listing];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Listing => "listing",
        }
    }
}

/// How a validation ended, a closed set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Validation {
    Same,
    Moved,
    Missing,
    Failed,
    Slow,
}

impl Validation {
    const ALL: [Self; 5] = [
        Self::Same,
        Self::Moved,
        Self::Missing,
        Self::Failed,
        Self::Slow,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Slow => "slow",
        }
    }
}

/// Families of the room, and the children of each organisation.
#[derive(Clone)]
pub struct Metrics {
    requests: IntCounterVec,
    served: IntCounterVec,
    saved: IntCounterVec,
    fetched: IntCounterVec,
    validations: IntCounterVec,
    /// Fills that are running.
    pub fills: IntGauge,
    /// Bodies refused because their digest was wrong.
    pub mismatches: IntCounter,
    known: Arc<ArcSwap<HashMap<NamespaceName, Arc<OfOrganization>>>>,
}

/// The counters of one organisation, ready to count.
pub struct OfOrganization {
    requests: [[IntCounter; 7]; 3],
    validations: [IntCounter; 5],
    /// Bytes of content sent to clients.
    pub served: IntCounter,
    /// Of these, bytes that were held before they were asked for.
    pub saved: IntCounter,
    /// Bytes of blobs and manifests that came from upstream.
    pub fetched: IntCounter,
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
        let fills = IntGauge::new("entrepot_proxy_fills", "Fills that are running.")?;
        registry.register(Box::new(fills.clone()))?;
        let mismatches = IntCounter::new(
            "entrepot_proxy_digest_mismatches_total",
            "Bodies from upstream that were not what their digest says.",
        )?;
        registry.register(Box::new(mismatches.clone()))?;
        Ok(Self {
            requests: counters(
                "entrepot_proxy_requests_total",
                "Requests by what was asked for and how the answer came about.",
                &["organization", "kind", "outcome"],
            )?,
            served: counters(
                "entrepot_proxy_served_bytes_total",
                "Bytes of content sent to clients.",
                &["organization"],
            )?,
            saved: counters(
                "entrepot_proxy_saved_bytes_total",
                "Bytes sent to clients that upstream did not have to send again.",
                &["organization"],
            )?,
            fetched: counters(
                "entrepot_proxy_fetched_bytes_total",
                "Bytes of content fetched from upstream.",
                &["organization"],
            )?,
            validations: counters(
                "entrepot_proxy_validations_total",
                "Validations of tags by outcome.",
                &["organization", "outcome"],
            )?,
            fills,
            mismatches,
            known: Arc::default(),
        })
    }

    /// Makes the counters of an organisation, once. Those that are caches by the API share theirs: anybody
    /// may make one, and no metric has a label for each (DO-10).
    pub(super) fn know(&self, organization: &NamespaceName, given: GivenBy) {
        if self.known.load().contains_key(organization) {
            return;
        }
        let label = match given {
            GivenBy::Configuration => organization.as_str(),
            GivenBy::Api => MADE_BY_API,
        };
        let made = Arc::new(self.make(label));
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known
                .entry(organization.clone())
                .or_insert_with(|| made.clone());
            known
        });
    }

    /// Forgets an organisation that is no cache by the API any more; what was counted stays.
    pub(super) fn forget(&self, organization: &NamespaceName) {
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.remove(organization);
            known
        });
    }

    /// The counters of an organisation that is a cache, or was one by the configuration.
    pub fn of(&self, organization: &NamespaceName) -> Option<Arc<OfOrganization>> {
        self.known.load().get(organization).cloned()
    }

    pub(super) fn count(&self, organization: &NamespaceName, kind: Kind, outcome: Outcome) {
        if let Some(known) = self.known.load().get(organization) {
            known.requests[kind as usize][outcome as usize].inc();
        }
    }

    pub(super) fn count_validation(&self, organization: &NamespaceName, outcome: Validation) {
        if let Some(known) = self.known.load().get(organization) {
            known.validations[outcome as usize].inc();
        }
    }

    fn make(&self, organization: &str) -> OfOrganization {
        let requests = Kind::ALL.map(|kind| {
            Outcome::ALL.map(|outcome| {
                self.requests
                    .with_label_values(&[organization, kind.as_str(), outcome.as_str()])
            })
        });
        let validations = Validation::ALL.map(|outcome| {
            self.validations
                .with_label_values(&[organization, outcome.as_str()])
        });
        OfOrganization {
            requests,
            validations,
            served: self.served.with_label_values(&[organization]),
            saved: self.saved.with_label_values(&[organization]),
            fetched: self.fetched.with_label_values(&[organization]),
        }
    }
}

impl OfOrganization {
    /// How many requests of a kind came about in this way.
    pub fn requests(&self, kind: Kind, outcome: Outcome) -> u64 {
        self.requests[kind as usize][outcome as usize].get()
    }
}
