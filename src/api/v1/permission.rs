//! What single repositories allow to users, robots and teams (`quay-api` section 19).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use super::view::Avatar;
use crate::accounts::{self, Associate, Person};
use crate::auth::Need;
use crate::http::response;
use crate::model::{Grantee, Member, NamespaceKind, NamespaceName, Role, TeamId};

const PEOPLE: &str = "/api/v1/repository/{repository+}/permissions/user/";
const PERSON: &str = "/api/v1/repository/{repository+}/permissions/user/{username}";
const TEAMS: &str = "/api/v1/repository/{repository+}/permissions/team/";
const TEAM: &str = "/api/v1/repository/{repository+}/permissions/team/{teamname}";
const ADMIN: Need = Need::Repository(Role::Admin);

const NO_GRANT: &str = "User does not have permission for repo.";
const NO_TEAM_GRANT: &str = "Team does not have permission for repo.";

#[derive(Deserialize, ToSchema)]
struct PermissionBody {
    /// `read`, `write` or `admin`.
    role: String,
}

/// Permissions by the name of whose they are.
#[derive(Serialize, ToSchema)]
struct PermissionMap {
    #[schema(value_type = Object)]
    permissions: Map<String, serde_json::Value>,
}

#[derive(Serialize, ToSchema)]
struct PersonPermissionView {
    role: &'static str,
    name: String,
    is_robot: bool,
    avatar: Avatar,
    /// Of a repository of an organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_org_member: Option<bool>,
}

#[derive(Serialize, ToSchema)]
struct TeamPermissionView {
    role: &'static str,
    name: String,
    avatar: Avatar,
}

#[derive(Serialize, ToSchema)]
struct RoleView {
    role: &'static str,
}

#[derive(Serialize, ToSchema)]
struct RoleList {
    permissions: Vec<RoleView>,
}

pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        PEOPLE,
        "listRepoUserPermissions",
        "permission",
        ADMIN,
        list_people,
    )
    .summary("Lists what is granted to users and robots")
    .answer::<PermissionMap>(200, "The permissions by name");
    rows.get(
        PERSON,
        "getUserPermissions",
        "permission",
        ADMIN,
        show_person,
    )
    .summary("Shows what is granted to a user or robot")
    .answer::<PersonPermissionView>(200, "The permission")
    .status(400, "Nothing is granted to them");
    rows.put(
        PERSON,
        "changeUserPermissions",
        "permission",
        ADMIN,
        grant_person,
    )
    .summary("Grants a role to a user or robot")
    .body::<PermissionBody>()
    .answer::<PersonPermissionView>(200, "The permission")
    .status(400, "They cannot be granted it");
    rows.delete(
        PERSON,
        "deleteUserPermissions",
        "permission",
        ADMIN,
        revoke_person,
    )
    .summary("Takes back what is granted to a user or robot")
    .status(204, "Taken back")
    .status(400, "Nothing is granted to them");
    let path = "/api/v1/repository/{repository+}/permissions/user/{username}/transitive";
    rows.get(
        path,
        "getUserTransitivePermission",
        "permission",
        ADMIN,
        transitive,
    )
    .summary("Shows what is granted to a user and to its teams")
    .answer::<RoleList>(200, "The roles")
    .status(404, "There are none");
    rows.get(
        TEAMS,
        "listRepoTeamPermissions",
        "permission",
        ADMIN,
        list_teams,
    )
    .summary("Lists what is granted to teams")
    .answer::<PermissionMap>(200, "The permissions by name");
    rows.get(TEAM, "getTeamPermissions", "permission", ADMIN, show_team)
        .summary("Shows what is granted to a team")
        .answer::<RoleView>(200, "The role")
        .status(400, "Nothing is granted to it");
    rows.put(
        TEAM,
        "changeTeamPermissions",
        "permission",
        ADMIN,
        grant_team,
    )
    .summary("Grants a role to a team")
    .body::<PermissionBody>()
    .answer::<TeamPermissionView>(200, "The permission")
    .status(400, "The organisation has no such team");
    rows.delete(
        TEAM,
        "deleteTeamPermissions",
        "permission",
        ADMIN,
        revoke_team,
    )
    .summary("Takes back what is granted to a team")
    .status(204, "Taken back")
    .status(400, "Nothing is granted to it");
}

/// The role of that name, or what Quay's validator says of another.
pub(super) fn role(text: &str) -> Result<Role, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid(format!("'{text}' is not one of ['read', 'write', 'admin']"))
    })
}

async fn list_people(context: Context) -> Answer {
    let repository = context.repository().repository;
    let granted = context.state.accounts.granted_people(repository).await?;
    let mut permissions = Map::new();
    for (of, role) in granted {
        let view = person_view(&context, of, role);
        permissions.insert(view.name.clone(), json!(view));
    }
    Ok(json::spaced(StatusCode::OK, &PermissionMap { permissions }))
}

