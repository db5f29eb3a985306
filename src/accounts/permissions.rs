//! Grants: what single repositories allow to users, robots and teams.

use serde_json::json;

use super::members::{self, Person};
use super::prototypes::Associate;
use super::teams::of_member;
use super::{Accounts, Error, Noun};
use crate::model::{
    Grantee, LogEntry, LogKind, Member, NamespaceId, NamespaceKind, Performer, RepositoryId,
    RepositoryRecord, Role, Visibility,
};
use crate::oci::RepositoryName;
use crate::store::{PAGE_ROWS, ReadTx, WriteTx};

/// What is granted to somebody on one repository of a namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Granted {
    /// Without the namespace.
    pub repository: RepositoryName,
    pub is_public: bool,
    pub role: Role,
}

impl Accounts {
    /// Grants a role on a repository, in place of what was granted to the grantee before.
    ///
    /// # Errors
    /// [`Error::Foreign`] for a robot or team of another namespace; [`Error::GrantToOwner`];
    /// [`Error::Unknown`].
    pub async fn grant(
        &self,
        repository: RepositoryId,
        grantee: Grantee,
        role: Role,
        by: &Performer,
    ) -> Result<(), Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx: &mut WriteTx<'_>| {
            let record = load(tx, repository)?;
            check_grantee(tx, grantee, record.namespace)?;
            tx.permissions().put(repository, grantee, role)?;
            let line = LogEntry::new(LogKind::ChangeRepoPermission, now, &by);
            let line = line.with(json!({"role": role.as_str()}));
            tell(tx, line, repository, &record, grantee)
        })
        .await
    }

    /// Takes a grant back; returns what it was, if there was one.
    ///
    /// # Errors
    /// [`Error::GrantToOwner`].
    pub async fn revoke(
        &self,
        repository: RepositoryId,
        grantee: Grantee,
        by: &Performer,
    ) -> Result<Option<Role>, Error> {
        let (by, now) = (by.clone(), self.inner.clock.now());
        self.change(move |tx: &mut WriteTx<'_>| {
            let record = load(tx, repository)?;
            check_owner(tx, grantee, record.namespace)?;
            let role = tx.permissions().remove(repository, grantee)?;
            if role.is_some() {
                let line = LogEntry::new(LogKind::DeleteRepoPermission, now, &by);
                tell(tx, line, repository, &record, grantee)?;
            }
            Ok(role)
        })
        .await
    }

    /// What is granted to exactly this grantee on the repository, if anything.
    pub async fn granted_role(
        &self,
        repository: RepositoryId,
        grantee: Grantee,
    ) -> Result<Option<Role>, Error> {
        let role = |tx: &ReadTx| tx.permissions().role(repository, grantee);
        self.inner.store.read(role).await.map_err(Error::Store)
    }

    /// Up to `limit` grants on the repository behind that to `after`: users, robots, teams.
    pub async fn list_grants(
        &self,
        repository: RepositoryId,
        after: Option<Grantee>,
        limit: usize,
    ) -> Result<Vec<(Grantee, Role)>, Error> {
        let list = move |tx: &ReadTx| tx.permissions().of_repository(repository, after, limit);
        self.inner.store.scan(list).await.map_err(Error::Store)
    }

    /// All users and robots to whom something is granted on the repository, read a page at a time.
    pub async fn granted_people(
        &self,
        repository: RepositoryId,
    ) -> Result<Vec<(Associate, Role)>, Error> {
        self.every_page(move |tx: &ReadTx, after| {
            let grants = tx
                .permissions()
                .of_repository(repository, after, PAGE_ROWS)?;
            let last = grants.last().map(|(grantee, _)| *grantee);
            Ok((people(tx, repository, grants)?, last))
        })
        .await
    }

    /// All teams to which something is granted on the repository, by name.
    pub async fn granted_teams(
        &self,
        repository: RepositoryId,
    ) -> Result<Vec<(String, Role)>, Error> {
        self.every_page(move |tx: &ReadTx, after| {
            let grants = tx
                .permissions()
                .of_repository(repository, after, PAGE_ROWS)?;
            let last = grants.last().map(|(grantee, _)| *grantee);
            let mut teams = Vec::new();
            for (grantee, role) in grants {
                if let Grantee::Team(id) = grantee {
                    let team = tx.teams().record(id)?;
                    teams.extend(team.map(|team| (team.name, role)));
                }
            }
            Ok((teams, last))
        })
        .await
    }

    /// A user or robot of the repository's namespace, or a guest there, as grants show it.
    pub async fn associate(
        &self,
        namespace: NamespaceId,
        person: Person,
    ) -> Result<Associate, Error> {
        let is_member = match person.id {
            Member::Robot(_) => true,
            Member::User(_) => self.is_member(namespace, person.id).await?,
        };
        Ok(Associate { person, is_member })
    }

    /// The roles that somebody has on the repository by grants to itself and to its teams.
    pub async fn transitive_roles(
        &self,
        repository: RepositoryId,
        member: Member,
    ) -> Result<Vec<Role>, Error> {
        let read = |tx: &ReadTx| {
            let record = load(tx, repository)?;
            let mut grantees = vec![Grantee::from(member)];
            let teams = of_member(tx, member, record.namespace)?;
            grantees.extend(teams.into_iter().map(|(id, _)| Grantee::Team(id)));
            let mut roles = Vec::new();
            for grantee in grantees {
                roles.extend(tx.permissions().role(repository, grantee)?);
            }
            Ok(roles)
        };
        self.inner.store.read(read).await
    }

    /// All that is granted to somebody on repositories of the namespace, read a page at a time.
    pub async fn granted_within(
        &self,
        namespace: NamespaceId,
        grantee: Grantee,
    ) -> Result<Vec<Granted>, Error> {
        self.every_page(move |tx: &ReadTx, after| {
            let ids = tx
                .permissions()
                .of_grantee_within(grantee, namespace, after, PAGE_ROWS)?;
            let last = ids.last().copied();
            let mut page = Vec::with_capacity(ids.len());
            for id in ids {
                page.extend(granted(tx, id, grantee)?);
            }
            Ok((page, last))
        })
        .await
    }
}

