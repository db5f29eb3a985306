//! Teams: records by id, ids by name below a namespace, and who is in them.
//!
//! Invariants: every record has its row in the table of names and in that of ages; a membership has its row both
//! by team and by member, or none, and is counted; ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::txn::Count;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{Grantee, Member, NamespaceId, TeamId, TeamRecord, TeamRole};

/// Teams as a transaction sees them.
pub struct Teams<S>(pub(super) S);

impl<S: Reads> Teams<S> {
    /// The record of a team, if there is one.
    pub fn record(&self, id: TeamId) -> Result<Option<TeamRecord>, Error> {
        self.0.tx().record(Table::Teams, &keys::team(id))
    }

    /// The team of this name in the namespace, if there is one.
    pub fn by_name(
        &self,
        namespace: NamespaceId,
        name: &str,
    ) -> Result<Option<(TeamId, TeamRecord)>, Error> {
        let key = keys::team_name(namespace, name);
        let Some(id) = self.0.tx().record(Table::TeamNames, &key)? else {
            return Ok(None);
        };
        Ok(self.record(id)?.map(|record| (id, record)))
    }

    /// Up to `limit` teams of the namespace behind the name `after`, in byte order.
    pub fn list(
        &self,
        namespace: NamespaceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(TeamId, TeamRecord)>, Error> {
        let after = after.map(|name| keys::team_name(namespace, name));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let named = |_: &[u8]| Some(());
        let ids = self.0.tx().records(Table::TeamNames, &span, limit, named)?;
        let mut teams = Vec::with_capacity(ids.len());
        for ((), id) in ids {
            teams.extend(self.record(id)?.map(|record| (id, record)));
        }
        Ok(teams)
    }

    /// Up to `limit` members of the team behind `after`, users first, in the order of their ids.
    pub fn members(
        &self,
        team: TeamId,
        after: Option<Member>,
        limit: usize,
    ) -> Result<Vec<Member>, Error> {
        let after = after.map(|member| keys::team_member(team, member));
        let span = Span::under(keys::team(team)).after(after);
        let (table, read) = (Table::TeamMembers, keys::read_team_member);
        self.0.tx().keys(table, &span, limit, read)
    }

    pub fn has_member(&self, team: TeamId, member: Member) -> Result<bool, Error> {
        let key = keys::team_member(team, member);
        self.0.tx().has(Table::TeamMembers, &key)
    }

    /// Up to `limit` teams of the namespace behind `after` with their roles, the oldest first.
    pub fn by_age(
        &self,
        namespace: NamespaceId,
        after: Option<TeamId>,
        limit: usize,
    ) -> Result<Vec<(TeamId, TeamRole)>, Error> {
        let after = after.map(|team| keys::namespace_team(namespace, team));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let (table, read) = (Table::NamespaceTeams, keys::read_namespace_team);
        self.0.tx().records(table, &span, limit, read)
    }

    /// Up to `limit` teams of the namespace that somebody is in, in the order of their ids.
    pub fn of_member(
        &self,
        member: Member,
        namespace: NamespaceId,
        limit: usize,
    ) -> Result<Vec<TeamId>, Error> {
        let span = Span::under(keys::member_namespace(member, namespace));
        let (table, read) = (Table::MemberTeams, keys::read_member_team);
        let teams = self.0.tx().keys(table, &span, limit, read)?;
        Ok(teams.into_iter().map(|(_, team)| team).collect())
    }

    /// Up to `limit` teams, of any namespace, that somebody is in, with their namespaces, behind `after`.
    pub fn of_member_anywhere(
        &self,
        member: Member,
        after: Option<(NamespaceId, TeamId)>,
        limit: usize,
    ) -> Result<Vec<(NamespaceId, TeamId)>, Error> {
        let after = after.map(|(namespace, team)| keys::member_team(member, namespace, team));
        let span = Span::under(keys::member(member)).after(after);
        let (table, read) = (Table::MemberTeams, keys::read_member_team);
        self.0.tx().keys(table, &span, limit, read)
    }

    /// Whether somebody is in any team of the namespace.
    pub fn is_member(&self, namespace: NamespaceId, member: Member) -> Result<bool, Error> {
        let key = keys::namespace_member(namespace, member);
        self.0.tx().has(Table::NamespaceMembers, &key)
    }

    /// Up to `limit` of those behind `after` who are in any team of the namespace, users first, in the
    /// order of their ids.
    pub fn members_within(
        &self,
        namespace: NamespaceId,
        after: Option<Member>,
        limit: usize,
    ) -> Result<Vec<Member>, Error> {
        let after = after.map(|member| keys::namespace_member(namespace, member));
        let span = Span::under(keys::namespace(namespace)).after(after);
        let (table, read) = (Table::NamespaceMembers, keys::read_namespace_member);
        self.0.tx().keys(table, &span, limit, read)
    }
}

impl Teams<&mut WriteTx<'_>> {
    /// Makes a team and returns its id.
    ///
    /// # Errors
    /// [`Error::Exists`] if the name is taken in its namespace.
    pub fn create(&mut self, record: &TeamRecord) -> Result<TeamId, Error> {
        let name = keys::team_name(record.namespace, &record.name);
        if self.0.has(Table::TeamNames, &name)? {
            return Err(Error::Exists {
                name: record.name.clone(),
            });
        }
        let id = TeamId(repositories::next_id(self.0, "last_team")?);
        self.0.put_record(Table::TeamNames, name, &id);
        self.put_rows(id, record);
        Ok(id)
    }

