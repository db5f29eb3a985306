//! Invitations into teams: by code, by team and by who is invited.
//!
//! Invariant: an invitation has all three rows, or none; nobody has two into one team.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx};
use crate::model::{InvitationRecord, Invitee, NamespaceId, TeamId};

/// Invitations as a transaction sees them.
pub struct Invitations<S>(pub(super) S);

impl<S: Reads> Invitations<S> {
    /// The invitation of this code, if there is one.
    pub fn by_code(&self, code: &str) -> Result<Option<InvitationRecord>, Error> {
        self.0.tx().record(Table::Invitations, &keys::name(code))
    }

    /// The invitation of somebody into a team, if there is one.
    pub fn of(&self, team: TeamId, invitee: &Invitee) -> Result<Option<InvitationRecord>, Error> {
        let key = keys::team_invitation(team, invitee);
        let code: Option<String> = self.0.tx().record(Table::TeamInvitations, &key)?;
        code.map_or(Ok(None), |code| self.by_code(&code))
    }

    /// Up to `limit` invitations into the team behind that of `after`: accounts, then addresses.
    pub fn of_team(
        &self,
        team: TeamId,
        after: Option<&Invitee>,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, Error> {
        let after = after.map(|invitee| keys::team_invitation(team, invitee));
        let span = Span::under(keys::team(team)).after(after);
        self.listed(Table::TeamInvitations, &span, limit)
    }

    /// Up to `limit` invitations of somebody into teams of the namespace.
    pub fn of_invitee(
        &self,
        invitee: &Invitee,
        namespace: NamespaceId,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, Error> {
        let span = Span::under(keys::invitee_namespace(invitee, namespace));
        self.listed(Table::InviteeInvitations, &span, limit)
    }

    /// Up to `limit` invitations of somebody.
    pub fn of_invitee_anywhere(
        &self,
        invitee: &Invitee,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, Error> {
        let span = Span::under(keys::invitee(invitee));
        self.listed(Table::InviteeInvitations, &span, limit)
    }

    fn listed(
        &self,
        table: Table,
        span: &Span,
        limit: usize,
    ) -> Result<Vec<InvitationRecord>, Error> {
        let named = |_: &[u8]| Some(());
        let codes: Vec<((), String)> = self.0.tx().records(table, span, limit, named)?;
        let mut found = Vec::with_capacity(codes.len());
        for ((), code) in codes {
            found.extend(self.by_code(&code)?);
        }
        Ok(found)
    }
}

impl Invitations<&mut WriteTx<'_>> {
    /// Invites; an earlier invitation of the same into the same team is replaced.
    pub fn put(&mut self, record: &InvitationRecord) -> Result<(), Error> {
        if let Some(before) = self.of(record.team, &record.invitee)? {
            self.remove(&before)?;
        }
        let (by_team, by_invitee) = indexes(record);
        self.0
            .put_record(Table::TeamInvitations, by_team, &record.code);
        self.0
            .put_record(Table::InviteeInvitations, by_invitee, &record.code);
        let key = keys::name(&record.code);
        self.0.put_record(Table::Invitations, key, record);
        Ok(())
    }

    /// Removes an invitation, and what its invitee was told of it.
    pub fn remove(&mut self, record: &InvitationRecord) -> Result<(), Error> {
        self.0.notices().remove_about(&record.notice_about())?;
        let (by_team, by_invitee) = indexes(record);
        self.0.remove(Table::TeamInvitations, by_team);
        self.0.remove(Table::InviteeInvitations, by_invitee);
        self.0.remove(Table::Invitations, keys::name(&record.code));
        Ok(())
    }
}

fn indexes(record: &InvitationRecord) -> (keys::Key, keys::Key) {
    (
        keys::team_invitation(record.team, &record.invitee),
        keys::invitee_invitation(&record.invitee, record.namespace, record.team),
    )
}
