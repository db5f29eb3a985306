//! Tags and referrers: upstream's, merged with what is held.
//!
//! Upstream's answer is kept for a minute and served beyond that when upstream fails; without one,
//! what is held is the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Memory;

use super::error::Asked;
use super::flight::Flights;
use super::metrics::Kind;
use super::status::StaleReason;
use super::{CacheStatus, Error, Outcome, Proxy, Source};
use crate::model::{NamespaceId, Timestamp};
use crate::oci::{Descriptor, Digest, RepositoryName, Tag};
use crate::upstream;

/// How long upstream's answer is served without asking again.
const FRESH: Duration = Duration::from_secs(60);

/// Answers kept, of each kind.
const ENTRIES: u64 = 1_000;

/// All tags of a repository.
#[derive(Clone, Debug)]
pub struct TagsAnswer {
    /// In byte order.
    pub tags: Vec<Tag>,
    pub cache: CacheStatus,
}

/// All referrers of a subject.
#[derive(Clone, Debug)]
pub struct ReferrersAnswer {
    pub descriptors: Vec<Descriptor>,
    pub cache: CacheStatus,
}

type Repository = (NamespaceId, RepositoryName);

#[derive(Default)]
pub(super) struct Listings {
    tags: Remembered<Repository, Vec<Tag>>,
    referrers: Remembered<(Repository, Digest), Vec<Descriptor>>,
}

/// Upstream's answers by what was asked.
struct Remembered<K, V> {
    answers: Memory<K, (Timestamp, Arc<V>)>,
    flights: Flights<K, Result<Arc<V>, upstream::Error>>,
}

impl<K, V> Default for Remembered<K, V>
where
    K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn default() -> Self {
        Self {
            answers: Memory::new(ENTRIES),
            flights: Flights::default(),
        }
    }
}

impl<K, V> Remembered<K, V>
where
    K: Clone + Eq + std::hash::Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Upstream's answer: a recent one, a new one, or an old one with why there is no new one.
    async fn ask<F>(
        &self,
        key: K,
        now: Timestamp,
        deadline: Duration,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Arc<V>, CacheStatus), Option<upstream::Error>>
    where
        F: Future<Output = Result<V, upstream::Error>> + Send + 'static,
    {
        let old = self.answers.get(&key);
        if let Some((then, answer)) = &old
            && now.since(*then) < FRESH
            && *then <= now
        {
            return Ok((answer.clone(), CacheStatus::HIT));
        }
        let (answers, kept) = (self.answers.clone(), key.clone());
        let fetch = fetch();
        let fetching = self.flights.join(key, || async move {
            let answer = Arc::new(fetch.await?);
            answers.insert(kept, (now, answer.clone()));
            Ok(answer)
        });
        let Some((_, old)) = old else {
            return match fetching.await.0 {
                Some(Ok(answer)) => Ok((answer, CacheStatus::of(Outcome::Miss))),
                Some(Err(error)) => Err(Some(error)),
                None => Err(None),
            };
        };
        match tokio::time::timeout(deadline, fetching).await {
            Ok((Some(Ok(answer)), _)) => Ok((answer, CacheStatus::of(Outcome::Validated))),
            Ok((Some(Err(error)), _)) if error.is_absent() => Err(Some(error)),
            Ok((Some(Err(error)), _)) => {
                Ok((old, CacheStatus::stale(StaleReason::Failed(error.kind()))))
            }
            Ok((None, _)) | Err(_) => Ok((old, CacheStatus::stale(StaleReason::Slow))),
        }
    }
}

impl Proxy {
    /// Lists the tags of a repository: upstream's and those held.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if neither side knows the repository; what upstream failed with if
    /// nothing is held.
    pub async fn tags(&self, source: &Source) -> Result<TagsAnswer, Error> {
        let held = self.held_tags(source).await?;
        let asked = self.upstream_tags(source).await;
        let (upstream, cache) = match asked {
            Ok((tags, cache)) => (Some(tags), cache),
            Err(unasked) => (
                None,
                self.without_upstream(source, unasked, held.is_some())?,
            ),
        };
        if upstream.is_none() && held.is_none() {
            return Err(Error::NameUnknown);
        }
        self.inner
            .metrics
            .count(source.organization(), Kind::Listing, cache.outcome());
        let mut tags: BTreeSet<Tag> = held.into_iter().flatten().collect();
        tags.extend(upstream.iter().flat_map(|tags| tags.iter().cloned()));
        Ok(TagsAnswer {
            tags: tags.into_iter().collect(),
            cache,
        })
    }

