//! Policies by which tags end by themselves, of organisations, repositories and the user who asks
//! (`quay-api` section 26).
//!
//! The method `last_pulled` and the preview are ours; everything else is Quay's.

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::loose;
use super::rows::{Answer, Row, Rows, Switch};
use crate::auth::{Need, Part, Scope};
use crate::http::response;
use crate::model::{PolicyScope, PrunePolicy, PruneRule, Role, Uuid};
use crate::registry::{Follow, Prune, PrunedTag};

const GROUP: &str = "policy";

const SWITCH: Switch = |features| features.auto_prune;

/// Tags that a preview tells, and looks at; the last page may make it a little more.
const PREVIEW_TAGS: usize = 1_000;
const PREVIEW_LOOKS: u64 = 100_000;

#[derive(Serialize, ToSchema)]
struct PolicyListView {
    policies: Vec<PolicyView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyView {
    uuid: String,
    method: &'static str,
    /// A number for `number_of_tags`, else text such as `7d`.
    #[schema(value_type = Object)]
    value: Value,
    tag_pattern: Option<String>,
    tag_pattern_matches: bool,
}

#[derive(Serialize, ToSchema)]
struct PolicyIdView {
    uuid: String,
}

/// What a policy would do now.
#[derive(Serialize, ToSchema)]
struct PreviewView {
    /// Tags that were looked at.
    examined: u64,
    /// Whether that is all; a long preview ends early.
    complete: bool,
    tags: Vec<PreviewTagView>,
}

#[derive(Serialize, ToSchema)]
struct PreviewTagView {
    /// Without its namespace.
    repository: String,
    tag: String,
    manifest_digest: String,
    /// Since when the tag points there, RFC 3339.
    since: String,
    reason: String,
}

/// A policy as it is given.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyBody {
    /// `number_of_tags`, `creation_date` or `last_pulled`.
    method: String,
    /// How many tags stay; or an age, such as `7d`, in s, m (minutes), h, d, w or y.
    #[schema(value_type = Object)]
    value: Value,
    /// A regular expression, looked for in the tag.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    tag_pattern: Value,
    /// Whether the tags are meant that match (which is so if it is left out), or the others.
    #[serde(default, deserialize_with = "loose::truth")]
    tag_pattern_matches: Option<bool>,
}

impl TryFrom<PolicyBody> for PrunePolicy {
    type Error = ApiError;

    fn try_from(body: PolicyBody) -> Result<Self, ApiError> {
        Ok(Self {
            rule: rule(&body.method, &body.value)?,
            tag_pattern: match body.tag_pattern {
                Value::Null => None,
                Value::String(text) if text.is_empty() => {
                    return Err(ApiError::invalid("tag_pattern cannot be empty"));
                }
                Value::String(text) => Some(text),
                _ => return Err(ApiError::invalid("tag_pattern must be string")),
            },
            matches: body.tag_pattern_matches.unwrap_or(true),
        })
    }
}

/// A method with its value. Numbers are taken as text, too (`DESIGN`, "Wire"; SC-452).
fn rule(method: &str, value: &Value) -> Result<PruneRule, ApiError> {
    let text = value.as_str().map(str::trim);
    let number = || match text {
        Some(text) => text.parse().ok(),
        None => value.as_u64(),
    };
    let age = || text.and_then(|text| text.parse().ok());
    let rule = match method {
        "number_of_tags" => number()
            .filter(|most| *most > 0)
            .map(PruneRule::NumberOfTags),
        "creation_date" => age().map(PruneRule::CreationDate),
        "last_pulled" => age().map(PruneRule::LastPulled),
        _ => return Err(ApiError::invalid("Invalid method provided")),
    };
    rule.ok_or_else(|| ApiError::invalid("Invalid value given for method type"))
}

