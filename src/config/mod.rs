//! What the operator said, checked: the only reader of YAML and of the environment.
//!
//! Two steps: what the file says (`document`, `settings`: a tree of nodes with places) → what it
//! means ([`Config`]: decided values, cross-checked). Only the second leaves this room. `app` loads at
//! start and on SIGHUP, `check-config` loads and prints. Loading has no side effects: it reads the
//! files that the configuration names and writes nothing.
//!
//! Every mistake of a file is reported, not only the first, with line, column, key and what would be
//! right; a configuration with a mistake is never used, not even in part.
//! Keys are documented in `config/entrepot.yaml` and `docs/configuration.md`; tests keep both true.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::model::{ByteSize, ConfiguredMirror, NamespaceName, UpstreamRule};

mod access;
mod address;
mod audit;
mod deadlines;
mod document;
mod environment;
mod error;
mod features;
mod fields;
mod given;
mod images;
mod keys;
mod logging;
mod mirror;
mod mirrors;
mod outbound;
mod people;
mod prune;
mod pushes;
mod quay_keys;
mod registry_mirrors;
mod reload;
mod report;
mod retention;
mod server;
mod settings;
mod source;
mod syntax;
#[cfg(test)]
mod tests;
mod upstreams;
mod value;
mod web;

pub use access::{AccessConfig, RobotAccess};
pub use audit::AuditConfig;
pub use deadlines::Deadlines;
pub use environment::{Environment, ProxyEnvironment};
pub use error::{ConfigError, Location, Warning};
pub use features::{FEATURES, Feature, Features};
pub use images::image_references;
pub use keys::{Form, KEYS, Key, Reload};
pub use logging::LogConfig;
pub use mirror::MirrorConfig;
pub use outbound::{AllowedHost, OutboundConfig};
pub use people::PeopleConfig;
pub use prune::PruneConfig;
pub use pushes::{Artifacts, Closed, PushConfig};
pub use registry_mirrors::RegistryMirror;
pub use retention::RetentionConfig;
pub use server::{ClientCertificates, TlsConfig, UrlScheme};
pub use source::{ConfigSource, Flags};
pub use value::parse_duration;
pub use web::{AvatarKind, WebConfig};

use document::{Document, Node, Place, Value};
use fields::Fields;
use registry_mirrors::Surroundings;
use report::Report;

/// The whole configuration, decided.
///
/// `Debug` shows no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// Where the registry and its API are served; at least one.
    pub listen: Vec<SocketAddr>,
    /// Where Prometheus reads, `None` for nowhere.
    pub listen_metrics: Option<SocketAddr>,
    /// Where plain HTTP is sent on to HTTPS, `None` for nowhere.
    pub listen_redirect: Option<SocketAddr>,
    /// How long browsers are told to come by HTTPS only; `None`: they are told nothing.
    pub hsts: Option<Duration>,
    /// `host` or `host:port` that clients use; `None`: what each request says.
    pub server_hostname: Option<String>,
    /// Scheme of URLs for clients; `None`: that of the listener.
    pub url_scheme: Option<UrlScheme>,
    /// With it, `listen` speaks TLS.
    pub tls: Option<TlsConfig>,
    /// Folder of everything the server owns.
    pub data_dir: PathBuf,
    /// Names of the users who may do everything.
    pub super_users: Vec<NamespaceName>,
    /// The caches; no organisation and no upstream twice.
    pub upstreams: Vec<UpstreamRule>,
    /// Where organisations are served at the root; each names one of `upstreams`.
    pub registry_mirrors: Vec<RegistryMirror>,
    /// Repositories that copy others on a schedule; none twice, and none of a cache.
    pub mirrors: Vec<ConfiguredMirror>,
    /// Free space never used; `None`: the smaller of 1 GiB and 5 % of the volume.
    pub disk_reserve: Option<ByteSize>,
    /// Memory for finished answers.
    pub hot_cache: ByteSize,
    /// Memory for pages of the database.
    pub store_cache: ByteSize,
    pub deadlines: Deadlines,
    pub outbound: OutboundConfig,
    /// Networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    pub log: LogConfig,
    /// No upstream is ever asked.
    pub offline: bool,
    pub pushes: PushConfig,
    pub retention: RetentionConfig,
    pub prune: PruneConfig,
    pub mirror: MirrorConfig,
    pub access: AccessConfig,
    pub people: PeopleConfig,
    pub web: WebConfig,
    pub audit: AuditConfig,
    pub features: Features,
    /// The file it came from, `None` for what is built in.
    pub path: Option<PathBuf>,
    /// Every key that was given, its secrets masked.
    pub given: Vec<(String, serde_json::Value)>,
}

