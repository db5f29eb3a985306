//! Rows that stand by themselves: each must be readable, and be about something that is there.
//!
//! Nothing can write such a row again. One that cannot be read says nothing to anybody and stops whoever comes
//! by it; one about something that is gone is looked at by nobody, since ids are never given twice. So both are
//! made good by being removed.

use super::{Audit, Progress};
use crate::model::{
    ImmutabilityPolicy, Job, JobRecord, NamespaceId, PolicyScope, PrunePolicy, QuotaRecord,
};
use crate::store::keys::{self, Key, Span};
use crate::store::tables::Table;
use crate::store::{Error, ReadTx, Reads, WriteTx, codec};

/// What such a row is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Standing {
    Job,
    Quota,
    PrunePolicy,
    ImmutabilityPolicy,
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RowFault {
    Unreadable,
    /// What it is about is gone.
    Ownerless,
}

/// A row that should not be there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrongRow {
    pub of: Standing,
    pub fault: RowFault,
    /// What it is about, as far as that can be told.
    pub scope: Option<PolicyScope>,
    key: Key,
}

const ALL: [Standing; 4] = [
    Standing::Job,
    Standing::Quota,
    Standing::PrunePolicy,
    Standing::ImmutabilityPolicy,
];

impl Standing {
    const fn table(self) -> Table {
        match self {
            Self::Job => Table::Jobs,
            Self::Quota => Table::Quotas,
            Self::PrunePolicy => Table::PrunePolicies,
            Self::ImmutabilityPolicy => Table::ImmutabilityPolicies,
        }
    }

    /// What a key is about, which may be the whole site; `None` for a key that nobody here wrote.
    fn about(self, key: &[u8]) -> Option<Option<PolicyScope>> {
        let namespace = |id| Some(PolicyScope::Namespace(id));
        match self {
            Self::Job => Some(match keys::read_job(key)? {
                Job::Prune(id) => namespace(id),
                Job::PruneAll | Job::RotateLogs => None,
                Job::Mirror(id) => Some(PolicyScope::Repository(id)),
                Job::MirrorDiscovery(id) => namespace(id),
            }),
            Self::Quota => Some(namespace(NamespaceId(keys::read_number(key)?))),
            Self::PrunePolicy | Self::ImmutabilityPolicy => {
                let (scope, _) = keys::read_policy(key)?;
                Some(Some(scope))
            }
        }
    }

    fn is_readable(self, value: &[u8]) -> bool {
        let table = self.table();
        match self {
            Self::Job => codec::decode::<JobRecord>(table, value).is_ok(),
            Self::Quota => codec::decode::<QuotaRecord>(table, value).is_ok(),
            Self::PrunePolicy => codec::decode::<PrunePolicy>(table, value).is_ok(),
            Self::ImmutabilityPolicy => codec::decode::<ImmutabilityPolicy>(table, value).is_ok(),
        }
    }

    /// What is wrong with a row, if anything is.
    fn judge(self, tx: &ReadTx, key: Key, is_readable: bool) -> Result<Option<WrongRow>, Error> {
        let about = self.about(&key);
        let scope = about.flatten();
        let fault = match (about.is_some() && is_readable, scope) {
            (false, _) => RowFault::Unreadable,
            (true, Some(scope)) if !is_there(tx, scope)? => RowFault::Ownerless,
            (true, _) => return Ok(None),
        };
        Ok(Some(WrongRow {
            of: self,
            fault,
            scope,
            key,
        }))
    }
}

impl std::fmt::Display for Standing {
    /// The row in an operator's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Job => "queued job",
            Self::Quota => "quota",
            Self::PrunePolicy => "auto-prune policy",
            Self::ImmutabilityPolicy => "immutability policy",
        })
    }
}

impl<S: Reads> Audit<S> {
    /// What is wrong with up to `limit` of these rows behind `progress`, and where to go on; `None` at the end.
    ///
    /// # Errors
    /// The store's; never for a row.
    pub fn standing(
        &self,
        progress: Progress,
        limit: usize,
    ) -> Result<(Vec<WrongRow>, Option<Progress>), Error> {
        let tx = self.0.tx();
        let Some(of) = ALL.get(progress.step) else {
            return Ok((Vec::new(), None));
        };
        let span = Span::ALL.after(progress.after.clone());
        let rows = tx.page(of.table(), &span, limit, |key, value| {
            Ok((key.to_vec(), of.is_readable(value)))
        })?;
        let (seen, last) = (rows.len(), rows.last().map(|(key, _)| key.clone()));
        let mut wrong = Vec::new();
        for (key, is_readable) in rows {
            wrong.extend(of.judge(tx, key, is_readable)?);
        }
        let next = progress.behind(seen < limit, last);
        Ok((wrong, (next.step < ALL.len()).then_some(next)))
    }
}

impl Audit<&mut WriteTx<'_>> {
    /// Removes a row that is still wrong; whether it was.
    pub fn drop_row(&mut self, wrong: &WrongRow) -> Result<bool, Error> {
        let (of, key) = (wrong.of, &wrong.key);
        let now = self
            .0
            .row(of.table(), key, |value| Ok(of.is_readable(value)))?;
        let Some(is_readable) = now else {
            return Ok(false);
        };
        if of.judge(self.0, key.clone(), is_readable)?.is_none() {
            return Ok(false);
        }
        self.0.remove(of.table(), key.clone());
        Ok(true)
    }
}

/// Whether there is a row of what is meant, deleted or not: what is being removed still has its own.
fn is_there(tx: &ReadTx, scope: PolicyScope) -> Result<bool, Error> {
    match scope {
        PolicyScope::Namespace(id) => tx.has(Table::Namespaces, &keys::namespace(id)),
        PolicyScope::Repository(id) => tx.has(Table::Repositories, &keys::repository(id)),
    }
}

// === For tests: damage ===

#[cfg(test)]
impl Audit<&mut WriteTx<'_>> {
    /// Spoils the only row of its kind: its value, or its key.
    pub(crate) fn spoil(&mut self, of: Standing, fault: RowFault) -> Result<(), Error> {
        let rows = self.0.page(of.table(), &Span::ALL, 2, |key, value| {
            Ok((key.to_vec(), value.to_vec()))
        })?;
        let [(key, value)] = &rows[..] else {
            panic!("{of} has {} rows", rows.len());
        };
        match fault {
            RowFault::Unreadable => {
                let short = value[..value.len() - 1].to_vec();
                self.0.put(of.table(), key.clone(), short);
            }
            RowFault::Ownerless => {
                let gone = match of {
                    Standing::Job => keys::job(Job::Prune(NamespaceId(99))),
                    Standing::Quota => keys::namespace(NamespaceId(99)),
                    Standing::PrunePolicy | Standing::ImmutabilityPolicy => {
                        let scope = PolicyScope::Repository(crate::model::RepositoryId(99));
                        keys::policy(scope, crate::model::Uuid([7; 16]))
                    }
                };
                self.0.put(of.table(), gone, value.clone());
            }
        }
        Ok(())
    }
}
