//! Asking upstream whether a held tag still points where it did.
//!
//! One HEAD for all who wait, within the deadline; whoever waited in vain is served what is held, and
//! the check finishes behind. A check that failed or was slow is not repeated before the tag would
//! have had to be validated again anyway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moka::sync::Cache as Memory;
use tokio::sync::watch;

use super::cache::Cache;
use super::manifests::Checked;
use super::metrics::Validation;
use super::status::StaleReason;
use super::{Proxy, Source};
use crate::model::{RepositoryId, Timestamp};
use crate::oci::{Digest, Reference, Tag};
use crate::registry;
use crate::upstream::{self, ManifestHead};

/// How far apart two 404 must be for a tag to go.
const CONFIRM_MISSING: Duration = Duration::from_secs(30);

pub(super) type Key = (RepositoryId, Tag);

/// How much an asker wants a check.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Urgency {
    /// Held content will do if a check has failed a moment ago, or takes too long.
    Patient,
    /// A check is wanted now; held content will do if it takes too long.
    Now,
    /// Nothing can be served without it.
    Needed,
}

/// The checks that run, and those that lately came to nothing.
pub(super) struct Validations {
    running: Arc<Mutex<HashMap<Key, watch::Receiver<Phase>>>>,
    in_vain: Memory<Key, Timestamp>,
}

impl Default for Validations {
    fn default() -> Self {
        Self {
            running: Arc::default(),
            in_vain: Memory::new(10_000),
        }
    }
}

impl Validations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Phase>>> {
        // Inserts and removes only: a panic elsewhere leaves the map whole.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a check has come. The deadline is for the first step: once upstream has said that the tag
/// moved, its new content is worth waiting for.
#[derive(Clone, Debug)]
enum Phase {
    Asking,
    Fetching,
    Done(Checked),
}

/// What is checked.
struct Check {
    proxy: Proxy,
    source: Source,
    cache: Arc<Cache>,
    repository: RepositoryId,
    tag: Tag,
    phase: watch::Sender<Phase>,
}

/// Takes the key out when the check ends, in whatever way.
struct Running {
    running: Arc<Mutex<HashMap<Key, watch::Receiver<Phase>>>>,
    key: Key,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

impl Proxy {
    /// Waits for the one check of a tag: within the deadline if there is something to serve instead.
    pub(super) async fn validate(
        &self,
        source: &Source,
        cache: &Arc<Cache>,
        key: Key,
        urgency: Urgency,
    ) -> Checked {
        if urgency == Urgency::Patient && self.was_in_vain(&key, cache.rule.fresh) {
            return Checked::Unknown(StaleReason::Recent, None);
        }
        let mut phase = self.join_check(source, cache, &key);
        let deadline = match urgency {
            // Upstream's own deadlines end the check.
            Urgency::Needed => Duration::MAX,
            Urgency::Patient | Urgency::Now => self.inner.settings.load().deadlines.revalidate,
        };
        let answered = phase.wait_for(|phase| !matches!(phase, Phase::Asking));
        match tokio::time::timeout(deadline, answered).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Checked::Unknown(StaleReason::Store, None),
            Err(_) => {
                self.inner.validations.in_vain.insert(key, self.now());
                self.inner
                    .metrics
                    .count_validation(source.organization(), Validation::Slow);
                return Checked::Unknown(StaleReason::Slow, None);
            }
        }
        match phase
            .wait_for(|phase| matches!(phase, Phase::Done(_)))
            .await
            .as_deref()
        {
            Ok(Phase::Done(checked)) => checked.clone(),
            _ => Checked::Unknown(StaleReason::Store, None),
        }
    }

    fn was_in_vain(&self, key: &Key, fresh: Duration) -> bool {
        let now = self.now();
        let noted = self.inner.validations.in_vain.get(key);
        noted.is_some_and(|noted| noted <= now && now.since(noted) < fresh)
    }

    fn join_check(&self, source: &Source, cache: &Arc<Cache>, key: &Key) -> watch::Receiver<Phase> {
        let validations = &self.inner.validations;
        let mut running = validations.lock();
        if let Some(phase) = running.get(key) {
            return phase.clone();
        }
        let (phase, watch) = watch::channel(Phase::Asking);
        running.insert(key.clone(), watch.clone());
        drop(running);
        let guard = Running {
            running: validations.running.clone(),
            key: key.clone(),
        };
        let check = Check {
            proxy: self.clone(),
            source: source.clone(),
            cache: cache.clone(),
            repository: key.0,
            tag: key.1.clone(),
            phase,
        };
        tokio::spawn(async move {
            let checked = check.run().await;
            check.note(&checked);
            drop(guard);
            check.phase.send_replace(Phase::Done(checked));
        });
        watch
    }
}

impl Check {
    async fn run(&self) -> Checked {
        let reference = Reference::Tag(self.tag.clone());
        match self
            .cache
            .upstream
            .head_manifest(&self.source.name, &reference)
            .await
        {
            Ok(head) => self.compare(head).await,
            Err(error) if error.is_absent() => self.missing().await,
            Err(error) => Checked::Unknown(StaleReason::Failed(error.kind()), Some(error)),
        }
    }

