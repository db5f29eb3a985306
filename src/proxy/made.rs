//! Caches that organisations make of themselves by the API (Quay: proxy cache configurations).
//!
//! Called by the doors in `api`, which have decided that the caller rules the organisation. What is made
//! is stored with its account sealed, and counts from the answer on, without a restart. An organisation
//! may have repositories that were pushed into it before: they stay what they are, and stand before those
//! of their names upstream. One that is no cache any more keeps what it fetched, for those who could read
//! it. What the configuration names is changed there and not here.
//!
//! Whoever may make a cache may be anybody: its upstream is called only at public addresses and those in
//! `SSRF_ALLOWED_HOSTS`, through `outbound` (UP-04).

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::cache::GivenBy;
use super::{Error, Proxy};
use crate::model::{
    Credentials, LogEntry, LogKind, NamespaceId, NamespaceKind, NamespaceName, NamespaceRecord,
    PasswordSource, Performer, PlatformPolicy, ProxyAccountRecord, ProxyCacheRecord, ProxyChoice,
    Secret, UpstreamName, UpstreamRule,
};
use crate::outbound::{self, AddressPolicy};
use crate::store::{self, WriteTx};
use crate::upstream::{self, FailureKind, Refusal};

/// Most caches made by the API; each has a client with connections of its own.
const MOST: usize = 1000;

/// Longest name of an upstream, and longest user name and password there (Quay).
const UPSTREAM_BYTES: usize = 270;
const ACCOUNT_BYTES: usize = 4096;

/// Ten years, as in the configuration: longer is `0`, never.
const LONGEST_EXPIRATION_S: u64 = 10 * 365 * 86_400;

/// Connections to an upstream at a time, as in the configuration.
const CONNECTIONS: usize = 8;

/// How long a trial of an upstream may take, token and all.
const TRIAL: Duration = Duration::from_secs(30);

/// What an organisation is to cache.
#[derive(Clone, Debug)]
pub struct NewCache {
    /// `host`, `host:port`, either with `/namespace`.
    pub upstream: String,
    pub username: Option<Secret>,
    pub password: Option<Secret>,
    /// 0 for ever.
    pub expiration_s: u64,
    pub insecure: bool,
}

/// What an organisation caches, as it is shown: without its account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CacheSettings {
    pub upstream: String,
    pub expiration_s: u64,
    pub insecure: bool,
}

/// How an upstream took what it was shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trial {
    /// It answers, and takes the account if there is one.
    Valid,
    /// It wants an account, and none was given.
    Anonymous,
}

/// Why an organisation cannot be made a cache, or be one no more. Texts are fit for clients.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CacheError {
    #[error("Proxy Cache Configuration already exists")]
    Exists,
    #[error("the organization is no cache")]
    Absent,
    #[error("{organization} is a cache of the configuration: change PROXY_CACHES in {file}")]
    Configured {
        organization: NamespaceName,
        file: String,
    },
    #[error("{0}")]
    Invalid(String),
    #[error("The provided registry URL is not allowed")]
    Forbidden,
    #[error("there are as many caches made by the API as there may be")]
    TooMany,
    #[error("Failed login to remote registry. Please verify entered details and try again.")]
    Login,
    #[error("Failed to validate Proxy cache configuration: {reason}")]
    Unreachable { reason: String },
    #[error(transparent)]
    Proxy(#[from] Error),
}

impl From<store::Error> for CacheError {
    fn from(error: store::Error) -> Self {
        Self::Proxy(Error::Registry(error.into()))
    }
}