    /// Replaces the record of a team that exists; its name and namespace stay, and so do its counts.
    pub fn put(&mut self, id: TeamId, record: &TeamRecord) -> Result<(), Error> {
        let before = self.record(id)?;
        debug_assert!(before.is_some(), "only a team that exists is changed");
        if let Some(before) = before {
            let record = TeamRecord {
                members: before.members,
                repositories: before.repositories,
                ..record.clone()
            };
            self.put_rows(id, &record);
        }
        Ok(())
    }

    /// Removes a team with its grants, memberships and invitations; nothing happens if there is none.
    pub fn remove(&mut self, id: TeamId) -> Result<(), Error> {
        // All at once: what is removed is held in memory until the commit in any case.
        self.empty(id, usize::MAX)?;
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        let name = keys::team_name(record.namespace, &record.name);
        self.0.remove(Table::TeamNames, name);
        let key = keys::namespace_team(record.namespace, id);
        self.0.remove(Table::NamespaceTeams, key);
        self.0.remove(Table::Teams, keys::team(id));
        Ok(())
    }

    /// Removes up to about `limit` grants, memberships and invitations of a team; returns how many.
    pub fn empty(&mut self, id: TeamId, limit: usize) -> Result<usize, Error> {
        let members = self.members(id, None, limit)?;
        for member in &members {
            self.remove_member(id, *member)?;
        }
        let invitations = self.0.invitations().of_team(id, None, limit)?;
        for invitation in &invitations {
            self.0.invitations().remove(invitation)?;
        }
        let grantee = Grantee::Team(id);
        let grants = self.0.permissions().clear_grantee(grantee, limit)?;
        Ok(members.len() + invitations.len() + grants)
    }

    /// Puts somebody into a team; nothing happens if there is no such team, or they are in it.
    pub fn add_member(&mut self, team: TeamId, member: Member) -> Result<(), Error> {
        let key = keys::team_member(team, member);
        match self.record(team)? {
            Some(record) if !self.0.has(Table::TeamMembers, &key)? => {
                self.0.mark(Table::TeamMembers, key);
                let key = keys::member_team(member, record.namespace, team);
                self.0.mark(Table::MemberTeams, key);
                self.count(team, record, member, Count::Up)
            }
            _ => Ok(()),
        }
    }

    /// Takes somebody out of a team; nothing happens if they are not in it.
    pub fn remove_member(&mut self, team: TeamId, member: Member) -> Result<(), Error> {
        let key = keys::team_member(team, member);
        match self.record(team)? {
            Some(record) if self.0.has(Table::TeamMembers, &key)? => {
                self.0.remove(Table::TeamMembers, key);
                let key = keys::member_team(member, record.namespace, team);
                self.0.remove(Table::MemberTeams, key);
                self.count(team, record, member, Count::Down)
            }
            _ => Ok(()),
        }
    }

    /// Takes somebody out of up to `limit` teams; returns out of how many.
    pub fn leave(&mut self, member: Member, limit: usize) -> Result<usize, Error> {
        let teams = self.of_member_anywhere(member, None, limit)?;
        for (_, team) in &teams {
            self.remove_member(*team, member)?;
        }
        Ok(teams.len())
    }

    /// Counts a membership that came or went, for the team and below its namespace.
    fn count(
        &mut self,
        id: TeamId,
        mut record: TeamRecord,
        member: Member,
        change: Count,
    ) -> Result<(), Error> {
        record.members = change.apply(record.members);
        self.put_rows(id, &record);
        let key = keys::namespace_member(record.namespace, member);
        self.0.count(Table::NamespaceMembers, key, change)
    }

    fn put_rows(&mut self, id: TeamId, record: &TeamRecord) {
        let key = keys::namespace_team(record.namespace, id);
        self.0.put_record(Table::NamespaceTeams, key, &record.role);
        self.0.put_record(Table::Teams, keys::team(id), record);
    }
}