fn load(tx: &ReadTx, repository: RepositoryId) -> Result<RepositoryRecord, Error> {
    let record = tx.repositories().record(repository)?;
    record.ok_or(Error::unknown(Noun::Repository))
}

fn people(
    tx: &ReadTx,
    repository: RepositoryId,
    grants: Vec<(Grantee, Role)>,
) -> Result<Vec<(Associate, Role)>, Error> {
    let namespace = load(tx, repository)?.namespace;
    let mut found = Vec::with_capacity(grants.len());
    for (grantee, role) in grants {
        let member = match grantee {
            Grantee::User(id) => Member::User(id),
            Grantee::Robot(id) => Member::Robot(id),
            Grantee::Team(_) => continue,
        };
        let Some(person) = members::person(tx, member)? else {
            continue;
        };
        let is_member =
            matches!(member, Member::Robot(_)) || tx.teams().is_member(namespace, member)?;
        found.push((Associate { person, is_member }, role));
    }
    Ok(found)
}

fn granted(
    tx: &ReadTx,
    repository: RepositoryId,
    grantee: Grantee,
) -> Result<Option<Granted>, Error> {
    let record = tx.repositories().record(repository)?;
    let role = tx.permissions().role(repository, grantee)?;
    Ok(record.zip(role).map(|(record, role)| Granted {
        repository: record.name,
        is_public: record.visibility == Visibility::Public,
        role,
    }))
}

/// Writes the line of a grant that was made or taken back.
fn tell(
    tx: &mut WriteTx<'_>,
    line: LogEntry,
    id: RepositoryId,
    record: &RepositoryRecord,
    grantee: Grantee,
) -> Result<(), Error> {
    let namespace = tx.namespaces().record(record.namespace)?.map(|it| it.name);
    let named = |member| members::person(tx, member).map(|it| it.map(|person| person.name));
    let metadata = match grantee {
        Grantee::Team(id) => {
            let team = tx.teams().record(id)?.map(|team| team.name);
            json!({"team": team, "repo": record.name})
        }
        Grantee::User(id) => json!({
            "username": named(Member::User(id))?,
            "repo": record.name,
            "namespace": namespace,
        }),
        Grantee::Robot(id) => json!({
            "username": named(Member::Robot(id))?,
            "repo": record.name,
            "namespace": namespace,
        }),
    };
    let line = line.of_repository(record.namespace, id).with(metadata);
    Ok(tx.logs().append(&line)?)
}

/// Checks that the grantee does not own the namespace: no grant changes what an owner may.
fn check_owner(tx: &ReadTx, grantee: Grantee, namespace: NamespaceId) -> Result<(), Error> {
    if let Grantee::User(id) = grantee {
        let owner = tx.namespaces().record(namespace)?.map(|record| record.kind);
        if owner == Some(NamespaceKind::User(id)) {
            return Err(Error::GrantToOwner);
        }
    }
    Ok(())
}

/// Checks that the grantee exists and may be granted something in the namespace.
fn check_grantee(tx: &ReadTx, grantee: Grantee, namespace: NamespaceId) -> Result<(), Error> {
    check_owner(tx, grantee, namespace)?;
    let (noun, home) = match grantee {
        // Users are granted something wherever they are welcome.
        Grantee::User(id) => (Noun::User, tx.users().record(id)?.map(|_| namespace)),
        Grantee::Robot(id) => {
            let home = tx.robots().record(id)?.map(|robot| robot.namespace);
            (Noun::Robot, home)
        }
        Grantee::Team(id) => {
            let home = tx.teams().record(id)?.map(|team| team.namespace);
            (Noun::Team, home)
        }
    };
    match home {
        Some(home) if home == namespace => Ok(()),
        Some(_) => Err(Error::Foreign { noun }),
        None => Err(Error::Unknown { noun }),
    }
}
