//! The caches in force: those of the configuration and those made by the API, taken over together.
//!
//! Called by `app` when the configuration changes, and by `made` when a cache is made or unmade. Both
//! build the whole set anew; unchanged caches keep their connections and tokens, and requests that run
//! finish under the rules they began with. Where both name an organisation, the configuration wins.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Error, Proxy, Settings};
use crate::config::Deadlines;
use crate::model::{NamespaceId, NamespaceKind, NamespaceName, UpstreamRule};
use crate::outbound::AddressPolicy;
use crate::quota::{CacheCap, PinSet, Policy};
use crate::upstream::{Terms, Upstream};

/// Who said that an organisation is a cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GivenBy {
    Configuration,
    Api,
}

/// An organisation that is the cache of an upstream.
pub struct Cache {
    pub rule: UpstreamRule,
    pub given: GivenBy,
    pub(super) organization: NamespaceId,
    /// It was no cache from its beginning: some of its repositories may have been pushed.
    pub(super) is_mixed: bool,
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
    /// Now ordinary read-only organisations, or caches by the API again.
    pub removed: Vec<NamespaceName>,
}

impl Cache {
    /// What the organisation counts as for who may pull: one of the configuration as a cache and
    /// nothing else, any other as what its teams make of it.
    pub(super) const fn kind(&self) -> NamespaceKind {
        match self.given {
            GivenBy::Configuration => NamespaceKind::Cache,
            GivenBy::Api => NamespaceKind::Organization,
        }
    }
}

impl Caches {
    pub(super) fn of_organization(&self, name: &str) -> Option<&Arc<Cache>> {
        let name: NamespaceName = name.parse().ok()?;
        self.by_organization.get(&name)
    }

    /// The caches of an upstream: that of the configuration first, then those of the oldest
    /// organisations.
    pub(super) fn of_upstream(&self, host: &str) -> Vec<&Arc<Cache>> {
        let caches = self.by_organization.values();
        let mut found: Vec<_> = caches
            .filter(|cache| cache.rule.upstream.host == host)
            .collect();
        found.sort_by_key(|cache| (cache.given == GivenBy::Api, cache.organization));
        found
    }

    fn insert(&mut self, cache: Arc<Cache>) {
        let organization = cache.rule.organization.clone();
        self.by_organization.insert(organization, cache);
    }

    fn given_by(&self, organization: &NamespaceName) -> Option<GivenBy> {
        let cache = self.by_organization.get(organization);
        cache.map(|cache| cache.given)
    }
}

impl Proxy {
    /// The rules in force, by organisation.
    pub fn caches(&self) -> Vec<Arc<Cache>> {
        let caches = self.inner.caches.load();
        let mut caches: Vec<_> = caches.by_organization.values().cloned().collect();
        caches.sort_by(|a, b| a.rule.organization.cmp(&b.rule.organization));
        caches
    }

