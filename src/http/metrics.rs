//! Metric families of the HTTP side.
//!
//! Labels are operations of the route table and classes of statuses, never anything a client wrote
//! (DO-10).

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use super::access_log::{Finished, Operation};

/// Seconds that tell a hit from memory, a hit from disk, an answer from upstream and a long pull.
const BUCKETS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 2.5, 10.0, 60.0, 300.0,
];

/// The counters of this room; cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    /// Connections open.
    pub(super) connections: IntGauge,
    /// Connections refused at the cap.
    pub(super) refused: IntCounter,
    /// Failures to accept, such as a lack of descriptors.
    pub(super) accept_failures: IntCounter,
    /// TLS handshakes that failed or took too long.
    pub(super) handshake_failures: IntCounter,
    /// Connections cut because their peer was too slow.
    pub(super) slow_peers: IntCounter,
    /// Handlers that panicked.
    pub(super) panics: IntCounter,
    handshakes: IntCounterVec,
    requests: IntCounterVec,
    seconds: HistogramVec,
    sent_bytes: IntCounter,
}

impl Metrics {
    /// Registers the families.
    ///
    /// # Errors
    /// If they are registered already.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let connections = IntGauge::new("entrepot_http_connections", "Open connections.")?;
        registry.register(Box::new(connections.clone()))?;
        let requests = Opts::new(
            "entrepot_http_requests_total",
            "Requests by what came of them.",
        );
        let requests = IntCounterVec::new(requests, &["operation", "class"])?;
        registry.register(Box::new(requests.clone()))?;
        let help = "Seconds from a request's head to the last byte of its answer.";
        let seconds = HistogramOpts::new("entrepot_http_request_seconds", help);
        let seconds = HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["operation"])?;
        registry.register(Box::new(seconds.clone()))?;
        let handshakes = Opts::new(
            "entrepot_http_tls_handshakes_total",
            "TLS handshakes that succeeded, by whether the client showed a certificate.",
        );
        let handshakes = IntCounterVec::new(handshakes, &["client_certificate"])?;
        registry.register(Box::new(handshakes.clone()))?;
        Ok(Self {
            connections,
            handshakes,
            requests,
            seconds,
            refused: counter(
                "entrepot_http_connections_refused_total",
                "Connections refused because too many were open.",
            )?,
            accept_failures: counter(
                "entrepot_http_accept_failures_total",
                "Failed attempts to accept a connection.",
            )?,
            handshake_failures: counter(
                "entrepot_http_tls_handshake_failures_total",
                "TLS handshakes that failed or took too long.",
            )?,
            slow_peers: counter(
                "entrepot_http_slow_peers_total",
                "Connections cut because their peer was too slow.",
            )?,
            panics: counter(
                "entrepot_http_handler_panics_total",
                "Requests whose handler panicked.",
            )?,
            sent_bytes: counter(
                "entrepot_http_sent_bytes_total",
                "Bytes of bodies sent to clients.",
            )?,
        })
    }

    /// Counts a TLS handshake that succeeded.
    pub(super) fn handshake(&self, has_certificate: bool) {
        let shown = if has_certificate { "shown" } else { "none" };
        self.handshakes.with_label_values(&[shown]).inc();
    }

    /// Counts a request that is over.
    pub(super) fn observe(&self, finished: &Finished<'_>) {
        let operation = finished.operation.map_or("none", |Operation(name)| name);
        let class = class(finished);
        self.requests.with_label_values(&[operation, class]).inc();
        let seconds = finished.duration.as_secs_f64();
        self.seconds
            .with_label_values(&[operation])
            .observe(seconds);
        self.sent_bytes.inc_by(finished.sent_bytes);
    }
}

fn class(finished: &Finished<'_>) -> &'static str {
    match finished.status.map(|status| status.as_u16() / 100) {
        None => "unanswered",
        Some(_) if finished.error.is_some() => "broken",
        Some(1 | 2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(_) => "5xx",
    }
}