    /// Lists the referrers of a subject: upstream's and those held.
    ///
    /// # Errors
    /// What upstream failed with, if nothing is held; an upstream that knows none, or does not know
    /// the repository, is no error.
    pub async fn referrers(
        &self,
        source: &Source,
        subject: &Digest,
    ) -> Result<ReferrersAnswer, Error> {
        let held = match self.repository(source).await? {
            Some(repository) => self.registry().referrers(repository, subject).await?,
            None => vec![],
        };
        let asked = self.upstream_referrers(source, subject).await;
        let (upstream, cache) = match asked {
            Ok((found, cache)) => (Some(found), cache),
            Err(unasked) => match self.without_upstream(source, unasked, !held.is_empty()) {
                Ok(cache) => (None, cache),
                Err(error) if error.is_absent() => (None, CacheStatus::of(Outcome::Miss)),
                Err(error) => return Err(error),
            },
        };
        self.inner
            .metrics
            .count(source.organization(), Kind::Listing, cache.outcome());
        let known = upstream
            .iter()
            .flat_map(|found| found.iter().cloned())
            .chain(held);
        let merged: BTreeMap<Digest, Descriptor> = known
            .map(|descriptor| (descriptor.digest, descriptor))
            .collect();
        Ok(ReferrersAnswer {
            descriptors: merged.into_values().collect(),
            cache,
        })
    }

    async fn held_tags(&self, source: &Source) -> Result<Option<Vec<Tag>>, Error> {
        match self.repository(source).await? {
            Some(repository) => Ok(Some(self.registry().all_tags(repository).await?)),
            None => Ok(None),
        }
    }

    async fn upstream_tags(
        &self,
        source: &Source,
    ) -> Result<(Arc<Vec<Tag>>, CacheStatus), Option<upstream::Error>> {
        let cache = source
            .cache
            .as_ref()
            .filter(|_| self.may_ask())
            .ok_or(None)?;
        let (upstream, remote) = (cache.upstream.clone(), source.name.clone());
        let key = (source.organization, source.name.clone());
        let fetch = || async move { upstream.list_tags(&remote).await };
        self.inner
            .listings
            .tags
            .ask(key, self.now(), self.deadline(), fetch)
            .await
    }

    async fn upstream_referrers(
        &self,
        source: &Source,
        subject: &Digest,
    ) -> Result<(Arc<Vec<Descriptor>>, CacheStatus), Option<upstream::Error>> {
        let cache = source
            .cache
            .as_ref()
            .filter(|_| self.may_ask())
            .ok_or(None)?;
        let (upstream, remote, digest) = (cache.upstream.clone(), source.name.clone(), *subject);
        let key = ((source.organization, source.name.clone()), digest);
        let fetch = || async move { upstream.list_referrers(&remote, &digest).await };
        self.inner
            .listings
            .referrers
            .ask(key, self.now(), self.deadline(), fetch)
            .await
    }

    fn deadline(&self) -> Duration {
        self.inner.settings.load().deadlines.revalidate
    }

    /// What an answer without upstream is: what is held, or the failure.
    fn without_upstream(
        &self,
        source: &Source,
        error: Option<upstream::Error>,
        is_held: bool,
    ) -> Result<CacheStatus, Error> {
        let has_account = source
            .cache
            .as_ref()
            .is_some_and(|cache| cache.rule.credentials.is_some());
        match error {
            None if source.cache.is_none() => Ok(CacheStatus::HIT),
            None => Ok(CacheStatus::stale(StaleReason::Offline)),
            Some(error) if is_held => Ok(CacheStatus::stale(StaleReason::Failed(error.kind()))),
            Some(error) => Err(Error::from_upstream(
                &error,
                Asked::Listing,
                source.organization(),
                has_account,
            )),
        }
    }
}