impl Config {
    /// Reads, merges and checks: flags win over the environment, that over the file, that over the
    /// built-in default.
    ///
    /// Opens the files that the configuration names (certificates, passwords), so it may block.
    ///
    /// # Errors
    /// Every mistake, in the order of the file; never an empty list.
    pub fn load(
        source: ConfigSource,
        environment: &Environment,
        flags: &Flags,
    ) -> Result<(Self, Vec<Warning>), Vec<ConfigError>> {
        let name = source.name();
        let text = source
            .read()
            .map_err(|reason| vec![unreadable(&name, reason)])?;
        let document = Document::parse(&text);
        let mut report = Report::new(&document, &name);
        let settings = settings::gather(&document, environment, flags, &mut report);
        let given = given::given(&settings);
        let fields = Fields::top(settings);
        let mut config = Self::read(&fields, environment, &mut report);
        config.given = given;
        config.path = source.path().map(PathBuf::from);
        let (errors, warnings) = report.finish();
        match errors.is_empty() {
            true => Ok((config, warnings)),
            false => Err(errors),
        }
    }

    /// What is built in, without environment and flags, its listeners on free ports and its
    /// deadlines short.
    pub fn for_testing(data_dir: PathBuf) -> Self {
        let loaded = Self::load(
            ConfigSource::BuiltIn,
            &Environment::default(),
            &Flags::default(),
        );
        let (built_in, _) = loaded.expect("the built-in configuration has no mistake");
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: vec![free],
            listen_metrics: Some(free),
            data_dir,
            upstreams: Vec::new(),
            registry_mirrors: Vec::new(),
            deadlines: Deadlines::for_testing(),
            outbound: OutboundConfig::for_testing(),
            ..built_in
        }
    }

    fn read(fields: &Fields, environment: &Environment, report: &mut Report<'_>) -> Self {
        let mut listeners = server::listeners(fields, report);
        let listen_redirect = server::redirect(fields, &mut listeners.taken, report);
        let tls = server::tls(fields, report);
        if tls.is_none() && fields.get("TLS_CERTIFICATE").is_none() {
            let place = fields.place_of("LISTEN");
            server::warn_of_clear_text(&listeners.listen, (place, "LISTEN"), report);
        }
        let server_hostname = server::hostname(fields, report);
        let upstreams = upstreams::read(fields, environment.credentials(), report)
            .unwrap_or_else(built_in_upstreams);
        let around = Surroundings {
            organizations: upstreams.iter().map(|rule| &rule.organization).collect(),
            taken: listeners.taken,
            server_hostname: server_hostname.as_deref(),
        };
        let registry_mirrors = read_mirrors(fields, around, report);
        let features = read_features(fields, report);
        let around = mirrors::Around {
            upstreams: &upstreams,
            credentials: environment.credentials(),
            sparse_index: features.sparse_index,
        };
        let mirrors = mirrors::read(fields, &around, report);
        let around = pushes::Around {
            upstreams: &upstreams,
            listen: &listeners.listen,
            features: &features,
        };
        let pushes = PushConfig::read(fields, &around, report);
        let offline = fields.read(report, "OFFLINE", value::switch);
        Self {
            listen: listeners.listen,
            listen_metrics: listeners.metrics,
            listen_redirect,
            hsts: server::hsts(fields, report),
            url_scheme: server::url_scheme(fields, report),
            tls,
            data_dir: server::data_dir(fields, report),
            super_users: fields
                .list(report, "SUPER_USERS", value::parsed)
                .unwrap_or_default(),
            registry_mirrors,
            mirrors,
            disk_reserve: server::disk_reserve(fields, report),
            hot_cache: server::cache_size(fields, "HOT_CACHE", report),
            store_cache: server::cache_size(fields, "STORE_CACHE", report),
            deadlines: Deadlines::read(fields, report),
            outbound: OutboundConfig::read(fields, environment, report),
            trusted_proxies: fields
                .list(report, "TRUSTED_PROXIES", address::network)
                .unwrap_or_default(),
            log: LogConfig::read(fields, report),
            offline: offline.unwrap_or(false),
            retention: RetentionConfig::read(fields, features.garbage_collection, report),
            prune: PruneConfig::read(fields, report),
            mirror: MirrorConfig::read(fields, report),
            access: AccessConfig::read(fields, &features, report),
            people: PeopleConfig::read(fields, &features, report),
            web: WebConfig::read(fields, report),
            audit: AuditConfig::read(fields, report),
            pushes,
            features,
            path: None,
            given: Vec::new(),
            server_hostname,
            upstreams,
        }
    }
}

