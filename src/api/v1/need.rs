//! The guard: lets a caller in to what the row demands, and finds what the path names on the way.
//!
//! What may not be seen and what is not there are refused alike (AZ-01): a repository that is missing is
//! told as missing only to those who may know, because they administer its namespace or read everything.

use std::sync::Arc;

use super::context::{OrganizationSubject, RepositorySubject, Subject, refusal};
use super::error::ApiError;
use super::rows::Row;
use crate::api::state::State;
use crate::auth::{Caller, Need, Part, RepositoryPermits, Scope, Target};
use crate::model::{NamespaceKind, NamespaceName, Role};
use crate::oci::RepositoryName;

/// Lets the caller in, or says why not.
pub(super) async fn guard(
    state: &State,
    row: &Row,
    caller: &Caller,
    parameters: &[(&'static str, String)],
) -> Result<Subject, ApiError> {
    let named = |wanted: &str| {
        let found = parameters.iter().find(|(name, _)| *name == wanted);
        found.map_or("", |(_, value)| value.as_str())
    };
    match row.need {
        Need::Anyone => Ok(Subject::None),
        Need::User(scope) => match caller.user() {
            Some(_) if caller.scopes().contains(scope) => Ok(Subject::None),
            _ => Err(refusal(caller)),
        },
        Need::Superuser => {
            let reads = row.method == ::http::Method::GET;
            let is_reader = reads && caller.identity.is_global_readonly();
            match caller.is_superuser() || is_reader {
                true => Ok(Subject::None),
                false => Err(refusal(caller)),
            }
        }
        Need::Repository(role) => repository(state, caller, named("repository"), role).await,
        Need::Organization(part) => {
            let is_read = row.method == ::http::Method::GET;
            organization(state, caller, named("orgname"), part, is_read).await
        }
    }
}

async fn repository(
    state: &State,
    caller: &Caller,
    path: &str,
    role: Role,
) -> Result<Subject, ApiError> {
    let Some((namespace, name)) = split(path) else {
        return Err(refusal(caller));
    };
    let found = state.registry.namespace(&namespace).await?;
    let Some((namespace, record)) = found else {
        return Err(missing(caller, caller.identity.is_global_readonly()));
    };
    let found = state.registry.repository(namespace, &name).await?;
    let found = match found {
        Some(id) => state
            .registry
            .repository_record(id)
            .await?
            .map(|it| (id, it)),
        None => None,
    };
    let Some((id, repository)) = found else {
        let permits = state
            .auth
            .in_namespace(&caller.identity, namespace, record.kind)
            .await?;
        let knows = permits.is_admin() || caller.identity.is_global_readonly();
        return Err(missing(caller, knows));
    };
    let target = Target::new(namespace, &record, Some((id, repository.as_ref())));
    let permits = state.auth.on_repository(&caller.identity, &target).await?;
    if !has(permits, role) {
        return Err(refusal(caller));
    }
    Ok(Subject::Repository(Box::new(RepositorySubject {
        namespace,
        namespace_record: record,
        repository: id,
        record: Arc::clone(&repository),
        permits,
    })))
}

fn has(permits: RepositoryPermits, role: Role) -> bool {
    match role {
        Role::Read => permits.may_read(),
        Role::Write => permits.may_write(),
        Role::Admin => permits.may_admin(),
    }
}

/// `namespace/name` of a path; the name may hold slashes.
pub(in crate::api) fn split(path: &str) -> Option<(NamespaceName, RepositoryName)> {
    let (namespace, name) = path.split_once('/')?;
    Some((namespace.parse().ok()?, name.parse().ok()?))
}

fn missing(caller: &Caller, knows: bool) -> ApiError {
    match knows {
        true => ApiError::not_found(),
        false => refusal(caller),
    }
}

async fn organization(
    state: &State,
    caller: &Caller,
    name: &str,
    part: Part,
    is_read: bool,
) -> Result<Subject, ApiError> {
    let name: NamespaceName = name.parse().map_err(|_| ApiError::not_found())?;
    let found = state.registry.namespace(&name).await?;
    let found = found.filter(|(_, record)| !matches!(record.kind, NamespaceKind::User(_)));
    // Quay: that there is such an organisation is no secret, its page is public.
    let Some((namespace, record)) = found else {
        return Err(match caller.identity.is_anonymous() {
            true => ApiError::unauthenticated(),
            false => ApiError::not_found(),
        });
    };
    let permits = state
        .auth
        .in_namespace(&caller.identity, namespace, record.kind)
        .await?;
    let may = match part {
        Part::Member => permits.is_member() || permits.may_view(),
        Part::Admin => permits.is_admin() || (is_read && permits.may_view()),
    };
    // Quay lets a token for making repositories pass as a member; its row says org:admin, and that counts.
    if !may || !caller.scopes().contains(Scope::OrgAdmin) {
        return Err(refusal(caller));
    }
    Ok(Subject::Organization(Box::new(OrganizationSubject {
        namespace,
        record,
        permits,
    })))
}
