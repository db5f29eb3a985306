//! Who is in teams: put in, taken out, listed with names; and who belongs to an organisation by them.

use std::collections::HashMap;

use serde_json::json;

use super::teams::{self, TEAMS_OF_A_MEMBER, is_only_admin_team, of_member};
use super::{Accounts, Error, Noun, organizations};
use crate::model::{
    Actor, Grantee, LogEntry, LogKind, Member, NamespaceId, Performer, TeamId, TeamRole, Timestamp,
    UserId,
};
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// Repositories that are told of one member or collaborator.
const REPOSITORIES: usize = 10_000;

/// A user or robot as lists show it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    pub id: Member,
    pub name: String,
    /// Of a user, if there is one.
    pub email: Option<String>,
}

/// Somebody of an organisation, with what the organisation gives to exactly them.
#[derive(Clone, Debug)]
pub struct Affiliation {
    pub person: Person,
    /// The names of the teams they are in, the oldest first.
    pub teams: Vec<String>,
    /// The names of the repositories on which something is granted to them, without namespace.
    pub repositories: Vec<String>,
}

impl Accounts {
    /// The user, robot (`namespace+short`) of that name, if there is one.
    pub async fn person(&self, name: &str) -> Result<Option<Person>, Error> {
        let find = |tx: &ReadTx| find(tx, name);
        self.inner.store.read(find).await
    }

    /// The same by its id.
    pub async fn person_of(&self, member: Member) -> Result<Option<Person>, Error> {
        let find = |tx: &ReadTx| person(tx, member);
        self.inner.store.read(find).await
    }

    /// Whether somebody is in any team of the organisation.
    pub async fn is_member(&self, namespace: NamespaceId, member: Member) -> Result<bool, Error> {
        let find = |tx: &ReadTx| tx.teams().is_member(namespace, member);
        self.inner.store.read(find).await.map_err(Error::Store)
    }

    /// Puts a user or robot into a team; nothing happens if it is there.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a robot of another namespace; [`Error::TooManyTeams`] beyond
    /// [`TEAMS_OF_A_MEMBER`]; [`Error::Unknown`].
    pub async fn add_member(
        &self,
        team: TeamId,
        member: Member,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| match add(tx, team, member, &by, now) {
            Ok(()) | Err(Error::InTeam { .. }) => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }

    /// Takes a user or robot out of a team.
    ///
    /// # Errors
    /// [`Error::NotInTeam`]; [`Error::LastAdmin`] for who would take itself out of the only team by which
    /// it rules the organisation; [`Error::Unknown`] without such a team.
    pub async fn remove_member(
        &self,
        team: TeamId,
        member: Member,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| remove(tx, team, member, &by, now))
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

    /// All members of the team with their names, read a page at a time.
    pub async fn team_members(&self, team: TeamId) -> Result<Vec<Person>, Error> {
        let mut people = Vec::new();
        let mut after = None;
        loop {
            let page = self.inner.store.scan(move |tx: &ReadTx| {
                let members = tx.teams().members(team, after, PAGE_ROWS)?;
                let last = members.last().copied();
                let mut page = Vec::with_capacity(members.len());
                for member in members {
                    page.extend(person(tx, member)?);
                }
                Ok::<_, Error>((page, last))
            });
            let (page, last) = page.await?;
            people.extend(page);
            match last {
                Some(last) => after = Some(last),
                None => return Ok(people),
            }
        }
    }

    /// All users who are in any team of the organisation, read a page at a time.
    pub async fn members_of(&self, namespace: NamespaceId) -> Result<Vec<Affiliation>, Error> {
        self.every_page(move |tx: &ReadTx, after| {
            let members = tx.teams().members_within(namespace, after, PAGE_ROWS)?;
            let last = members.last().copied();
            let users = members
                .into_iter()
                .filter(|it| matches!(it, Member::User(_)));
            Ok((affiliations(tx, namespace, users)?, last))
        })
        .await
    }

    /// All users to whom something is granted in the organisation, and who are in no team of it.
    pub async fn collaborators_of(
        &self,
        namespace: NamespaceId,
    ) -> Result<Vec<Affiliation>, Error> {
        self.every_page(move |tx: &ReadTx, after| {
            let grantees = tx.permissions().grantees(namespace, after, PAGE_ROWS)?;
            let last = grantees.last().copied();
            let mut users = Vec::new();
            for grantee in grantees {
                if let Grantee::User(id) = grantee
                    && !tx.teams().is_member(namespace, Member::User(id))?
                {
                    users.push(Member::User(id));
                }
            }
            Ok((affiliations(tx, namespace, users)?, last))
        })
        .await
    }

    /// Somebody who is in a team of the organisation, or is a robot of it.
    pub async fn affiliation(
        &self,
        namespace: NamespaceId,
        member: Member,
    ) -> Result<Option<Affiliation>, Error> {
        let read = move |tx: &ReadTx| {
            let belongs = match member {
                Member::User(_) => tx.teams().is_member(namespace, member)?,
                Member::Robot(id) => {
                    let robot = tx.robots().record(id)?;
                    robot.is_some_and(|robot| robot.namespace == namespace)
                }
            };
            let one = belongs.then_some(member);
            Ok(affiliations(tx, namespace, one)?.into_iter().next())
        };
        self.inner.store.scan(read).await
    }

    /// Takes a user out of every team of the organisation, and back what is granted to it there.
    ///
    /// # Errors
    /// [`Error::LastAdmin`] if nobody else rules the organisation; [`Error::Unknown`].
    pub async fn remove_from_organization(
        &self,
        namespace: NamespaceId,
        user: UserId,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx| expel(tx, namespace, user, &by, now))
            .await
    }
}

