//! Operations on robots.

use super::grants;
use super::message::{Clear, NewRobot, RobotRow, Row};
use super::repositories::{locate, namespace};
use super::{Failure, Report};
use crate::app::assemble::Services;
use crate::model::{Grantee, NamespaceName, Performer, RobotName};

/// Robots read in one go.
const PAGE: usize = 500;

/// Makes a robot and tells its token, which nobody can be told again by a command.
///
/// What it is to be granted is looked up first, so that a mistake there leaves no robot behind.
pub(super) async fn create(
    services: &Services,
    new: &NewRobot,
    report: &Report,
) -> Result<String, Failure> {
    let name = &new.name;
    namespace(services, name.namespace()).await?;
    let mut grants = Vec::new();
    for (path, role) in &new.grants {
        grants::check_reach(name, path)?;
        grants.push((locate(services, path).await?.id, *role));
    }
    let made = services
        .accounts
        .create_robot(name, &new.description, &Performer::SYSTEM);
    let (id, token) = made.await?;
    report.row(Row::Token(Clear(token))).await?;
    for (repository, role) in grants {
        let grantee = Grantee::Robot(id);
        let by = Performer::SYSTEM;
        let granted = services.accounts.grant(repository, grantee, role, &by);
        granted.await?;
    }
    Ok(format!("robot {name} created"))
}

/// Gives a robot another token and tells it; what it is granted stays.
pub(super) async fn regenerate(
    services: &Services,
    name: &RobotName,
    report: &Report,
) -> Result<String, Failure> {
    if services.accounts.robot_by_name(name).await?.is_none() {
        return Err(unknown(name));
    }
    let token = services
        .accounts
        .regenerate_robot_token(name, &Performer::SYSTEM);
    report.row(Row::Token(Clear(token.await?))).await?;
    Ok(format!(
        "robot {name} has a new token; the one before counts no more"
    ))
}

/// Lists the robots of a namespace.
pub(super) async fn list(
    services: &Services,
    name: &NamespaceName,
    report: &Report,
) -> Result<String, Failure> {
    let namespace = namespace(services, name).await?;
    let mut after: Option<String> = None;
    loop {
        let page = services
            .accounts
            .list_robots(namespace.id, after.as_deref(), PAGE)
            .await?;
        after = page.last().map(|(_, robot)| robot.name.short().to_owned());
        for (_, robot) in page {
            let row = RobotRow {
                name: robot.name,
                description: robot.description,
                created: robot.created,
            };
            report.row(Row::Robot(row)).await?;
        }
        if after.is_none() {
            return Ok(String::new());
        }
    }
}

/// Removes a robot with its grants.
pub(super) async fn remove(services: &Services, name: &RobotName) -> Result<String, Failure> {
    if services.accounts.robot_by_name(name).await?.is_none() {
        return Err(unknown(name));
    }
    let by = Performer::SYSTEM;
    services.accounts.delete_robot(name, &by).await?;
    Ok(format!("robot {name} removed"))
}

/// Says that there is no such robot.
pub(super) fn unknown(name: &RobotName) -> Failure {
    let namespace = name.namespace();
    Failure::refused(format!(
        "there is no robot {name}; `entrepot robot list {namespace}` shows those there are"
    ))
}
