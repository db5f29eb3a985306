//! Teams: records by id, ids by name below a namespace, and who is in them.
//!
//! Invariants: every record has its row in the table of names; a membership has its row both by team
//! and by member, or none; ids are never given twice.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{Grantee, Member, NamespaceId, TeamId, TeamRecord};

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
        self.0.put_record(Table::Teams, keys::team(id), record);
        Ok(id)
    }

    /// Replaces the record of a team that exists; its name and namespace stay.
    pub fn put(&mut self, id: TeamId, record: &TeamRecord) -> Result<(), Error> {
        let key = keys::team(id);
        debug_assert!(
            self.0.has(Table::Teams, &key)?,
            "only a team that exists is changed"
        );
        self.0.put_record(Table::Teams, key, record);
        Ok(())
    }

    /// Removes a team with its grants and memberships; nothing happens if there is none.
    pub fn remove(&mut self, id: TeamId) -> Result<(), Error> {
        let Some(record) = self.record(id)? else {
            return Ok(());
        };
        // All at once: what is removed is held in memory until the commit in any case.
        for member in self.members(id, None, usize::MAX)? {
            self.remove_membership(id, record.namespace, member);
        }
        self.0.permissions().clear_grantee(Grantee::Team(id))?;
        let name = keys::team_name(record.namespace, &record.name);
        self.0.remove(Table::TeamNames, name);
        self.0.remove(Table::Teams, keys::team(id));
        Ok(())
    }

    /// Puts somebody into a team; nothing happens if there is no such team.
    pub fn add_member(&mut self, team: TeamId, member: Member) -> Result<(), Error> {
        let Some(record) = self.record(team)? else {
            return Ok(());
        };
        self.0
            .mark(Table::TeamMembers, keys::team_member(team, member));
        let key = keys::member_team(member, record.namespace, team);
        self.0.mark(Table::MemberTeams, key);
        Ok(())
    }

    /// Takes somebody out of a team; nothing happens if they are not in it.
    pub fn remove_member(&mut self, team: TeamId, member: Member) -> Result<(), Error> {
        if let Some(record) = self.record(team)? {
            self.remove_membership(team, record.namespace, member);
        }
        Ok(())
    }

    /// Takes somebody out of every team.
    pub fn leave_all(&mut self, member: Member) -> Result<(), Error> {
        let span = Span::under(keys::member(member));
        let read = keys::read_member_team;
        let teams = self.0.keys(Table::MemberTeams, &span, usize::MAX, read)?;
        for (namespace, team) in teams {
            self.remove_membership(team, namespace, member);
        }
        Ok(())
    }

    fn remove_membership(&mut self, team: TeamId, namespace: NamespaceId, member: Member) {
        self.0
            .remove(Table::TeamMembers, keys::team_member(team, member));
        let key = keys::member_team(member, namespace, team);
        self.0.remove(Table::MemberTeams, key);
    }
}