async fn show_person(context: Context) -> Answer {
    let subject = context.repository();
    let accounts = &context.state.accounts;
    let none = || ApiError::refused(NO_GRANT);
    let person = person(&context).await?.ok_or_else(none)?;
    let grantee = Grantee::from(person.id);
    let role = accounts.granted_role(subject.repository, grantee).await?;
    let role = role.ok_or_else(none)?;
    let of = accounts.associate(subject.namespace, person).await?;
    let view = person_view(&context, of, role);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn grant_person(context: Context) -> Answer {
    let subject = context.repository();
    let body: PermissionBody = context.body()?;
    let role = role(&body.role)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let name = context.parameter("username");
    let home = &subject.namespace_record.name;
    let foreign = || ApiError::invalid(format!("Cannot add robot {name} under namespace {home}"));
    // A robot of another namespace is refused whether there is one or not (AZ-11).
    let unknown = || match is_foreign_robot(name, home) {
        true => foreign(),
        false => ApiError::invalid(format!("Invalid username: {name}")),
    };
    let person = person(&context).await?.ok_or_else(unknown)?;
    let grantee = Grantee::from(person.id);
    let granted = accounts.grant(subject.repository, grantee, role, &by);
    granted.await.map_err(|error| match error {
        accounts::Error::GrantToOwner => owner(),
        accounts::Error::Foreign { .. } => foreign(),
        error => error.into(),
    })?;
    let of = accounts.associate(subject.namespace, person).await?;
    let view = person_view(&context, of, role);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn revoke_person(context: Context) -> Answer {
    let subject = context.repository();
    let (accounts, by) = (&context.state.accounts, context.performer());
    let none = || ApiError::invalid(NO_GRANT);
    let person = person(&context).await?.ok_or_else(none)?;
    let grantee = Grantee::from(person.id);
    let revoked = accounts.revoke(subject.repository, grantee, &by).await;
    match revoked {
        Ok(Some(_)) => Ok(response::no_content()),
        Ok(None) => Err(none()),
        Err(accounts::Error::GrantToOwner) => Err(owner()),
        Err(error) => Err(error.into()),
    }
}

async fn transitive(context: Context) -> Answer {
    let repository = context.repository().repository;
    let person = person(&context).await?.ok_or_else(ApiError::not_found)?;
    let accounts = &context.state.accounts;
    let roles = accounts.transitive_roles(repository, person.id).await?;
    if roles.is_empty() {
        return Err(ApiError::not_found());
    }
    let views = roles.into_iter().map(|role| RoleView {
        role: role.as_str(),
    });
    let permissions = views.collect();
    Ok(json::spaced(StatusCode::OK, &RoleList { permissions }))
}

async fn list_teams(context: Context) -> Answer {
    let repository = context.repository().repository;
    let granted = context.state.accounts.granted_teams(repository).await?;
    let mut permissions = Map::new();
    for (name, role) in granted {
        let view = team_view(&context, &name, role);
        permissions.insert(name, json!(view));
    }
    Ok(json::spaced(StatusCode::OK, &PermissionMap { permissions }))
}

async fn show_team(context: Context) -> Answer {
    let repository = context.repository().repository;
    let none = || ApiError::refused(NO_TEAM_GRANT);
    let team = team(&context).await?.ok_or_else(none)?;
    let role = context
        .state
        .accounts
        .granted_role(repository, Grantee::Team(team));
    let role = role.await?.ok_or_else(none)?.as_str();
    Ok(json::spaced(StatusCode::OK, &RoleView { role }))
}

async fn grant_team(context: Context) -> Answer {
    let subject = context.repository();
    let body: PermissionBody = context.body()?;
    let role = role(&body.role)?;
    let name = context.parameter("teamname");
    let unknown = || {
        let organization = &subject.namespace_record.name;
        ApiError::invalid(format!("No team {name} in organization {organization}"))
    };
    let team = team(&context).await?.ok_or_else(unknown)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let grantee = Grantee::Team(team);
    accounts
        .grant(subject.repository, grantee, role, &by)
        .await?;
    let view = team_view(&context, name, role);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn revoke_team(context: Context) -> Answer {
    let repository = context.repository().repository;
    let none = || ApiError::invalid(NO_TEAM_GRANT);
    let team = team(&context).await?.ok_or_else(none)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let revoked = accounts.revoke(repository, Grantee::Team(team), &by);
    revoked.await?.ok_or_else(none)?;
    Ok(response::no_content())
}

/// Whether this is the name of a robot that another namespace has, or could have.
pub(super) fn is_foreign_robot(name: &str, home: &NamespaceName) -> bool {
    let owner = name.split_once('+').map(|(owner, _)| owner);
    owner.is_some_and(|owner| owner != home.as_str())
}

fn owner() -> ApiError {
    ApiError::invalid("Namespace owner must always be admin.")
}

/// The user or robot of the path.
async fn person(context: &Context) -> Result<Option<Person>, ApiError> {
    let name = context.parameter("username");
    Ok(context.state.accounts.person(name).await?)
}

/// The team of the path, which is one of the repository's organisation (AZ-06).
async fn team(context: &Context) -> Result<Option<TeamId>, ApiError> {
    let namespace = context.repository().namespace;
    let name = context.parameter("teamname");
    let found = context.state.accounts.team_by_name(namespace, name).await?;
    Ok(found.map(|(id, _)| id))
}

fn person_view(context: &Context, of: Associate, role: Role) -> PersonPermissionView {
    let kind = context.repository().namespace_record.kind;
    let is_user = matches!(kind, NamespaceKind::User(_));
    let avatar = Avatar::of_person(context.state.web.avatars, &of.person);
    PersonPermissionView {
        role: role.as_str(),
        is_robot: matches!(of.person.id, Member::Robot(_)),
        name: of.person.name,
        avatar,
        is_org_member: (!is_user).then_some(of.is_member),
    }
}

fn team_view(context: &Context, name: &str, role: Role) -> TeamPermissionView {
    TeamPermissionView {
        role: role.as_str(),
        name: name.to_owned(),
        avatar: Avatar::of_team(context.state.web.avatars, name),
    }
}
