//! What is counted about upstreams, by organisation.

use prometheus::{
    Error, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// What is asked of an upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operation {
    Ping,
    HeadManifest,
    Manifest,
    HeadBlob,
    Blob,
    Tags,
    Referrers,
    Token,
}

impl Operation {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::HeadManifest => "head_manifest",
            Self::Manifest => "manifest",
            Self::HeadBlob => "head_blob",
            Self::Blob => "blob",
            Self::Tags => "tags",
            Self::Referrers => "referrers",
            Self::Token => "token",
        }
    }
}

/// The metric families of this room.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    received: IntCounterVec,
    broken_bodies: IntCounterVec,
    in_flight: IntGaugeVec,
    breaker: IntGaugeVec,
    limit: IntGaugeVec,
    remaining: IntGaugeVec,
}

impl Metrics {
    /// Creates the families and registers them.
    ///
    /// # Errors
    /// If `registry` has families of these names.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        let by_organization = ["organization"];
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let gauge = |name: &str, help: &str| {
            let family = IntGaugeVec::new(Opts::new(name, help), &by_organization)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let buckets = vec![0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "entrepot_upstream_request_seconds",
                "Time until upstream's answer could be used, with authentication and redirects",
            )
            .buckets(buckets),
            &["organization", "operation"],
        )?;
        registry.register(Box::new(seconds.clone()))?;
        Ok(Self {
            seconds,
            requests: counter(
                "entrepot_upstream_requests_total",
                "Questions to upstream by outcome: ok, or the kind of failure",
                &["organization", "operation", "outcome"],
            )?,
            received: counter(
                "entrepot_upstream_received_bytes_total",
                "Bytes of blobs and documents received",
                &by_organization,
            )?,
            broken_bodies: counter(
                "entrepot_upstream_broken_bodies_total",
                "Blob bodies that stopped before their end",
                &["organization", "outcome"],
            )?,
            in_flight: gauge(
                "entrepot_upstream_in_flight",
                "Requests and bodies in flight",
            )?,
            breaker: gauge(
                "entrepot_upstream_breaker_state",
                "0 closed, 1 open (upstream is not asked), 2 probing",
            )?,
            limit: gauge(
                "entrepot_upstream_ratelimit_limit",
                "Manifest requests allowed in a window, as upstream's headers say",
            )?,
            remaining: gauge(
                "entrepot_upstream_ratelimit_remaining",
                "Manifest requests left in this window, as upstream's headers say",
            )?,
        })
    }

    /// The children for one organisation.
    pub(super) fn of(&self, organization: &str) -> OrganizationMetrics {
        let label = [organization];
        OrganizationMetrics {
            organization: organization.to_owned(),
            families: self.clone(),
            received: self.received.with_label_values(&label),
            in_flight: self.in_flight.with_label_values(&label),
            breaker: self.breaker.with_label_values(&label),
        }
    }
}

/// The metrics of one organisation's upstream.
#[derive(Debug)]
pub(super) struct OrganizationMetrics {
    organization: String,
    families: Metrics,
    pub(super) received: IntCounter,
    pub(super) in_flight: IntGauge,
    pub(super) breaker: IntGauge,
}

impl OrganizationMetrics {
    /// Counts a question. Outcomes that never happen leave no row, hence no children made ahead.
    pub(super) fn count(&self, operation: Operation, outcome: &str, seconds: f64) {
        let organization = self.organization.as_str();
        let labels = [organization, operation.as_str(), outcome];
        self.families.requests.with_label_values(&labels).inc();
        let labels = [organization, operation.as_str()];
        self.families
            .seconds
            .with_label_values(&labels)
            .observe(seconds);
    }

    pub(super) fn count_broken_body(&self, outcome: &str) {
        let labels = [self.organization.as_str(), outcome];
        self.families.broken_bodies.with_label_values(&labels).inc();
    }

    /// Made only when upstream sends such headers: without them there is no row that says 0.
    pub(super) fn set_rate(&self, limit: Option<i64>, remaining: Option<i64>) {
        let label = [self.organization.as_str()];
        if let Some(limit) = limit {
            self.families.limit.with_label_values(&label).set(limit);
        }
        if let Some(remaining) = remaining {
            self.families
                .remaining
                .with_label_values(&label)
                .set(remaining);
        }
    }
}
