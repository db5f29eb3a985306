//! What the doors share: the services behind them, and what is said of the site itself.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;

use crate::model::{ByteSize, NamespaceName};
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
}

/// Everything a door may need.
pub(super) struct State {
    pub(super) proxy: Proxy,
    pub(super) registry: Registry,
    pub(super) metrics: Metrics,
    pub(super) site: ArcSwap<Site>,
    /// By the listener's place in the server's list.
    pub(super) entrances: Vec<Entrance>,
    /// `FEATURE_PUBLIC_CATALOG`
    pub(super) public_catalog: AtomicBool,
    /// The process is ending: it still answers, and says that it will not for long.
    pub(super) draining: AtomicBool,
}
