//! Policies by which tags become immutable, of organisations and repositories (`quay-api` section 27).

use ::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::json;
use super::rows::{Answer, Rows, Switch};
use crate::auth::{Need, Part};
use crate::http::response;
use crate::model::{ImmutabilityPolicy, PolicyScope, Role, Uuid};

const GROUP: &str = "immutability_policy";

const SWITCH: Switch = |features| features.immutable_tags;

#[derive(Serialize, ToSchema)]
struct PolicyListView {
    policies: Vec<PolicyView>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyView {
    uuid: String,
    tag_pattern: String,
    tag_pattern_matches: bool,
}

#[derive(Serialize, ToSchema)]
struct PolicyIdView {
    uuid: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyBody {
    tag_pattern: String,
    #[serde(default = "yes")]
    tag_pattern_matches: bool,
}

const fn yes() -> bool {
    true
}

impl From<PolicyBody> for ImmutabilityPolicy {
    fn from(body: PolicyBody) -> Self {
        Self {
            tag_pattern: body.tag_pattern,
            matches: body.tag_pattern_matches,
        }
    }
}

pub(super) fn routes(rows: &mut Rows) {
    of_organizations(rows);
    of_repositories(rows);
}

fn of_organizations(rows: &mut Rows) {
    const ALL: &str = "/api/v1/organization/{orgname}/immutabilitypolicy/";
    const ONE: &str = "/api/v1/organization/{orgname}/immutabilitypolicy/{policy_uuid}";
    const NEED: Need = Need::Organization(Part::Admin);
    rows.get(ALL, "listOrgImmutabilityPolicies", GROUP, NEED, list)
        .summary("Lists the policies of an organization")
        .switch(SWITCH)
        .answer::<PolicyListView>(200, "The policies");
    rows.post(ALL, "createOrgImmutabilityPolicy", GROUP, NEED, create)
        .summary("Gives an organization a policy; tags that are there follow it at once")
        .switch(SWITCH)
        .body::<PolicyBody>()
        .answer::<PolicyIdView>(201, "It is in force")
        .status(400, "The pattern is none, or there is such a policy");
    rows.get(ONE, "getOrgImmutabilityPolicy", GROUP, NEED, show)
        .summary("Shows a policy of an organization")
        .switch(SWITCH)
        .answer::<PolicyView>(200, "The policy");
    rows.put(ONE, "updateOrgImmutabilityPolicy", GROUP, NEED, change)
        .summary("Changes a policy of an organization")
        .switch(SWITCH)
        .body::<PolicyBody>()
        .status(204, "It is in force")
        .status(400, "The pattern is none, or there is such a policy");
    rows.delete(ONE, "deleteOrgImmutabilityPolicy", GROUP, NEED, delete)
        .summary("Removes a policy of an organization; tags stay as they are")
        .switch(SWITCH)
        .answer::<PolicyIdView>(200, "It is gone");
}

fn of_repositories(rows: &mut Rows) {
    const ALL: &str = "/api/v1/repository/{repository+}/immutabilitypolicy/";
    const ONE: &str = "/api/v1/repository/{repository+}/immutabilitypolicy/{policy_uuid}";
    const NEED: Need = Need::Repository(Role::Admin);
    rows.get(ALL, "listRepositoryImmutabilityPolicies", GROUP, NEED, list)
        .summary("Lists the policies of a repository")
        .switch(SWITCH)
        .answer::<PolicyListView>(200, "The policies");
    rows.post(
        ALL,
        "createRepositoryImmutabilityPolicy",
        GROUP,
        NEED,
        create,
    )
    .summary("Gives a repository a policy; tags that are there follow it at once")
    .switch(SWITCH)
    .body::<PolicyBody>()
    .answer::<PolicyIdView>(201, "It is in force")
    .status(400, "The pattern is none, or there is such a policy");
    rows.get(ONE, "getRepositoryImmutabilityPolicy", GROUP, NEED, show)
        .summary("Shows a policy of a repository")
        .switch(SWITCH)
        .answer::<PolicyView>(200, "The policy");
    rows.put(
        ONE,
        "updateRepositoryImmutabilityPolicy",
        GROUP,
        NEED,
        change,
    )
    .summary("Changes a policy of a repository")
    .switch(SWITCH)
    .body::<PolicyBody>()
    .status(204, "It is in force")
    .status(400, "The pattern is none, or there is such a policy");
    rows.delete(
        ONE,
        "deleteRepositoryImmutabilityPolicy",
        GROUP,
        NEED,
        delete,
    )
    .summary("Removes a policy of a repository; tags stay as they are")
    .switch(SWITCH)
    .answer::<PolicyIdView>(200, "It is gone");
}

/// What the path names: one of the two has been found by the guard.
fn scope(context: &Context) -> PolicyScope {
    match context.parameter("orgname") {
        "" => PolicyScope::Repository(context.repository().repository),
        _ => PolicyScope::Namespace(context.organization().namespace),
    }
}

/// Refuses policies where tags follow an upstream.
fn refuse_cache(context: &Context) -> Result<(), ApiError> {
    let record = match context.parameter("orgname") {
        "" => &context.repository().namespace_record,
        _ => &context.organization().record,
    };
    match record.is_local() {
        true => Ok(()),
        false => Err(ApiError::invalid(
            "Tags of a cache follow its upstream and cannot be made immutable",
        )),
    }
}

fn view(id: Uuid, policy: ImmutabilityPolicy) -> PolicyView {
    PolicyView {
        uuid: id.to_string(),
        tag_pattern: policy.tag_pattern,
        tag_pattern_matches: policy.matches,
    }
}

async fn list(context: Context) -> Answer {
    let registry = &context.state.registry;
    let policies = registry.immutability_policies(scope(&context)).await?;
    let policies = policies.into_iter().map(|(id, policy)| view(id, policy));
    let view = PolicyListView {
        policies: policies.collect(),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

async fn create(context: Context) -> Answer {
    let body: PolicyBody = context.body()?;
    refuse_cache(&context)?;
    let (registry, by) = (&context.state.registry, context.performer());
    let added = registry.add_immutability_policy(scope(&context), body.into(), &by);
    let uuid = added.await?.to_string();
    Ok(json::spaced(StatusCode::CREATED, &PolicyIdView { uuid }))
}

async fn show(context: Context) -> Answer {
    let id: Uuid = context.parsed("policy_uuid")?;
    let registry = &context.state.registry;
    let policy = registry.immutability_policy(scope(&context), id).await?;
    Ok(json::spaced(StatusCode::OK, &view(id, policy)))
}

async fn change(context: Context) -> Answer {
    let id: Uuid = context.parsed("policy_uuid")?;
    let body: PolicyBody = context.body()?;
    refuse_cache(&context)?;
    let (registry, by) = (&context.state.registry, context.performer());
    registry
        .change_immutability_policy(scope(&context), id, body.into(), &by)
        .await?;
    Ok(response::no_content())
}

async fn delete(context: Context) -> Answer {
    let id: Uuid = context.parsed("policy_uuid")?;
    let (registry, by) = (&context.state.registry, context.performer());
    registry
        .delete_immutability_policy(scope(&context), id, &by)
        .await?;
    let uuid = id.to_string();
    Ok(json::spaced(StatusCode::OK, &PolicyIdView { uuid }))
}
