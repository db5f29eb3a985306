//! Assignments of OAuth tokens: records by uuid, uuids by user and by application.
//!
//! Invariant: every record has its row in both indexes.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, PAGE_ROWS, Reads, WriteTx};
use crate::model::{OauthApplicationId, OauthAssignmentRecord, UserId};

/// Assignments as a transaction sees them.
pub struct OauthAssignments<S>(pub(super) S);

impl<S: Reads> OauthAssignments<S> {
    /// The assignment of that uuid, if there is one.
    pub fn record(&self, uuid: &str) -> Result<Option<OauthAssignmentRecord>, Error> {
        let key = keys::name(uuid);
        self.0.tx().record(Table::OauthAssignments, &key)
    }

    /// Up to `limit` assignments of the user behind `after`, in the order of their uuids.
    pub fn of_user(
        &self,
        user: UserId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, OauthAssignmentRecord)>, Error> {
        let after = after.map(|uuid| keys::user_assignment(user, uuid));
        let span = Span::under(keys::user(user)).after(after);
        self.listed(Table::UserAssignments, &span, limit)
    }

    fn listed(
        &self,
        table: Table,
        span: &Span,
        limit: usize,
    ) -> Result<Vec<(String, OauthAssignmentRecord)>, Error> {
        let tx = self.0.tx();
        let uuids = tx.keys(table, span, limit, keys::read_assignment)?;
        let mut assignments = Vec::with_capacity(uuids.len());
        for uuid in uuids {
            let record = self.record(&uuid)?;
            assignments.extend(record.map(|record| (uuid, record)));
        }
        Ok(assignments)
    }
}

impl OauthAssignments<&mut WriteTx<'_>> {
    /// Makes an assignment, or replaces the one of that uuid.
    pub fn put(&mut self, uuid: &str, record: &OauthAssignmentRecord) {
        let key = keys::name(uuid);
        self.0.put_record(Table::OauthAssignments, key, record);
        let key = keys::user_assignment(record.user, uuid);
        self.0.mark(Table::UserAssignments, key);
        let key = keys::application_assignment(record.application, uuid);
        self.0.mark(Table::ApplicationAssignments, key);
    }

    /// Removes an assignment; nothing happens if there is none.
    pub fn remove(&mut self, uuid: &str) -> Result<(), Error> {
        let Some(record) = self.record(uuid)? else {
            return Ok(());
        };
        let key = keys::user_assignment(record.user, uuid);
        self.0.remove(Table::UserAssignments, key);
        let key = keys::application_assignment(record.application, uuid);
        self.0.remove(Table::ApplicationAssignments, key);
        self.0.remove(Table::OauthAssignments, keys::name(uuid));
        Ok(())
    }

    /// Removes every assignment of the user.
    pub fn remove_of_user(&mut self, user: UserId) -> Result<(), Error> {
        let span = Span::under(keys::user(user));
        self.remove_all(Table::UserAssignments, &span)
    }

    /// Removes every assignment of the application.
    pub fn remove_of_application(&mut self, application: OauthApplicationId) -> Result<(), Error> {
        let span = Span::under(keys::oauth_application(application));
        self.remove_all(Table::ApplicationAssignments, &span)
    }

    fn remove_all(&mut self, table: Table, span: &Span) -> Result<(), Error> {
        loop {
            let assignments = self.listed(table, span, PAGE_ROWS)?;
            if assignments.is_empty() {
                return Ok(());
            }
            for (uuid, _) in assignments {
                self.remove(&uuid)?;
            }
        }
    }
}
