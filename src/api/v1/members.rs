//! Members and collaborators of organisations (`quay-api` section 13.2).

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows};
use super::view::{Avatar, TeamNameView};
use crate::accounts::{self, Affiliation};
use crate::auth::{Need, Part};
use crate::config::AvatarKind;
use crate::http::response;
use crate::model::Member;

const ALL: &str = "/api/v1/organization/{orgname}/members";
const ONE: &str = "/api/v1/organization/{orgname}/members/{membername}";
const ADMIN: Need = Need::Organization(Part::Admin);

#[derive(Serialize, ToSchema)]
struct MemberList {
    members: Vec<MemberView>,
}

#[derive(Serialize, ToSchema)]
struct MemberView {
    name: String,
    kind: &'static str,
    avatar: Avatar,
    teams: Vec<TeamNameView>,
    /// Those on which something is granted to the member itself.
    repositories: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct CollaboratorList {
    collaborators: Vec<CollaboratorView>,
}

#[derive(Serialize, ToSchema)]
struct CollaboratorView {
    kind: &'static str,
    name: String,
    avatar: Avatar,
    repositories: Vec<String>,
}

pub(super) fn routes(rows: &mut Rows) {
    rows.get(ALL, "getOrganizationMembers", "organization", ADMIN, list)
        .summary("Lists the people in any team")
        .answer::<MemberList>(200, "The members");
    rows.get(ONE, "getOrganizationMember", "organization", ADMIN, show)
        .summary("Shows somebody who is in any team, or a robot of the organisation")
        .answer::<MemberView>(200, "The member")
        .status(404, "Nobody of that name belongs to the organisation");
    rows.delete(
        ONE,
        "removeOrganizationMember",
        "organization",
        ADMIN,
        remove,
    )
    .summary("Takes somebody out of all teams, and back what is granted to them")
    .status(204, "Removed")
    .status(400, "Nobody else administers the organisation")
    .status(404, "There is no such user");
    let path = "/api/v1/organization/{orgname}/collaborators";
    rows.get(
        path,
        "getOrganizationCollaborators",
        "organization",
        ADMIN,
        collaborators,
    )
    .summary("Lists people in no team to whom something is granted")
    .answer::<CollaboratorList>(200, "The collaborators");
}

async fn list(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let members = context.state.accounts.members_of(namespace).await?;
    let kind = context.state.web.avatars;
    let members = members.into_iter().map(|member| view(kind, member));
    let members = members.collect();
    Ok(json::spaced(StatusCode::OK, &MemberList { members }))
}

async fn show(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let accounts = &context.state.accounts;
    let person = accounts.person(context.parameter("membername")).await?;
    let person = person.ok_or_else(ApiError::not_found)?;
    let found = accounts.affiliation(namespace, person.id).await?;
    let found = found.ok_or_else(ApiError::not_found)?;
    let view = view(context.state.web.avatars, found);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn remove(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let accounts = &context.state.accounts;
    let person = accounts.person(context.parameter("membername")).await?;
    let Some(Member::User(user)) = person.map(|person| person.id) else {
        return Err(ApiError::not_found());
    };
    let by = context.performer();
    let removed = accounts.remove_from_organization(namespace, user, &by);
    removed.await.map_err(|error| match error {
        accounts::Error::LastAdmin => {
            ApiError::refused("Cannot remove user as they are the only organization admin")
        }
        error => error.into(),
    })?;
    Ok(response::no_content())
}

async fn collaborators(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let found = context.state.accounts.collaborators_of(namespace).await?;
    let kind = context.state.web.avatars;
    let collaborators = found.into_iter().map(|found| CollaboratorView {
        kind: "user",
        avatar: Avatar::of_person(kind, &found.person),
        name: found.person.name,
        repositories: found.repositories,
    });
    let collaborators = collaborators.collect();
    let view = CollaboratorList { collaborators };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn view(kind: AvatarKind, member: Affiliation) -> MemberView {
    let teams = member.teams.into_iter();
    MemberView {
        kind: match member.person.id {
            Member::User(_) => "user",
            Member::Robot(_) => "robot",
        },
        avatar: Avatar::of_person(kind, &member.person),
        name: member.person.name,
        teams: teams.map(|name| TeamNameView::new(kind, name)).collect(),
        repositories: member.repositories,
    }
}
