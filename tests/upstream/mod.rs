//! The client of other registries, against a scripted server.

pub mod auth;
pub mod blobs;
pub mod connections;
pub mod credentials;
pub mod faults;
pub mod lists;
pub mod manifests;
pub mod network;
pub mod redirects;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use entrepot::config::{Deadlines, OutboundConfig};
use entrepot::model::{
    ByteSize, Clock, Credentials, PasswordSource, PlatformPolicy, ProxyChoice, Secret, UpstreamRule,
};
use entrepot::oci::{Reference, RepositoryName};
use entrepot::outbound::{AddressPolicy, Names, Outbound};
use entrepot::upstream::{Error, Metrics, Upstream};

use crate::harness::origin::Origin;

/// What an upstream's client is made from; tests change what they are about.
struct Setup {
    rule: UpstreamRule,
    trust: AddressPolicy,
    outbound: OutboundConfig,
    names: Names,
    deadlines: Deadlines,
    registry: prometheus::Registry,
}

impl Setup {
    fn of(origin: &Origin) -> Self {
        Self::at(&origin.url("/"))
    }

    /// A client of `endpoint`; names end in `.test` and are all this machine.
    fn at(endpoint: &str) -> Self {
        let local: Vec<IpAddr> = vec!["127.0.0.1".parse().unwrap()];
        let hosts = [
            "registry.a.test",
            "auth.a.test",
            "canary.b.test",
            "localhost",
        ];
        let table = hosts.map(|host| (host.to_owned(), local.clone()));
        Self {
            rule: UpstreamRule {
                organization: "cache".parse().unwrap(),
                upstream: "registry.a.test".parse().unwrap(),
                endpoint: Some(endpoint.parse().unwrap()),
                credentials: None,
                insecure: false,
                ca_file: None,
                proxy: ProxyChoice::None,
                expiration: None,
                fresh: Duration::ZERO,
                strict_expiration: false,
                anonymous_pull: true,
                quota: None,
                platforms: PlatformPolicy::Requested,
                pin: Vec::new(),
                max_connections: 8,
                bandwidth: None,
            },
            trust: AddressPolicy::Any,
            outbound: OutboundConfig::default(),
            names: Names::Table(Arc::new(RwLock::new(HashMap::from(table)))),
            deadlines: Deadlines {
                retry_pause: Duration::from_millis(1),
                ..Deadlines::default()
            },
            registry: prometheus::Registry::new(),
        }
    }

    fn account(mut self, username: &str, password: &str) -> Self {
        self.rule.credentials = Some(Credentials {
            username: username.to_owned(),
            password: PasswordSource::Value(Secret::new(password)),
        });
        self
    }

    fn ca_file(mut self, path: &Path) -> Self {
        self.rule.ca_file = Some(path.to_owned());
        self
    }

    fn connections(mut self, most: usize) -> Self {
        self.rule.max_connections = most;
        self
    }

    fn bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.rule.bandwidth = Some(ByteSize(bytes_per_second));
        self
    }

    /// No answer for this long is a failure.
    fn patience(mut self, patience: Duration) -> Self {
        self.deadlines.headers = patience;
        self
    }

    fn try_build(&self) -> Result<Upstream, Error> {
        let (config, names) = (self.outbound.clone(), self.names.clone());
        let outbound = Outbound::new(config, self.deadlines.connect, names, Clock::System)?;
        let metrics = Metrics::new(&self.registry).unwrap();
        Upstream::new(&self.rule, self.trust, &outbound, &self.deadlines, &metrics)
    }

    fn build(&self) -> Upstream {
        self.try_build().unwrap()
    }

    /// The value of a metric, summed over its rows that hold all of `labels`.
    fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().filter(|family| family.name() == name);
        let rows = family.flat_map(|family| family.get_metric());
        rows.filter(|row| {
            let has = |label: &&str| row.get_label().iter().any(|pair| pair.value() == *label);
            labels.iter().all(has)
        })
        .map(|row| row.get_counter().get_value() + row.get_gauge().get_value())
        .sum()
    }
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

/// All bytes of a blob body.
async fn collect(mut body: entrepot::upstream::BlobBody) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = crate::harness::soon("a piece of a blob", body.next()).await {
        bytes.extend_from_slice(&piece?);
    }
    Ok(bytes)
}