/// A user or robot with its name, if it is there.
pub(super) fn person(tx: &ReadTx, member: Member) -> Result<Option<Person>, Error> {
    let (name, email) = match member {
        Member::User(id) => match tx.users().record(id)? {
            Some(user) => (user.name.to_string(), user.email),
            None => return Ok(None),
        },
        Member::Robot(id) => match tx.robots().record(id)? {
            Some(robot) => (robot.name.to_string(), None),
            None => return Ok(None),
        },
    };
    let id = member;
    Ok(Some(Person { id, name, email }))
}

/// The user or robot of that name.
pub(super) fn find(tx: &ReadTx, name: &str) -> Result<Option<Person>, Error> {
    let member = match name.split_once('+') {
        None => match name.parse() {
            Ok(name) => tx.users().by_name(&name)?.map(|(id, _)| Member::User(id)),
            Err(_) => None,
        },
        Some((namespace, short)) => {
            let namespace = match namespace.parse() {
                Ok(namespace) => tx.namespaces().by_name(&namespace)?,
                Err(_) => None,
            };
            match namespace {
                Some((id, _)) => {
                    let robot = tx.robots().by_name(id, short)?;
                    robot.map(|(id, _)| Member::Robot(id))
                }
                None => None,
            }
        }
    };
    member.map_or(Ok(None), |member| person(tx, member))
}

/// Puts somebody into a team.
///
/// # Errors
/// [`Error::InTeam`], and those of [`Accounts::add_member`].
pub(super) fn add(
    tx: &mut WriteTx<'_>,
    team: TeamId,
    member: Member,
    by: &Performer,
    now: Timestamp,
) -> Result<(), Error> {
    let record = teams::load(tx, team)?;
    let person = check_member(tx, member, record.namespace)?;
    if tx.teams().has_member(team, member)? {
        return Err(Error::InTeam {
            name: person.name,
            team: record.name,
        });
    }
    let limit = TEAMS_OF_A_MEMBER;
    let held = tx.teams().of_member(member, record.namespace, limit)?;
    if held.len() >= limit {
        return Err(Error::TooManyTeams { limit });
    }
    tx.teams().add_member(team, member)?;
    let metadata = json!({"member": person.name, "team": record.name});
    let line = LogEntry::new(LogKind::OrgAddTeamMember, now, by);
    Ok(tx
        .logs()
        .append(&line.within(record.namespace).with(metadata))?)
}

/// Checks that the member exists and may be in a team of the namespace.
fn check_member(tx: &ReadTx, member: Member, namespace: NamespaceId) -> Result<Person, Error> {
    let noun = match member {
        Member::User(_) => Noun::User,
        Member::Robot(_) => Noun::Robot,
    };
    if let Member::Robot(id) = member
        && let Some(robot) = tx.robots().record(id)?
        && robot.namespace != namespace
    {
        return Err(Error::Foreign { noun });
    }
    person(tx, member)?.ok_or(Error::Unknown { noun })
}