impl NewCache {
    /// What is asked for as a rule of the organisation.
    ///
    /// # Errors
    /// [`CacheError::Invalid`], saying what is wrong.
    fn rule(&self, organization: &NamespaceName) -> Result<UpstreamRule, CacheError> {
        let invalid = |text: &str| CacheError::Invalid(text.to_owned());
        let upstream = self.upstream.trim();
        if upstream.len() > UPSTREAM_BYTES {
            return Err(invalid("upstream_registry has at most 270 characters"));
        }
        let upstream: UpstreamName = upstream
            .parse()
            .map_err(|error| CacheError::Invalid(format!("upstream_registry: {error}")))?;
        if self.expiration_s > LONGEST_EXPIRATION_S {
            return Err(invalid("expiration_s is at most ten years; 0 is never"));
        }
        let given = |text: &Option<Secret>| text.clone().filter(|text| !text.expose().is_empty());
        let credentials = match (given(&self.username), given(&self.password)) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, password)),
            _ => {
                return Err(invalid(
                    "upstream_registry_username and upstream_registry_password go together",
                ));
            }
        };
        let is_long = |text: &Secret| text.expose().len() > ACCOUNT_BYTES;
        if credentials
            .as_ref()
            .is_some_and(|(username, password)| is_long(username) || is_long(password))
        {
            return Err(invalid("the account has at most 4096 characters"));
        }
        Ok(UpstreamRule {
            organization: organization.clone(),
            upstream,
            endpoint: None,
            credentials: credentials.map(|(username, password)| Credentials {
                username: username.expose().to_owned(),
                password: PasswordSource::Value(password),
            }),
            insecure: self.insecure,
            ca_file: None,
            proxy: ProxyChoice::Environment,
            expiration: (self.expiration_s > 0).then(|| Duration::from_secs(self.expiration_s)),
            fresh: Duration::ZERO,
            strict_expiration: false,
            anonymous_pull: false,
            quota: None,
            platforms: PlatformPolicy::Requested,
            pin: Vec::new(),
            max_connections: CONNECTIONS,
            bandwidth: None,
        })
    }
}

impl Proxy {
    /// What the organisation caches, if it does.
    ///
    /// # Errors
    /// The store's.
    pub async fn cache_settings(
        &self,
        organization: &NamespaceName,
    ) -> Result<Option<CacheSettings>, Error> {
        let cache = {
            let caches = self.inner.caches.load();
            caches.of_organization(organization.as_str()).cloned()
        };
        if let Some(cache) = cache.filter(|cache| cache.given == GivenBy::Configuration) {
            let rule = &cache.rule;
            return Ok(Some(CacheSettings {
                upstream: rule.upstream.to_string(),
                expiration_s: rule.expiration.map_or(0, |expiration| expiration.as_secs()),
                insecure: rule.insecure,
            }));
        }
        let stored = self.registry().store().read(|tx| {
            let Some((id, _)) = tx.namespaces().by_name(organization)? else {
                return Ok(None);
            };
            tx.proxy_caches().record(id)
        });
        let stored = stored.await.map_err(crate::registry::Error::from)?;
        Ok(stored.map(|record| CacheSettings {
            upstream: record.upstream,
            expiration_s: record.expiration_s,
            insecure: record.insecure,
        }))
    }

    /// Makes an organisation a cache, from the answer on.
    ///
    /// # Errors
    /// [`CacheError`], any but those of a trial.
    pub async fn make_cache(
        &self,
        organization: &NamespaceName,
        new: &NewCache,
        by: &Performer,
    ) -> Result<(), CacheError> {
        let rule = new.rule(organization)?;
        self.check_free(organization).await?;
        self.judge(&rule).await?;
        let (id, _) = self.organization(organization).await?;
        let record = self.record(id, &rule, new);
        let (name, by) = (organization.clone(), by.clone());
        let make = move |tx: &mut WriteTx<'_>| make(tx, (id, &name), &record, &by);
        self.registry().store().write(make).await?;
        self.recall_made().await?;
        tracing::info!(namespace.name = %organization, upstream = %rule.upstream, "became a cache");
        Ok(())
    }

