//! What a run would do, found out without a byte of a blob: tags, bytes, requests.
//!
//! The same questions as those of a run are asked, and what it would fetch is added up: so it says what the run
//! takes, if the source does not change in between and nothing has to be asked twice.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::plan::{Companions, Endings, Local, Step, endings};
use super::survey::{Need, Parts, Tree};
use super::throttle::Patience;
use super::work::Work;
use super::{Error, Mirror};
use crate::model::RepositoryId;
use crate::oci::{Digest, Reference, Tag};
use crate::registry;

/// Tags asked for side by side.
const TAGS: usize = 8;

/// Companions of companions.
const WAVES: usize = 3;

/// What a run would do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Plan {
    /// Tags that changed, by name.
    pub tags: Vec<PlannedTag>,
    /// Tags that did not.
    pub unchanged: u64,
    /// Tags here that would end, or be archived.
    pub ends: Vec<Tag>,
    /// Why none would, though some are chosen no more.
    pub refused: Option<String>,
    /// Requests to the source, those for tokens included.
    pub requests: u64,
    /// Bytes of manifests and blobs.
    pub bytes: u64,
}

/// A tag that would be copied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlannedTag {
    pub tag: Tag,
    /// Where it would point.
    pub digest: Option<Digest>,
    /// Bytes of blobs that would come for it, and for none before it.
    pub bytes: u64,
    /// Why it would fail.
    pub failure: Option<String>,
}

/// What was found out about one tag.
enum Found {
    Unchanged(Option<Digest>),
    Skipped,
    Tree(Tree),
    Failed(Error),
}

impl Mirror {
    /// What a run of a mirror would do now.
    ///
    /// # Errors
    /// [`Error::NoMirror`]; what keeps the source from being listed.
    pub async fn plan(&self, repository: RepositoryId) -> Result<Plan, Error> {
        let work = Work::open(self, repository).await?;
        let patience = Patience::of(Duration::from_secs(work.record.deadline_s));
        let listing = work.list(&patience).await?;
        let chosen = work.chooser.choose(&listing);
        let mut plan = Plan::default();
        let mut blobs = HashSet::new();
        let local = work.local().await?;
        let companions = match work.record.options.referrers {
            true => Companions::of(&listing),
            false => Companions::default(),
        };
        let mut kept: BTreeSet<Tag> = chosen.iter().cloned().collect();
        let mut wave = chosen;
        for number in 0..WAVES {
            let parts = match number {
                0 => Parts::Asked,
                _ => Parts::All,
            };
            let subjects = work
                .foresee((wave, parts), &local, &mut blobs, &mut plan)
                .await?;
            wave = work.companions(&companions, subjects, &kept).await?;
            kept.extend(wave.iter().cloned());
            if wave.is_empty() {
                break;
            }
        }
        if !kept.is_empty() {
            work.foresee_referrers(&local, &kept, &mut blobs, &mut plan)
                .await?;
        }
        let options = &work.record.options;
        match endings(
            &local,
            &kept,
            options.deletion,
            options.deletion_cap_percent,
        ) {
            Endings::Tags(over) => plan.ends = over,
            Endings::TooMany { tags, held } => {
                plan.refused = Some(format!("{tags} of {held} tags are chosen no more"));
            }
        }
        plan.tags.sort_by(|one, other| one.tag.cmp(&other.tag));
        plan.requests += work.source.upstream.sent();
        plan.bytes += work.received.load(std::sync::atomic::Ordering::Relaxed);
        Ok(plan)
    }
}

impl Work {
    /// What would become of some tags; returns what they lead to.
    async fn foresee(
        &self,
        (tags, parts): (Vec<Tag>, Parts),
        local: &Local,
        blobs: &mut HashSet<Digest>,
        plan: &mut Plan,
    ) -> Result<Vec<Digest>, Error> {
        let look = |tag: Tag| async move {
            let found = self.look(&tag, parts, local).await;
            (tag, found.unwrap_or_else(Found::Failed))
        };
        let mut found = stream::iter(tags).map(look).buffer_unordered(TAGS);
        let mut subjects = Vec::new();
        while let Some((tag, found)) = found.next().await {
            match found {
                Found::Unchanged(digest) => {
                    plan.unchanged += 1;
                    subjects.extend(digest);
                }
                Found::Skipped => plan.unchanged += 1,
                Found::Failed(error) => plan.tags.push(PlannedTag {
                    tag,
                    digest: None,
                    bytes: 0,
                    failure: Some(error.to_string()),
                }),
                Found::Tree(tree) => {
                    subjects.extend(tree.digests());
                    let bytes = self.add(&tree, blobs, plan).await?;
                    plan.tags.push(PlannedTag {
                        tag,
                        digest: tree.root().copied(),
                        bytes,
                        failure: None,
                    });
                }
            }
        }
        Ok(subjects)
    }

    async fn look(&self, tag: &Tag, parts: Parts, local: &Local) -> Result<Found, Error> {
        let patience = Patience::of(Duration::from_secs(self.record.deadline_s));
        let digest = self.head(tag, &patience).await?;
        match self.step(local, tag, digest.as_ref(), parts).await? {
            Step::Unchanged => return Ok(Found::Unchanged(digest)),
            Step::Refused => {
                let tag = tag.clone();
                return Err(registry::Error::TagImmutable { tag }.into());
            }
            Step::Copy => {}
        }
        let reference = digest.map_or_else(|| Reference::Tag(tag.clone()), Reference::Digest);
        let Some(tree) = self.survey(reference, parts, &patience).await? else {
            return Ok(Found::Skipped);
        };
        let is_same =
            digest.is_none() && self.step(local, tag, tree.root(), parts).await? == Step::Unchanged;
        match is_same {
            true => Ok(Found::Unchanged(tree.root().copied())),
            false => Ok(Found::Tree(tree)),
        }
    }

    /// Adds what would come for a tree; returns the bytes of its blobs.
    async fn add(
        &self,
        tree: &Tree,
        blobs: &mut HashSet<Digest>,
        plan: &mut Plan,
    ) -> Result<u64, Error> {
        let mut bytes = 0;
        for blob in &tree.blobs {
            if blobs.insert(blob.digest) && self.need(blob).await? == Need::Fetch {
                plan.requests += u64::from(blob.size > 0);
                bytes += blob.size;
            }
        }
        plan.bytes += bytes;
        Ok(bytes)
    }

    async fn foresee_referrers(
        &self,
        local: &Local,
        kept: &BTreeSet<Tag>,
        blobs: &mut HashSet<Digest>,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        // What is to be copied is asked with it.
        let copied: HashSet<Digest> = plan.tags.iter().filter_map(|tag| tag.digest).collect();
        for subject in self.young(local, kept).await? {
            if copied.contains(&subject) {
                continue;
            }
            let patience = Patience::of(Duration::from_secs(self.record.deadline_s));
            let missing = match self.missing_referrers(&subject, &patience).await {
                Ok(missing) => missing,
                Err(Error::Upstream(_)) => return Ok(()),
                Err(error) => return Err(error),
            };
            for referrer in missing {
                let reference = Reference::Digest(referrer);
                if let Ok(Some(tree)) = self.survey(reference, Parts::All, &patience).await {
                    self.add(&tree, blobs, plan).await?;
                }
            }
        }
        Ok(())
    }
}
