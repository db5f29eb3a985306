//! Client of another registry: one [`Upstream`] for each organisation that caches or mirrors one.
//!
//! `proxy` and `mirror` ask it for manifests, blobs, tags and referrers. Promised: what it returns under a
//! digest has that digest (manifests) or is left to the caller to verify (blobs, which stream); credentials
//! go to the configured host and token endpoints of its site only (UP-01, UP-02); every body, page count
//! and wait has a bound (DO-02, CA-06); a dead or limiting upstream is left alone and answers at once
//! (CA-09, UP-08); tokens are shared between the requests of one `Upstream` and with nobody else (UP-07).
//! Not done here: caching, coalescing of content, deciding what a failure means to a client.

mod account;
mod blobs;
mod challenge;
mod document;
mod error;
mod exchange;
mod health;
mod hosts;
mod limit;
mod manifests;
mod metrics;
mod page;
mod pool;
mod realm;
mod redirect;
mod referrers;
mod retry;
mod standing;
mod tags;
mod token;
mod token_endpoint;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use url::Url;

pub use blobs::BlobBody;
pub use error::{Error, FailureKind, Refusal};
pub use hosts::{Hosts, Terms};
pub use manifests::ManifestHead;
pub use metrics::Metrics;
pub use standing::Standing;

use account::Account;
use health::{Breaker, Thresholds};
use hosts::Host;
use limit::{Bandwidth, Connections};
use metrics::{Operation, OrganizationMetrics};
use pool::Pool;
use token::Tokens;

use crate::config::Deadlines;
use crate::model::{UpstreamName, UpstreamRule};
use crate::oci::{ParseError, RepositoryName};
use crate::outbound::{AddressPolicy, Outbound, is_public};

/// One remote registry. Cheap to clone; clones share connections, tokens and limits.
#[derive(Clone)]
pub struct Upstream {
    remote: Arc<Remote>,
}

/// What the clones of an [`Upstream`] share.
struct Remote {
    name: UpstreamName,
    /// Where `v2/` begins; ends in a slash.
    base: Url,
    /// Plain http is what the operator wants.
    insecure: bool,
    account: Option<Account>,
    pool: Pool,
    tokens: Tokens,
    connections: Arc<Connections>,
    /// What is shared with others who ask the same host.
    host: Arc<Host>,
    /// Nobody waits for the answers.
    is_background: bool,
    /// Requests sent, each hop and repetition.
    sent: AtomicU64,
    bandwidth: Option<Arc<Bandwidth>>,
    breaker: Breaker,
    deadlines: Deadlines,
    metrics: Arc<OrganizationMetrics>,
}

impl Upstream {
    /// Makes the client of `rule`'s upstream; nothing is asked yet.
    ///
    /// `trust` is [`AddressPolicy::Any`] for a rule that the operator wrote into the configuration.
    ///
    /// # Errors
    /// [`Error::Outbound`] for a bad CA file or proxy, [`Error::Unexpected`] for an endpoint that is no
    /// http URL.
    pub fn new(
        rule: &UpstreamRule,
        trust: AddressPolicy,
        outbound: &Outbound,
        deadlines: &Deadlines,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        Self::with_terms(rule, &Terms::alone(trust), outbound, deadlines, metrics)
    }