    /// Has an organisation be no cache any more, from the answer on; what it fetched stays.
    ///
    /// # Errors
    /// [`CacheError::Absent`], [`CacheError::Configured`].
    pub async fn unmake_cache(
        &self,
        organization: &NamespaceName,
        by: &Performer,
    ) -> Result<(), CacheError> {
        self.check_not_configured(organization)?;
        let (id, _) = self.organization(organization).await?;
        let (now, by) = (self.now(), by.clone());
        let unmake = move |tx: &mut WriteTx<'_>| {
            let record = tx.proxy_caches().record(id)?;
            record.ok_or(CacheError::Absent)?;
            tx.proxy_caches().remove(id)?;
            let entry = LogEntry::new(LogKind::DeleteProxyCacheConfig, now, &by).within(id);
            Ok::<_, CacheError>(tx.logs().append(&entry)?)
        };
        self.registry().store().write(unmake).await?;
        self.recall_made().await?;
        tracing::info!(namespace.name = %organization, "is a cache no more");
        Ok(())
    }

    /// Asks an upstream whether it answers, and takes the account.
    ///
    /// # Errors
    /// [`CacheError`]; [`CacheError::Login`] if it refuses the account.
    pub async fn try_cache(
        &self,
        organization: &NamespaceName,
        new: &NewCache,
    ) -> Result<Trial, CacheError> {
        let rule = new.rule(organization)?;
        self.check_free(organization).await?;
        self.judge(&rule).await?;
        let deadlines = self.inner.settings.load().deadlines.clone();
        let trust = AddressPolicy::PublicOrAllowed;
        let unreachable = |reason: String| CacheError::Unreachable { reason };
        if !self.may_ask() {
            return Err(unreachable("no upstream is asked (OFFLINE)".to_owned()));
        }
        let upstream = self
            .open(&rule, trust, &deadlines)
            .map_err(|error| unreachable(error.to_string()))?;
        match timeout(TRIAL, upstream.ping()).await {
            Ok(Ok(())) => Ok(Trial::Valid),
            Ok(Err(error)) => judge_failure(&error, upstream.has_credentials()),
            Err(_) => Err(unreachable("no answer in time".to_owned())),
        }
    }

    /// The rules of caches made by the API, those of the oldest organisations first.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn made_rules(&self) -> Result<Vec<(NamespaceId, UpstreamRule)>, Error> {
        let stored = self.registry().store().scan(|tx| {
            let stored = tx.proxy_caches().list(MOST)?.into_iter();
            let named = stored.map(|(id, record)| Ok((id, tx.namespaces().record(id)?, record)));
            named.collect::<Result<Vec<_>, store::Error>>()
        });
        let stored = stored.await.map_err(crate::registry::Error::from)?;
        let mut rules = Vec::new();
        for (id, namespace, record) in stored {
            let Some(namespace) = namespace.filter(is_organization) else {
                continue;
            };
            match self.rule_of(id, &namespace, &record) {
                Some(Ok(rule)) => rules.push((id, rule)),
                Some(Err(error)) => {
                    tracing::error!(namespace.name = %namespace.name, %error, "cannot be a cache");
                }
                None => tracing::error!(
                    namespace.name = %namespace.name,
                    "the account of its upstream was sealed by another installation: give it again"
                ),
            }
        }
        Ok(rules)
    }

    /// The rule that a record stands for; `None` if its account does not open.
    fn rule_of(
        &self,
        id: NamespaceId,
        namespace: &NamespaceRecord,
        record: &ProxyCacheRecord,
    ) -> Option<Result<UpstreamRule, CacheError>> {
        let open = |sealed, half| {
            let text = self.inner.seal.open(sealed, &context(id, half))?;
            std::str::from_utf8(&text).ok().map(Secret::new)
        };
        let (username, password) = match &record.account {
            Some(account) => (
                Some(open(&account.username, "username")?),
                Some(open(&account.password, "password")?),
            ),
            None => (None, None),
        };
        let new = NewCache {
            upstream: record.upstream.clone(),
            username,
            password,
            expiration_s: record.expiration_s,
            insecure: record.insecure,
        };
        Some(new.rule(&namespace.name))
    }

    fn record(&self, id: NamespaceId, rule: &UpstreamRule, new: &NewCache) -> ProxyCacheRecord {
        let seal = |text: &str, half| self.inner.seal.seal(text.as_bytes(), &context(id, half));
        let account = match &rule.credentials {
            Some(Credentials {
                username,
                password: PasswordSource::Value(password),
            }) => Some(ProxyAccountRecord {
                username: seal(username, "username"),
                password: seal(password.expose(), "password"),
            }),
            _ => None,
        };
        ProxyCacheRecord {
            upstream: new.upstream.trim().to_owned(),
            account,
            expiration_s: new.expiration_s,
            insecure: new.insecure,
            created: self.now(),
        }
    }

    async fn organization(
        &self,
        name: &NamespaceName,
    ) -> Result<(NamespaceId, NamespaceRecord), CacheError> {
        let found = self.registry().namespace(name).await.map_err(Error::from)?;
        found
            .filter(|(_, record)| is_organization(record))
            .ok_or(CacheError::Absent)
    }

    fn check_not_configured(&self, organization: &NamespaceName) -> Result<(), CacheError> {
        let caches = self.inner.caches.load();
        let cache = caches.of_organization(organization.as_str());
        match cache.map(|cache| cache.given) {
            Some(GivenBy::Configuration) => Err(CacheError::Configured {
                organization: organization.clone(),
                file: self.inner.configured_in.to_string(),
            }),
            Some(GivenBy::Api) | None => Ok(()),
        }
    }

    /// Checks that the organisation is no cache yet.
    async fn check_free(&self, organization: &NamespaceName) -> Result<(), CacheError> {
        self.check_not_configured(organization)?;
        match self.cache_settings(organization).await? {
            Some(_) => Err(CacheError::Exists),
            None => Ok(()),
        }
    }

    /// Refuses an upstream that may not be called; one whose name is not known now may be known later.
    async fn judge(&self, rule: &UpstreamRule) -> Result<(), CacheError> {
        let scheme = if rule.insecure { "http" } else { "https" };
        let url = format!("{scheme}://{}/", rule.upstream.api_host());
        let url = url.parse().map_err(|_| CacheError::Forbidden)?;
        match self.inner.outbound.judge(&url).await {
            Ok(()) | Err(outbound::Error::Dns { .. }) => Ok(()),
            Err(_) => Err(CacheError::Forbidden),
        }
    }
}

