//! Repositories: records by id, ids by name below a namespace.
//!
//! Invariant: every record has its row in the table of names, and ids are never given twice, so that
//! what is left of a removed repository is never taken for content of a later one.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{NamespaceId, RepositoryId, RepositoryRecord};
use crate::oci::RepositoryName;

/// Repositories as a transaction sees them.
pub struct Repositories<S>(pub(super) S);

impl<S: Reads> Repositories<S> {
    /// The repository of this name in the namespace, if there is one.
    pub fn by_name(
        &self,
        namespace: NamespaceId,
        name: &RepositoryName,
    ) -> Result<Option<RepositoryId>, Error> {
        let key = keys::repository_name(namespace, name);
        self.0.tx().record(Table::RepositoryNames, &key)
    }

    /// The record of a repository, if there is one.
    pub fn record(&self, id: RepositoryId) -> Result<Option<RepositoryRecord>, Error> {
        let key = keys::repository(id);
        self.0.tx().record(Table::Repositories, &key)
    }

    /// Up to `limit` repositories of the namespace behind `after`, in byte order of their names.
    pub fn list(
        &self,
        namespace: NamespaceId,
        after: Option<&RepositoryName>,
        limit: usize,
    ) -> Result<Vec<(RepositoryName, RepositoryId)>, Error> {
        let after = after.map_or("", RepositoryName::as_str);
        self.list_behind(namespace, after, limit)
    }

    /// The same behind any text, which need not be a name.
    pub fn list_behind(
        &self,
        namespace: NamespaceId,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(RepositoryName, RepositoryId)>, Error> {
        let after = keys::repository_text(namespace, after);
        let span = Span::under(keys::namespace(namespace)).after(Some(after));
        let read = keys::read_repository_name;
        self.0
            .tx()
            .records(Table::RepositoryNames, &span, limit, read)
    }
}

impl Repositories<&mut WriteTx<'_>> {
    /// Makes a repository and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken in its namespace.
    pub fn create(&mut self, record: &RepositoryRecord) -> Result<RepositoryId, Error> {
        let name = keys::repository_name(record.namespace, &record.name);
        if self.0.has(Table::RepositoryNames, &name)? {
            return Err(Error::Exists {
                name: record.name.to_string(),
            });
        }
        let id = RepositoryId(next_id(self.0, "last_repository")?);
        self.0.put_record(Table::RepositoryNames, name, &id);
        let key = keys::repository(id);
        self.0.put_record(Table::Repositories, key, record);
        Ok(id)
    }

    /// Replaces the record of a repository that exists; its name stays.
    pub fn put(&mut self, id: RepositoryId, record: &RepositoryRecord) -> Result<(), Error> {
        let key = keys::repository(id);
        debug_assert!(
            self.0.has(Table::Repositories, &key)?,
            "only a repository that exists is changed"
        );
        self.0.put_record(Table::Repositories, key, record);
        Ok(())
    }

    /// Removes a repository and its name; nothing happens if there is none.
    ///
    /// Its content is the caller's to remove before, in as many writes as that takes.
    pub fn remove(&mut self, id: RepositoryId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        let name = keys::repository_name(record.namespace, &record.name);
        self.0.remove(Table::RepositoryNames, name);
        self.0.remove(Table::Repositories, keys::repository(id));
        Ok(())
    }
}

/// The next id after the last one given under `counter`. The first is 1.
pub(super) fn next_id(tx: &mut WriteTx<'_>, counter: &str) -> Result<u64, Error> {
    let key = keys::name(counter);
    let last = tx.row(Table::Meta, &key, |bytes| {
        keys::read_number(bytes).ok_or_else(|| Table::Meta.damaged_key())
    })?;
    let next = last.unwrap_or(0) + 1;
    tx.put(Table::Meta, key, next.to_be_bytes().to_vec());
    Ok(next)
}
