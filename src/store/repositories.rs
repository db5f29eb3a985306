//! Repositories: records by id, ids by name below a namespace.
//!
//! Invariant: every record has its row in the table of names, or in that of the doomed, and ids are never
//! given twice, so that what is left of a removed repository is never taken for content of a later one.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{NamespaceId, RepositoryId, RepositoryRecord, RepositoryState};
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

    /// The record of a repository, if there is one; none of one that is doomed.
    pub fn record(&self, id: RepositoryId) -> Result<Option<RepositoryRecord>, Error> {
        let record = self.as_written(id)?;
        Ok(record.filter(|record| record.state != RepositoryState::MarkedForDeletion))
    }

    /// Whether the documents of its manifests count as bytes held: those that came from upstream do, so
    /// that a cache's cap covers them; those that were pushed do not (Quay).
    pub fn counts_documents(&self, id: RepositoryId) -> Result<bool, Error> {
        Ok(self.as_written(id)?.is_some_and(|record| record.fetched))
    }

    fn as_written(&self, id: RepositoryId) -> Result<Option<RepositoryRecord>, Error> {
        let key = keys::repository(id);
        self.0.tx().record(Table::Repositories, &key)
    }

    /// Up to `limit` repositories that are doomed, of one namespace or of all.
    pub fn doomed(
        &self,
        namespace: Option<NamespaceId>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, RepositoryId)>, Error> {
        let span = namespace.map_or(Span::ALL, |id| Span::under(keys::namespace(id)));
        let (table, read) = (Table::DoomedRepositories, keys::read_doomed);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Up to `most` names in any namespace that hold a text, among `rows` names behind the key `after`, and
    /// the key to go on behind; `None` at the end.
    #[expect(clippy::type_complexity, reason = "a page and where it ends")]
    pub fn containing(
        &self,
        text: &str,
        after: Option<Vec<u8>>,
        rows: usize,
    ) -> Result<
        (
            Vec<(NamespaceId, RepositoryName, RepositoryId)>,
            Option<Vec<u8>>,
        ),
        Error,
    > {
        let (span, table) = (Span::ALL.after(after), Table::RepositoryNames);
        let (mut seen, mut last) = (0, None);
        let found = self.0.tx().page(table, &span, rows, |key, value| {
            seen += 1;
            if seen == rows {
                last = Some(key.to_vec());
            }
            let damaged = || table.damaged_key();
            let name = key.get(8..).and_then(|name| std::str::from_utf8(name).ok());
            if !name.ok_or_else(damaged)?.contains(text) {
                return Ok(None);
            }
            let namespace = keys::read_repository(key).map(|id| NamespaceId(id.0));
            let name = keys::read_repository_name(key).ok_or_else(damaged)?;
            let namespace = namespace.ok_or_else(damaged)?;
            Ok(Some((namespace, name, super::codec::decode(table, value)?)))
        })?;
        Ok((found.into_iter().flatten().collect(), last))
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

    /// Has a repository be there for nobody from now on, and its name be free; returns its record, if there
    /// was one. What is left of it is the caller's to remove later ([`Repositories::doomed`]).
    pub fn doom(&mut self, id: RepositoryId) -> Result<Option<RepositoryRecord>, Error> {
        let Some(record) = self.record(id)? else {
            return Ok(None);
        };
        let name = keys::repository_name(record.namespace, &record.name);
        self.0.remove(Table::RepositoryNames, name);
        let key = keys::doomed(record.namespace, id);
        self.0.mark(Table::DoomedRepositories, key);
        let doomed = RepositoryRecord {
            state: RepositoryState::MarkedForDeletion,
            ..record.clone()
        };
        let key = keys::repository(id);
        self.0.put_record(Table::Repositories, key, &doomed);
        Ok(Some(record))
    }

    /// Removes a repository and its name; nothing happens if there is none.
    ///
    /// Its content is the caller's to remove before, in as many writes as that takes.
    pub fn remove(&mut self, id: RepositoryId) -> Result<(), Error> {
        let Some(record) = self.as_written(id)? else {
            return Ok(());
        };
        match record.state {
            // Another may have its name by now.
            RepositoryState::MarkedForDeletion => {
                let key = keys::doomed(record.namespace, id);
                self.0.remove(Table::DoomedRepositories, key);
            }
            _ => {
                let name = keys::repository_name(record.namespace, &record.name);
                self.0.remove(Table::RepositoryNames, name);
            }
        }
        self.0.remove(Table::RepositoryUsage, keys::repository(id));
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
