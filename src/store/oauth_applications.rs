//! OAuth applications: records by id, ids by client id and by namespace.
//!
//! Invariants: every record has its row in both indexes; its tokens and assignments go with it; ids are
//! never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx, repositories};
use crate::model::{NamespaceId, OauthApplicationId, OauthApplicationRecord};

/// Applications as a transaction sees them.
pub struct OauthApplications<S>(pub(super) S);

impl<S: Reads> OauthApplications<S> {
    /// The record of an application, if there is one.
    pub fn record(&self, id: OauthApplicationId) -> Result<Option<OauthApplicationRecord>, Error> {
        let key = keys::oauth_application(id);
        self.0.tx().record(Table::OauthApplications, &key)
    }

    /// The application that names itself so, if there is one.
    pub fn by_client(
        &self,
        client_id: &str,
    ) -> Result<Option<(OauthApplicationId, OauthApplicationRecord)>, Error> {
        let key = keys::name(client_id);
        let Some(id) = self.0.tx().record(Table::OauthClients, &key)? else {
            return Ok(None);
        };
        let Some(record) = self.record(id)? else {
            return Ok(None);
        };
        let home = self.0.tx().namespaces().record(record.namespace)?;
        let living = home.is_some_and(|home| home.deleted.is_none());
        Ok(living.then_some((id, record)))
    }

    /// Up to `limit` applications of the namespace behind `after`, oldest first.
    pub fn of_namespace(
        &self,
        namespace: NamespaceId,
        after: Option<OauthApplicationId>,
        limit: usize,
    ) -> Result<Vec<(OauthApplicationId, OauthApplicationRecord)>, Error> {
        let after = after.map(|id| keys::namespace_application(namespace, id));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let read = keys::read_namespace_application;
        let table = Table::NamespaceApplications;
        let ids = self.0.tx().keys(table, &span, limit, read)?;
        let mut applications = Vec::with_capacity(ids.len());
        for id in ids {
            applications.extend(self.record(id)?.map(|record| (id, record)));
        }
        Ok(applications)
    }
}

impl OauthApplications<&mut WriteTx<'_>> {
    /// Makes an application and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if another one has that client id.
    pub fn create(&mut self, record: &OauthApplicationRecord) -> Result<OauthApplicationId, Error> {
        let client = keys::name(&record.client_id);
        if self.0.has(Table::OauthClients, &client)? {
            return Err(Error::Exists {
                name: record.client_id.clone(),
            });
        }
        let id = OauthApplicationId(repositories::next_id(self.0, "last_oauth_application")?);
        self.0.put_record(Table::OauthClients, client, &id);
        let key = keys::namespace_application(record.namespace, id);
        self.0.mark(Table::NamespaceApplications, key);
        self.put(id, record);
        Ok(id)
    }

    /// Replaces the record of an application that exists; its namespace and client id stay.
    pub fn put(&mut self, id: OauthApplicationId, record: &OauthApplicationRecord) {
        let key = keys::oauth_application(id);
        self.0.put_record(Table::OauthApplications, key, record);
    }

    /// Removes an application with its tokens and assignments; nothing happens if there is none.
    pub fn remove(&mut self, id: OauthApplicationId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        self.0.oauth_tokens().remove_of_application(id)?;
        self.0.oauth_assignments().remove_of_application(id)?;
        let client = keys::name(&record.client_id);
        self.0.remove(Table::OauthClients, client);
        let key = keys::namespace_application(record.namespace, id);
        self.0.remove(Table::NamespaceApplications, key);
        let key = keys::oauth_application(id);
        self.0.remove(Table::OauthApplications, key);
        Ok(())
    }

    /// Removes every application of the namespace.
    pub fn remove_of_namespace(&mut self, namespace: NamespaceId) -> Result<(), Error> {
        loop {
            let applications = self.of_namespace(namespace, None, PAGE_ROWS)?;
            if applications.is_empty() {
                return Ok(());
            }
            for (id, _) in applications {
                self.remove(id)?;
            }
        }
    }
}
