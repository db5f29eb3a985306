//! Organizations: records by id, ids by name.
//!
//! Invariant: every record has its row in the table of names, and ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx, repositories};
use crate::model::{NamespaceName, OrganizationId, OrganizationRecord};

/// Organizations as a transaction sees them.
pub struct Organizations<S>(pub(super) S);

impl<S: Reads> Organizations<S> {
    /// The organization of this name, if there is one.
    pub fn by_name(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<(OrganizationId, OrganizationRecord)>, Error> {
        let key = keys::organization_name(name);
        let id = self.0.tx().record(Table::OrganizationNames, &key)?;
        let Some(id) = id else { return Ok(None) };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// The record of an organization, if there is one.
    pub fn record(&self, id: OrganizationId) -> Result<Option<OrganizationRecord>, Error> {
        let key = keys::organization(id);
        self.0.tx().record(Table::Organizations, &key)
    }

    /// The first [`PAGE_ROWS`] organizations in the order of their ids.
    pub fn list(&self) -> Result<Vec<(OrganizationId, OrganizationRecord)>, Error> {
        self.list_after(None, PAGE_ROWS)
    }

    /// Up to `limit` organizations whose ids are greater than `after`, in the order of their ids.
    pub fn list_after(
        &self,
        after: Option<OrganizationId>,
        limit: usize,
    ) -> Result<Vec<(OrganizationId, OrganizationRecord)>, Error> {
        let span = Span::ALL.after(after.map(keys::organization));
        let read = |key: &[u8]| keys::read_number(key).map(OrganizationId);
        self.0
            .tx()
            .records(Table::Organizations, &span, limit, read)
    }
}

impl Organizations<&mut WriteTx<'_>> {
    /// Makes an organization and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken.
    pub fn create(&mut self, record: &OrganizationRecord) -> Result<OrganizationId, Error> {
        let name = keys::organization_name(&record.name);
        if self.0.has(Table::OrganizationNames, &name)? {
            return Err(Error::Exists {
                name: record.name.to_string(),
            });
        }
        let id = OrganizationId(repositories::next_id(self.0, "last_organization")?);
        self.0.put_record(Table::OrganizationNames, name, &id);
        let key = keys::organization(id);
        self.0.put_record(Table::Organizations, key, record);
        Ok(id)
    }

    /// Replaces the record of an organization that exists; its name stays.
    ///
    /// # Errors
    /// The store's.
    pub fn put(&mut self, id: OrganizationId, record: &OrganizationRecord) -> Result<(), Error> {
        let key = keys::organization(id);
        debug_assert!(
            self.0.has(Table::Organizations, &key)?,
            "only an organization that exists is changed"
        );
        self.0.put_record(Table::Organizations, key, record);
        Ok(())
    }
}
