//! The audit: compares rows that are derived from others with what they are derived from.
//!
//! Called by the registry's check, and by nothing else. An index says nothing of its own: [`mod@derived`]
//! tells which of its rows a row has, [`origin`] where a row of an index comes from. So a difference is
//! made good without loss, by writing the row or by removing it. Numbers, which are no rows to be there or
//! not, are counted anew, in `counts` and in `numbers`, from indexes that must be right by then; rows that are
//! derived from nothing and lead nowhere are looked at one by one in `standing`. Reads page by page; of the counts it holds in memory as many as it is told to. Does not look at what the rows name
//! outside of the store.

mod counts;
mod derived;
mod numbers;
mod places;
mod standing;

use super::keys::{self, Key, Span};
use super::tables::Table;
use super::{Error, ReadTx, Reads, WriteTx};
use crate::model::RepositoryId;
use crate::oci::Digest;

pub use counts::WrongCount;
use derived::{Derived, derived, origin};
pub use numbers::{Number, WrongNumber};
pub use standing::{RowFault, Standing, WrongRow};

/// Derived rows as a transaction sees them.
pub struct Audit<S>(pub(super) S);

/// Rows that are derived from others.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Index {
    /// Which tags point to a manifest.
    TagTargets,
    /// Where tags and their ended lifetimes stand in the order of their beginnings.
    TagPlaces,
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
    /// Who has starred a repository.
    Stargazers,
    /// Jobs in the order in which they are due.
    JobOrder,
    /// The same of runs of mirrors.
    MirrorJobOrder,
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

/// How far a comparison has come; at first, nowhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Progress {
    step: usize,
    after: Option<Key>,
}

impl Progress {
    /// Behind a page, whose last key is `last` if it had any row.
    fn behind(self, is_end: bool, last: Option<Key>) -> Self {
        match is_end {
            true => Self {
                step: self.step + 1,
                after: None,
            },
            false => Self {
                after: last,
                ..self
            },
        }
    }
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
const STEPS: [Step; 18] = [
    Step::Rows(Table::Tags),
    Step::Rows(Table::TagLifetimes),
    Step::Rows(Table::Manifests),
    Step::Rows(Table::BlobLinks),
    Step::Rows(Table::Stars),
    Step::Rows(Table::Jobs),
    Step::Index(Index::TagTargets),
    Step::Index(Index::TagPlaces),
    Step::Index(Index::LifetimeTargets),
    Step::Index(Index::LifetimeTags),
    Step::Index(Index::ManifestHolders),
    Step::Index(Index::ManifestParents),
    Step::Index(Index::BlobNamers),
    Step::Index(Index::BlobHolders),
    Step::Index(Index::Referrers),
    Step::Index(Index::Stargazers),
    Step::Index(Index::JobOrder),
    Step::Index(Index::MirrorJobOrder),
];

impl Index {
    const fn table(self) -> Table {
        match self {
            Self::TagTargets => Table::TagTargets,
            Self::TagPlaces => Table::TagPlaces,
            Self::TagExpiries => Table::Reviews,
            Self::LifetimeTargets => Table::LifetimeTargets,
            Self::LifetimeTags => Table::LifetimeTags,
            Self::ManifestHolders => Table::ManifestHolders,
            Self::ManifestParents => Table::ManifestParents,
            Self::BlobNamers => Table::BlobNamers,
            Self::BlobHolders => Table::BlobHolders,
            Self::Referrers => Table::Referrers,
            Self::Stargazers => Table::Stargazers,
            Self::JobOrder => Table::JobOrder,
            Self::MirrorJobOrder => Table::MirrorJobOrder,
        }
    }
}

impl std::fmt::Display for Index {
    /// The index in an operator's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TagTargets => "tags by manifest",
            Self::TagPlaces => "tags by beginning",
            Self::TagExpiries => "tags by expiry",
            Self::LifetimeTargets => "tag history by manifest",
            Self::LifetimeTags => "tag history by tag",
            Self::ManifestHolders => "repositories by manifest",
            Self::ManifestParents => "indexes by child",
            Self::BlobNamers => "manifests by blob",
            Self::BlobHolders => "repositories by blob",
            Self::Referrers => "referrers by subject",
            Self::Stargazers => "stars by repository",
            Self::JobOrder => "jobs by when they are due",
            Self::MirrorJobOrder => "runs of mirrors by when they are due",
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
        let span = Span::ALL.after(progress.after.clone());
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
                let rows = tx.page(index.table(), &span, limit, |key, value| {
                    Ok((key.to_vec(), origin(index, key, value)))
                })?;
                let (seen, last) = (rows.len(), rows.last().map(|(key, _)| key.clone()));
                for (key, origin) in rows {
                    faults.extend(stray(tx, index, key, origin)?);
                }
                (seen, last)
            }
        };
        let next = progress.behind(seen < limit, last);
        Ok((faults, (next.step < STEPS.len()).then_some(next)))
    }
}

