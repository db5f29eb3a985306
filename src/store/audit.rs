//! The audit: compares rows that are derived from others with what they are derived from.
//!
//! Called by the registry's check, and by nothing else. An index says nothing of its own: [`derived`]
//! tells which of its rows a row has, [`origin`] where a row of an index comes from. So a difference is
//! made good without loss, by writing the row or by removing it. The numbers of links, which are no
//! rows to be there or not, are counted anew. Reads page by page; of the counts it holds in memory as
//! many as it is told to. Does not look at what the rows name outside of the store.

use std::collections::BTreeMap;

use super::keys::{self, Key, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, ReadTx, Reads, WriteTx, blobs, codec};
use crate::model::{ManifestRecord, NamespaceId, RepositoryId, Review, TagLifetime, TagRecord};
use crate::oci::Digest;

/// Derived rows as a transaction sees them.
pub struct Audit<S>(pub(super) S);

/// Rows that are derived from others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Index {
    /// Which tags point to a manifest.
    TagTargets,
    /// When a tag is to be looked at since it expires.
    TagExpiries,
    /// Which ended lifetimes pointed to a manifest.
    LifetimeTargets,
    /// The ended lifetimes of a tag.
    LifetimeTags,
    /// Which repositories hold a manifest.
    ManifestHolders,
    /// Which indexes name a manifest.
    ManifestParents,
    /// Which manifests name a blob.
    BlobNamers,
    /// Which repositories a pushed blob can be mounted from.
    BlobHolders,
    /// What refers to a subject.
    Referrers,
}

/// A row of an index that is missing, or is there and should not be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    pub index: Index,
    /// Otherwise nothing stands behind a row that is there.
    pub is_missing: bool,
    key: Key,
    /// The row it comes from; `None` for a key that nobody here wrote.
    origin: Option<(Table, Key)>,
}

/// A number of links that is not that of the links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrongCount {
    pub digest: Digest,
    pub namespace: NamespaceId,
    pub stored: u64,
    pub counted: u64,
}

/// How far a comparison has come; at first, nowhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    step: usize,
    after: Option<Key>,
}

/// What is walked through.
#[derive(Clone, Copy)]
enum Step {
    /// Each row has what is derived from it.
    Rows(Table),
    /// Each row of an index is derived from something.
    Index(Index),
}

/// Every table that something is derived from, then every index whose rows must come from one. A
/// review that nothing stands behind does no harm: it is looked at, and dropped.
const STEPS: [Step; 12] = [
    Step::Rows(Table::Tags),
    Step::Rows(Table::TagLifetimes),
    Step::Rows(Table::Manifests),
    Step::Rows(Table::BlobLinks),
    Step::Index(Index::TagTargets),
    Step::Index(Index::LifetimeTargets),
    Step::Index(Index::LifetimeTags),
    Step::Index(Index::ManifestHolders),
    Step::Index(Index::ManifestParents),
    Step::Index(Index::BlobNamers),
    Step::Index(Index::BlobHolders),
    Step::Index(Index::Referrers),
];

impl Index {
    const fn table(self) -> Table {
        match self {
            Self::TagTargets => Table::TagTargets,
            Self::TagExpiries => Table::Reviews,
            Self::LifetimeTargets => Table::LifetimeTargets,
            Self::LifetimeTags => Table::LifetimeTags,
            Self::ManifestHolders => Table::ManifestHolders,
            Self::ManifestParents => Table::ManifestParents,
            Self::BlobNamers => Table::BlobNamers,
            Self::BlobHolders => Table::BlobHolders,
            Self::Referrers => Table::Referrers,
        }
    }
}

impl std::fmt::Display for Index {
    /// The index in an operator's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TagTargets => "tags by manifest",
            Self::TagExpiries => "tags by expiry",
            Self::LifetimeTargets => "tag history by manifest",
            Self::LifetimeTags => "tag history by tag",
            Self::ManifestHolders => "repositories by manifest",
            Self::ManifestParents => "indexes by child",
            Self::BlobNamers => "manifests by blob",
            Self::BlobHolders => "repositories by blob",
            Self::Referrers => "referrers by subject",
        })
    }
}

