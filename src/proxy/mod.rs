//! The read path: every pull goes through here.
//!
//! Called by `api` (and by `app` for commands). A repository of a cache is answered from what is held
//! where that is allowed by its freshness, and from upstream otherwise; a repository with nothing
//! upstream is the same path with an empty upstream. Content that is held is served whatever upstream
//! does; content that cannot be verified is not served to its end.
//!
//! One upstream request serves any number of askers: validations and manifests by `flight`, blobs by
//! `fill`, whose growing file every asker reads.

mod blobs;
mod cache;
mod error;
mod fill;
mod filling;
mod flight;
mod foresee;
mod freshness;
mod listings;
mod made;
mod manifests;
mod metrics;
mod negative;
mod prefetch;
mod refresh;
mod room;
mod route;
mod run;
mod source;
mod status;
mod through;
mod validate;
mod warm;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use blobs::{BlobAnswer, BlobContent, BlobHead, BlobSource, BlobStream};
pub use cache::{Cache, GivenBy, Reconfigured};
pub use error::Error;
pub use filling::Filling;
pub use foresee::{Course, Foreseen};
pub use listings::{ReferrersAnswer, TagsAnswer};
pub use made::{CacheError, CacheSettings, NewCache, Trial};
pub use manifests::{Ask, ManifestAnswer, ManifestHead};
pub use metrics::{Kind, Metrics};
pub use route::{Origin, Route};
pub use source::{Door, Source};
pub use status::{CacheStatus, Outcome};
pub use warm::Warmed;

use crate::accounts::SealKey;
use crate::config::Deadlines;
use crate::model::{NamespaceName, UpstreamRule};
use crate::outbound::Outbound;
use crate::registry::Registry;
use crate::upstream;

/// The read path of all repositories; cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    outbound: Outbound,
    upstream_metrics: upstream::Metrics,
    hosts: upstream::Hosts,
    metrics: Metrics,
    settings: ArcSwap<Settings>,
    /// Under which the accounts of caches made by the API are sealed.
    seal: SealKey,
    /// What the configuration is called.
    configured_in: Box<str>,
    /// The rules of the configuration; locked while the caches are changed.
    configured: tokio::sync::Mutex<Vec<UpstreamRule>>,
    caches: ArcSwap<cache::Caches>,
    /// Hostnames at which an organisation's content is served at the root.
    hostnames: ArcSwap<HashMap<String, NamespaceName>>,
    negative: negative::Negative,
    validations: validate::Validations,
    manifests: flight::Flights<manifests::Wanted, manifests::Fetched>,
    heads: flight::Flights<manifests::Wanted, manifests::Headed>,
    learned: manifests::Learned,
    fills: fill::Fills,
    listings: listings::Listings,
}

/// What can change at run time beside the caches.
#[derive(Clone, Debug)]
struct Settings {
    deadlines: Deadlines,
    offline: bool,
    /// `FEATURE_PROXY_CACHE`
    enabled: bool,
}

/// What a proxy is built from.
pub struct Parts {
    pub registry: Registry,
    pub outbound: Outbound,
    /// Under which the accounts of caches made by the API are sealed.
    pub seal: SealKey,
    /// What the configuration is called, for those who try to change by the API what it says.
    pub configured_in: String,
    pub deadlines: Deadlines,
    /// No upstream is ever asked.
    pub offline: bool,
    /// Whether caches fetch at all; what is held is served in any case.
    pub enabled: bool,
    pub metrics: Metrics,
    pub upstream_metrics: upstream::Metrics,
    /// With whom the budgets of upstreams are shared.
    pub hosts: upstream::Hosts,
}

impl Proxy {
    /// Builds the read path and takes the rules over.
    ///
    /// # Errors
    /// If a rule cannot be carried out (a CA file, a pin), naming its organisation; the store's.
    pub async fn new(parts: Parts, rules: Vec<UpstreamRule>) -> Result<Self, Error> {
        let Parts {
            registry,
            outbound,
            seal,
            configured_in,
            deadlines,
            offline,
            enabled,
            metrics,
            upstream_metrics,
            hosts,
        } = parts;
        let proxy = Self {
            inner: Arc::new(Inner {
                registry,
                outbound,
                upstream_metrics,
                hosts,
                metrics,
                settings: ArcSwap::from_pointee(Settings {
                    deadlines: deadlines.clone(),
                    offline,
                    enabled,
                }),
                seal,
                configured_in: configured_in.into(),
                configured: tokio::sync::Mutex::default(),
                caches: ArcSwap::default(),
                hostnames: ArcSwap::default(),
                negative: negative::Negative::default(),
                validations: validate::Validations::default(),
                manifests: flight::Flights::default(),
                heads: flight::Flights::default(),
                learned: manifests::Learned::default(),
                fills: fill::Fills::default(),
                listings: listings::Listings::default(),
            }),
        };
        proxy
            .reconfigure(rules, deadlines, offline, enabled)
            .await?;
        proxy.adopt_leftovers().await?;
        Ok(proxy)
    }

    /// Says at which hostnames an organisation's content is served at the root.
    pub fn set_hostnames(&self, hostnames: HashMap<String, NamespaceName>) {
        self.inner.hostnames.store(Arc::new(hostnames));
    }

    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn now(&self) -> crate::model::Timestamp {
        self.inner.registry.clock().now()
    }

    /// Whether upstreams may be asked at all.
    fn may_ask(&self) -> bool {
        let settings = self.inner.settings.load();
        settings.enabled && !settings.offline
    }
}