    /// The same on other terms.
    ///
    /// # Errors
    /// As [`Upstream::new`].
    pub fn with_terms(
        rule: &UpstreamRule,
        terms: &Terms,
        outbound: &Outbound,
        deadlines: &Deadlines,
        metrics: &Metrics,
    ) -> Result<Self, Error> {
        let base = base_url(rule)?;
        let metrics = metrics.of(match terms.trust {
            _ if terms.is_background => OF_MIRRORS,
            AddressPolicy::Any => rule.organization.as_str(),
            AddressPolicy::PublicOrAllowed => MADE_BY_API,
        });
        let host = terms.hosts.of(rule, &metrics);
        let connections = match terms.is_background {
            true => Arc::clone(&host.background),
            false => {
                let in_flight = metrics.in_flight.clone();
                Arc::new(Connections::new(rule.max_connections, in_flight))
            }
        };
        let thresholds = Thresholds {
            failures: deadlines.breaker_threshold,
            first: deadlines.breaker_first,
            longest: deadlines.breaker_longest,
        };
        let remote = Remote {
            name: rule.upstream.clone(),
            insecure: rule.insecure || base.scheme() == "http",
            base,
            account: rule.credentials.clone().map(Account::new),
            pool: Pool::new(rule, terms, outbound)?,
            tokens: Tokens::default(),
            connections,
            host,
            is_background: terms.is_background,
            sent: AtomicU64::new(0),
            bandwidth: rule
                .bandwidth
                .map(|cap| Arc::new(Bandwidth::new(cap.bytes()))),
            breaker: Breaker::new(thresholds, metrics.breaker.clone()),
            deadlines: deadlines.clone(),
            metrics: Arc::new(metrics),
        };
        Ok(Self {
            remote: Arc::new(remote),
        })
    }

    /// What the upstream is called.
    pub fn name(&self) -> &UpstreamName {
        &self.remote.name
    }

    /// Whether credentials are configured: decides what a refusal means to a client.
    pub fn has_credentials(&self) -> bool {
        self.remote.account.is_some()
    }

    /// Requests sent so far, each hop and repetition, tokens included.
    pub fn sent(&self) -> u64 {
        self.remote.sent.load(Ordering::Relaxed)
    }

    /// Checks that a registry answers there and takes our credentials.
    ///
    /// # Errors
    /// What a pull would fail with.
    pub async fn ping(&self) -> Result<(), Error> {
        let remote = &self.remote;
        let ask = exchange::Ask::get(Operation::Ping, remote.url(""), None);
        let work = async {
            remote
                .ask(&ask)
                .await?
                .document("the ping's answer", PING_BYTES)
                .await
        };
        remote.measured(Operation::Ping, work).await.map(drop)
    }
}

/// The label of upstreams that somebody else than the operator named: their organisations are anybody's,
/// and no metric has a label for each (DO-10).
const MADE_BY_API: &str = "(api)";

/// The label of the sources of mirrors, which anybody may make too.
const OF_MIRRORS: &str = "(mirrors)";

/// Largest body of a ping.
const PING_BYTES: usize = 64 * 1024;

impl Remote {
    /// `rest` below the endpoint's `/v2/`.
    fn url(&self, rest: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}v2/{rest}", self.base.path()));
        url
    }

    /// The name of `repository` at the upstream.
    fn remote_name(&self, repository: &RepositoryName) -> Result<RepositoryName, ParseError> {
        self.name.remote_name(repository)
    }

    /// Runs one operation and counts how it ended.
    async fn measured<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let start = Instant::now();
        let result = work.await;
        let outcome = result
            .as_ref()
            .err()
            .map_or("ok", |error| error.kind().as_str());
        self.metrics
            .count(operation, outcome, start.elapsed().as_secs_f64());
        result
    }
}

/// Where a rule's upstream is reached, without anything that does not belong into a base.
fn base_url(rule: &UpstreamRule) -> Result<Url, Error> {
    let mut base = match &rule.endpoint {
        Some(endpoint) => endpoint.clone(),
        None => {
            let scheme = if rule.insecure { "http" } else { "https" };
            let text = format!("{scheme}://{}/", rule.upstream.api_host());
            Url::parse(&text).map_err(|error| Error::unexpected(error.to_string()))?
        }
    };
    let is_http = matches!(base.scheme(), "http" | "https") && base.has_host();
    if !is_http || redirect::strip(&mut base).is_err() {
        return Err(Error::unexpected(
            "the endpoint is not an http or https URL",
        ));
    }
    base.set_query(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}
