//! The configured caches, and taking a changed configuration over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Error, Proxy, Settings};
use crate::config::Deadlines;
use crate::model::{NamespaceId, NamespaceName, UpstreamRule};
use crate::outbound::AddressPolicy;
use crate::quota::{PinSet, Policy};
use crate::upstream::Upstream;

/// An organisation that is the cache of an upstream.
pub struct Cache {
    pub rule: UpstreamRule,
    pub(super) organization: NamespaceId,
    pub(super) upstream: Upstream,
}

/// All of them, by what requests name them with.
#[derive(Default)]
pub(super) struct Caches {
    by_organization: HashMap<NamespaceName, Arc<Cache>>,
}

/// What a changed configuration changed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reconfigured {
    pub added: Vec<NamespaceName>,
    pub changed: Vec<NamespaceName>,
    /// Now ordinary read-only organisations.
    pub removed: Vec<NamespaceName>,
}

impl Caches {
    pub(super) fn of_organization(&self, name: &str) -> Option<&Arc<Cache>> {
        let name: NamespaceName = name.parse().ok()?;
        self.by_organization.get(&name)
    }

    pub(super) fn of_upstream(&self, host: &str) -> impl Iterator<Item = &Arc<Cache>> {
        self.by_organization
            .values()
            .filter(move |cache| cache.rule.upstream.host == host)
    }
}

impl Proxy {
    /// The rules in force, by organisation.
    pub fn caches(&self) -> Vec<Arc<Cache>> {
        let mut caches: Vec<_> = self
            .inner
            .caches
            .load()
            .by_organization
            .values()
            .cloned()
            .collect();
        caches.sort_by(|a, b| a.rule.organization.cmp(&b.rule.organization));
        caches
    }

    /// Takes rules over without a restart. Unchanged caches keep their connections and tokens;
    /// requests that run finish under the rules they began with.
    ///
    /// # Errors
    /// [`Error::Rule`] naming the first rule that cannot be carried out: nothing is changed then.
    /// The store's.
    pub async fn reconfigure(
        &self,
        rules: Vec<UpstreamRule>,
        deadlines: Deadlines,
        offline: bool,
        enabled: bool,
    ) -> Result<Reconfigured, Error> {
        let old = self.inner.caches.load_full();
        let same_deadlines = self.inner.settings.load().deadlines == deadlines;
        let mut done = Reconfigured::default();
        let mut caches = Caches::default();
        let mut policies = HashMap::new();
        for rule in rules {
            let before = old.by_organization.get(&rule.organization);
            match before {
                None => done.added.push(rule.organization.clone()),
                Some(before) if before.rule != rule => {
                    done.changed.push(rule.organization.clone());
                }
                Some(_) => {}
            }
            let policy = policy(&rule)?;
            let kept = before.filter(|before| before.rule == rule && same_deadlines);
            let cache = match kept {
                Some(cache) => cache.clone(),
                None => Arc::new(self.open(rule, &deadlines).await?),
            };
            policies.insert(cache.organization, policy);
            caches
                .by_organization
                .insert(cache.rule.organization.clone(), cache);
        }
        let kept: HashSet<_> = caches.by_organization.keys().collect();
        done.removed = old
            .by_organization
            .keys()
            .filter(|name| !kept.contains(name))
            .cloned()
            .collect();
        self.take_over(
            caches,
            policies,
            Settings {
                deadlines,
                offline,
                enabled,
            },
        );
        Ok(done)
    }

    fn take_over(
        &self,
        caches: Caches,
        policies: HashMap<NamespaceId, Policy>,
        settings: Settings,
    ) {
        let ledger = self.registry().ledger();
        for cache in caches.by_organization.values() {
            ledger.set_limit(
                cache.organization,
                cache.rule.quota.map(|quota| quota.bytes()),
            );
            self.inner.metrics.know(&cache.rule.organization);
        }
        self.registry().set_policies(policies);
        self.inner.settings.store(Arc::new(settings));
        self.inner.caches.store(Arc::new(caches));
    }

    async fn open(&self, rule: UpstreamRule, deadlines: &Deadlines) -> Result<Cache, Error> {
        let upstream = Upstream::new(
            &rule,
            AddressPolicy::Any,
            &self.inner.outbound,
            deadlines,
            &self.inner.upstream_metrics,
        )
        .map_err(|error| Error::Rule {
            organization: rule.organization.clone(),
            reason: error.to_string(),
        })?;
        let registry = self.registry();
        let organization = registry
            .ensure_namespace(&rule.organization, rule.anonymous_pull)
            .await?;
        Ok(Cache {
            rule,
            organization,
            upstream,
        })
    }
}

fn policy(rule: &UpstreamRule) -> Result<Policy, Error> {
    let pins = PinSet::new(&rule.pin).map_err(|error| Error::Rule {
        organization: rule.organization.clone(),
        reason: error.to_string(),
    })?;
    Ok(Policy {
        pins,
        expiration: rule.expiration,
    })
}
