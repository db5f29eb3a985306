//! The numbers of links: in how many of its repositories a namespace has a blob, counted anew.
//!
//! A count holds in memory as many blobs as it is told to, the smallest digests first, and takes as many
//! passes as that needs, each over one snapshot.

use std::collections::BTreeMap;

use super::Audit;
use crate::model::{NamespaceId, RepositoryId};
use crate::oci::Digest;
use crate::store::keys::{self, Span};
use crate::store::tables::Table;
use crate::store::{Error, PAGE_ROWS, ReadTx, Reads, WriteTx, codec};

/// A number of links that is not that of the links.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrongCount {
    pub digest: Digest,
    pub namespace: NamespaceId,
    pub stored: u64,
    pub counted: u64,
}

impl<S: Reads> Audit<S> {
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

#[cfg(test)]
impl Audit<&mut WriteTx<'_>> {
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