impl Audit<&mut WriteTx<'_>> {
    /// Makes a fault good if it still is one; `false` if it is none, or the caller's to make good
    /// ([`Fault::unlisted_referrer`]). The numbers that are counted from an index stay as they are, and
    /// are to be compared with it behind this.
    pub fn mend(&mut self, fault: &Fault) -> Result<bool, Error> {
        match fault.is_missing {
            true => self.write_again(fault),
            false => self.remove_stray(fault),
        }
    }

    fn write_again(&mut self, fault: &Fault) -> Result<bool, Error> {
        let (index, key) = (fault.index, &fault.key);
        let expected = expected(self.0, index, key, fault.origin.as_ref())?;
        let Some(row) = expected.filter(|_| index != Index::Referrers) else {
            return Ok(false);
        };
        if says(self.0, &row)? {
            return Ok(false);
        }
        if index == Index::TagPlaces && self.is_taken(&row, fault.origin.as_ref())? {
            return self.place_anew(fault.origin.as_ref());
        }
        let value = row.value.unwrap_or_default();
        self.0.put(index.table(), row.key, value);
        Ok(true)
    }

    fn remove_stray(&mut self, fault: &Fault) -> Result<bool, Error> {
        let (index, table, key) = (fault.index, fault.index.table(), &fault.key);
        // Another row may be there by now.
        let now = self
            .0
            .row(table, key, |value| Ok(origin(index, key, value)))?;
        let Some(origin) = now else {
            return Ok(false);
        };
        if expected(self.0, index, key, origin.as_ref())?.is_some() {
            return Ok(false);
        }
        self.0.remove(table, key.clone());
        Ok(true)
    }
}

/// Rows that are derived from one and are not there, or say something else.
fn missing(
    tx: &ReadTx,
    (table, key): (Table, &Key),
    derived: &[Derived],
) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    for row in derived {
        if !says(tx, row)? {
            faults.push(Fault {
                index: row.index,
                is_missing: true,
                key: row.key.clone(),
                origin: Some((table, key.clone())),
            });
        }
    }
    Ok(faults)
}

/// Whether a row is there and says what it must.
fn says(tx: &ReadTx, row: &Derived) -> Result<bool, Error> {
    let found = tx.row(row.index.table(), &row.key, |value| {
        Ok(row.value.as_ref().is_none_or(|must| must == value))
    })?;
    Ok(found == Some(true))
}

/// The fault of a row of an index that nothing stands behind.
fn stray(
    tx: &ReadTx,
    index: Index,
    key: Key,
    origin: Option<(Table, Key)>,
) -> Result<Option<Fault>, Error> {
    let is_stray = expected(tx, index, &key, origin.as_ref())?.is_none();
    Ok(is_stray.then_some(Fault {
        index,
        is_missing: false,
        key,
        origin,
    }))
}

/// The row of an index under a key, as what it comes from has it; `None` if that has none there.
fn expected(
    tx: &ReadTx,
    index: Index,
    key: &Key,
    origin: Option<&(Table, Key)>,
) -> Result<Option<Derived>, Error> {
    let Some((table, from)) = origin else {
        return Ok(None);
    };
    let derived = tx.row(*table, from, |value| derived(*table, from, value))?;
    let mut derived = derived.into_iter().flatten();
    Ok(derived.find(|row| row.index == index && row.key == *key))
}

// === For tests: a look at the rows, and damage ===

#[cfg(test)]
impl<S: Reads> Audit<S> {
    /// The keys of an index.
    pub(crate) fn rows(&self, index: Index) -> Result<Vec<Key>, Error> {
        let tx = self.0.tx();
        tx.page(index.table(), &Span::ALL, super::PAGE_ROWS, |key, _| {
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
}
