//! The check: compares what the store says with itself and with the disk, and repairs what can be
//! repaired without loss.
//!
//! Called by the operator's command and, for leftovers that no review covers, by `jobs`. Reads page by
//! page while the server works; what looks wrong is looked at again, under the lock of its digest or in
//! the transaction that repairs it. Rows that cannot be read come first, and indexes next, since what follows goes by what they say (a blob
//! that no index names would seem to be nobody's). Memory: the names of one 256th of the blobs, and
//! [`COUNTED`] digests. Does not read the bytes of blobs: that is the scrub's.

mod finding;
mod indexes;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashSet};

pub use finding::{CheckReport, Finding, Repair};

use super::gc::Verdict;
use super::{Error, Registry};
use crate::blob::Shard;
use crate::model::{NamespaceId, RepositoryId, Review};
use crate::oci::{Digest, Tag};
use crate::store::{self, Index, ReadTx, WriteTx};

/// Rows read in one go.
const PAGE: usize = 1000;

/// Digests held in memory while a namespace is counted; more take more passes.
const COUNTED: usize = 100_000;

/// A check under way.
struct Check<'a, F> {
    registry: &'a Registry,
    repair: Repair,
    found: F,
    report: CheckReport,
    /// Indexes with a fault that was left as it is.
    unsound: HashSet<Index>,
}

impl Registry {
    /// Compares store and disk, tells `found` of each finding, and repairs what it can if it shall.
    ///
    /// # Errors
    /// The store's or the disk's; what was repaired stays repaired.
    pub async fn check(
        &self,
        repair: Repair,
        found: impl FnMut(&Finding) + Send,
    ) -> Result<CheckReport, Error> {
        let mut check = Check::new(self, repair, found);
        check.rows().await?;
        check.indexes().await?;
        check.link_counts().await?;
        check.numbers().await?;
        for first in first_digests() {
            check.blobs(first).await?;
        }
        for namespace in self.all_namespaces().await? {
            check.namespace(namespace).await?;
        }
        check.total().await?;
        Ok(check.report)
    }

    /// Counts anew what namespaces, repositories and everything together hold, tells `found` of every
    /// number that is another, and corrects it if it shall (GC-06).
    ///
    /// # Errors
    /// The store's; what was corrected stays corrected.
    pub async fn recount(
        &self,
        repair: Repair,
        found: impl FnMut(&Finding) + Send,
    ) -> Result<CheckReport, Error> {
        let mut check = Check::new(self, repair, found);
        check.link_counts().await?;
        check.numbers().await?;
        for namespace in self.all_namespaces().await? {
            check.usage(namespace).await?;
        }
        check.total().await?;
        Ok(check.report)
    }

    /// Has the collector look at what nothing needs and it was not told of; returns how many that are.
    ///
    /// # Errors
    /// The store's.
    pub async fn recall_forgotten(&self) -> Result<u64, Error> {
        let mut check = Check::new(self, Repair::Yes, |_: &Finding| {});
        for namespace in self.all_namespaces().await? {
            check.forgotten(namespace).await?;
        }
        Ok(check.report.findings)
    }

    async fn all_namespaces(&self) -> Result<Vec<NamespaceId>, Error> {
        let mut all = Vec::new();
        loop {
            let after = all.last().copied();
            let page = self
                .inner
                .store
                .scan(move |tx| tx.namespaces().list_after(after, PAGE))
                .await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(|(id, _)| id));
        }
    }
}

impl<'a, F: FnMut(&Finding) + Send> Check<'a, F> {
    fn new(registry: &'a Registry, repair: Repair, found: F) -> Self {
        Self {
            registry,
            repair,
            found,
            report: CheckReport::default(),
            unsound: HashSet::new(),
        }
    }
}