impl Fault {
    /// The repository and the manifest that is to stand on its subject's list, if that is what is
    /// missing: how it is listed is read from its document, which is not the store's to do.
    pub fn unlisted_referrer(&self) -> Option<(RepositoryId, Digest)> {
        if self.index != Index::Referrers || !self.is_missing {
            return None;
        }
        let repository = keys::read_repository(&self.key)?;
        Some((repository, keys::read_naming(&self.key)?))
    }
}

impl<S: Reads> Audit<S> {
    /// What is wrong with up to `limit` rows behind `progress`, and where to go on; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that cannot be read and is derived from nothing.
    pub fn page(
        &self,
        progress: Progress,
        limit: usize,
    ) -> Result<(Vec<Fault>, Option<Progress>), Error> {
        let tx = self.0.tx();
        let Some(step) = STEPS.get(progress.step) else {
            return Ok((Vec::new(), None));
        };
        let span = Span::ALL.after(progress.after);
        let mut faults = Vec::new();
        let (seen, last) = match *step {
            Step::Rows(table) => {
                let rows = tx.page(table, &span, limit, |key, value| {
                    Ok((key.to_vec(), derived(table, key, value)?))
                })?;
                for (key, derived) in &rows {
                    faults.extend(missing(tx, (table, key), derived)?);
                }
                (rows.len(), rows.into_iter().next_back().map(|(key, _)| key))
            }
            Step::Index(index) => {
                let rows = tx.page(index.table(), &span, limit, |key, _| Ok(key.to_vec()))?;
                for key in &rows {
                    faults.extend(stray(tx, index, key)?);
                }
                (rows.len(), rows.into_iter().next_back())
            }
        };
        let next = match seen < limit {
            true => Progress {
                step: progress.step + 1,
                after: None,
            },
            false => Progress {
                after: last,
                ..progress
            },
        };
        Ok((faults, (next.step < STEPS.len()).then_some(next)))
    }

    /// What is wrong with the numbers of links of up to `most` blobs behind `after`, in the order of
    /// their digests, and where to go on; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a row that cannot be read.
    pub fn counts(
        &self,
        after: Option<Digest>,
        most: usize,
    ) -> Result<(Vec<WrongCount>, Option<Digest>), Error> {
        let tx = self.0.tx();
        let mut counted = Counted::new(after, most);
        let mut last = None;
        loop {
            let span = Span::ALL.after(last.map(keys::repository));
            let read = |key: &[u8]| keys::read_number(key).map(RepositoryId);
            let page: Vec<(_, crate::model::RepositoryRecord)> =
                tx.records(Table::Repositories, &span, PAGE_ROWS, read)?;
            let Some((newest, _)) = page.last() else {
                break;
            };
            last = Some(*newest);
            for (repository, record) in &page {
                counted.add(tx, *repository, record.namespace)?;
            }
        }
        let next = counted.last();
        let mut wrong = Vec::new();
        let mut span = after.map_or(Span::ALL, |digest| {
            Span::ALL.after(Some(keys::owner(&digest, NamespaceId(u64::MAX))))
        });
        loop {
            let page = tx.page(Table::BlobNamespaces, &span, PAGE_ROWS, read_count)?;
            for (digest, namespace, stored) in &page {
                if next.is_some_and(|last| *digest > last) {
                    break;
                }
                let links = counted.take(digest, *namespace);
                wrong.extend(differing(*digest, *namespace, *stored, links));
            }
            let Some((digest, namespace, _)) = page.last() else {
                break;
            };
            if page.len() < PAGE_ROWS || next.is_some_and(|last| *digest > last) {
                break;
            }
            span = span.after(Some(keys::owner(digest, *namespace)));
        }
        // What is left was not met in the table.
        for (digest, namespaces) in counted.blobs {
            for (namespace, links) in namespaces {
                wrong.extend(differing(digest, namespace, 0, links));
            }
        }
        Ok((wrong, next))
    }
}

