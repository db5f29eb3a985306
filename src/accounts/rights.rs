//! Rights: what somebody may do in a namespace and on one of its repositories.
//!
//! Read from the store whenever `auth` asks, so that what was revoked counts at once (AZ-12). One read
//! transaction of a few point reads: at most five rows, and three for each team of the organisation
//! that somebody is in, of which there are at most [`TEAMS_OF_A_MEMBER`].

use super::{Accounts, Error, TEAMS_OF_A_MEMBER};
use crate::model::{
    Grantee, Member, NamespaceId, NamespaceKind, NamespaceRecord, RepositoryId, RobotId, Role,
    TeamRole, UserId,
};
use crate::store::{self, ReadTx};

/// Whose rights are asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Principal {
    User(UserId),
    Robot(RobotId),
}

/// What somebody may do, whatever is open to everyone. The default is nothing.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rights {
    /// On the repository; without one, on every repository of the namespace.
    pub role: Option<Role>,
    /// Whether they may make repositories in the namespace.
    pub may_create: bool,
    /// Whether they are in any team of the organisation.
    pub member: bool,
}

impl Rights {
    /// Of who rules the namespace.
    const fn rule(self) -> Self {
        Self {
            role: Some(Role::Admin),
            may_create: true,
            ..self
        }
    }
}

impl Accounts {
    /// What the principal may do in the namespace and, if one is named, on a repository of it.
    ///
    /// The owner of a namespace and its admin teams rule it; creator teams may make repositories; the
    /// highest of what is granted to the principal and its teams counts. Nothing for a principal that
    /// is gone or disabled, a robot whose owner is disabled, and a repository that is gone or another
    /// namespace's (AZ-06).
    pub async fn rights(
        &self,
        principal: Principal,
        namespace: NamespaceId,
        repository: Option<RepositoryId>,
    ) -> Result<Rights, Error> {
        let rights = |tx: &ReadTx| rights(tx, principal, namespace, repository);
        self.inner.store.read(rights).await.map_err(Error::Store)
    }
}

impl Accounts {
    /// The repositories of a namespace on which something is granted to the principal himself; `None` if there
    /// are more than `most`.
    ///
    /// # Errors
    /// The store's.
    pub async fn granted_to(
        &self,
        principal: Principal,
        namespace: NamespaceId,
        most: usize,
    ) -> Result<Option<Vec<RepositoryId>>, Error> {
        let read = move |tx: &ReadTx| {
            let (_, grantee) = named(principal);
            let grants = tx.permissions();
            let found = grants.of_grantee_within(grantee, namespace, None, most + 1)?;
            Ok::<_, Error>((found.len() <= most).then_some(found))
        };
        self.inner.store.scan(read).await
    }
}

/// The principal as teams and as grants name him.
const fn named(principal: Principal) -> (Member, Grantee) {
    match principal {
        Principal::User(id) => (Member::User(id), Grantee::User(id)),
        Principal::Robot(id) => (Member::Robot(id), Grantee::Robot(id)),
    }
}

fn rights(
    tx: &ReadTx,
    principal: Principal,
    namespace: NamespaceId,
    repository: Option<RepositoryId>,
) -> Result<Rights, store::Error> {
    let record = tx.namespaces().record(namespace)?;
    let Some(record) = record.filter(|record| record.deleted.is_none()) else {
        return Ok(Rights::default());
    };
    if let Some(repository) = repository
        && !is_within(tx, repository, namespace)?
    {
        return Ok(Rights::default());
    }
    if !may_act(tx, principal, namespace, &record)? {
        return Ok(Rights::default());
    }
    if let (Principal::User(user), NamespaceKind::User(owner)) = (principal, record.kind)
        && user == owner
    {
        return Ok(Rights::default().rule());
    }
    granted(tx, principal, namespace, repository)
}

fn is_within(
    tx: &ReadTx,
    repository: RepositoryId,
    namespace: NamespaceId,
) -> Result<bool, store::Error> {
    let record = tx.repositories().record(repository)?;
    Ok(record.is_some_and(|record| record.namespace == namespace))
}

/// Whether the principal exists, is enabled, and has any business in the namespace.
fn may_act(
    tx: &ReadTx,
    principal: Principal,
    namespace: NamespaceId,
    record: &NamespaceRecord,
) -> Result<bool, store::Error> {
    let answerable = match principal {
        Principal::User(user) => user,
        Principal::Robot(robot) => match (tx.robots().record(robot)?, record.kind) {
            (Some(robot), kind) if robot.namespace == namespace => match kind {
                NamespaceKind::User(owner) => owner,
                NamespaceKind::Cache | NamespaceKind::Organization => return Ok(true),
            },
            _ => return Ok(false),
        },
    };
    let user = tx.users().record(answerable)?;
    Ok(user.is_some_and(|user| user.enabled))
}

/// What teams and grants give.
fn granted(
    tx: &ReadTx,
    principal: Principal,
    namespace: NamespaceId,
    repository: Option<RepositoryId>,
) -> Result<Rights, store::Error> {
    let (member, grantee) = named(principal);
    let teams = tx.teams().of_member(member, namespace, TEAMS_OF_A_MEMBER)?;
    let mut rights = Rights {
        member: !teams.is_empty(),
        ..Rights::default()
    };
    let mut grantees = vec![grantee];
    for id in teams {
        match tx.teams().record(id)?.map(|team| team.role) {
            Some(TeamRole::Admin) => return Ok(rights.rule()),
            Some(TeamRole::Creator) => rights.may_create = true,
            Some(TeamRole::Member) | None => {}
        }
        grantees.push(Grantee::Team(id));
    }
    if let Some(repository) = repository {
        for grantee in grantees {
            let role = tx.permissions().role(repository, grantee)?;
            rights.role = rights.role.max(role);
        }
    }
    Ok(rights)
}
