//! The read path of a manifest: held and fresh, held and stale, absent, offline.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache as Memory;

use super::cache::Cache;
use super::error::Asked;
use super::flight::Role;
use super::freshness::{Freshness, judge};
use super::metrics::Kind;
use super::negative::Absent;
use super::status::StaleReason;
use super::validate::Urgency;
use super::{CacheStatus, Error, Outcome, Proxy, Source};
use crate::model::{NamespaceId, RepositoryId, Unit};
use crate::oci::{Digest, Manifest, MediaType, RawManifest, Reference, RepositoryName, Tag};
use crate::registry::{self, HeldManifest, HotTag, Placed};
use crate::upstream;

/// How much a client trusts what is held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ask {
    #[default]
    Normal,
    /// `Cache-Control: no-cache`: upstream is asked before a tag is answered.
    Validate,
}

/// A manifest to answer with.
#[derive(Clone, Debug)]
pub struct ManifestAnswer {
    pub manifest: Arc<HeldManifest>,
    pub cache: CacheStatus,
    /// Time since upstream last confirmed it.
    pub age: Duration,
}

/// What a HEAD is answered with.
#[derive(Clone, Debug)]
pub enum ManifestHead {
    Held(ManifestAnswer),
    /// From upstream's own HEAD: nothing was fetched, which Docker Hub would count.
    Upstream {
        digest: Digest,
        media_type: MediaType,
        size_bytes: u64,
        cache: CacheStatus,
    },
}

/// What one fetch is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Wanted {
    organization: NamespaceId,
    name: RepositoryName,
    reference: Reference,
}

impl Wanted {
    fn new(source: &Source, reference: &Reference) -> Self {
        Self {
            organization: source.organization,
            name: source.name.clone(),
            reference: reference.clone(),
        }
    }
}

/// What upstream's HEAD came to.
pub(super) type Headed = Result<upstream::ManifestHead, upstream::Error>;

/// What a fetch came to.
pub(super) type Fetched = Result<(Arc<HeldManifest>, Kept), Error>;

/// Whether fetched content was kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    Stored,
    /// There was no room, or the volume takes no writes.
    PassedOn,
}

/// Tags learned from a HEAD, to be set when their manifest is fetched by digest.
pub(super) struct Learned(Memory<(NamespaceId, RepositoryName, Digest), Tag>);

impl Default for Learned {
    fn default() -> Self {
        let memory = Memory::builder()
            .max_capacity(10_000)
            .time_to_live(Duration::from_secs(600))
            .build();
        Self(memory)
    }
}

impl Proxy {
    /// Answers a manifest by tag or digest (`DESIGN` section 4 is the contract).
    ///
    /// # Errors
    /// What the client is to be told; see [`Error`].
    pub async fn manifest(
        &self,
        source: &Source,
        reference: &Reference,
        ask: Ask,
    ) -> Result<ManifestAnswer, Error> {
        if ask == Ask::Validate {
            self.forget_absent(source, reference);
        }
        let answer = match reference {
            Reference::Tag(tag) => self.manifest_by_tag(source, tag, ask).await?,
            Reference::Digest(digest) => self.manifest_by_digest(source, digest).await?,
        };
        self.registry().touch(answer.manifest.unit);
        let outcome = answer.cache.outcome();
        self.inner
            .metrics
            .count(source.organization(), Kind::Manifest, outcome);
        Ok(answer)
    }

    /// Answers a HEAD: as [`Proxy::manifest`] for what is held; for an absent tag from upstream's
    /// HEAD alone where that says digest, type and size.
    ///
    /// # Errors
    /// As [`Proxy::manifest`].
    pub async fn head_manifest(
        &self,
        source: &Source,
        reference: &Reference,
        ask: Ask,
    ) -> Result<ManifestHead, Error> {
        if ask == Ask::Validate {
            self.forget_absent(source, reference);
        }
        if let (Reference::Tag(tag), Some(cache)) = (reference, &source.cache)
            && self.held_tag(source, tag).await?.is_none()
            && let Some(head) = self.head_upstream(source, cache, tag).await?
        {
            self.inner
                .metrics
                .count(source.organization(), Kind::Manifest, Outcome::Miss);
            return Ok(head);
        }
        self.manifest(source, reference, ask)
            .await
            .map(ManifestHead::Held)
    }