fn remove(
    tx: &mut WriteTx<'_>,
    team: TeamId,
    member: Member,
    by: &Performer,
    now: Timestamp,
) -> Result<(), Error> {
    let record = teams::load(tx, team)?;
    let name = person(tx, member)?.map_or_else(String::new, |person| person.name);
    if !tx.teams().has_member(team, member)? {
        let team = record.name;
        return Err(Error::NotInTeam { name, team });
    }
    // Quay: nobody takes itself out of its only admin team.
    if let (Member::User(user), Actor::User { id, .. }) = (member, &by.actor)
        && user == *id
        && is_only_admin_team(tx, team, record.namespace, user)?
    {
        return Err(Error::LastAdmin);
    }
    tx.teams().remove_member(team, member)?;
    let metadata = json!({"member": name, "team": record.name});
    let line = LogEntry::new(LogKind::OrgRemoveTeamMember, now, by);
    Ok(tx
        .logs()
        .append(&line.within(record.namespace).with(metadata))?)
}

fn expel(
    tx: &mut WriteTx<'_>,
    namespace: NamespaceId,
    user: UserId,
    by: &Performer,
    now: Timestamp,
) -> Result<(), Error> {
    organizations::load(tx, namespace)?;
    let member = Member::User(user);
    let name = super::users::load(tx, user)?.name;
    let mut teams = of_member(tx, member, namespace)?;
    teams.retain(|(_, team)| team.namespace == namespace);
    let rules = |(_, team): &(_, crate::model::TeamRecord)| team.role == TeamRole::Admin;
    if teams.iter().any(rules) && !has_other_admin(tx, namespace, user)? {
        return Err(Error::LastAdmin);
    }
    for (id, team) in teams {
        tx.teams().remove_member(id, member)?;
        let metadata = json!({"member": name, "team": team.name});
        let line = LogEntry::new(LogKind::OrgRemoveTeamMember, now, by);
        tx.logs().append(&line.within(namespace).with(metadata))?;
    }
    let grantee = Grantee::User(user);
    // All at once: what is removed is held in memory until the commit in any case.
    let granted = tx
        .permissions()
        .of_grantee_within(grantee, namespace, None, usize::MAX)?;
    for repository in granted {
        tx.permissions().remove(repository, grantee)?;
    }
    Ok(())
}

/// Whether a user besides this one is in an admin team.
fn has_other_admin(tx: &ReadTx, namespace: NamespaceId, user: UserId) -> Result<bool, Error> {
    let mut after = None;
    loop {
        let page = tx.teams().by_age(namespace, after, PAGE_ROWS)?;
        for (team, _) in page.iter().filter(|(_, role)| *role == TeamRole::Admin) {
            // Users come first: two rows show whether there is another.
            for member in tx.teams().members(*team, None, 2)? {
                match member {
                    Member::User(id) if id != user && tx.users().record(id)?.is_some() => {
                        return Ok(true);
                    }
                    Member::User(_) | Member::Robot(_) => {}
                }
            }
        }
        match page.last() {
            Some((last, _)) => after = Some(*last),
            None => return Ok(false),
        }
    }
}

fn affiliations(
    tx: &ReadTx,
    namespace: NamespaceId,
    members: impl IntoIterator<Item = Member>,
) -> Result<Vec<Affiliation>, Error> {
    let mut names: HashMap<TeamId, String> = HashMap::new();
    let mut found = Vec::new();
    for member in members {
        let Some(person) = person(tx, member)? else {
            continue;
        };
        let mut teams = Vec::new();
        for team in tx.teams().of_member(member, namespace, TEAMS_OF_A_MEMBER)? {
            if !names.contains_key(&team) {
                let record = tx.teams().record(team)?;
                names.extend(record.map(|record| (team, record.name)));
            }
            teams.extend(names.get(&team).cloned());
        }
        let grantee = Grantee::from(member);
        let granted = tx
            .permissions()
            .of_grantee_within(grantee, namespace, None, REPOSITORIES)?;
        let mut repositories = Vec::with_capacity(granted.len());
        for repository in granted {
            let record = tx.repositories().record(repository)?;
            repositories.extend(record.map(|record| record.name.to_string()));
        }
        found.push(Affiliation {
            person,
            teams,
            repositories,
        });
    }
    Ok(found)
}