fn unreadable(name: &str, reason: String) -> ConfigError {
    ConfigError {
        at: Location {
            origin: name.into(),
            line: None,
            column: None,
        },
        key: String::new(),
        reason,
    }
}

fn read_features(fields: &Fields, report: &mut Report<'_>) -> Features {
    let mut features = Features::default();
    for feature in FEATURES {
        if let Some(value) = fields.read(report, feature.key, value::switch) {
            features.set(feature.key, value);
        }
    }
    features
}

/// The mirrors given, or the built-in ones whose organisation is still there.
fn read_mirrors(
    fields: &Fields,
    around: Surroundings<'_>,
    report: &mut Report<'_>,
) -> Vec<RegistryMirror> {
    if fields.get("REGISTRY_MIRRORS").is_none() {
        let built_in = built_in_fields();
        let kept = keep_organizations(&built_in, &around.organizations);
        return registry_mirrors::read(&kept, around, report).unwrap_or_default();
    }
    let mirrors = registry_mirrors::read(fields, around, report).unwrap_or_default();
    let place = fields.place_of("REGISTRY_MIRRORS");
    let listen: Vec<SocketAddr> = mirrors.iter().filter_map(|mirror| mirror.listen).collect();
    server::warn_of_clear_text(&listen, (place, "REGISTRY_MIRRORS"), report);
    mirrors
}

/// The built-in mirrors of these organisations.
fn keep_organizations(built_in: &Fields, organizations: &[&NamespaceName]) -> Fields {
    let list = built_in.get("REGISTRY_MIRRORS").map(|node| &node.value);
    let Some(Value::List(mirrors)) = list else {
        return Fields::top(Vec::new());
    };
    let there = |mirror: &&Node| match &mirror.value {
        Value::Map(entries) => entries.iter().any(|entry| match &entry.value.value {
            Value::Text(text) if entry.key == "organization" => {
                organizations.iter().any(|name| name.as_str() == text)
            }
            _ => false,
        }),
        _ => false,
    };
    let mirrors: Vec<Node> = mirrors.iter().filter(there).cloned().collect();
    let place = Place::BuiltIn;
    let value = Value::List(mirrors);
    Fields::top(vec![document::Entry {
        key: "REGISTRY_MIRRORS".to_owned(),
        place,
        value: Node { place, value },
    }])
}

/// The built-in configuration as fields whose places say so.
fn built_in_fields() -> Fields {
    let mut document = Document::parse(source::BUILT_IN);
    document
        .entries
        .iter_mut()
        .for_each(document::Entry::set_built_in);
    Fields::top(document.entries)
}

fn built_in_upstreams() -> Vec<UpstreamRule> {
    let document = Document::parse(source::BUILT_IN);
    let mut report = Report::new(&document, "built-in configuration");
    upstreams::read(&built_in_fields(), None, &mut report).unwrap_or_default()
}
