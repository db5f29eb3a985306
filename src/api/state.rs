//! What the doors share: the services behind them, and what is said of the site itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::page_token::PageTokens;
use super::searches::Searches;
use super::v1::Description;
use crate::accounts::Accounts;
use crate::auth::Auth;
use crate::config::{Closed, Features, PeopleConfig, WebConfig};
use crate::http::Exchange;
use crate::mirror::Mirror;
use crate::model::{ByteSize, Clock, NamespaceName};
use crate::notify::{Audit, Inbox, Messages};
use crate::oci::ArtifactTypes;
use crate::proxy::Proxy;
use crate::registry::Registry;
use crate::telemetry::Metrics;

/// What one listener is for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entrance {
    /// Everything, organisations as first component of the names.
    Site,
    /// The same doors, with one organisation's content at the root.
    Mirror(NamespaceName),
    /// `/metrics` and the probes, nothing else.
    Metrics,
    /// `/livez`; everything else is to be asked for by HTTPS.
    Redirect,
}

/// How a registry mirror of this site is reached, for the landing page.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MirrorAddress {
    pub organization: NamespaceName,
    /// Its host name or address; `None` where it is any address that the client reaches us by.
    pub host: Option<String>,
    pub port: u16,
    pub secure: bool,
}

impl MirrorAddress {
    /// The URL for a client that knows us as `known_as`.
    pub(super) fn url(&self, known_as: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let host = self.host.as_deref().unwrap_or(known_as);
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// What is said of the site, and changes with its configuration.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// `SERVER_HOSTNAME`, where it is set.
    pub hostname: Option<String>,
    /// `PREFERRED_URL_SCHEME`, where it is set: whether clients are told https.
    pub secure: Option<bool>,
    pub mirrors: Vec<MirrorAddress>,
    pub data_dir: PathBuf,
    /// Free space that is never used.
    pub disk_reserve: ByteSize,
    /// How long browsers are told to come by HTTPS only (`HSTS_MAX_AGE`).
    pub hsts: Option<Duration>,
}

/// What may be pushed.
#[derive(Clone, Debug)]
pub struct Pushes {
    /// Why nothing can be written; `None` if it can.
    pub closed: Option<Closed>,
    /// A repository made by a push is private.
    pub create_private: bool,
    /// A push to a namespace that is missing makes it.
    pub create_namespace: bool,
    /// Organisations in which anyone may push.
    pub anonymous: Vec<NamespaceName>,
    pub artifacts: ArtifactTypes,
    /// Largest blob.
    pub maximum_layer: ByteSize,
}

/// Everything a door may need.
pub(super) struct State {
    pub(super) proxy: Proxy,
    pub(super) registry: Registry,
    pub(super) mirror: Mirror,
    pub(super) metrics: Metrics,
    pub(super) site: ArcSwap<Site>,
    /// By the listener's place in the server's list.
    pub(super) entrances: Vec<Entrance>,
    /// `FEATURE_PUBLIC_CATALOG`
    pub(super) public_catalog: AtomicBool,
    pub(super) accounts: Accounts,
    pub(super) auth: Auth,
    pub(super) audit: Audit,
    pub(super) inbox: Inbox,
    pub(super) messages: Messages,
    pub(super) pushes: ArcSwap<Pushes>,
    /// The namespace of references that have none.
    pub(super) library: ArcSwap<Option<NamespaceName>>,
    /// `FEATURE_REFERRERS_API`
    pub(super) referrers: bool,
    /// What is told of the API.
    pub(super) description: Description,
    pub(super) clock: Clock,
    /// What the operator said, secrets masked.
    pub(super) given: Vec<(String, Value)>,
    pub(super) features: Features,
    /// What the API says of the site, and to whom it answers.
    pub(super) web: WebConfig,
    pub(super) people: PeopleConfig,
    /// `SUPER_USERS`
    pub(super) super_users: Vec<NamespaceName>,
    /// `TAG_EXPIRATION_OPTIONS`
    pub(super) tag_expirations: Vec<Duration>,
    /// How many search at the same time.
    pub(super) searches: Searches,
    /// Told when a superuser asks for the end of the process.
    pub(super) end_asked: tokio::sync::Notify,
    /// The process is ending: it still answers, and says that it will not for long.
    pub(super) draining: AtomicBool,
}

impl State {
    /// Places in long listings, as clients hold them.
    pub(super) fn page_tokens(&self) -> PageTokens {
        PageTokens::new(self.accounts.seal_key().clone(), self.clock.clone())
    }

    /// The URL that the client of an exchange reaches this site by, without a slash at the end.
    pub(super) fn url(&self, exchange: &Exchange) -> String {
        let site = self.site.load();
        let scheme = match site.secure.unwrap_or(exchange.secure) {
            true => "https",
            false => "http",
        };
        let host = match (&site.hostname, &exchange.host) {
            (Some(host), _) => host.clone(),
            (None, Some(host)) => host.to_string(),
            (None, None) => "localhost".to_owned(),
        };
        format!("{scheme}://{host}")
    }
}