fn make(
    tx: &mut WriteTx<'_>,
    (id, name): (NamespaceId, &NamespaceName),
    record: &ProxyCacheRecord,
    by: &Performer,
) -> Result<(), CacheError> {
    let namespace = tx.namespaces().record(id)?;
    // It may have got another name, or have gone, since it was looked up.
    let same = namespace.is_some_and(|it| is_organization(&it) && it.name == *name);
    if !same {
        return Err(CacheError::Absent);
    }
    if tx.proxy_caches().record(id)?.is_some() {
        return Err(CacheError::Exists);
    }
    if tx.mirrors().of_organization(id)?.is_some() {
        let text =
            "Cannot create proxy cache: organization is managed by organization-level mirroring";
        return Err(CacheError::Invalid(text.to_owned()));
    }
    if tx.proxy_caches().list(MOST)?.len() >= MOST {
        return Err(CacheError::TooMany);
    }
    tx.proxy_caches().put(id, record)?;
    let told = json!({"upstream_registry": record.upstream});
    let entry = LogEntry::new(LogKind::CreateProxyCacheConfig, record.created, by);
    Ok(tx.logs().append(&entry.within(id).with(told))?)
}

/// Those of the configuration are theirs who wrote it, also when it names them no more.
fn is_organization(record: &NamespaceRecord) -> bool {
    record.kind == NamespaceKind::Organization && record.deleted.is_none()
}

/// What a failed ping says of the account.
fn judge_failure(error: &upstream::Error, has_account: bool) -> Result<Trial, CacheError> {
    match error {
        upstream::Error::Unauthorized(Refusal::Token { .. }) => Err(CacheError::Login),
        upstream::Error::Unauthorized(_) | upstream::Error::Denied if has_account => {
            Err(CacheError::Login)
        }
        upstream::Error::Unauthorized(_) | upstream::Error::Denied => Ok(Trial::Anonymous),
        error if error.kind() == FailureKind::RefusedAddress => Err(CacheError::Forbidden),
        error => Err(CacheError::Unreachable {
            reason: format!("the upstream {error}"),
        }),
    }
}

fn context(id: NamespaceId, half: &str) -> Vec<u8> {
    format!("{half} at the upstream of namespace {id}").into_bytes()
}
