//! Invitations into teams: by address, and how they are answered (`quay-api` section 16).
//!
//! No mail is sent. Who is invited by name finds the code in the inbox.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Answer, Rows};
use super::view::{Avatar, AvatarSubject};
use super::{json, team};
use crate::accounts::{self, Person};
use crate::auth::{Need, Part, Scope};
use crate::config::AvatarKind;
use crate::http::response;
use crate::model::{Invitee, Member};

const BY_EMAIL: &str = "/api/v1/organization/{orgname}/team/{teamname}/invite/{email}";
const CODE: &str = "/api/v1/teaminvite/{code}";

/// Who is in a team, or invited into it.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberView {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Of somebody who is known by nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_robot: Option<bool>,
    avatar: Avatar,
    invited: bool,
}

impl MemberView {
    pub(super) fn of_person(kind: AvatarKind, person: &Person, invited: bool) -> Self {
        Self {
            name: Some(person.name.clone()),
            email: None,
            kind: "user",
            is_robot: Some(matches!(person.id, Member::Robot(_))),
            avatar: Avatar::of_person(kind, person),
            invited,
        }
    }

    pub(super) fn of_address(kind: AvatarKind, email: &str) -> Self {
        Self {
            name: None,
            email: Some(email.to_owned()),
            kind: "invite",
            is_robot: None,
            avatar: Avatar::new(kind, AvatarSubject::User, email, email),
            invited: true,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct JoinedView {
    org: String,
    team: String,
}

pub(super) fn routes(rows: &mut Rows) {
    let admin = Need::Organization(Part::Admin);
    rows.put(BY_EMAIL, "inviteTeamMemberEmail", "team", admin, invite)
        .summary("Invites whoever has an address into a team")
        .switch(|features| features.mailing)
        .answer::<MemberView>(200, "The invitation")
        .status(404, "There is no such team");
    rows.delete(
        BY_EMAIL,
        "deleteTeamMemberEmailInvite",
        "team",
        admin,
        withdraw,
    )
    .summary("Takes back an invitation")
    .switch(|features| features.mailing)
    .status(204, "Taken back")
    .status(404, "There is no such team or invitation");
    let user = Need::User(Scope::UserAdmin);
    rows.put(CODE, "acceptOrganizationTeamInvite", "team", user, accept)
        .summary("Joins a team")
        .internal()
        .switch(|features| features.mailing)
        .answer::<JoinedView>(200, "The team")
        .status(
            400,
            "There is no such invitation, or it is for somebody else",
        );
    rows.delete(CODE, "declineOrganizationTeamInvite", "team", user, decline)
        .summary("Declines to join a team")
        .internal()
        .switch(|features| features.mailing)
        .status(204, "Declined")
        .status(400, "There is no such invitation");
}

async fn invite(context: Context) -> Answer {
    let (id, _) = team::load(&context).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let email = context.parameter("email");
    let invited = accounts.invite_email(id, email, &by).await;
    invited.map_err(|error| match error {
        accounts::Error::Invalid { .. } => ApiError::invalid("Invalid email address"),
        error => error.into(),
    })?;
    let view = MemberView::of_address(context.state.web.avatars, &email.to_lowercase());
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn withdraw(context: Context) -> Answer {
    let (id, _) = team::load(&context).await?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let invitee = Invitee::Email(context.parameter("email").to_owned());
    match accounts.withdraw_invitation(id, &invitee, &by).await? {
        true => Ok(response::no_content()),
        false => Err(ApiError::not_found()),
    }
}

async fn accept(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let code = context.parameter("code");
    let accepted = accounts.accept_invitation(code, user, &by).await;
    let accepted = accepted.map_err(refused)?;
    let view = JoinedView {
        org: accepted.organization.to_string(),
        team: accepted.team,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn decline(context: Context) -> Answer {
    let (user, _) = context.user()?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let code = context.parameter("code");
    let declined = accounts.decline_invitation(code, user, &by).await;
    declined.map_err(refused)?;
    Ok(response::no_content())
}

fn refused(error: accounts::Error) -> ApiError {
    match error {
        accounts::Error::Unknown { .. } => ApiError::refused("Invalid confirmation code."),
        accounts::Error::InvitedOther { invited } => ApiError::refused(format!(
            "This invite is intended for {invited}. Please login to that account and try again."
        )),
        error => error.into(),
    }
}