    /// Compares upstream's digest with the one held now, which a fetch may have changed meanwhile.
    async fn compare(&self, head: ManifestHead) -> Checked {
        let held = match self
            .proxy
            .registry()
            .lookup_tag(self.repository, &self.tag)
            .await
        {
            Ok(Some(held)) => held.record.clone(),
            Ok(None) => return self.fetch(Reference::Tag(self.tag.clone())).await,
            Err(error) => return store_failed(&error),
        };
        match head.digest {
            Some(digest) if digest == held.digest => {
                self.proxy.registry().renew(self.repository, &self.tag);
                Checked::Same
            }
            Some(digest) => self.move_to(digest).await,
            // No digest in the answer: the bytes tell.
            None => match self.fetch(Reference::Tag(self.tag.clone())).await {
                Checked::Moved(manifest) if manifest.raw.digest == held.digest => Checked::Same,
                checked => checked,
            },
        }
    }

    /// Fetches what the tag points to now: by digest, which cannot race, or by tag if upstream does
    /// not have it by digest.
    async fn move_to(&self, digest: Digest) -> Checked {
        match self.proxy.held_manifest(&self.source, &digest).await {
            Ok(Some(manifest)) => {
                let registry = self.proxy.registry();
                return match registry
                    .move_tag(self.repository, digest, self.tag.clone())
                    .await
                {
                    Ok(()) => Checked::Moved(manifest),
                    // It is here, and only the tag cannot be told of it.
                    Err(error) if error.is_unkept() => Checked::Moved(manifest),
                    Err(error) => store_failed(&error),
                };
            }
            Ok(None) => {}
            Err(_) => return Checked::Unknown(StaleReason::Store, None),
        }
        match self.fetch(Reference::Digest(digest)).await {
            Checked::Unknown(_, Some(error)) if error.is_absent() => {
                self.fetch(Reference::Tag(self.tag.clone())).await
            }
            checked => checked,
        }
    }

    async fn fetch(&self, reference: Reference) -> Checked {
        self.phase.send_replace(Phase::Fetching);
        let fetched = self
            .cache
            .upstream
            .fetch_manifest(&self.source.name, &reference)
            .await;
        let (raw, manifest) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                return Checked::Unknown(StaleReason::Failed(error.kind()), Some(error));
            }
        };
        match self
            .proxy
            .keep(&self.source, raw, manifest, Some(self.tag.clone()))
            .await
        {
            Ok((held, _)) => Checked::Moved(held),
            Err(_) => Checked::Unknown(StaleReason::Store, None),
        }
    }

    /// One 404 is no proof: registries answer so while they move things.
    async fn missing(&self) -> Checked {
        let registry = self.proxy.registry();
        let held = match registry.lookup_tag(self.repository, &self.tag).await {
            Ok(Some(held)) => held,
            Ok(None) => return Checked::Gone,
            Err(error) => return store_failed(&error),
        };
        // A validation since then has made the first 404 void.
        let validated = held.validated();
        let first = held
            .record
            .missing_since
            .filter(|first| *first >= validated);
        let now = self.proxy.now();
        let done = match first {
            Some(first) if now.since(first) >= CONFIRM_MISSING => {
                tracing::warn!(
                    organization.name = %self.source.organization(),
                    repository.name = %self.source.name(),
                    tag = %self.tag,
                    "upstream has removed a tag; its manifest stays, by digest"
                );
                registry
                    .end_tag(self.repository, &self.tag)
                    .await
                    .map(|_| Checked::Gone)
            }
            Some(_) => Ok(Checked::Unknown(StaleReason::Missing, None)),
            None => registry
                .note_missing(self.repository, &self.tag, validated)
                .await
                .map(|()| Checked::Unknown(StaleReason::Missing, None)),
        };
        done.unwrap_or_else(|error| store_failed(&error))
    }

    /// Counts the outcome, and spares upstream and askers a check that would fail again.
    fn note(&self, checked: &Checked) {
        let organization = self.source.organization();
        let key = (self.repository, self.tag.clone());
        let in_vain = &self.proxy.inner.validations.in_vain;
        let outcome = match checked {
            Checked::Same => Validation::Same,
            Checked::Moved(_) => Validation::Moved,
            Checked::Gone | Checked::Unknown(StaleReason::Missing, _) => Validation::Missing,
            Checked::Unknown(..) => Validation::Failed,
        };
        self.proxy
            .inner
            .metrics
            .count_validation(organization, outcome);
        match checked {
            Checked::Unknown(reason, error) => {
                in_vain.insert(key, self.proxy.now());
                self.warn(*reason, error.as_ref());
            }
            _ => in_vain.invalidate(&key),
        }
    }

    fn warn(&self, reason: StaleReason, error: Option<&upstream::Error>) {
        let organization = self.source.organization();
        let repository = self.source.name();
        let detail = error.map_or_else(|| format!("{reason:?}"), ToString::to_string);
        tracing::warn!(
            organization.name = %organization,
            repository.name = %repository,
            tag = %self.tag,
            "served what is held, upstream could not confirm it: {detail}"
        );
    }
}

fn store_failed(error: &registry::Error) -> Checked {
    tracing::error!("a validation could not be recorded: {error}");
    Checked::Unknown(StaleReason::Store, None)
}
