//! Operations on users and organisations.

use super::message::{Clear, ImportedUser, NewUser, OrganizationRow, Row, UserRow};
use super::{Failure, Report};
use crate::accounts::{self, Imported, NewOrganization};
use crate::app::assemble::Services;
use crate::model::{NamespaceKind, NamespaceName, Performer, UserId};
use crate::registry;

/// Users read in one go.
const PAGE: usize = 500;

/// Makes a user.
pub(super) async fn create_user(services: &Services, new: &NewUser) -> Result<String, Failure> {
    let first = !services.accounts.has_users();
    let account = accounts::NewUser {
        email: new.email.clone(),
        password: Some(new.password.0.clone()),
        superuser: new.superuser,
        ..accounts::NewUser::named(&new.name)
    };
    services.accounts.create_user(account).await?;
    let kind = if new.superuser { "superuser" } else { "user" };
    let done = format!("{kind} {} created", new.name);
    Ok(match first {
        true => format!("{done}, the first one: clients must now log in for what is not public"),
        false => done,
    })
}

/// Takes users of another registry over.
pub(super) async fn import_users(
    services: &Services,
    users: &[ImportedUser],
    report: &Report,
) -> Result<String, Failure> {
    let imported = users.iter().map(|user| accounts::ImportedUser {
        name: user.name.clone(),
        hash: user.hash.0.expose().to_owned(),
    });
    let by = Performer::SYSTEM;
    let outcomes = services
        .accounts
        .import_users(imported.collect(), &by)
        .await?;
    let mut made = 0;
    for (user, outcome) in users.iter().zip(outcomes) {
        let name = &user.name;
        match outcome {
            Imported::Made => made += 1,
            Imported::There => {
                report
                    .progress(format!("{name} is there already, and left as it is"))
                    .await?
            }
            Imported::Taken => {
                report
                    .progress(format!(
                        "{name} is the name of an organization; the user was left out"
                    ))
                    .await?
            }
        }
    }
    Ok(format!("{made} of {} users imported", users.len()))
}

/// Gives a user another password.
pub(super) async fn set_password(
    services: &Services,
    name: &NamespaceName,
    password: &Clear,
) -> Result<String, Failure> {
    let id = user(services, name).await?;
    let by = Performer::SYSTEM;
    services.accounts.set_password(id, &password.0, &by).await?;
    Ok(format!("{name} has a new password"))
}

/// Lets a user log in, or no more.
pub(super) async fn set_enabled(
    services: &Services,
    name: &NamespaceName,
    enabled: bool,
) -> Result<String, Failure> {
    let id = user(services, name).await?;
    let by = Performer::SYSTEM;
    services.accounts.set_enabled(id, enabled, &by).await?;
    Ok(match enabled {
        true => format!("{name} may log in again, and so may its robots"),
        false => {
            format!("{name} and its robots are logged out, until `entrepot user enable {name}`")
        }
    })
}

/// Lists users.
pub(super) async fn list_users(services: &Services, report: &Report) -> Result<String, Failure> {
    let mut after = None;
    loop {
        let page = services.accounts.list_users(after, PAGE).await?;
        after = page.last().map(|(id, _)| *id);
        for (_, user) in page {
            let superuser = user.superuser || services.super_users.contains(&user.name);
            let row = UserRow {
                name: user.name,
                email: user.email,
                enabled: user.enabled,
                superuser,
                created: user.created,
            };
            report.row(Row::User(row)).await?;
        }
        if after.is_none() {
            return Ok(String::new());
        }
    }
}

/// Lists the organisations that are no caches.
pub(super) async fn list_organizations(
    services: &Services,
    report: &Report,
) -> Result<String, Failure> {
    let all = services.registry.store().scan(|tx| tx.namespaces().list());
    for (_, record) in all.await.map_err(registry::Error::from)? {
        if record.kind == NamespaceKind::Organization {
            let row = OrganizationRow {
                organization: record.name,
                created: record.created,
            };
            report.row(Row::LocalOrganization(row)).await?;
        }
    }
    Ok(String::new())
}

/// Makes an organisation.
pub(super) async fn create_organization(
    services: &Services,
    name: &NamespaceName,
    owner: Option<&NamespaceName>,
) -> Result<String, Failure> {
    let id = match owner {
        Some(owner) => Some(user(services, owner).await?),
        None => None,
    };
    let new = NewOrganization::named(name, id);
    services.accounts.create_organization(new).await?;
    Ok(match owner {
        Some(owner) => format!("organization {name} created, administered by {owner}"),
        None => format!("organization {name} created; only superusers administer it"),
    })
}

/// The user of that name.
pub(super) async fn user(services: &Services, name: &NamespaceName) -> Result<UserId, Failure> {
    let found = services.accounts.user_by_name(name.as_str()).await?;
    found.map(|(id, _)| id).ok_or_else(|| {
        Failure::refused(format!(
            "there is no user {name}; `entrepot user list` shows those there are"
        ))
    })
}
