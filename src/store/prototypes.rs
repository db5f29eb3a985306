//! Prototypes: what is granted on every repository that is made in an organisation.
//!
//! Invariant: ids are never given twice. There are at most [`PROTOTYPES`] in a namespace, so all of them are
//! read together.

use std::collections::BTreeMap;

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, ReadTx, Reads, WriteTx, repositories};
use crate::model::{
    Grantee, Member, NamespaceId, NamespaceKind, PrototypeId, PrototypeRecord, RepositoryId, Role,
};

/// Most prototypes of one namespace: what the creation of a repository reads.
pub const PROTOTYPES: usize = 500;

/// Prototypes as a transaction sees them.
pub struct Prototypes<S>(pub(super) S);

impl<S: Reads> Prototypes<S> {
    /// All prototypes of the namespace whose people, robots and teams are still there, oldest first.
    pub fn list(
        &self,
        namespace: NamespaceId,
    ) -> Result<Vec<(PrototypeId, PrototypeRecord)>, Error> {
        let all = self.all(namespace)?;
        let mut living = Vec::with_capacity(all.len());
        for (id, record) in all {
            if is_living(self.0.tx(), &record)? {
                living.push((id, record));
            }
        }
        Ok(living)
    }

    /// The prototype of that uuid in the namespace, if there is one.
    pub fn by_uuid(
        &self,
        namespace: NamespaceId,
        uuid: &str,
    ) -> Result<Option<(PrototypeId, PrototypeRecord)>, Error> {
        let all = self.list(namespace)?.into_iter();
        Ok(all.into_iter().find(|(_, record)| record.uuid == uuid))
    }

    fn all(&self, namespace: NamespaceId) -> Result<Vec<(PrototypeId, PrototypeRecord)>, Error> {
        let span = Span::under(keys::namespace(namespace));
        let (table, read) = (Table::Prototypes, keys::read_prototype);
        self.0.tx().records(table, &span, usize::MAX, read)
    }
}

impl Prototypes<&mut WriteTx<'_>> {
    /// Makes a prototype; `None` if the namespace has [`PROTOTYPES`] of them.
    pub fn create(&mut self, record: &PrototypeRecord) -> Result<Option<PrototypeId>, Error> {
        let namespace = record.namespace;
        let all = self.all(namespace)?;
        let mut left = all.len();
        for (id, old) in all {
            // Those of people, robots and teams that are gone make room.
            if left >= PROTOTYPES && !is_living(self.0, &old)? {
                self.remove(namespace, id)?;
                left -= 1;
            }
        }
        if left >= PROTOTYPES {
            return Ok(None);
        }
        let id = PrototypeId(repositories::next_id(self.0, "last_prototype")?);
        self.put(id, record)?;
        Ok(Some(id))
    }

    /// Replaces a prototype that exists.
    pub fn put(&mut self, id: PrototypeId, record: &PrototypeRecord) -> Result<(), Error> {
        let key = keys::prototype(record.namespace, id);
        self.0.put_record(Table::Prototypes, key, record);
        Ok(())
    }

    pub fn remove(&mut self, namespace: NamespaceId, id: PrototypeId) -> Result<(), Error> {
        let key = keys::prototype(namespace, id);
        self.0.remove(Table::Prototypes, key);
        Ok(())
    }

    /// Removes all prototypes of the namespace; returns how many there were.
    pub fn clear(&mut self, namespace: NamespaceId) -> Result<usize, Error> {
        let all = self.all(namespace)?;
        for (id, _) in &all {
            self.remove(namespace, *id)?;
        }
        Ok(all.len())
    }

    /// Grants on a repository that `creator` has just made what the namespace's prototypes say.
    ///
    /// For each user, robot or team the prototype for this creator wins over one for everyone; the creator
    /// gets nothing by them, and in a user's own namespace there are none (Quay: `apply_default_permissions`).
    pub fn apply(
        &mut self,
        namespace: NamespaceId,
        repository: RepositoryId,
        creator: Member,
    ) -> Result<(), Error> {
        let kind = self.0.namespaces().record(namespace)?.map(|it| it.kind);
        if !matches!(kind, Some(NamespaceKind::Organization)) {
            return Ok(());
        }
        for (grantee, role) in choose(self.list(namespace)?, creator) {
            self.0.permissions().put(repository, grantee, role)?;
        }
        Ok(())
    }
}

/// What the prototypes grant on a repository of `creator`.
fn choose(
    all: Vec<(PrototypeId, PrototypeRecord)>,
    creator: Member,
) -> impl Iterator<Item = (Grantee, Role)> {
    let mut chosen: BTreeMap<Grantee, (bool, Role)> = BTreeMap::new();
    for (_, record) in all {
        let is_own = record.activating.is_some();
        let applies = record.activating.is_none_or(|of| of == creator);
        if !applies || record.delegate == Grantee::from(creator) {
            continue;
        }
        let held = chosen.get(&record.delegate);
        if held.is_none_or(|(held_own, _)| is_own || !held_own) {
            chosen.insert(record.delegate, (is_own, record.role));
        }
    }
    chosen.into_iter().map(|(to, (_, role))| (to, role))
}

fn is_living(tx: &ReadTx, record: &PrototypeRecord) -> Result<bool, Error> {
    let activating = match record.activating.map(Grantee::from) {
        Some(of) => exists(tx, of)?,
        None => true,
    };
    Ok(activating && exists(tx, record.delegate)?)
}

fn exists(tx: &ReadTx, grantee: Grantee) -> Result<bool, Error> {
    Ok(match grantee {
        Grantee::User(id) => tx.users().record(id)?.is_some(),
        Grantee::Robot(id) => tx.robots().record(id)?.is_some(),
        Grantee::Team(id) => tx.teams().record(id)?.is_some(),
    })
}
