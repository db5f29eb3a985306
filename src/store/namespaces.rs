//! Namespaces: records by id, ids by name.
//!
//! Invariants: every record has its row in the table of names or, once it is deleted, in that of reserved names;
//! ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx, repositories};
use crate::model::{NamespaceId, NamespaceName, NamespaceRecord, Timestamp};

/// Namespaces as a transaction sees them.
pub struct Namespaces<S>(pub(super) S);

impl<S: Reads> Namespaces<S> {
    /// The namespace of this name, if there is one.
    pub fn by_name(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(NamespaceId, NamespaceRecord)>, Error> {
        let key = keys::namespace_name(name);
        let id = self.0.tx().record(Table::NamespaceNames, &key)?;
        let Some(id) = id else { return Ok(None) };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// The record of a namespace, if there is one.
    pub fn record(&self, id: NamespaceId) -> Result<Option<NamespaceRecord>, Error> {
        let key = keys::namespace(id);
        self.0.tx().record(Table::Namespaces, &key)
    }

    /// The first [`PAGE_ROWS`] namespaces in the order of their ids.
    pub fn list(&self) -> Result<Vec<(NamespaceId, NamespaceRecord)>, Error> {
        self.list_after(None, PAGE_ROWS)
    }

    /// Up to `limit` namespaces whose ids are greater than `after`, in the order of their ids, without those
    /// that are deleted.
    pub fn list_after(
        &self,
        after: Option<NamespaceId>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, NamespaceRecord)>, Error> {
        let mut found: Vec<(NamespaceId, NamespaceRecord)> = Vec::new();
        let mut after = after;
        while found.len() < limit {
            let span = Span::ALL.after(after.map(keys::namespace));
            let read = |key: &[u8]| keys::read_number(key).map(NamespaceId);
            let wanted = limit - found.len();
            let page = self
                .0
                .tx()
                .records(Table::Namespaces, &span, wanted, read)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            let there = |(_, record): &(_, NamespaceRecord)| record.deleted.is_none();
            found.extend(page.into_iter().filter(there));
        }
        Ok(found)
    }

    /// Which namespace has the name, or keeps it from others because rows of it are left.
    pub fn holder(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(NamespaceId, NamespaceRecord)>, Error> {
        let key = keys::namespace_name(name);
        let reserved = self.0.tx().record(Table::ReservedNames, &key)?;
        match reserved {
            Some(id) => Ok(self.record(id)?.map(|record| (id, record))),
            None => self.by_name(name),
        }
    }

    /// Up to `limit` names of namespaces behind the text `after`, in byte order.
    pub fn names(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(NamespaceName, NamespaceId)>, Error> {
        let span = Span::ALL.after(after.map(keys::name));
        let read = keys::read_namespace_name;
        self.0
            .tx()
            .records(Table::NamespaceNames, &span, limit, read)
    }
}

impl Namespaces<&mut WriteTx<'_>> {
    /// Makes a namespace and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken.
    pub fn create(&mut self, record: &NamespaceRecord) -> Result<NamespaceId, Error> {
        let name = self.free(&record.name)?;
        let id = NamespaceId(repositories::next_id(self.0, "last_namespace")?);
        self.0.put_record(Table::NamespaceNames, name, &id);
        let key = keys::namespace(id);
        self.0.put_record(Table::Namespaces, key, record);
        Ok(id)
    }

    /// Gives a namespace another name, from which everything in it is found from then on.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken.
    pub fn rename(&mut self, id: NamespaceId, to: &NamespaceName) -> Result<(), Error> {
        let Some(mut record) = self.record(id)? else {
            return Ok(());
        };
        let key = self.free(to)?;
        let before = keys::namespace_name(&record.name);
        self.0.remove(Table::NamespaceNames, before);
        self.0.put_record(Table::NamespaceNames, key, &id);
        record.name = to.clone();
        self.put(id, &record)
    }

    /// Makes a namespace nobody's at once: it is found by its name no more, and nobody else gets the name
    /// until [`Namespaces::remove`].
    pub fn retire(&mut self, id: NamespaceId, now: Timestamp) -> Result<(), Error> {
        let Some(mut record) = self.record(id)? else {
            return Ok(());
        };
        let key = keys::namespace_name(&record.name);
        self.0.remove(Table::NamespaceNames, key.clone());
        self.0.put_record(Table::ReservedNames, key, &id);
        record.deleted = Some(now);
        self.put(id, &record)
    }

    /// Replaces the record of a namespace that exists; its name stays.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&mut self, id: NamespaceId, record: &NamespaceRecord) -> Result<(), Error> {
        let key = keys::namespace(id);
        debug_assert!(
            self.0.has(Table::Namespaces, &key)?,
            "only a namespace that exists is changed"
        );
        self.0.put_record(Table::Namespaces, key, record);
        Ok(())
    }

    /// Removes a namespace, its name and its OAuth applications; nothing happens if there is none.
    ///
    /// Its repositories, robots and teams are the caller's to remove before.
    pub fn remove(&mut self, id: NamespaceId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        self.0.oauth_applications().remove_of_namespace(id)?;
        let name = keys::namespace_name(&record.name);
        match record.deleted {
            Some(_) => self.0.remove(Table::ReservedNames, name),
            None => self.0.remove(Table::NamespaceNames, name),
        }
        self.0.remove(Table::Namespaces, keys::namespace(id));
        Ok(())
    }

    /// The key of a name that is nobody's.
    fn free(&self, name: &NamespaceName) -> Result<keys::Key, Error> {
        let key = keys::namespace_name(name);
        for table in [Table::NamespaceNames, Table::ReservedNames] {
            if self.0.has(table, &key)? {
                return Err(Error::Exists {
                    name: name.to_string(),
                });
            }
        }
        Ok(key)
    }
}
