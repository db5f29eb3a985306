//! Operations on grants: who may do what in a repository, besides its owners.

use super::message::{GrantRow, Row};
use super::repositories::{Located, locate};
use super::{Failure, GranteeName, Report, RepositoryPath, accounts, robots};
use crate::app::assemble::Services;
use crate::model::{Grantee, Performer, RobotName, Role, TeamId};
use crate::registry;

/// Grants read in one go.
const PAGE: usize = 500;

/// Lists the grants of a repository.
pub(super) async fn list(
    services: &Services,
    path: &RepositoryPath,
    report: &Report,
) -> Result<String, Failure> {
    let repository = locate(services, path).await?.id;
    let mut after = None;
    loop {
        let page = services
            .accounts
            .list_grants(repository, after, PAGE)
            .await?;
        after = page.last().map(|(grantee, _)| *grantee);
        for (grantee, role) in page {
            // Somebody may have been removed between the two reads, and the grant with him.
            let Some(name) = name_of(services, grantee).await? else {
                continue;
            };
            let row = GrantRow {
                repository: path.clone(),
                name,
                role: role.to_string(),
            };
            report.row(Row::Grant(row)).await?;
        }
        if after.is_none() {
            return Ok(String::new());
        }
    }
}

/// Grants a role, instead of the one before.
pub(super) async fn set(
    services: &Services,
    path: &RepositoryPath,
    name: &GranteeName,
    role: Role,
) -> Result<String, Failure> {
    let located = locate(services, path).await?;
    let grantee = find(services, &located, path, name).await?;
    let by = Performer::SYSTEM;
    let granted = services.accounts.grant(located.id, grantee, role, &by);
    granted.await?;
    Ok(format!("{name} has {role} on {path}"))
}

/// Takes a grant back.
pub(super) async fn remove(
    services: &Services,
    path: &RepositoryPath,
    name: &GranteeName,
) -> Result<String, Failure> {
    let located = locate(services, path).await?;
    let grantee = find(services, &located, path, name).await?;
    let by = Performer::SYSTEM;
    let revoked = services.accounts.revoke(located.id, grantee, &by);
    match revoked.await? {
        Some(role) => Ok(format!("{name} no longer has {role} on {path}")),
        None => Err(Failure::refused(format!(
            "nothing is granted to {name} on {path}; `entrepot permission ls {path}` shows what is"
        ))),
    }
}

/// A robot is granted something in its own namespace only (Quay).
pub(super) fn check_reach(robot: &RobotName, path: &RepositoryPath) -> Result<(), Failure> {
    if *robot.namespace() == path.namespace {
        return Ok(());
    }
    let (own, other) = (robot.namespace(), &path.namespace);
    Err(Failure::refused(format!(
        "{robot} is a robot of {own} and cannot be granted {path}; make one of {other}"
    )))
}

async fn find(
    services: &Services,
    located: &Located,
    path: &RepositoryPath,
    name: &GranteeName,
) -> Result<Grantee, Failure> {
    match name {
        GranteeName::User(name) => Ok(Grantee::User(accounts::user(services, name).await?)),
        GranteeName::Robot(name) => {
            check_reach(name, path)?;
            let found = services.accounts.robot_by_name(name).await?;
            let (id, _) = found.ok_or_else(|| robots::unknown(name))?;
            Ok(Grantee::Robot(id))
        }
        GranteeName::Team(team) => {
            let found = services
                .accounts
                .team_by_name(located.namespace, team)
                .await?;
            let organization = &path.namespace;
            let unknown = || format!("the organization {organization} has no team {team}");
            let (id, _) = found.ok_or_else(|| Failure::refused(unknown()))?;
            Ok(Grantee::Team(id))
        }
    }
}

async fn name_of(services: &Services, grantee: Grantee) -> Result<Option<GranteeName>, Failure> {
    Ok(match grantee {
        Grantee::User(id) => {
            let user = services.accounts.user(id).await?;
            user.map(|user| GranteeName::User(user.name))
        }
        Grantee::Robot(id) => {
            let robot = services.accounts.robot(id).await?;
            robot.map(|robot| GranteeName::Robot(robot.name))
        }
        Grantee::Team(id) => team_name(services, id).await?.map(GranteeName::Team),
    })
}

async fn team_name(services: &Services, id: TeamId) -> Result<Option<String>, Failure> {
    let store = services.registry.store();
    let team = store.read(move |tx| tx.teams().record(id)).await;
    let team = team.map_err(registry::Error::from)?;
    Ok(team.map(|team| team.name))
}
