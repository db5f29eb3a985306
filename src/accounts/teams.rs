//! Teams of organisations, and who is in them.

use super::name::{check_description, check_name};
use super::{Accounts, Error, Noun};
use crate::model::{Member, NamespaceId, NamespaceKind, TeamId, TeamRecord, TeamRole};
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
    /// [`Error::Invalid`].
    pub async fn create_team(&self, team: &TeamRecord) -> Result<TeamId, Error> {
        check_name("the team's name", &team.name)?;
        check_description(&team.description)?;
        let team = team.clone();
        self.change(move |tx| create(tx, &team)).await
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

    /// Changes what a team may do in its organisation.
    ///
    /// # Errors
    /// [`Error::LastAdminTeam`]; [`Error::Unknown`].
    pub async fn set_team_role(&self, id: TeamId, role: TeamRole) -> Result<(), Error> {
        self.change(move |tx| {
            let mut team = load(tx, id)?;
            if role != TeamRole::Admin {
                check_other_admins(tx, id, &team)?;
            }
            team.role = role;
            Ok(tx.teams().put(id, &team)?)
        })
        .await
    }

    /// Removes a team with its grants and memberships.
    ///
    /// # Errors
    /// [`Error::LastAdminTeam`]; [`Error::Unknown`].
    pub async fn delete_team(&self, id: TeamId) -> Result<(), Error> {
        self.change(move |tx| {
            let team = load(tx, id)?;
            check_other_admins(tx, id, &team)?;
            Ok(tx.teams().remove(id)?)
        })
        .await
    }

    /// Puts a user or robot into a team; nothing happens if it is there.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a robot of another namespace; [`Error::TooManyTeams`] beyond
    /// [`TEAMS_OF_A_MEMBER`]; [`Error::Unknown`].
    pub async fn add_member(&self, team: TeamId, member: Member) -> Result<(), Error> {
        self.change(move |tx| add_member(tx, team, member)).await
    }

    /// Takes a user or robot out of a team; nothing happens if it is not there.
    ///
    /// # Errors
    /// [`Error::Unknown`] without such a team.
    pub async fn remove_member(&self, team: TeamId, member: Member) -> Result<(), Error> {
        self.change(move |tx| {
            load(tx, team)?;
            Ok(tx.teams().remove_member(team, member)?)
        })
        .await
    }

    /// Up to `limit` members of the team behind `after`, users first, in the order of their ids.
    pub async fn list_members(
        &self,
        team: TeamId,
        after: Option<Member>,
        limit: usize,
    ) -> Result<Vec<Member>, Error> {
        let list = move |tx: &ReadTx| tx.teams().members(team, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }
}

fn create(tx: &mut WriteTx<'_>, team: &TeamRecord) -> Result<TeamId, Error> {
    let namespace = tx.namespaces().record(team.namespace)?;
    let noun = Noun::Namespace;
    let namespace = namespace.ok_or(Error::Unknown { noun })?;
    if let NamespaceKind::User(_) = namespace.kind {
        return Err(Error::NoOrganization {
            name: namespace.name,
        });
    }
    let created = tx.teams().create(team);
    created.map_err(|error| Error::exists(Noun::Team, error))
}

fn add_member(tx: &mut WriteTx<'_>, team: TeamId, member: Member) -> Result<(), Error> {
    let namespace = load(tx, team)?.namespace;
    check_member(tx, member, namespace)?;
    if tx.teams().has_member(team, member)? {
        return Ok(());
    }
    let limit = TEAMS_OF_A_MEMBER;
    if tx.teams().of_member(member, namespace, limit)?.len() >= limit {
        return Err(Error::TooManyTeams { limit });
    }
    Ok(tx.teams().add_member(team, member)?)
}

/// Checks that the member exists and may be in a team of the namespace.
fn check_member(tx: &ReadTx, member: Member, namespace: NamespaceId) -> Result<(), Error> {
    match member {
        Member::User(id) => match tx.users().record(id)? {
            Some(_) => Ok(()),
            None => Err(Error::Unknown { noun: Noun::User }),
        },
        Member::Robot(id) => match tx.robots().record(id)? {
            Some(robot) if robot.namespace == namespace => Ok(()),
            Some(_) => Err(Error::Foreign { noun: Noun::Robot }),
            None => Err(Error::Unknown { noun: Noun::Robot }),
        },
    }
}

fn load(tx: &ReadTx, id: TeamId) -> Result<TeamRecord, Error> {
    let team = tx.teams().record(id)?;
    team.ok_or(Error::Unknown { noun: Noun::Team })
}

/// Checks that the organisation has an admin team besides this one, if this is one.
fn check_other_admins(tx: &ReadTx, id: TeamId, team: &TeamRecord) -> Result<(), Error> {
    if team.role != TeamRole::Admin {
        return Ok(());
    }
    let mut after: Option<String> = None;
    loop {
        let page = tx
            .teams()
            .list(team.namespace, after.as_deref(), PAGE_ROWS)?;
        let is_other =
            |(other, record): &(TeamId, TeamRecord)| *other != id && record.role == TeamRole::Admin;
        if page.iter().any(is_other) {
            return Ok(());
        }
        let Some((_, last)) = page.into_iter().next_back() else {
            return Err(Error::LastAdminTeam);
        };
        after = Some(last.name);
    }
}