impl<F: FnMut(&Finding) + Send> Check<'_, F> {
    fn tell(&mut self, finding: &Finding, repaired: bool) {
        self.report.findings += 1;
        self.report.repaired += u64::from(repaired);
        (self.found)(finding);
    }

    /// Compares the rows and the files of one 256th of the blobs.
    async fn blobs(&mut self, first: Digest) -> Result<(), Error> {
        let (store, shard) = (&self.registry.inner.store, Shard::of(&first));
        let files = self.registry.inner.blobs.list(shard).await?;
        let rows = store.scan(move |tx| rows_of(tx, first)).await?;
        let files: BTreeMap<Digest, u64> = files
            .into_iter()
            .map(|held| (held.digest, held.size_bytes))
            .collect();
        let digests: BTreeSet<Digest> = rows.keys().chain(files.keys()).copied().collect();
        for digest in digests {
            self.report.blobs += 1;
            let suspect = rows.get(&digest) != files.get(&digest);
            if suspect || !self.is_linked(digest).await? {
                self.blob(digest).await?;
            }
        }
        Ok(())
    }

    async fn is_linked(&self, digest: Digest) -> Result<bool, Error> {
        let store = &self.registry.inner.store;
        Ok(store
            .read(|tx| tx.blobs().is_linked_at_all(&digest))
            .await?)
    }

    /// Looks at one blob again while nobody publishes or removes it.
    async fn blob(&mut self, digest: Digest) -> Result<(), Error> {
        let registry = self.registry;
        let _guard = registry.content_lock(&digest).await;
        let row = registry
            .inner
            .store
            .read(|tx| tx.blobs().record(&digest))
            .await?
            .map(|record| record.size_bytes);
        let held = registry.inner.blobs.list(Shard::of(&digest)).await?;
        let held = held.into_iter().find(|held| held.digest == digest);
        let file = held.map(|held| held.size_bytes);
        // What a backup holds is looked at again another day.
        let repair = self.repair == Repair::Yes && !registry.inner.holds.any();
        if let Some(finding) = compare(digest, row, file) {
            if repair {
                match finding {
                    Finding::WrongLength { .. } => registry.inner.blobs.quarantine(&digest).await?,
                    Finding::OrphanFile { .. } => {
                        registry.inner.blobs.remove(&digest, || {}).await?;
                    }
                    _ => {}
                }
            }
            self.tell(&finding, repair && finding.is_repairable());
        }
        if row.is_some() && !self.is_linked(digest).await? {
            if repair {
                let remove =
                    move |tx: &mut WriteTx<'_>| match tx.blobs().is_linked_at_all(&digest)? {
                        true => Ok::<_, store::Error>(false),
                        false => tx.blobs().remove(&digest).map(|()| true),
                    };
                let removed = registry.inner.store.write(remove).await?;
                // Asked after the row went: a backup that began before has the row.
                if removed && !registry.inner.holds.any() {
                    registry.inner.blobs.remove(&digest, || {}).await?;
                }
            }
            self.tell(&Finding::UnlinkedBlob { digest }, repair);
        }
        Ok(())
    }

    async fn namespace(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.registry.repositories(namespace, after).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, repository) in page {
                self.manifests(repository).await?;
                self.tags(repository).await?;
            }
        }
        // By an index that lacks rows, what is needed seems not to be.
        if self.unsound.is_empty() {
            self.forgotten(namespace).await?;
        }
        self.usage(namespace).await
    }

    async fn manifests(&mut self, repository: RepositoryId) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.registry.inner.store.scan(move |tx| {
                let page = tx.manifests().list(repository, after.as_ref(), PAGE)?;
                let last = page.last().map(|(digest, _)| *digest);
                let mut damaged = Vec::new();
                for (digest, _) in &page {
                    match tx.manifests().body(digest) {
                        Ok(Some(_)) => {}
                        Ok(None) | Err(store::Error::Corrupt { .. }) => damaged.push(*digest),
                        Err(error) => return Err(error),
                    }
                }
                Ok((page.len(), last, damaged))
            });
            let (count, last, damaged) = page.await?;
            self.report.manifests += count as u64;
            for digest in damaged {
                let finding = Finding::DamagedManifest { repository, digest };
                self.tell(&finding, false);
            }
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    async fn tags(&mut self, repository: RepositoryId) -> Result<(), Error> {
        let mut after: Option<Tag> = None;
        loop {
            let page = self.registry.inner.store.scan(move |tx| {
                let page = tx.tags().list(repository, after.as_ref(), PAGE)?;
                let last = page.last().map(|(tag, _)| tag.clone());
                let mut dangling = Vec::new();
                for (tag, record) in page {
                    if tx.manifests().record(repository, &record.digest)?.is_none() {
                        dangling.push((tag, record.digest));
                    }
                }
                Ok::<_, store::Error>((last, dangling))
            });
            let (last, dangling) = page.await?;
            for (tag, digest) in dangling {
                let finding = Finding::DanglingTag {
                    repository,
                    tag,
                    digest,
                };
                self.tell(&finding, false);
            }
            if last.is_none() {
                return Ok(());
            }
            after = last;
        }
    }

    /// Finds what was pushed into a namespace, is needed no longer and covered by no review.
    async fn forgotten(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        let mut after = None;
        loop {
            let page = self.registry.repositories(namespace, after).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (_, repository) in page {
                let (mut manifest, mut blob) = (None, None);
                loop {
                    let (last, found) = self.garbage(repository, manifest, blob).await?;
                    self.recall(found).await?;
                    if last == (None, None) {
                        break;
                    }
                    // What has ended starts behind its last row again, and finds nothing.
                    manifest = last.0.or(manifest);
                    blob = last.1.or(blob);
                }
            }
        }
    }

    /// A page of what a repository no longer needs, and how far it reached.
    async fn garbage(
        &self,
        repository: RepositoryId,
        manifest: Option<Digest>,
        blob: Option<Digest>,
    ) -> Result<((Option<Digest>, Option<Digest>), HashSet<Review>), Error> {
        let moment = self.registry.moment();
        let page = self.registry.inner.store.scan(move |tx| {
            let mut found = HashSet::new();
            let Some(place) = moment.place(tx, repository)?.filter(|place| place.is_local) else {
                return Ok(((None, None), found));
            };
            let manifests = tx.manifests().list(repository, manifest.as_ref(), PAGE)?;
            let last_manifest = manifests.last().map(|(digest, _)| *digest);
            for (digest, record) in manifests {
                if moment.manifest(tx, &place, &digest, &record)? == Verdict::Garbage {
                    found.insert(Review::Manifest { repository, digest });
                }
            }
            let blobs = tx.blobs().linked(repository, blob.as_ref(), PAGE)?;
            let last_blob = blobs.last().copied();
            for digest in blobs {
                if moment.blob(tx, repository, &digest)? == Verdict::Garbage {
                    found.insert(Review::Blob { repository, digest });
                }
            }
            // What is overdue is on its way.
            let mut after = None;
            while !found.is_empty() {
                let due = tx.reviews().due(moment.now, after.as_ref(), PAGE)?;
                let Some(last) = due.last() else { break };
                after = Some(last.clone());
                for (_, review) in &due {
                    found.remove(review);
                }
            }
            Ok::<_, store::Error>(((last_manifest, last_blob), found))
        });
        Ok(page.await?)
    }

    async fn recall(&mut self, forgotten: HashSet<Review>) -> Result<(), Error> {
        if forgotten.is_empty() {
            return Ok(());
        }
        let repair = self.repair == Repair::Yes;
        for review in &forgotten {
            let review = review.clone();
            self.tell(&Finding::Forgotten { review }, repair);
        }
        if repair {
            let now = self.registry.inner.clock.now();
            let put = move |tx: &mut WriteTx<'_>| {
                forgotten
                    .iter()
                    .try_for_each(|review| tx.reviews().put(now, review))
            };
            self.registry.inner.store.write(put).await?;
        }
        Ok(())
    }

    /// Compares what all blobs are said to have with what they have, in one snapshot.
    async fn total(&mut self) -> Result<(), Error> {
        let store = &self.registry.inner.store;
        let counted = store.scan(|tx| Ok::<_, store::Error>((tx.usage().of_all()?, sum(tx)?)));
        let (stored_bytes, counted_bytes) = counted.await?;
        if stored_bytes == counted_bytes {
            return Ok(());
        }
        let repair = self.repair == Repair::Yes;
        if repair {
            let correct = move |tx: &mut WriteTx<'_>| {
                let now = tx.usage().of_all()?.saturating_add(counted_bytes);
                tx.usage().put_all(now.saturating_sub(stored_bytes))
            };
            store.write(correct).await?;
        }
        let finding = Finding::WrongTotal {
            stored_bytes,
            counted_bytes,
        };
        self.tell(&finding, repair);
        Ok(())
    }

    /// Compares what a namespace is said to hold with what it holds, in one snapshot (GC-06).
    async fn usage(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        self.report.namespaces += 1;
        let registry = self.registry;
        let counted = registry.inner.store.scan(move |tx| {
            let stored = tx.usage().held(namespace)?;
            Ok::<_, store::Error>((stored, count(tx, namespace, COUNTED)?))
        });
        let (stored_bytes, counted_bytes) = counted.await?;
        if stored_bytes == counted_bytes {
            return Ok(());
        }
        let repair = self.repair == Repair::Yes;
        if repair {
            // What others add or subtract meanwhile stays: the difference is what is wrong.
            let (more, less) = (
                counted_bytes.saturating_sub(stored_bytes),
                stored_bytes.saturating_sub(counted_bytes),
            );
            let correct = registry.inner.store.write(move |tx| {
                let held = tx.usage().held(namespace)?;
                tx.usage()
                    .put(namespace, held.saturating_add(more).saturating_sub(less))
            });
            correct.await?;
            let ledger = &registry.inner.ledger;
            ledger.subtract_held(namespace, less);
            ledger.nothing(namespace).hold(more);
        }
        let finding = Finding::WrongUsage {
            namespace,
            stored_bytes,
            counted_bytes,
        };
        self.tell(&finding, repair);
        Ok(())
    }
}

