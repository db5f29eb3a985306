//! The part of the check that compares indexes with what they are derived from.
//!
//! The store knows what is derived from what ([`store::Audit`]); here it is walked through, told and made
//! good.

use super::{COUNTED, Check, Finding, PAGE, Repair};
use crate::model::{ManifestRecord, RepositoryId};
use crate::oci::Digest;
use crate::registry::Error;
use crate::registry::tags::relist;
use crate::store::{self, Fault, Progress, WriteTx, WrongNumber};

/// Rows that are made good in one transaction.
const MENDED_AT_ONCE: usize = 256;

impl<F: FnMut(&Finding) + Send> Check<'_, F> {
    /// Compares the rows of every index with the rows that they come from.
    pub(super) async fn indexes(&mut self) -> Result<(), Error> {
        let mut progress = Some(Progress::default());
        while let Some(from) = progress {
            let store = &self.registry.inner.store;
            let (faults, next) = store.scan(move |tx| tx.audit().page(from, PAGE)).await?;
            for some in faults.chunks(MENDED_AT_ONCE) {
                self.faults(some).await?;
            }
            progress = next;
        }
        Ok(())
    }

    async fn faults(&mut self, faults: &[Fault]) -> Result<(), Error> {
        let mended = match self.repair {
            Repair::No => vec![false; faults.len()],
            Repair::Yes => {
                let faults = faults.to_vec();
                let mend = move |tx: &mut WriteTx<'_>| {
                    let mended = faults.iter().map(|fault| mend(tx, fault));
                    mended.collect::<Result<Vec<bool>, Error>>()
                };
                self.registry.inner.store.write(mend).await?
            }
        };
        for (fault, mended) in faults.iter().cloned().zip(mended) {
            if !mended {
                self.unsound.insert(fault.index);
            }
            let finding = match fault.is_missing {
                true => Finding::MissingIndexRow { fault },
                false => Finding::StrayIndexRow { fault },
            };
            self.tell(&finding, mended);
        }
        Ok(())
    }

    /// Compares how often namespaces are said to link blobs with how often they do, some blobs at a
    /// time, each time in one snapshot.
    pub(super) async fn link_counts(&mut self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let store = &self.registry.inner.store;
            let counts = store.scan(move |tx| tx.audit().counts(after, COUNTED));
            let (wrong, next) = counts.await?;
            let repair = self.repair == Repair::Yes;
            if repair {
                for some in wrong.chunks(MENDED_AT_ONCE) {
                    let some = some.to_vec();
                    let correct = move |tx: &mut WriteTx<'_>| {
                        some.iter().try_for_each(|wrong| tx.audit().correct(wrong))
                    };
                    self.registry.inner.store.write(correct).await?;
                }
            }
            for wrong in wrong {
                self.tell(&Finding::WrongLinkCount { wrong }, repair);
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Compares the numbers that are kept about repositories with what is counted, each repository in one
    /// snapshot. What is counted from an index with faults tells nothing, and is left out.
    pub(super) async fn numbers(&mut self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let store = &self.registry.inner.store;
            let compared = store.scan(move |tx| tx.audit().numbers(after)).await?;
            let Some((repository, wrong)) = compared else {
                return Ok(());
            };
            after = Some(repository);
            self.report.repositories += 1;
            for wrong in wrong {
                let index = wrong.number.counted_from();
                if !index.is_some_and(|index| self.unsound.contains(&index)) {
                    self.number(wrong).await?;
                }
            }
        }
    }

    async fn number(&mut self, wrong: WrongNumber) -> Result<(), Error> {
        let repair = self.repair == Repair::Yes;
        if repair {
            let right = wrong.clone();
            let correct = move |tx: &mut WriteTx<'_>| tx.audit().set_right(&right);
            self.registry.inner.store.write(correct).await?;
        }
        self.tell(&Finding::WrongNumber { wrong }, repair);
        Ok(())
    }
}

/// Makes a fault good; `false` if that cannot be done.
fn mend(tx: &mut WriteTx<'_>, fault: &Fault) -> Result<bool, Error> {
    match fault.unlisted_referrer() {
        Some((repository, digest)) => list_again(tx, repository, &digest),
        None => {
            tx.audit().mend(fault)?;
            Ok(true)
        }
    }
}

/// Puts a manifest on its subject's list, if its document can be read.
fn list_again(
    tx: &mut WriteTx<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Error> {
    let record = tx.manifests().record(repository, digest)?;
    let Some(record) = record.filter(ManifestRecord::is_live) else {
        return Ok(true);
    };
    match relist(tx, repository, digest, &record) {
        Ok(()) => Ok(true),
        Err(
            Error::Corrupt { .. }
            | Error::ManifestInvalid { .. }
            | Error::Store(store::Error::Corrupt { .. }),
        ) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[path = "../tests/check_indexes.rs"]
mod tests;
