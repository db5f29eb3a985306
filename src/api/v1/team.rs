//! Teams of organisations and who is in them (`quay-api` section 16).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::invitation::MemberView;
use super::json;
use super::permission::is_foreign_robot;
use super::rows::{Answer, ParameterKind, Rows};
use super::view::{Avatar, GrantedList};
use crate::accounts::{self, Joined, Person};
use crate::auth::{Need, Part};
use crate::http::response;
use crate::model::{Grantee, Invitee, Member, TeamId, TeamRecord, TeamRole};

const ONE: &str = "/api/v1/organization/{orgname}/team/{teamname}";
const MEMBERS: &str = "/api/v1/organization/{orgname}/team/{teamname}/members";
const MEMBER: &str = "/api/v1/organization/{orgname}/team/{teamname}/members/{membername}";
const SYNCING: &str = "/api/v1/organization/{orgname}/team/{teamname}/syncing";
/// Quay's words.
const FOREIGN_ROBOT: &str =
    "Cannot add the specified robot to this team, as it is not a member of the organization";
const ADMIN: Need = Need::Organization(Part::Admin);

#[derive(Deserialize, ToSchema)]
struct TeamBody {
    /// `member`, `creator` or `admin`.
    role: String,
    #[serde(default)]
    description: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct TeamView {
    name: String,
    description: String,
    can_view: bool,
    role: &'static str,
    avatar: Avatar,
    new_team: bool,
}

#[derive(Serialize, ToSchema)]
struct TeamMemberList {
    name: String,
    members: Vec<MemberView>,
    can_edit: bool,
}

pub(super) fn routes(rows: &mut Rows) {
    rows.put(ONE, "updateOrganizationTeam", "team", ADMIN, put)
        .summary("Makes a team, or changes its role and description")
        .body::<TeamBody>()
        .answer::<TeamView>(200, "The team")
        .status(
            400,
            "The name has no form, or the caller would no longer administer",
        );
    rows.delete(ONE, "deleteOrganizationTeam", "team", ADMIN, delete)
        .summary("Removes a team")
        .status(204, "Removed")
        .status(
            400,
            "There is none, or the caller would no longer administer",
        );
    let member = Need::Organization(Part::Member);
    rows.get(MEMBERS, "getOrganizationTeamMembers", "team", member, list)
        .summary("Lists who is in a team")
        .query(
            "includePending",
            ParameterKind::Flag,
            "With those who are invited",
        )
        .answer::<TeamMemberList>(200, "The members")
        .status(404, "There is no such team");
    rows.put(MEMBER, "updateOrganizationTeamMember", "team", ADMIN, add)
        .summary("Puts somebody into a team, or invites them")
        .answer::<MemberView>(200, "The member")
        .status(400, "There is nobody of that name, or they are in it")
        .status(404, "There is no such team");
    rows.delete(
        MEMBER,
        "deleteOrganizationTeamMember",
        "team",
        ADMIN,
        remove,
    )
    .summary("Takes somebody out of a team, or back an invitation")
    .status(204, "Removed")
    .status(400, "They are not in it, or must stay")
    .status(404, "There is no such team, or nobody of that name");
    let path = "/api/v1/organization/{orgname}/team/{teamname}/permissions";
    rows.get(
        path,
        "getOrganizationTeamPermissions",
        "team",
        ADMIN,
        permissions,
    )
    .summary("Lists what is granted to a team")
    .answer::<GrantedList>(200, "The permissions")
    .status(404, "There is no such team");
    rows.post(SYNCING, "enableOrganizationTeamSync", "team", ADMIN, sync)
        .summary("Has a team follow a group of a directory")
        .fresh()
        .switch(|features| features.team_syncing)
        .status(400, "No directory is configured that has groups")
        .status(404, "There is no such team");
    rows.delete(
        SYNCING,
        "disableOrganizationTeamSync",
        "team",
        ADMIN,
        unsync,
    )
    .summary("Has a team follow nothing")
    .fresh()
    .switch(|features| features.team_syncing)
    .answer::<TeamView>(200, "The team")
    .status(404, "There is no such team");
}

/// The team of the path, which is one of the organisation of the path (AZ-06).
///
/// # Errors
/// 404 without such a team.
pub(super) async fn load(context: &Context) -> Result<(TeamId, TeamRecord), ApiError> {
    find(context).await?.ok_or_else(ApiError::not_found)
}

async fn find(context: &Context) -> Result<Option<(TeamId, TeamRecord)>, ApiError> {
    let (namespace, name) = (
        context.organization().namespace,
        context.parameter("teamname"),
    );
    Ok(context.state.accounts.team_by_name(namespace, name).await?)
}

async fn put(context: Context) -> Answer {
    let body: TeamBody = context.body()?;
    let role: TeamRole = body.role.parse().map_err(|_| {
        let text = format!(
            "'{}' is not one of ['member', 'creator', 'admin']",
            body.role
        );
        ApiError::invalid(text)
    })?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let found = find(&context).await?;
    let is_new = found.is_none();
    match found {
        None => {
            let namespace = context.organization().namespace;
            let name = context.parameter("teamname").to_owned();
            let team = TeamRecord {
                description: body.description.unwrap_or_default(),
                ..TeamRecord::new(namespace, name, role)
            };
            accounts.create_team(&team, &by).await?;
        }
        Some((id, _)) => {
            if let Some(description) = body.description {
                accounts.describe_team(id, &description, &by).await?;
            }
            let set = accounts.set_team_role(id, role, &by).await;
            set.map_err(|error| match error {
                accounts::Error::OwnLastAdminTeam {
                    team, organization, ..
                } => ApiError::refused(format!(
                    "Cannot remove admin from team '{team}' because calling user would no \
                     longer have admin on org '{organization}'"
                )),
                error => error.into(),
            })?;
        }
    }
    let (id, team) = load(&context).await?;
    let view = view(&context, id, team, is_new).await?;
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let unknown = || {
        let (team, organization) = (
            context.parameter("teamname"),
            &context.organization().record.name,
        );
        ApiError::refused(format!(
            "Team '{team}' is not a team in org '{organization}'"
        ))
    };
    let (id, _) = find(&context).await?.ok_or_else(unknown)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let deleted = accounts.delete_team(id, &by).await;
    deleted.map_err(|error| match error {
        accounts::Error::OwnLastAdminTeam {
            user,
            team,
            organization,
        } => ApiError::refused(format!(
            "Deleting team '{team}' would remove admin ability for user '{user}' in \
             organization '{organization}'"
        )),
        error => error.into(),
    })?;
    Ok(response::no_content())
}

async fn list(context: Context) -> Answer {
    let (id, team) = load(&context).await?;
    if !may_view(&context, id).await? {
        return Err(context.refusal());
    }
    let accounts = &context.state.accounts;
    let (kind, can_edit) = (
        context.state.web.avatars,
        context.organization().permits.is_admin(),
    );
    let people = accounts.team_members(id).await?;
    let views = people
        .iter()
        .map(|of| MemberView::of_person(kind, of, false));
    let mut members: Vec<MemberView> = views.collect();
    if can_edit && context.flag("includePending", false) {
        for (invitation, person) in accounts.invitations_of(id).await? {
            members.extend(match (&invitation.invitee, &person) {
                (Invitee::Email(email), _) => Some(MemberView::of_address(kind, email)),
                (Invitee::User(_), Some(of)) => Some(MemberView::of_person(kind, of, true)),
                (Invitee::User(_), None) => None,
            });
        }
    }
    let list = TeamMemberList {
        name: team.name,
        members,
        can_edit,
    };
    Ok(json::spaced(StatusCode::OK, &list))
}

async fn add(context: Context) -> Answer {
    let (id, _) = load(&context).await?;
    // A robot of another namespace is refused whether there is one or not (AZ-11).
    let home = &context.organization().record.name;
    let unknown = || match is_foreign_robot(context.parameter("membername"), home) {
        true => ApiError::refused(FOREIGN_ROBOT),
        false => ApiError::invalid("Unknown user"),
    };
    let person = member(&context).await?.ok_or_else(unknown)?;
    let features = &context.state.features;
    let needs_consent = features.mailing && features.require_team_invite;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let joined = accounts.join_team(id, person.id, needs_consent, &by).await;
    let joined = joined.map_err(|error| match error {
        accounts::Error::InTeam { name, team } => {
            ApiError::refused(format!("User {name} is already a member of team {team}"))
        }
        accounts::Error::Foreign { .. } => ApiError::refused(FOREIGN_ROBOT),
        error => error.into(),
    })?;
    let invited = matches!(joined, Joined::Invited(_));
    let view = MemberView::of_person(context.state.web.avatars, &person, invited);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn remove(context: Context) -> Answer {
    let (id, _) = load(&context).await?;
    let (name, home) = (
        context.parameter("membername"),
        &context.organization().record.name,
    );
    let person = member(&context).await?;
    let person = person.filter(|_| !is_foreign_robot(name, home));
    let person = person.ok_or_else(ApiError::not_found)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    if let Member::User(user) = person.id {
        let invitee = Invitee::User(user);
        if accounts.withdraw_invitation(id, &invitee, &by).await? {
            return Ok(response::no_content());
        }
    }
    let removed = accounts.remove_member(id, person.id, &by).await;
    removed.map_err(|error| match error {
        accounts::Error::NotInTeam { name, team } => {
            ApiError::refused(format!("User {name} does not belong to team {team}"))
        }
        accounts::Error::LastAdmin => {
            ApiError::refused("User cannot remove themselves from their only admin team.")
        }
        error => error.into(),
    })?;
    Ok(response::no_content())
}

async fn permissions(context: Context) -> Answer {
    let (id, _) = load(&context).await?;
    let namespace = context.organization().namespace;
    let accounts = &context.state.accounts;
    let granted = accounts
        .granted_within(namespace, Grantee::Team(id))
        .await?;
    Ok(json::spaced(StatusCode::OK, &GrantedList::from(granted)))
}

/// Accounts are this server's own: there is no directory whose groups could be followed (Quay: what its
/// own database answers).
async fn sync(context: Context) -> Answer {
    check_sync(&context)?;
    load(&context).await?;
    Err(ApiError::invalid("Could not sync to group: Not supported"))
}

async fn unsync(context: Context) -> Answer {
    check_sync(&context)?;
    let (id, team) = load(&context).await?;
    let view = view(&context, id, team, false).await?;
    Ok(json::spaced(StatusCode::OK, &view))
}

fn check_sync(context: &Context) -> Result<(), ApiError> {
    let owners_may = context.state.features.nonsuperuser_team_syncing_setup;
    match owners_may || context.caller.is_superuser() {
        true => Ok(()),
        false => Err(context.refusal()),
    }
}

async fn member(context: &Context) -> Result<Option<Person>, ApiError> {
    let name = context.parameter("membername");
    Ok(context.state.accounts.person(name).await?)
}

/// Whether the caller is in the team, or sees what admins see.
async fn may_view(context: &Context, team: TeamId) -> Result<bool, ApiError> {
    let subject = context.organization();
    if subject.permits.may_view() {
        return Ok(true);
    }
    let Some((user, _)) = context.caller.user() else {
        return Ok(false);
    };
    let accounts = &context.state.accounts;
    let own = accounts.teams_of(Member::User(user), subject.namespace);
    Ok(own.await?.iter().any(|(own, _)| *own == team))
}

async fn view(
    context: &Context,
    id: TeamId,
    team: TeamRecord,
    new_team: bool,
) -> Result<TeamView, ApiError> {
    Ok(TeamView {
        can_view: may_view(context, id).await?,
        avatar: Avatar::of_team(context.state.web.avatars, &team.name),
        name: team.name,
        description: team.description,
        role: team.role.as_str(),
        new_team,
    })
}