/// What is wrong with a blob's row and file, each with its length.
const fn compare(digest: Digest, row: Option<u64>, file: Option<u64>) -> Option<Finding> {
    match (row, file) {
        (Some(size_bytes), None) => Some(Finding::MissingFile { digest, size_bytes }),
        (None, Some(size_bytes)) => Some(Finding::OrphanFile { digest, size_bytes }),
        (Some(row_bytes), Some(file_bytes)) if row_bytes != file_bytes => {
            Some(Finding::WrongLength {
                digest,
                row_bytes,
                file_bytes,
            })
        }
        _ => None,
    }
}

/// The first digest of every folder of blobs, in their order. No content has one of these.
fn first_digests() -> impl Iterator<Item = Digest> + Send {
    [("sha256", 62), ("sha512", 126)]
        .into_iter()
        .flat_map(|(algorithm, zeros)| {
            (0..=u8::MAX).map(move |first| {
                let text = format!("{algorithm}:{first:02x}{}", "0".repeat(zeros));
                text.parse().expect("it has the form of a digest")
            })
        })
}

/// The rows of the blobs that lie in the folder of `first`, with their lengths.
fn rows_of(tx: &ReadTx, first: Digest) -> Result<BTreeMap<Digest, u64>, store::Error> {
    let mut rows = BTreeMap::new();
    let (shard, mut after) = (Shard::of(&first), Some(first));
    loop {
        let page = tx.blobs().list(after.as_ref(), PAGE)?;
        let count = page.len();
        for (digest, record) in page {
            if Shard::of(&digest) != shard {
                return Ok(rows);
            }
            after = Some(digest);
            rows.insert(digest, record.size_bytes);
        }
        if count < PAGE {
            return Ok(rows);
        }
    }
}