    async fn head_upstream(
        &self,
        source: &Source,
        cache: &Arc<Cache>,
        tag: &Tag,
    ) -> Result<Option<ManifestHead>, Error> {
        let reference = Reference::Tag(tag.clone());
        self.refuse_absent(source, &reference)?;
        let wanted = Wanted::new(source, &reference);
        let (upstream, name) = (cache.upstream.clone(), source.name.clone());
        let asked = reference.clone();
        let ask = || async move { upstream.head_manifest(&name, &asked).await };
        let (head, _) = self.inner.heads.join(wanted, ask).await;
        let head = head.ok_or(Error::Abandoned)?;
        let head = head.map_err(|error| self.failed(source, &reference, &error))?;
        let (Some(digest), Some(media_type), Some(size_bytes)) =
            (head.digest, head.media_type, head.size_bytes)
        else {
            return Ok(None);
        };
        // Held by digest already: the tag can be set, and answered from here, at once.
        if let Some(repository) = self.repository(source).await?
            && self
                .registry()
                .manifest_record(repository, &digest)
                .await?
                .is_some()
        {
            let moved = self
                .registry()
                .move_tag(repository, digest, tag.clone())
                .await;
            match moved {
                Ok(()) => return Ok(None),
                // Upstream's word will do for an answer.
                Err(error) if error.is_unkept() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if media_type.is_generic() {
            return Ok(None);
        }
        let key = (source.organization, source.name.clone(), digest);
        self.inner.learned.0.insert(key, tag.clone());
        let cache = CacheStatus::of(Outcome::Miss);
        Ok(Some(ManifestHead::Upstream {
            digest,
            media_type,
            size_bytes,
            cache,
        }))
    }

    async fn manifest_by_digest(
        &self,
        source: &Source,
        digest: &Digest,
    ) -> Result<ManifestAnswer, Error> {
        if let Some(manifest) = self.held_manifest(source, digest).await? {
            return Ok(ManifestAnswer {
                manifest,
                cache: CacheStatus::HIT,
                age: Duration::ZERO,
            });
        }
        self.fetch(source, Reference::Digest(*digest)).await
    }

    async fn manifest_by_tag(
        &self,
        source: &Source,
        tag: &Tag,
        ask: Ask,
    ) -> Result<ManifestAnswer, Error> {
        let Some((repository, held)) = self.held_tag(source, tag).await? else {
            return self.fetch(source, Reference::Tag(tag.clone())).await;
        };
        let manifest = self.held_manifest(source, &held.record.digest).await?;
        let (Some(manifest), Some(cache)) = (manifest.clone(), &source.cache) else {
            // No upstream: what is held is all there is. No manifest: its row was damaged.
            return match manifest {
                Some(manifest) => Ok(self.as_held(manifest, &held, CacheStatus::HIT)),
                None => self.fetch(source, Reference::Tag(tag.clone())).await,
            };
        };
        let freshness = judge(&cache.rule, held.validated(), self.now());
        if freshness == Freshness::Fresh && ask == Ask::Normal {
            return Ok(self.as_held(manifest, &held, CacheStatus::HIT));
        }
        let is_refused_stale = freshness == Freshness::Expired && cache.rule.strict_expiration;
        let urgency = match ask {
            _ if is_refused_stale => Urgency::Needed,
            Ask::Validate => Urgency::Now,
            Ask::Normal => Urgency::Patient,
        };
        let checked = if self.may_ask() {
            let key = (repository, tag.clone());
            self.validate(source, cache, key, urgency).await
        } else {
            Checked::Unknown(StaleReason::Offline, None)
        };
        match checked {
            Checked::Same => Ok(self.as_held(manifest, &held, CacheStatus::of(Outcome::Validated))),
            Checked::Moved(manifest) => {
                let cache = CacheStatus::of(Outcome::Moved);
                Ok(ManifestAnswer {
                    manifest,
                    cache,
                    age: Duration::ZERO,
                })
            }
            Checked::Gone => Err(Error::ManifestUnknown),
            Checked::Unknown(reason, error) if is_refused_stale => {
                Err(self.expired(source, tag, reason, error.as_ref()))
            }
            Checked::Unknown(reason, _) => {
                Ok(self.as_held(manifest, &held, CacheStatus::stale(reason)))
            }
        }
    }

    /// What the client is told of a tag that may not be served without upstream's word.
    fn expired(
        &self,
        source: &Source,
        tag: &Tag,
        reason: StaleReason,
        error: Option<&upstream::Error>,
    ) -> Error {
        match (reason, error) {
            (_, Some(error)) => self.failed(source, &Reference::Tag(tag.clone()), error),
            (StaleReason::Missing, _) => Error::ManifestUnknown,
            _ => Error::Expired,
        }
    }

    fn as_held(
        &self,
        manifest: Arc<HeldManifest>,
        tag: &HotTag,
        cache: CacheStatus,
    ) -> ManifestAnswer {
        let age = match cache.outcome() {
            Outcome::Validated => Duration::ZERO,
            _ => self.now().since(tag.validated()),
        };
        ManifestAnswer {
            manifest,
            cache,
            age,
        }
    }

    pub(super) async fn repository(&self, source: &Source) -> Result<Option<RepositoryId>, Error> {
        Ok(self
            .registry()
            .repository(source.organization, &source.name)
            .await?)
    }

    async fn held_tag(
        &self,
        source: &Source,
        tag: &Tag,
    ) -> Result<Option<(RepositoryId, Arc<HotTag>)>, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(None);
        };
        let held = self.registry().lookup_tag(repository, tag).await?;
        Ok(held.map(|held| (repository, held)))
    }

