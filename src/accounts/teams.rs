//! Teams of organisations: made, found, listed, changed, removed.

use serde_json::json;

use super::name::{check_name, check_team_description};
use super::{Accounts, Error, Noun, organizations};
use crate::model::{
    Actor, LogEntry, LogKind, Member, NamespaceId, NamespaceKind, Performer, TeamId, TeamRecord,
    TeamRole, Timestamp, UserId,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Most teams of one organisation that a user or robot is in.
///
/// It bounds what deciding about one request reads: two rows a team, and a handful.
pub const TEAMS_OF_A_MEMBER: usize = 256;

impl Accounts {
    /// Makes a team without members.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a namespace; [`Error::NoOrganization`]; [`Error::Exists`];
    /// [`Error::InvalidName`], [`Error::Invalid`].
    pub async fn create_team(&self, team: &TeamRecord, by: &Performer) -> Result<TeamId, Error> {
        check_name(Noun::Team, &team.name)?;
        check_team_description(&team.description)?;
        let (team, by, now) = (team.clone(), by.clone(), self.inner.clock.now());
        self.change(move |tx| create(tx, &team, &by, now)).await
    }

    /// The team of this name in the namespace, if there is one.
    pub async fn team_by_name(
        &self,
        namespace: NamespaceId,
        name: &str,
    ) -> Result<Option<(TeamId, TeamRecord)>, Error> {
        let find = |tx: &ReadTx| tx.teams().by_name(namespace, name);
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// The record of a team, if there is one.
    pub async fn team(&self, id: TeamId) -> Result<Option<TeamRecord>, Error> {
        let record = self.inner.store.read(|tx| tx.teams().record(id));
        record.await.map_err(Error::Store)
    }

    /// Up to `limit` teams of the namespace behind the name `after`, in byte order.
    pub async fn list_teams(
        &self,
        namespace: NamespaceId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(TeamId, TeamRecord)>, Error> {
        let after = after.map(str::to_owned);
        let list = move |tx: &ReadTx| tx.teams().list(namespace, after.as_deref(), limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// Up to `limit` teams of the namespace behind `after`, the oldest first.
    pub async fn list_teams_by_age(
        &self,
        namespace: NamespaceId,
        after: Option<TeamId>,
        limit: usize,
    ) -> Result<Vec<(TeamId, TeamRecord)>, Error> {
        let list = move |tx: &ReadTx| {
            let mut teams = Vec::new();
            for (id, _) in tx.teams().by_age(namespace, after, limit)? {
                teams.extend(tx.teams().record(id)?.map(|record| (id, record)));
            }
            Ok(teams)
        };
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// The teams of the namespace that somebody is in.
    pub async fn teams_of(
        &self,
        member: Member,
        namespace: NamespaceId,
    ) -> Result<Vec<(TeamId, TeamRecord)>, Error> {
        let list = move |tx: &ReadTx| of_member(tx, member, namespace);
        self.inner.store.read(list).await
    }

    /// Changes what a team may do in its organisation.
    ///
    /// # Errors
    /// [`Error::OwnLastAdminTeam`] if who asks would no longer rule the organisation;
    /// [`Error::LastAdminTeam`]; [`Error::Unknown`].
    pub async fn set_team_role(
        &self,
        id: TeamId,
        role: TeamRole,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let mut team = load(tx, id)?;
            if team.role == role {
                return Ok(());
            }
            if role != TeamRole::Admin {
                check_other_admins(tx, id, &team, &by)?;
            }
            team.role = role;
            tx.teams().put(id, &team)?;
            let metadata = json!({"team": team.name, "role": role.as_str()});
            let line = LogEntry::new(LogKind::OrgSetTeamRole, now, &by);
            Ok(tx
                .logs()
                .append(&line.within(team.namespace).with(metadata))?)
        })
        .await
    }

    /// Changes what is said about a team.
    ///
    /// # Errors
    /// [`Error::Invalid`]; [`Error::Unknown`].
    pub async fn describe_team(
        &self,
        id: TeamId,
        description: &str,
        by: &Performer,
    ) -> Result<(), Error> {
        check_team_description(description)?;
        let (description, by) = (description.to_owned(), by.clone());
        let now = self.inner.clock.now();
        self.change(move |tx| {
            let mut team = load(tx, id)?;
            if team.description == description {
                return Ok(());
            }
            team.description.clone_from(&description);
            tx.teams().put(id, &team)?;
            let metadata = json!({"team": team.name, "description": description});
            let line = LogEntry::new(LogKind::OrgSetTeamDescription, now, &by);
            Ok(tx
                .logs()
                .append(&line.within(team.namespace).with(metadata))?)
        })
        .await
    }

    /// Removes a team with its grants, memberships and invitations.
    ///
    /// # Errors
    /// As [`Accounts::set_team_role`].
    pub async fn delete_team(&self, id: TeamId, by: &Performer) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| {
            let team = load(tx, id)?;
            check_other_admins(tx, id, &team, &by)?;
            tx.teams().remove(id)?;
            let line = LogEntry::new(LogKind::OrgDeleteTeam, now, &by);
            let line = line.within(team.namespace).with(json!({"team": team.name}));
            Ok(tx.logs().append(&line)?)
        })
        .await
    }
}

fn create(
    tx: &mut WriteTx<'_>,
    team: &TeamRecord,
    by: &Performer,
    now: Timestamp,
) -> Result<TeamId, Error> {
    let namespace = super::namespaces::load(tx, team.namespace)?;
    if let NamespaceKind::User(_) = namespace.kind {
        return Err(Error::NoOrganization {
            name: namespace.name,
        });
    }
    let created = tx.teams().create(team);
    let id = created.map_err(|error| Error::exists(Noun::Team, error))?;
    let line = LogEntry::new(LogKind::OrgCreateTeam, now, by).within(team.namespace);
    tx.logs().append(&line.with(json!({"team": team.name})))?;
    Ok(id)
}

/// The team of this id in an organisation that is there.
pub(super) fn load(tx: &ReadTx, id: TeamId) -> Result<TeamRecord, Error> {
    let team = tx.teams().record(id)?;
    let team = team.ok_or(Error::Unknown { noun: Noun::Team })?;
    organizations::load(tx, team.namespace)?;
    Ok(team)
}

/// The teams of the namespace that somebody is in.
pub(super) fn of_member(
    tx: &ReadTx,
    member: Member,
    namespace: NamespaceId,
) -> Result<Vec<(TeamId, TeamRecord)>, Error> {
    let ids = tx.teams().of_member(member, namespace, TEAMS_OF_A_MEMBER)?;
    let mut teams = Vec::with_capacity(ids.len());
    for id in ids {
        teams.extend(tx.teams().record(id)?.map(|record| (id, record)));
    }
    Ok(teams)
}

/// Whether the team is the only one by which a user rules the organisation.
pub(super) fn is_only_admin_team(
    tx: &ReadTx,
    id: TeamId,
    namespace: NamespaceId,
    user: UserId,
) -> Result<bool, Error> {
    let teams = of_member(tx, Member::User(user), namespace)?.into_iter();
    let mut admins = teams.filter(|(_, team)| team.role == TeamRole::Admin);
    Ok(matches!((admins.next(), admins.next()), (Some((only, _)), None) if only == id))
}

/// Checks that who asks still rules the organisation without this team, and that it has an admin team
/// besides, if this is one.
fn check_other_admins(
    tx: &ReadTx,
    id: TeamId,
    team: &TeamRecord,
    by: &Performer,
) -> Result<(), Error> {
    if team.role != TeamRole::Admin {
        return Ok(());
    }
    if let Actor::User { id: user, name } = &by.actor
        && is_only_admin_team(tx, id, team.namespace, *user)?
    {
        return Err(Error::OwnLastAdminTeam {
            user: name.clone(),
            team: team.name.clone(),
            organization: organizations::load(tx, team.namespace)?.name,
        });
    }
    let mut after = None;
    loop {
        let page = tx.teams().by_age(team.namespace, after, PAGE_ROWS)?;
        let is_other = |(other, role): &(_, TeamRole)| *other != id && *role == TeamRole::Admin;
        if page.iter().any(is_other) {
            return Ok(());
        }
        match page.last() {
            Some((last, _)) => after = Some(*last),
            None => return Err(Error::LastAdminTeam),
        }
    }
}
