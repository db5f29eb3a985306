//! One tag of a run: asked for, compared, brought here whole, and only then moved.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Error;
use super::fetch::Blobs;
use super::metrics::TagOutcome;
use super::plan::{Local, Step, step};
use super::seat::{line, said};
use super::survey::{Parts, Tree};
use super::throttle::Patience;
use super::work::Work;
use crate::model::{LogKind, MirrorTagRecord, NamespaceId, RepositoryId, Timestamp};
use crate::oci::{Digest, Manifest, Reference, Tag};
use crate::registry::{self, Condition, Note, Push};
use crate::store::{self, WriteTx};
use crate::upstream;

/// How often what a tag is made of is looked for again before it is given up: the collector may take what waits
/// for long.
const LOOKS: usize = 3;

/// What became of one tag.
pub(super) enum TagResult {
    Unchanged,
    Copied,
    /// Nothing of it is asked for.
    Skipped,
    Failed(Error),
}

/// One tag that was looked at.
pub(super) struct Told {
    pub(super) tag: Tag,
    pub(super) result: TagResult,
    /// What it leads to here: that which signatures may be of.
    pub(super) subjects: Vec<Digest>,
}

/// What a run has for all of its tags.
pub(super) struct Copying {
    pub(super) work: Arc<Work>,
    pub(super) blobs: Blobs,
    /// Of the run, and of the right to write what it comes to.
    pub(super) run: u64,
    pub(super) generation: u64,
}

impl Copying {
    /// Brings one tag here, if it changed.
    pub(super) async fn tag(&self, tag: Tag, local: &Local, parts: Parts) -> Told {
        let patience = Patience::of(Duration::from_secs(self.work.record.deadline_s));
        let mut subjects = Vec::new();
        let work = self.bring(&tag, local, parts, &patience, &mut subjects);
        let result = tokio::select! {
            result = work => result,
            () = patience.ended() => Err(upstream::Error::Timeout(patience.whole()).into()),
        };
        let result = match result {
            Ok(result) => result,
            Err(error) => {
                self.note_failure(&tag, &error).await;
                TagResult::Failed(error)
            }
        };
        self.work.metrics.count_tag(match &result {
            TagResult::Unchanged | TagResult::Skipped => TagOutcome::Unchanged,
            TagResult::Copied => TagOutcome::Copied,
            TagResult::Failed(_) => TagOutcome::Failed,
        });
        Told {
            tag,
            result,
            subjects,
        }
    }

    async fn bring(
        &self,
        tag: &Tag,
        local: &Local,
        parts: Parts,
        patience: &Patience,
        subjects: &mut Vec<Digest>,
    ) -> Result<TagResult, Error> {
        let work = &self.work;
        let found = work.head(tag, patience).await?;
        match work.step(local, tag, found.as_ref(), parts).await? {
            Step::Unchanged => {
                subjects.extend(found);
                return Ok(TagResult::Unchanged);
            }
            Step::Refused => {
                let tag = tag.clone();
                return Err(registry::Error::TagImmutable { tag }.into());
            }
            Step::Copy => {}
        }
        let reference = found.map_or_else(|| Reference::Tag(tag.clone()), Reference::Digest);
        let Some(tree) = work.survey(reference, parts, patience).await? else {
            return Ok(TagResult::Skipped);
        };
        subjects.extend(tree.digests());
        // Only now is it known where a tag points whose HEAD did not say it.
        if found.is_none() && work.step(local, tag, tree.root(), parts).await? == Step::Unchanged {
            return Ok(TagResult::Unchanged);
        }
        // Each of its blobs has its own deadline.
        patience.suspended(self.land(tree, Some(tag))).await?;
        Ok(TagResult::Copied)
    }

    /// Has all of a tree here, its blobs first, and what it hangs from last.
    pub(super) async fn land(&self, tree: Tree, tag: Option<&Tag>) -> Result<(), Error> {
        let work = &self.work;
        let deadline = Duration::from_secs(work.record.deadline_s);
        let mut looks = 0;
        while looks == 0 || !self.are_here(&tree).await? {
            if looks == LOOKS {
                return Err(Error::Setting("what was brought did not stay".to_owned()));
            }
            if looks > 0 {
                self.blobs.forget(&tree.blobs);
            }
            self.blobs.bring(&tree.blobs, deadline).await?;
            looks += 1;
        }
        let last = tree.manifests.len().saturating_sub(1);
        for (at, (raw, manifest)) in tree.manifests.into_iter().enumerate() {
            let tag = tag.filter(|_| at == last);
            let digest = raw.digest;
            let held = work
                .registry()
                .manifest_record(work.placed.repository, &digest);
            if tag.is_none() && held.await?.is_some() {
                continue;
            }
            let push = Push {
                raw,
                manifest,
                tags: tag.cloned().into_iter().collect(),
                by: work.by.clone(),
                condition: Condition::None,
            };
            let note = tag.map(|tag| self.copied(tag, digest));
            let pushed = work.registry().push_noting(&work.placed, push, note).await;
            match pushed {
                Err(registry::Error::Superseded) => return Err(Error::Cancelled),
                pushed => pushed?,
            }
        }
        Ok(())
    }