    /// A manifest that is held and whole: damaged bytes count as absent, so that they are fetched
    /// again.
    pub(super) async fn held_manifest(
        &self,
        source: &Source,
        digest: &Digest,
    ) -> Result<Option<Arc<HeldManifest>>, Error> {
        let Some(repository) = self.repository(source).await? else {
            return Ok(None);
        };
        let registry = self.registry();
        match registry
            .lookup_manifest(source.organization, repository, digest)
            .await
        {
            Ok(held) => Ok(held),
            Err(registry::Error::Corrupt { digest }) => {
                tracing::error!(manifest.digest = %digest, "a stored manifest is damaged");
                if source.is_local() {
                    // There is nowhere to fetch it from again: `entrepot check` tells what to do.
                    return Err(registry::Error::Corrupt { digest }.into());
                }
                let unit = Unit {
                    namespace: source.organization,
                    repository,
                    digest,
                };
                registry.discard_damaged(unit).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fetches what is absent: one fetch for all who ask meanwhile.
    pub(super) async fn fetch(
        &self,
        source: &Source,
        reference: Reference,
    ) -> Result<ManifestAnswer, Error> {
        let Some(cache) = source.cache.clone() else {
            return Err(Error::ManifestUnknown);
        };
        self.refuse_absent(source, &reference)?;
        let wanted = Wanted::new(source, &reference);
        let (proxy, source) = (self.clone(), source.clone());
        let fetch = || async move { proxy.fetch_and_keep(&source, &cache, reference).await };
        let (fetched, role) = self.inner.manifests.join(wanted, fetch).await;
        let (manifest, kept) = fetched.ok_or(Error::Abandoned)??;
        let outcome = match (kept, role) {
            (Kept::PassedOn, _) => Outcome::Uncached,
            (Kept::Stored, Role::Leader) => Outcome::Miss,
            (Kept::Stored, Role::Follower) => Outcome::Joined,
        };
        Ok(ManifestAnswer {
            manifest,
            cache: CacheStatus::of(outcome),
            age: Duration::ZERO,
        })
    }

    async fn fetch_and_keep(
        &self,
        source: &Source,
        cache: &Arc<Cache>,
        reference: Reference,
    ) -> Fetched {
        // Whoever looked before another fetch ended, and asked after, need not have it done again.
        if let Some(manifest) = self.fetched(source, &reference).await? {
            return Ok((manifest, Kept::Stored));
        }
        let fetched = cache
            .upstream
            .fetch_manifest(&source.name, &reference)
            .await;
        let (mut raw, manifest) =
            fetched.map_err(|error| self.failed(source, &reference, &error))?;
        if let Reference::Digest(digest) = reference {
            // Verified under the algorithm it was asked by, and kept under the name it has there.
            raw.digest = digest;
        }
        let key = (source.organization, source.name.clone(), raw.digest);
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => self.inner.learned.0.remove(&key),
        };
        self.keep(source, raw, manifest, tag).await
    }

    /// What is to be fetched, if another fetch has brought it in the meantime.
    async fn fetched(
        &self,
        source: &Source,
        reference: &Reference,
    ) -> Result<Option<Arc<HeldManifest>>, Error> {
        let digest = match reference {
            Reference::Digest(digest) => *digest,
            Reference::Tag(tag) => match self.held_tag(source, tag).await? {
                Some((_, held)) => held.record.digest,
                None => return Ok(None),
            },
        };
        self.held_manifest(source, &digest).await
    }

    /// Keeps a fetched manifest if there is room; it is answered with in any case.
    pub(super) async fn keep(
        &self,
        source: &Source,
        raw: RawManifest,
        manifest: Manifest,
        tag: Option<Tag>,
    ) -> Fetched {
        if let Some(metrics) = self.inner.metrics.of(source.organization()) {
            metrics.fetched.inc_by(raw.bytes.len() as u64);
        }
        let registry = self.registry();
        self.forget_absent(source, &Reference::Digest(raw.digest));
        if let Some(tag) = &tag {
            self.forget_absent(source, &Reference::Tag(tag.clone()));
        }
        let repository = registry
            .ensure_repository(source.organization, &source.name)
            .await;
        let placed = match repository {
            Ok(repository) => Placed {
                namespace: source.organization,
                repository,
            },
            // There is no such repository, and its id is nobody's.
            Err(error) if error.is_unkept() => {
                return Ok(pass_on(source, RepositoryId(0), raw, &error));
            }
            Err(error) => return Err(error.into()),
        };
        match registry
            .ingest_manifest(&placed, raw.clone(), &manifest, tag)
            .await
        {
            Ok(held) => {
                self.prefetch(source, &manifest);
                Ok((held, Kept::Stored))
            }
            Err(error) if error.is_unkept() => Ok(pass_on(source, placed.repository, raw, &error)),
            Err(error) => Err(error.into()),
        }
    }

    fn forget_absent(&self, source: &Source, reference: &Reference) {
        let (organization, name) = (source.organization, source.name.clone());
        let absent = Absent::Manifest(organization, name, reference.clone());
        self.inner.negative.forget(&absent);
    }

    /// Answers for what need not be asked for: a fresh 404, or a site without upstream.
    fn refuse_absent(&self, source: &Source, reference: &Reference) -> Result<(), Error> {
        let believed = self.inner.settings.load().deadlines.negative;
        let what = Absent::Manifest(source.organization, source.name.clone(), reference.clone());
        // Offline, absent content is unknown content: a 5xx would break clients that look for
        // signatures of what they do get.
        if !self.may_ask() || self.inner.negative.is_absent(&what, believed, self.now()) {
            return Err(Error::ManifestUnknown);
        }
        Ok(())
    }

    /// What the client is told of an upstream failure; a 404 is remembered.
    pub(super) fn failed(
        &self,
        source: &Source,
        reference: &Reference,
        error: &upstream::Error,
    ) -> Error {
        let organization = source.organization();
        tracing::info!(
            organization.name = %organization,
            repository.name = %source.name,
            manifest.reference = %reference,
            "upstream: {error}"
        );
        if error.is_absent() {
            let what =
                Absent::Manifest(source.organization, source.name.clone(), reference.clone());
            self.inner.negative.note(what, self.now());
        }
        let has_account = source
            .cache
            .as_ref()
            .is_some_and(|cache| cache.rule.credentials.is_some());
        Error::from_upstream(error, Asked::Manifest, organization, has_account)
    }
}

/// A manifest that is answered with, and not kept.
fn pass_on(
    source: &Source,
    repository: RepositoryId,
    raw: RawManifest,
    error: &registry::Error,
) -> (Arc<HeldManifest>, Kept) {
    tracing::warn!(
        organization.name = %source.organization(),
        manifest.digest = %raw.digest,
        "a manifest cannot be kept, it is passed on: {error}"
    );
    let unit = Unit {
        namespace: source.organization,
        repository,
        digest: raw.digest,
    };
    (Arc::new(HeldManifest::new(raw, unit)), Kept::PassedOn)
}

/// What a validation came to, as far as an asker needs to know.
#[derive(Clone, Debug)]
pub(super) enum Checked {
    Same,
    Moved(Arc<HeldManifest>),
    /// Upstream answered 404 twice, far enough apart.
    Gone,
    /// It could not be told: what is held is served, with this reason.
    Unknown(StaleReason, Option<upstream::Error>),
}