/// The paths and operations of one kind of scope.
struct Doors {
    all: &'static str,
    one: &'static str,
    preview: &'static str,
    need: Need,
    /// list, create, show, change, delete, preview
    operations: [&'static str; 6],
}

const ORGANIZATION: Doors = Doors {
    all: "/api/v1/organization/{orgname}/autoprunepolicy/",
    one: "/api/v1/organization/{orgname}/autoprunepolicy/{policy_uuid}",
    preview: "/api/v1/organization/{orgname}/autoprunepolicy/preview",
    need: Need::Organization(Part::Admin),
    operations: [
        "listOrganizationAutoPrunePolicies",
        "createOrganizationAutoPrunePolicy",
        "getOrganizationAutoPrunePolicy",
        "updateOrganizationAutoPrunePolicy",
        "deleteOrganizationAutoPrunePolicy",
        "previewOrganizationAutoPrunePolicy",
    ],
};

const REPOSITORY: Doors = Doors {
    all: "/api/v1/repository/{repository+}/autoprunepolicy/",
    one: "/api/v1/repository/{repository+}/autoprunepolicy/{policy_uuid}",
    preview: "/api/v1/repository/{repository+}/autoprunepolicy/preview",
    need: Need::Repository(Role::Admin),
    operations: [
        "listRepositoryAutoPrunePolicies",
        "createRepositoryAutoPrunePolicy",
        "getRepositoryAutoPrunePolicy",
        "updateRepositoryAutoPrunePolicy",
        "deleteRepositoryAutoPrunePolicy",
        "previewRepositoryAutoPrunePolicy",
    ],
};

const USER: Doors = Doors {
    all: "/api/v1/user/autoprunepolicy/",
    one: "/api/v1/user/autoprunepolicy/{policy_uuid}",
    preview: "/api/v1/user/autoprunepolicy/preview",
    need: Need::User(Scope::UserAdmin),
    operations: [
        "listUserAutoPrunePolicies",
        "createUserAutoPrunePolicy",
        "getUserAutoPrunePolicy",
        "updateUserAutoPrunePolicy",
        "deleteUserAutoPrunePolicy",
        "previewUserAutoPrunePolicy",
    ],
};

pub(super) fn routes(rows: &mut Rows) {
    for doors in [ORGANIZATION, REPOSITORY, USER] {
        add(rows, &doors);
    }
}

fn add(rows: &mut Rows, doors: &Doors) {
    let Doors {
        all,
        one,
        preview,
        need,
        operations: [listing, creation, showing, change_of, deletion, trial],
    } = *doors;
    rows.get(all, listing, GROUP, need, list)
        .summary("Lists the policies by which tags end")
        .switch(SWITCH)
        .answer::<PolicyListView>(200, "The policies");
    let row = rows.post(all, creation, GROUP, need, create);
    row.summary("Adds a policy by which tags end; it is followed from the next run on")
        .switch(SWITCH)
        .body::<PolicyBody>()
        .answer::<PolicyIdView>(201, "It is in force");
    refusals(row);
    rows.get(one, showing, GROUP, need, show)
        .summary("Shows a policy by which tags end")
        .switch(SWITCH)
        .answer::<PolicyView>(200, "The policy");
    let row = rows.put(one, change_of, GROUP, need, change);
    row.summary("Changes a policy by which tags end")
        .switch(SWITCH)
        .body::<PolicyBody>()
        .status(204, "It is in force");
    refusals(row);
    rows.delete(one, deletion, GROUP, need, delete)
        .summary("Removes a policy by which tags end; what has ended can be restored")
        .switch(SWITCH)
        .answer::<PolicyIdView>(200, "It is gone");
    let row = rows.post(preview, trial, GROUP, need, preview_tags);
    row.summary("Tells which tags a policy would take now, or without one what is in force does")
        .switch(SWITCH)
        .body::<PolicyBody>()
        .answer::<PreviewView>(200, "The tags; nothing has changed");
    refusals(row);
}

fn refusals(row: &mut Row) {
    row.status(400, "It is no policy, or there is such a policy");
}

/// What the path names, found by the guard; without either, the user who asks.
async fn scope(context: &Context) -> Result<PolicyScope, ApiError> {
    if !context.parameter("repository").is_empty() {
        return Ok(PolicyScope::Repository(context.repository().repository));
    }
    if !context.parameter("orgname").is_empty() {
        return Ok(PolicyScope::Namespace(context.organization().namespace));
    }
    let (id, _) = context.user()?;
    let user = context.state.accounts.user(id).await?;
    let user = user.ok_or_else(|| context.refusal())?;
    Ok(PolicyScope::Namespace(user.namespace))
}

fn view(id: Uuid, policy: PrunePolicy) -> PolicyView {
    PolicyView {
        uuid: id.to_string(),
        method: policy.rule.method(),
        value: match policy.rule {
            PruneRule::NumberOfTags(most) => most.into(),
            PruneRule::CreationDate(age) | PruneRule::LastPulled(age) => age.to_string().into(),
        },
        tag_pattern: policy.tag_pattern,
        tag_pattern_matches: policy.matches,
    }
}

async fn list(context: Context) -> Answer {
    let scope = scope(&context).await?;
    let policies = context.state.registry.prune_policies(scope).await?;
    let policies = policies.into_iter().map(|(id, policy)| view(id, policy));
    let view = PolicyListView {
        policies: policies.collect(),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let scope = scope(&context).await?;
    let policy = context.body::<PolicyBody>()?.try_into()?;
    let (registry, by) = (&context.state.registry, context.performer());
    let uuid = registry.add_prune_policy(scope, policy, &by).await?;
    let uuid = uuid.to_string();
    Ok(json::spaced(StatusCode::CREATED, &PolicyIdView { uuid }))
}

/// Ours: Quay has no dry run.
async fn preview_tags(context: Context) -> Answer {
    let scope = scope(&context).await?;
    let follow = match context.optional_body::<Option<PolicyBody>>()? {
        Some(body) => Follow::Only(body.try_into()?),
        None => Follow::All,
    };
    let registry = &context.state.registry;
    let walk = registry.prune_walk(scope).await?;
    let mut pruning = registry.prune(walk, follow, Prune::Tell)?;
    let (mut examined, mut complete, mut tags) = (0, false, Vec::new());
    while examined < PREVIEW_LOOKS && tags.len() < PREVIEW_TAGS {
        let Some(step) = pruning.step().await? else {
            complete = true;
            break;
        };
        examined += step.examined;
        tags.extend(step.tags.iter().map(tag_view));
    }
    complete &= tags.len() <= PREVIEW_TAGS;
    tags.truncate(PREVIEW_TAGS);
    let view = PreviewView {
        examined,
        complete,
        tags,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn tag_view(pruned: &PrunedTag) -> PreviewTagView {
    PreviewTagView {
        repository: pruned.repository.to_string(),
        tag: pruned.tag.to_string(),
        manifest_digest: pruned.digest.to_string(),
        since: pruned.since.to_string(),
        reason: pruned.reason(),
    }
}

async fn show(context: Context) -> Answer {
    let (scope, id) = (scope(&context).await?, context.parsed("policy_uuid")?);
    let policy = context.state.registry.prune_policy(scope, id).await?;
    Ok(json::spaced(StatusCode::OK, &view(id, policy)))
}

async fn change(context: Context) -> Answer {
    let (scope, id) = (scope(&context).await?, context.parsed("policy_uuid")?);
    let policy = context.body::<PolicyBody>()?.try_into()?;
    let (registry, by) = (&context.state.registry, context.performer());
    registry.change_prune_policy(scope, id, policy, &by).await?;
    // Quay: 204, whatever its handler returns.
    Ok(response::no_content())
}

async fn delete(context: Context) -> Answer {
    let (scope, id) = (scope(&context).await?, context.parsed("policy_uuid")?);
    let (registry, by) = (&context.state.registry, context.performer());
    registry.delete_prune_policy(scope, id, &by).await?;
    let uuid = id.to_string();
    Ok(json::spaced(StatusCode::OK, &PolicyIdView { uuid }))
}