/// Bytes that a namespace holds: its manifests, and each blob once. Holds up to `most` digests in
/// memory: the smallest, then those behind them.
fn count(tx: &ReadTx, namespace: NamespaceId, most: usize) -> Result<u64, store::Error> {
    let (mut total, mut low) = (0, None);
    loop {
        let mut digests: BTreeSet<Digest> = BTreeSet::new();
        let mut after = None;
        loop {
            let page = tx.repositories().list(namespace, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (_, repository) in page {
                if low.is_none() {
                    total += manifest_bytes(tx, repository)?;
                }
                gather(tx, repository, low, most, &mut digests)?;
            }
        }
        // What is deleted counts until its rows are gone.
        for (_, repository) in tx.repositories().doomed(Some(namespace), usize::MAX)? {
            if low.is_none() {
                total += manifest_bytes(tx, repository)?;
            }
            gather(tx, repository, low, most, &mut digests)?;
        }
        for digest in &digests {
            let record = tx.blobs().record(digest)?;
            total += record.map_or(0, |record| record.size_bytes);
        }
        if digests.len() < most {
            return Ok(total);
        }
        low = digests.last().copied();
    }
}

/// Bytes of all blobs.
fn sum(tx: &ReadTx) -> Result<u64, store::Error> {
    let (mut total, mut after) = (0_u64, None);
    loop {
        let page = tx.blobs().list(after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(total);
        };
        after = Some(*last);
        let sizes = page.iter().map(|(_, record)| record.size_bytes);
        total = total.saturating_add(sizes.sum());
    }
}

/// Adds the repository's blobs behind `low` to the `most` smallest seen.
fn gather(
    tx: &ReadTx,
    repository: RepositoryId,
    low: Option<Digest>,
    most: usize,
    smallest: &mut BTreeSet<Digest>,
) -> Result<(), store::Error> {
    let mut after = low;
    loop {
        let page = tx.blobs().linked(repository, after.as_ref(), PAGE)?;
        let Some(last) = page.last().copied() else {
            return Ok(());
        };
        after = Some(last);
        for digest in page {
            if smallest.len() >= most && smallest.last().is_some_and(|largest| digest > *largest) {
                return Ok(());
            }
            if smallest.insert(digest) && smallest.len() > most {
                smallest.pop_last();
            }
        }
    }
}

fn manifest_bytes(tx: &ReadTx, repository: RepositoryId) -> Result<u64, store::Error> {
    if !tx.repositories().counts_documents(repository)? {
        return Ok(0);
    }
    let (mut total, mut after) = (0, None);
    loop {
        let page = tx.manifests().list(repository, after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(total);
        };
        after = Some(*last);
        total += page
            .iter()
            .map(|(_, record)| record.size_bytes)
            .sum::<u64>();
    }
}

#[cfg(test)]
#[path = "../tests/check.rs"]
mod tests;
