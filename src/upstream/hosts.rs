//! What all who ask one host share: its rate limit, and the connections of those who can wait.
//!
//! Caches ask for people who wait, mirrors do not. So mirrors have places of their own at a host, all of them
//! together few, and a pull never waits for one; a 429 holds back both; and of a budget that the host announces
//! (`ratelimit-remaining`, as Docker Hub does) mirrors leave the last fifth to pulls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::limit::{Connections, RateLimit};
use super::metrics::OrganizationMetrics;
use crate::model::UpstreamRule;
use crate::outbound::AddressPolicy;

/// Requests of all mirrors in flight at one host.
const BACKGROUND_PLACES: usize = 8;

/// Hosts remembered before those that nobody asks any more are forgotten.
const KEPT: usize = 1024;

/// The hosts that are asked; clones are the same.
#[derive(Clone, Default)]
pub struct Hosts(Arc<Mutex<HashMap<Key, Weak<Host>>>>);

/// Budgets are an account's, or an address's where there is none.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    host: String,
    username: Option<String>,
}

/// What is shared at one host.
pub(super) struct Host {
    pub(super) rate: RateLimit,
    pub(super) background: Arc<Connections>,
}

/// How an upstream is asked, beside what its rule says.
#[derive(Clone)]
pub struct Terms {
    pub trust: AddressPolicy,
    /// Whatever certificate it shows is taken: somebody said so of this upstream.
    pub any_certificate: bool,
    /// With whom its budget is shared.
    pub hosts: Hosts,
    /// Nobody waits for the answers: it is a mirror's.
    pub is_background: bool,
}

impl Terms {
    /// Those of a cache that shares with nobody.
    pub fn alone(trust: AddressPolicy) -> Self {
        Self {
            trust,
            any_certificate: false,
            hosts: Hosts::default(),
            is_background: false,
        }
    }
}

impl Hosts {
    pub(super) fn of(&self, rule: &UpstreamRule, metrics: &OrganizationMetrics) -> Arc<Host> {
        let username = rule.credentials.as_ref().map(|it| it.username.clone());
        let endpoint = rule.endpoint.as_ref().and_then(|endpoint| {
            let port = endpoint.port_or_known_default()?;
            Some(format!("{}:{port}", endpoint.host_str()?))
        });
        let host = endpoint.unwrap_or_else(|| rule.upstream.host.clone());
        let key = Key { host, username };
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key).and_then(Weak::upgrade) {
            return host;
        }
        if hosts.len() >= KEPT {
            hosts.retain(|_, host| host.strong_count() > 0);
        }
        let places = Connections::new(BACKGROUND_PLACES, metrics.in_flight.clone());
        let host = Arc::new(Host {
            rate: RateLimit::default(),
            background: Arc::new(places),
        });
        hosts.insert(key, Arc::downgrade(&host));
        host
    }
}