    async fn are_here(&self, tree: &Tree) -> Result<bool, Error> {
        let work = &self.work;
        for blob in &tree.blobs {
            let kept = work
                .registry()
                .keep_blob(&work.placed, &blob.digest, work.actor());
            if !kept.await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What is written with the tag that it is about: that it is copied, by this run, if the run still has the
    /// right to it.
    fn copied(&self, tag: &Tag, digest: Digest) -> Note {
        let (work, tag) = (Arc::clone(&self.work), tag.clone());
        let (run, generation) = (self.run, self.generation);
        let (now, bytes) = (
            work.registry().clock().now(),
            work.received.load(Ordering::Relaxed),
        );
        Arc::new(move |tx: &mut WriteTx<'_>| {
            let repository = work.placed.repository;
            let status = work.seat.status(tx)?;
            let mut status = status
                .filter(|status| status.generation == generation)
                .ok_or(registry::Error::Superseded)?;
            status.report.copied += 1;
            status.report.bytes = status.report.bytes.max(bytes);
            work.seat.put_status(tx, &status)?;
            let record = MirrorTagRecord {
                run,
                at: now,
                digest: Some(digest),
                failure: None,
            };
            tx.mirrors().put_tag(repository, &tag, &record)?;
            let message = format!("Source '{}:{tag}' copied", work.source.reference);
            work.log_tag(
                tx,
                LogKind::RepoMirrorSyncTagSuccess,
                &tag,
                (now, &message, None),
            )?;
            Ok(())
        })
    }

    /// Notes that a tag failed; what cannot be noted is logged.
    async fn note_failure(&self, tag: &Tag, error: &Error) {
        if matches!(error, Error::Cancelled) {
            return;
        }
        let (work, tag, reason) = (Arc::clone(&self.work), tag.clone(), error.to_string());
        tracing::info!(
            repository.name = %work.name,
            tag.name = %tag,
            reason,
            "a tag could not be mirrored"
        );
        let (run, generation) = (self.run, self.generation);
        let now = work.registry().clock().now();
        let store = work.registry().store().clone();
        let note = move |tx: &mut WriteTx<'_>| {
            let status = work.seat.status(tx)?;
            let Some(mut status) = status.filter(|status| status.generation == generation) else {
                return Ok::<_, Error>(());
            };
            status.report.failed += 1;
            work.seat.put_status(tx, &status)?;
            let record = MirrorTagRecord {
                run,
                at: now,
                digest: None,
                failure: Some(reason.clone()),
            };
            let repository = work.placed.repository;
            tx.mirrors().put_tag(repository, &tag, &record)?;
            let message = format!("Source '{}:{tag}' failed to sync", work.source.reference);
            let said = (now, message.as_str(), Some(reason.as_str()));
            Ok(work.log_tag(tx, LogKind::RepoMirrorSyncTagFailed, &tag, said)?)
        };
        if let Err(error) = store.write(note).await {
            tracing::warn!(%error, "what a mirror came to could not be noted");
        }
    }
}

impl Work {
    /// What a tag points to at the source; `None` if it does not say so without sending it.
    pub(super) async fn head(
        &self,
        tag: &Tag,
        patience: &Patience,
    ) -> Result<Option<Digest>, Error> {
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let reference = &Reference::Tag(tag.clone());
        let ask = move || upstream.head_manifest(name, reference);
        Ok(self.source.patiently(patience, ask).await?.digest)
    }

    /// What is to become of a tag.
    pub(super) async fn step(
        &self,
        local: &Local,
        tag: &Tag,
        found: Option<&Digest>,
        parts: Parts,
    ) -> Result<Step, Error> {
        match step(local.get(tag), found) {
            Step::Unchanged => match found {
                Some(digest) if !self.is_whole(digest, parts).await? => Ok(Step::Copy),
                _ => Ok(Step::Unchanged),
            },
            step => Ok(step),
        }
    }

    /// Whether everything that is asked for of a manifest is here.
    async fn is_whole(&self, digest: &Digest, parts: Parts) -> Result<bool, Error> {
        let (registry, repository) = (self.registry(), self.placed.repository);
        let Some(record) = registry.manifest_record(repository, digest).await? else {
            return Ok(false);
        };
        let mut missing = Vec::new();
        for child in &record.children {
            let held = registry.manifest_record(repository, child).await?.is_some();
            if !held && !registry.shows(repository, child).await? {
                missing.push(*child);
            }
        }
        if missing.is_empty() {
            return Ok(true);
        }
        if parts == Parts::All || self.platforms.is_all() {
            return Ok(false);
        }
        let namespace = self.placed.namespace;
        let held = registry
            .lookup_manifest(namespace, repository, digest)
            .await?;
        let Some(held) = held else {
            return Ok(false);
        };
        let manifest = Manifest::parse(&held.raw.bytes, Some(&held.raw.media_type));
        let Ok(manifest) = manifest else {
            return Ok(false);
        };
        let asked = self.platforms.children(&manifest.manifests);
        Ok(!asked.iter().any(|child| missing.contains(&child.digest)))
    }

    fn log_tag(
        &self,
        tx: &mut WriteTx<'_>,
        kind: LogKind,
        tag: &Tag,
        (now, message, stderr): (Timestamp, &str, Option<&str>),
    ) -> Result<(), store::Error> {
        let more = serde_json::json!({"tag": tag, "stderr": stderr});
        let said = said("finish", (&self.namespace, &self.name), message, more);
        let place: (NamespaceId, RepositoryId) = (self.placed.namespace, self.placed.repository);
        tx.logs().append(&line(kind, now, &self.by, place, said))
    }
}