    /// Takes the rules of a configuration over without a restart.
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
        let mut configured = self.inner.configured.lock().await;
        let settings = Settings {
            deadlines,
            offline,
            enabled,
        };
        let done = self.rebuild(&rules, settings).await?;
        *configured = rules;
        Ok(done)
    }

    /// Takes over what the store says of caches made by the API: to be called once an organisation has
    /// been made one, or is one no more, or has another name, or is gone.
    ///
    /// # Errors
    /// The store's.
    pub async fn recall_made(&self) -> Result<(), Error> {
        let configured = self.inner.configured.lock().await;
        let settings = Settings::clone(&self.inner.settings.load());
        self.rebuild(&configured, settings).await.map(drop)
    }

    async fn rebuild(
        &self,
        configured: &[UpstreamRule],
        settings: Settings,
    ) -> Result<Reconfigured, Error> {
        let old = self.inner.caches.load_full();
        let mut caches = Caches::default();
        let mut policies = HashMap::new();
        for rule in configured {
            let policy = policy(rule)?;
            let cache = self.of_configuration(&old, rule, &settings).await?;
            policies.insert(cache.organization, policy);
            caches.insert(cache);
        }
        for (id, rule) in self.made_rules().await? {
            if caches.by_organization.contains_key(&rule.organization) {
                let name = &rule.organization;
                tracing::warn!(namespace.name = %name, "the configuration says what it caches, the API does not");
                continue;
            }
            match (policy(&rule), self.of_api(&old, id, rule, &settings)) {
                (Ok(policy), Ok(cache)) => {
                    policies.insert(id, policy);
                    caches.insert(cache);
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(%error, "a cache made by the API cannot fetch");
                }
            }
        }
        let done = compare(&old, &caches);
        self.take_over(&old, caches, policies, settings);
        Ok(done)
    }

    fn take_over(
        &self,
        old: &Caches,
        caches: Caches,
        policies: HashMap<NamespaceId, Policy>,
        settings: Settings,
    ) {
        let metrics = &self.inner.metrics;
        for (organization, before) in &old.by_organization {
            if before.given == GivenBy::Api && caches.given_by(organization) != Some(GivenBy::Api) {
                metrics.forget(organization);
            }
        }
        let mut caps = HashMap::new();
        for cache in caches.by_organization.values() {
            let cap = match cache.given {
                GivenBy::Configuration => {
                    CacheCap::Configured(cache.rule.quota.map(|quota| quota.bytes()))
                }
                GivenBy::Api => CacheCap::ByQuota,
            };
            caps.insert(cache.organization, cap);
            metrics.know(&cache.rule.organization, cache.given);
        }
        self.registry().quotas().set_caches(caps);
        self.registry().set_policies(policies);
        self.inner.settings.store(Arc::new(settings));
        self.inner.caches.store(Arc::new(caches));
    }

    /// The cache that was there before, if nothing has changed for it.
    fn kept(
        &self,
        old: &Caches,
        (rule, given): (&UpstreamRule, GivenBy),
        settings: &Settings,
    ) -> Option<Arc<Cache>> {
        let before = old.by_organization.get(&rule.organization)?;
        let same_deadlines = self.inner.settings.load().deadlines == settings.deadlines;
        let same = before.rule == *rule && before.given == given && same_deadlines;
        same.then(|| before.clone())
    }

    async fn of_configuration(
        &self,
        old: &Caches,
        rule: &UpstreamRule,
        settings: &Settings,
    ) -> Result<Arc<Cache>, Error> {
        let given = GivenBy::Configuration;
        if let Some(cache) = self.kept(old, (rule, given), settings) {
            return Ok(cache);
        }
        let upstream = self.open(rule, AddressPolicy::Any, &settings.deadlines)?;
        let name = &rule.organization;
        let registry = self.registry();
        let found = registry.namespace(name).await?;
        let kind = found.map_or(NamespaceKind::Cache, |(_, record)| record.kind);
        if matches!(kind, NamespaceKind::User(_)) {
            return Err(unfit(rule, "it is the name of a user already"));
        }
        let organization = registry.ensure_namespace(name, rule.anonymous_pull).await?;
        Ok(Arc::new(Cache {
            rule: rule.clone(),
            given,
            organization,
            is_mixed: kind != NamespaceKind::Cache,
            upstream,
        }))
    }

    fn of_api(
        &self,
        old: &Caches,
        organization: NamespaceId,
        rule: UpstreamRule,
        settings: &Settings,
    ) -> Result<Arc<Cache>, Error> {
        let given = GivenBy::Api;
        let kept = self.kept(old, (&rule, given), settings);
        // A new organisation may have the name of an old one.
        if let Some(cache) = kept.filter(|cache| cache.organization == organization) {
            return Ok(cache);
        }
        let trust = AddressPolicy::PublicOrAllowed;
        let upstream = self.open(&rule, trust, &settings.deadlines)?;
        Ok(Arc::new(Cache {
            rule,
            given,
            organization,
            is_mixed: true,
            upstream,
        }))
    }

    /// The client of a rule's upstream.
    pub(super) fn open(
        &self,
        rule: &UpstreamRule,
        trust: AddressPolicy,
        deadlines: &Deadlines,
    ) -> Result<Upstream, Error> {
        let (outbound, metrics) = (&self.inner.outbound, &self.inner.upstream_metrics);
        let terms = Terms {
            hosts: self.inner.hosts.clone(),
            ..Terms::alone(trust)
        };
        Upstream::with_terms(rule, &terms, outbound, deadlines, metrics)
            .map_err(|error| unfit(rule, &error.to_string()))
    }
}

/// What became of the rules of the configuration.
fn compare(old: &Caches, new: &Caches) -> Reconfigured {
    let of_configuration = |caches: &Caches| -> HashMap<NamespaceName, Arc<Cache>> {
        let all = caches.by_organization.iter();
        all.filter(|(_, cache)| cache.given == GivenBy::Configuration)
            .map(|(name, cache)| (name.clone(), cache.clone()))
            .collect()
    };
    let (old, new) = (of_configuration(old), of_configuration(new));
    let mut done = Reconfigured::default();
    for (name, cache) in &new {
        match old.get(name) {
            None => done.added.push(name.clone()),
            Some(before) if before.rule != cache.rule => done.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let kept: HashSet<_> = new.keys().collect();
    let gone = old.keys().filter(|name| !kept.contains(name));
    done.removed = gone.cloned().collect();
    for names in [&mut done.added, &mut done.changed, &mut done.removed] {
        names.sort_unstable();
    }
    done
}

fn unfit(rule: &UpstreamRule, reason: &str) -> Error {
    Error::Rule {
        organization: rule.organization.clone(),
        reason: reason.to_owned(),
    }
}

fn policy(rule: &UpstreamRule) -> Result<Policy, Error> {
    let pins = PinSet::new(&rule.pin).map_err(|error| unfit(rule, &error.to_string()))?;
    Ok(Policy {
        pins,
        expiration: rule.expiration,
    })
}
