//! The tags of a mirror, as its source and this store have them: what a run compares.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::Error;
use super::plan::{Companions, Local, LocalTag};
use super::throttle::Patience;
use super::wave::Done;
use super::work::Work;
use crate::oci::{Digest, Tag};
use crate::registry;
use crate::store::ReadTx;

/// Rows read in one go.
const PAGE: usize = 1_000;

/// Tags that did not change and are asked for new referrers, the youngest first.
const ASKED_AGAIN: usize = 50;

impl Work {
    /// All tags of the source, listed once: a list that is cut off is none (CA-10).
    pub(super) async fn list(&self, patience: &Patience) -> Result<Vec<Tag>, Error> {
        let (upstream, name) = (&self.source.upstream, self.source.name());
        let ask = move || upstream.list_tags(name);
        Ok(self.source.patiently(patience, ask).await?)
    }

    /// What is here.
    pub(super) async fn local(&self) -> Result<Local, Error> {
        let (now, mut local, mut after) = (self.mirror.now(), Local::new(), None);
        loop {
            let repository = self.placed.repository;
            let page = self.registry().list_tags(repository, after, PAGE).await?;
            after = page.last().map(|(tag, _)| tag.clone());
            if after.is_none() {
                return Ok(local);
            }
            let alive = page.into_iter().filter(|(_, tag)| !tag.has_expired(now));
            local.extend(alive.map(|(tag, record)| {
                let found = LocalTag {
                    digest: record.digest,
                    immutable: record.immutable,
                    whole: true,
                };
                (tag, found)
            }));
        }
    }

    /// Tags that the run of this number copied before it was cut off.
    pub(super) async fn done_by(&self, number: u64) -> Result<Done, Error> {
        let mut done = Done::new();
        let (repository, mut after) = (self.placed.repository, None::<Tag>);
        loop {
            let behind = after.clone();
            let read = move |tx: &ReadTx| tx.mirrors().tags(repository, behind.as_ref(), PAGE);
            let page: Vec<_> = self.registry().store().scan(read).await?;
            let Some((last, _)) = page.last() else {
                return Ok(done);
            };
            after = Some(last.clone());
            let copied = page
                .into_iter()
                .filter(|(_, record)| record.run == number && record.failure.is_none());
            done.extend(copied.map(|(tag, _)| tag));
        }
    }

    /// The companions of what is here that are not among the tags already.
    pub(super) async fn companions(
        &self,
        companions: &Companions,
        subjects: Vec<Digest>,
        kept: &BTreeSet<Tag>,
    ) -> Result<Vec<Tag>, Error> {
        if companions.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = BTreeSet::new();
        for subject in subjects {
            let record = self
                .registry()
                .manifest_record(self.placed.repository, &subject);
            let children = record.await?.map(|record| record.children);
            for digest in children.into_iter().flatten().chain([subject]) {
                let of = companions.of_manifest(&digest).iter();
                found.extend(of.filter(|tag| !kept.contains(*tag)).cloned());
            }
        }
        found.retain(|tag| !self.chooser.excludes(tag));
        Ok(found.into_iter().collect())
    }

    /// What the youngest tags point to that have not changed, none if the source has no referrers API.
    pub(super) async fn young(
        &self,
        local: &Local,
        kept: &BTreeSet<Tag>,
    ) -> Result<Vec<Digest>, Error> {
        if !self.record.options.referrers || self.lacks_referrers_api.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let mut young = Vec::new();
        for (tag, before) in local.iter().filter(|(tag, _)| kept.contains(*tag)) {
            let repository = self.placed.repository;
            let now = self.registry().lookup_tag(repository, tag).await?;
            let record = now.map(|now| (now.record.since, now.record.digest));
            young.extend(record.filter(|(_, digest)| *digest == before.digest));
        }
        young.sort_unstable_by_key(|(since, digest)| (std::cmp::Reverse(*since), *digest));
        young.dedup_by_key(|(_, digest)| *digest);
        young.truncate(ASKED_AGAIN);
        Ok(young.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Keeps what a tag points to under a name that tells when the tag ended.
    pub(super) async fn archive(&self, tag: &Tag, digest: &Digest) -> Result<(), Error> {
        let day = self.mirror.now().to_string();
        let day: String = day.chars().take(10).filter(char::is_ascii_digit).collect();
        let name: String = format!("archived-{day}-{tag}");
        // The longest tags lose their end.
        let name: String = name.chars().take(crate::oci::limits::TAG_BYTES).collect();
        let archived: Tag = name.parse()?;
        let repository = self.placed.repository;
        let retagged = self
            .registry()
            .retag(repository, &archived, digest, &self.by);
        match retagged.await {
            // Another of that name is kept already.
            Ok(()) | Err(registry::Error::TagImmutable { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
