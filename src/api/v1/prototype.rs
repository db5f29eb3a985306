//! Default permissions of organisations (`quay-api` section 15).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::permission::is_foreign_robot;
use super::rows::{Answer, Rows};
use super::view::Avatar;
use crate::accounts::{Associate, Delegate, Person, Prototype};
use crate::auth::{Need, Part};
use crate::config::AvatarKind;
use crate::http::response;
use crate::model::{Grantee, Member, Role};

const ALL: &str = "/api/v1/organization/{orgname}/prototypes";
const ONE: &str = "/api/v1/organization/{orgname}/prototypes/{prototypeid}";
const ADMIN: Need = Need::Organization(Part::Admin);

#[derive(Deserialize, ToSchema)]
struct NewPrototypeBody {
    role: String,
    delegate: DelegateBody,
    #[serde(default)]
    activating_user: Option<ActivatingBody>,
}

#[derive(Deserialize, ToSchema)]
struct DelegateBody {
    name: String,
    /// `user` or `team`.
    kind: String,
}

#[derive(Deserialize, ToSchema)]
struct ActivatingBody {
    name: String,
}

#[derive(Deserialize, ToSchema)]
struct PrototypeBody {
    role: String,
}

#[derive(Serialize, ToSchema)]
struct PrototypeList {
    prototypes: Vec<PrototypeView>,
}

#[derive(Serialize, ToSchema)]
struct PrototypeView {
    activating_user: Option<DelegateView>,
    delegate: DelegateView,
    role: &'static str,
    id: String,
}

#[derive(Serialize, ToSchema)]
struct DelegateView {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_robot: Option<bool>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_org_member: Option<bool>,
    avatar: Avatar,
}

pub(super) fn routes(rows: &mut Rows) {
    rows.get(
        ALL,
        "getOrganizationPrototypePermissions",
        "prototype",
        ADMIN,
        list,
    )
    .summary("Lists what is granted on every repository that is made")
    .answer::<PrototypeList>(200, "The default permissions");
    rows.post(
        ALL,
        "createOrganizationPrototypePermission",
        "prototype",
        ADMIN,
        create,
    )
    .summary("Has something granted on every repository that is made from now on")
    .body::<NewPrototypeBody>()
    .answer::<PrototypeView>(200, "The default permission")
    .status(400, "One of the names is nobody's");
    rows.put(
        ONE,
        "updateOrganizationPrototypePermission",
        "prototype",
        ADMIN,
        change,
    )
    .summary("Changes what is granted from now on")
    .body::<PrototypeBody>()
    .answer::<PrototypeView>(200, "The default permission")
    .status(404, "The organisation has none of that id");
    rows.delete(
        ONE,
        "deleteOrganizationPrototypePermission",
        "prototype",
        ADMIN,
        delete,
    )
    .summary("Has it granted no more")
    .status(204, "Removed")
    .status(404, "The organisation has none of that id");
}

async fn list(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let found = context.state.accounts.list_prototypes(namespace).await?;
    let kind = context.state.web.avatars;
    let prototypes = found.into_iter().map(|found| view(kind, found)).collect();
    Ok(json::spaced(StatusCode::OK, &PrototypeList { prototypes }))
}

async fn create(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let body: NewPrototypeBody = context.body()?;
    let role = super::permission::role(&body.role)?;
    let delegate = delegate(&context, &body.delegate).await?;
    let activating = match body.activating_user.filter(|of| !of.name.is_empty()) {
        None => None,
        Some(of) => {
            let unknown = || ApiError::invalid("Unknown activating user");
            let person = person(&context, &of.name).await?;
            Some(person.ok_or_else(unknown)?.id)
        }
    };
    let delegate = delegate.ok_or_else(|| ApiError::invalid("Missing delegate user or team"))?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let made = accounts.create_prototype(namespace, activating, delegate, role, &by);
    let view = view(context.state.web.avatars, made.await?);
    Ok(json::spaced(StatusCode::OK, &view))
}

/// The user of that name, or the organisation's own robot: those of others are nobody here (AZ-06).
async fn person(context: &Context, name: &str) -> Result<Option<Person>, ApiError> {
    if is_foreign_robot(name, &context.organization().record.name) {
        return Ok(None);
    }
    Ok(context.state.accounts.person(name).await?)
}

async fn delegate(context: &Context, body: &DelegateBody) -> Result<Option<Grantee>, ApiError> {
    let (accounts, subject) = (&context.state.accounts, context.organization());
    match body.kind.as_str() {
        "user" => {
            let person = person(context, &body.name).await?;
            Ok(person.map(|person| Grantee::from(person.id)))
        }
        "team" => {
            let team = accounts.team_by_name(subject.namespace, &body.name).await?;
            let unknown = || {
                let organization = &subject.record.name;
                ApiError::refused(format!("Team does not exist: {organization}/{}", body.name))
            };
            let (team, _) = team.ok_or_else(unknown)?;
            Ok(Some(Grantee::Team(team)))
        }
        other => Err(ApiError::invalid(format!(
            "'{other}' is not one of ['user', 'team']"
        ))),
    }
}

async fn change(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let body: PrototypeBody = context.body()?;
    let role: Role = super::permission::role(&body.role)?;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let id = context.parameter("prototypeid");
    let changed = accounts.change_prototype(namespace, id, role, &by).await?;
    let view = view(context.state.web.avatars, changed);
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn delete(context: Context) -> Answer {
    let namespace = context.organization().namespace;
    let (accounts, by) = (&context.state.accounts, context.performer());
    let id = context.parameter("prototypeid");
    accounts.delete_prototype(namespace, id, &by).await?;
    Ok(response::no_content())
}

fn view(kind: AvatarKind, prototype: Prototype) -> PrototypeView {
    let activating = prototype.activating;
    PrototypeView {
        activating_user: activating.map(|of| person_view(kind, of)),
        delegate: match prototype.delegate {
            Delegate::Person(of) => person_view(kind, of),
            Delegate::Team(name) => DelegateView {
                avatar: Avatar::of_team(kind, &name),
                name,
                is_robot: None,
                kind: "team",
                is_org_member: None,
            },
        },
        role: prototype.role.as_str(),
        id: prototype.uuid,
    }
}

fn person_view(kind: AvatarKind, of: Associate) -> DelegateView {
    let Associate { person, is_member } = of;
    let avatar = Avatar::of_person(kind, &person);
    let Person { id, name, .. } = person;
    DelegateView {
        name,
        is_robot: Some(matches!(id, Member::Robot(_))),
        kind: "user",
        is_org_member: Some(is_member),
        avatar,
    }
}