impl Audit<&mut WriteTx<'_>> {
    /// Makes a fault good if it still is one; `false` if it is none, or the caller's to make good
    /// ([`Fault::unlisted_referrer`]).
    pub fn mend(&mut self, fault: &Fault) -> Result<bool, Error> {
        let (table, key) = (fault.index.table(), &fault.key);
        let expected = is_expected(self.0, fault.index, key, fault.origin.as_ref())?;
        match (expected, self.0.has(table, key)?) {
            (true, false) if fault.index != Index::Referrers => {
                self.0.mark(table, key.clone());
                Ok(true)
            }
            (false, true) => {
                self.0.remove(table, key.clone());
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Corrects a number of links; what others add or take away meanwhile stays, as the difference is
    /// what is wrong.
    pub fn correct(&mut self, wrong: &WrongCount) -> Result<(), Error> {
        let key = keys::owner(&wrong.digest, wrong.namespace);
        let now: Option<u64> = self.0.record(Table::BlobNamespaces, &key)?;
        let correct = now.unwrap_or(0).saturating_add(wrong.counted);
        match correct.saturating_sub(wrong.stored) {
            0 => self.0.remove(Table::BlobNamespaces, key),
            correct => self.0.put_record(Table::BlobNamespaces, key, &correct),
        }
        Ok(())
    }
}

/// Numbers of links of the first blobs behind one, by digest and namespace.
struct Counted {
    after: Option<Digest>,
    most: usize,
    blobs: BTreeMap<Digest, Vec<(NamespaceId, u64)>>,
    /// Blobs were left out for the next pass.
    is_cut: bool,
}

impl Counted {
    const fn new(after: Option<Digest>, most: usize) -> Self {
        Self {
            after,
            most,
            blobs: BTreeMap::new(),
            is_cut: false,
        }
    }

    /// Counts the links of a repository, as far as they lie among the first blobs.
    fn add(
        &mut self,
        tx: &ReadTx,
        repository: RepositoryId,
        namespace: NamespaceId,
    ) -> Result<(), Error> {
        let mut after = self.after;
        loop {
            let page = tx.blobs().linked(repository, after.as_ref(), PAGE_ROWS)?;
            let Some(last) = page.last().copied() else {
                return Ok(());
            };
            after = Some(last);
            for digest in page {
                let is_known = self.blobs.contains_key(&digest);
                if !is_known && self.blobs.len() >= self.most {
                    self.is_cut = true;
                    if self.last_key().is_some_and(|largest| digest > largest) {
                        return Ok(());
                    }
                    self.blobs.pop_last();
                }
                let namespaces = self.blobs.entry(digest).or_default();
                match namespaces.iter_mut().find(|(of, _)| *of == namespace) {
                    Some((_, links)) => *links += 1,
                    None => namespaces.push((namespace, 1)),
                }
            }
        }
    }

    fn last_key(&self) -> Option<Digest> {
        self.blobs.last_key_value().map(|(digest, _)| *digest)
    }

    /// The last blob of this pass, if there are more.
    fn last(&self) -> Option<Digest> {
        self.last_key().filter(|_| self.is_cut)
    }

    fn take(&mut self, digest: &Digest, namespace: NamespaceId) -> u64 {
        let Some(namespaces) = self.blobs.get_mut(digest) else {
            return 0;
        };
        let place = namespaces.iter().position(|(of, _)| *of == namespace);
        place.map_or(0, |place| namespaces.swap_remove(place).1)
    }
}

fn differing(
    digest: Digest,
    namespace: NamespaceId,
    stored: u64,
    counted: u64,
) -> Option<WrongCount> {
    (stored != counted).then_some(WrongCount {
        digest,
        namespace,
        stored,
        counted,
    })
}

fn read_count(key: &[u8], value: &[u8]) -> Result<(Digest, NamespaceId, u64), Error> {
    let table = Table::BlobNamespaces;
    let digest = keys::read_first_digest(key).ok_or_else(|| table.damaged_key())?;
    let namespace = keys::read_owner(key).ok_or_else(|| table.damaged_key())?;
    Ok((digest, namespace, codec::decode(table, value)?))
}

/// Rows that are derived from one and are not there.
fn missing(
    tx: &ReadTx,
    (table, key): (Table, &Key),
    derived: &[(Index, Key)],
) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    for (index, row) in derived {
        if !tx.has(index.table(), row)? {
            faults.push(Fault {
                index: *index,
                is_missing: true,
                key: row.clone(),
                origin: Some((table, key.clone())),
            });
        }
    }
    Ok(faults)
}

/// The fault of a row of an index that nothing stands behind.
fn stray(tx: &ReadTx, index: Index, key: &Key) -> Result<Option<Fault>, Error> {
    let origin = origin(index, key);
    let is_stray = !is_expected(tx, index, key, origin.as_ref())?;
    Ok(is_stray.then(|| Fault {
        index,
        is_missing: false,
        key: key.clone(),
        origin,
    }))
}

fn is_expected(
    tx: &ReadTx,
    index: Index,
    key: &Key,
    origin: Option<&(Table, Key)>,
) -> Result<bool, Error> {
    let Some((table, from)) = origin else {
        return Ok(false);
    };
    let derived = tx.row(*table, from, |value| derived(*table, from, value))?;
    let mut derived = derived.into_iter().flatten();
    Ok(derived.any(|(of, row)| of == index && row == *key))
}

/// The rows of indexes that a row has.
fn derived(table: Table, key: &[u8], value: &[u8]) -> Result<Vec<(Index, Key)>, Error> {
    let damaged = || table.damaged_key();
    let repository = keys::read_repository(key).ok_or_else(damaged)?;
    let content = || keys::read_content(key).ok_or_else(damaged);
    Ok(match table {
        Table::Tags => {
            let tag = keys::read_tag(key).ok_or_else(damaged)?;
            let record: TagRecord = codec::decode(table, value)?;
            let target = keys::target(repository, &record.digest, &tag);
            // An immutable tag does not end by itself.
            let expires = record.expires.filter(|_| !record.immutable);
            let expiry = expires.map(|due| keys::review(due, &Review::Tag { repository, tag }));
            let expiry = expiry.map(|key| (Index::TagExpiries, key));
            [(Index::TagTargets, target)]
                .into_iter()
                .chain(expiry)
                .collect()
        }
        Table::TagLifetimes => {
            let sequence = keys::read_lifetime(key).ok_or_else(damaged)?;
            let lifetime: TagLifetime = codec::decode(table, value)?;
            let target = keys::lifetime_target(repository, &lifetime.digest, sequence);
            let tag = keys::lifetime_tag(repository, &lifetime.tag, sequence);
            vec![(Index::LifetimeTargets, target), (Index::LifetimeTags, tag)]
        }
        Table::Manifests => of_manifest(repository, &content()?, &codec::decode(table, value)?),
        Table::BlobLinks => {
            // What came from an upstream is not to be mounted from there.
            let is_pushed = blobs::decode_link(value)?.since != crate::model::Timestamp::default();
            let holder = keys::holder(&content()?, repository);
            Vec::from_iter(is_pushed.then_some((Index::BlobHolders, holder)))
        }
        _ => Vec::new(),
    })
}

fn of_manifest(
    repository: RepositoryId,
    digest: &Digest,
    record: &ManifestRecord,
) -> Vec<(Index, Key)> {
    let naming = |named: &Digest| keys::naming(repository, named, digest);
    let children = record.children.iter();
    let children = children.map(|child| (Index::ManifestParents, naming(child)));
    let blobs = record.blobs.iter();
    let blobs = blobs.map(|(blob, _)| (Index::BlobNamers, naming(blob)));
    // A deleted one is on nobody's list, and on it again when it is restored.
    let subject = record.subject.filter(|_| record.is_live());
    let subject = subject.map(|subject| (Index::Referrers, naming(&subject)));
    let holder = (Index::ManifestHolders, keys::holder(digest, repository));
    [holder]
        .into_iter()
        .chain(children)
        .chain(blobs)
        .chain(subject)
        .collect()
}

/// The row that a row of an index is derived from; `None` if its key cannot be read.
fn origin(index: Index, key: &[u8]) -> Option<(Table, Key)> {
    let repository = || keys::read_repository(key);
    let held = || {
        let (digest, repository) = (keys::read_first_digest(key)?, keys::read_holder(key)?);
        Some(keys::content(repository, &digest))
    };
    let naming = || Some(keys::content(repository()?, &keys::read_naming(key)?));
    let lifetime = |sequence| Some(keys::lifetime(repository()?, sequence));
    Some(match index {
        Index::TagTargets => {
            let tag = keys::read_target(key)?;
            (Table::Tags, keys::tag(repository()?, &tag))
        }
        Index::LifetimeTargets => {
            let sequence = keys::read_lifetime_target(key)?;
            (Table::TagLifetimes, lifetime(sequence)?)
        }
        Index::LifetimeTags => {
            let sequence = keys::read_lifetime_tag(key)?;
            (Table::TagLifetimes, lifetime(sequence)?)
        }
        Index::ManifestHolders => (Table::Manifests, held()?),
        Index::BlobHolders => (Table::BlobLinks, held()?),
        Index::ManifestParents | Index::BlobNamers | Index::Referrers => {
            (Table::Manifests, naming()?)
        }
        Index::TagExpiries => {
            let (_, review) = keys::read_review(key)?;
            let Review::Tag { repository, tag } = review else {
                return None;
            };
            (Table::Tags, keys::tag(repository, &tag))
        }
    })
}

// === For tests: a look at the rows, and damage ===

#[cfg(test)]
impl<S: Reads> Audit<S> {
    /// The keys of an index.
    pub(crate) fn rows(&self, index: Index) -> Result<Vec<Key>, Error> {
        let tx = self.0.tx();
        tx.page(index.table(), &Span::ALL, PAGE_ROWS, |key, _| {
            Ok(key.to_vec())
        })
    }
}

#[cfg(test)]
impl Audit<&mut WriteTx<'_>> {
    /// Takes away every row of an index, as damage does.
    pub(crate) fn wipe(&mut self, index: Index) -> Result<(), Error> {
        for key in self.rows(index)? {
            self.0.remove(index.table(), key);
        }
        Ok(())
    }

    /// Puts a row of an index that nothing stands behind: one that is there, with another repository.
    pub(crate) fn forge(&mut self, index: Index) -> Result<(), Error> {
        let table = index.table();
        let rows = self.0.page(table, &Span::ALL, 1, |key, value| {
            Ok((key.to_vec(), value.to_vec()))
        })?;
        let (mut key, value) = rows.into_iter().next().expect("there is a row to copy");
        match index {
            // The repository stands last.
            Index::ManifestHolders | Index::BlobHolders => {
                *key.last_mut().expect("a key has bytes") ^= 0x40;
            }
            _ => key[0] ^= 0x40,
        }
        self.0.put(table, key, value);
        Ok(())
    }

    /// Says that a namespace links a blob so many times.
    pub(crate) fn miscount(
        &mut self,
        digest: &Digest,
        namespace: NamespaceId,
        links: u64,
    ) -> Result<(), Error> {
        let key = keys::owner(digest, namespace);
        match links {
            0 => self.0.remove(Table::BlobNamespaces, key),
            links => self.0.put_record(Table::BlobNamespaces, key, &links),
        }
        Ok(())
    }
}
