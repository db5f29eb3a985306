//! Usage: bytes that organizations hold, counted in the transaction that changes them.

use super::keys;
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::OrganizationId;

/// Counters of bytes as a transaction sees them.
pub struct Usage<S>(pub(super) S);

impl<S: Reads> Usage<S> {
    /// Bytes that the organization holds.
    pub fn held(&self, organization: OrganizationId) -> Result<u64, Error> {
        let key = keys::organization(organization);
        let held = self.0.tx().record(Table::Usage, &key)?;
        Ok(held.unwrap_or(0))
    }
}

impl Usage<&mut WriteTx<'_>> {
    /// Counts bytes that the organization holds from now on.
    pub fn add(&mut self, organization: OrganizationId, bytes: u64) -> Result<(), Error> {
        let held = self.held(organization)?;
        self.put(organization, held.saturating_add(bytes))
    }

    /// Counts bytes that the organization no longer holds.
    ///
    /// Taking away more than is held is a defect of the caller: it stops debug builds, and is logged
    /// and counted as nothing left in others.
    pub fn subtract(&mut self, organization: OrganizationId, bytes: u64) -> Result<(), Error> {
        let held = self.held(organization)?;
        if bytes > held {
            tracing::error!(%organization, held, bytes, "usage would fall below zero");
        }
        debug_assert!(
            bytes <= held,
            "organization {organization}: {held} - {bytes}"
        );
        self.put(organization, held.saturating_sub(bytes))
    }

    /// Replaces the count, when it was counted anew.
    pub fn put(&mut self, organization: OrganizationId, bytes: u64) -> Result<(), Error> {
        let key = keys::organization(organization);
        self.0.put_record(Table::Usage, key, &bytes);
        Ok(())
    }
}
