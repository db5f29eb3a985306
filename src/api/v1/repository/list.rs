//! `GET /api/v1/repository`: those that the caller may see.
//!
//! A request looks at a bounded number of repositories. If its page is not full by then, the token goes on
//! behind what it looked at; but a list that has ended by then has no token, and an outsider's list of a
//! namespace is made of what is granted to him, whatever else there is. Lists of all namespaces take turns
//! with searches.

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::context::Context;
use super::super::error::ApiError;
use super::super::rows::Answer;
use super::super::{cursor, json};
use crate::api::state::State;
use crate::api::v1::view::configured;
use crate::auth::{Caller, Target};
use crate::model::{NamespaceId, NamespaceRecord, RepositoryId, UserId, Visibility};
use crate::registry::{Asked, Catalogued, Facts};

/// Repositories of a page (Quay: `REPOS_PER_PAGE`).
const PAGE: usize = 100;

/// Rows that one request looks at, at most.
const LOOKED_AT: usize = 10_000;

/// Grants of one caller in one namespace that a list is made of, at most; who has more has the namespace
/// walked.
const GRANTED: usize = 2_000;

#[derive(Serialize, ToSchema)]
pub(super) struct ListView {
    repositories: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

/// A repository as lists show it.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct Entry {
    namespace: String,
    name: String,
    description: Option<String>,
    is_public: bool,
    kind: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<Option<i64>>,
    /// Acts of the last week: a whole number, as the product documents show it (Quay's source: a float).
    #[serde(skip_serializing_if = "Option::is_none")]
    popularity: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_starred: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota_report: Option<QuotaReport>,
}

/// What a repository takes, and what its namespace may.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct QuotaReport {
    quota_bytes: u64,
    configured_quota: Option<u64>,
}

impl Entry {
    pub(in crate::api) fn new(
        state: &State,
        entry: &Catalogued,
        facts: &Facts,
        asked: Asked,
    ) -> Self {
        let has_quotas = state.features.quota_management && state.features.edit_quota;
        Self {
            namespace: entry.owner.name.to_string(),
            name: entry.record.name.to_string(),
            description: entry.record.description.clone(),
            is_public: is_public(entry),
            kind: "image",
            state: entry.record.state.as_str(),
            last_modified: asked
                .last_modified
                .then(|| facts.last_modified.map(|time| time.as_secs())),
            popularity: asked.popularity.then_some(facts.popularity),
            is_starred: asked.starred_by.map(|_| facts.is_starred),
            quota_report: has_quotas.then(|| QuotaReport {
                quota_bytes: facts.bytes,
                configured_quota: configured(state, entry.namespace),
            }),
        }
    }
}

/// Whether everyone may see it.
pub(in crate::api) const fn is_public(entry: &Catalogued) -> bool {
    match entry.owner.is_local() {
        true => matches!(entry.record.visibility, Visibility::Public),
        false => entry.owner.anonymous_pull,
    }
}

/// What is listed, and where it goes on.
enum Source {
    Namespace(NamespaceId),
    All,
    Starred(UserId),
    /// Of one namespace, in byte order of their names.
    Granted(NamespaceId, Vec<Catalogued>),
    /// There is no such namespace.
    Nothing,
}

impl Source {
    /// What page tokens are for: a place in one list says nothing in another (AZ-10).
    fn listing(&self) -> String {
        match self {
            Self::Namespace(id) | Self::Granted(id, _) => format!("repositories of namespace {id}"),
            Self::All => "repositories".to_owned(),
            Self::Starred(user) => format!("repositories starred by user {user}"),
            Self::Nothing => "no repositories".to_owned(),
        }
    }
}

pub(super) async fn list(context: Context) -> Answer {
    let namespace = context.text("namespace");
    let (starred, public) = (
        context.flag("starred", false),
        context.flag("public", false),
    );
    if namespace.is_none() && !starred && !public {
        let text = "namespace, starred or public are required for this API call";
        return Err(ApiError::invalid(text));
    }
    let user = context.caller.user().map(|(id, _)| id);
    let source = match (starred, user, &namespace) {
        (true, None, _) => {
            return Err(ApiError::refused(
                "Only who is logged in has starred anything",
            ));
        }
        (true, Some(user), _) => Source::Starred(user),
        (false, _, Some(name)) => match name.parse() {
            Ok(name) => match context.state.registry.namespace(&name).await? {
                Some((id, _)) if public => Source::Namespace(id),
                Some((id, owner)) => narrowed(&context, id, &owner).await?,
                None => Source::Nothing,
            },
            Err(_) => Source::Nothing,
        },
        (false, _, None) => Source::All,
    };
    let is_other_kind = context
        .text("repo_kind")
        .is_some_and(|kind| kind != "image");
    let source = if is_other_kind {
        Source::Nothing
    } else {
        source
    };
    let _place = match source {
        Source::All => Some(context.state.searches.place().await?),
        _ => None,
    };
    let (page, next) = collect(&context, &source, public || starred).await?;
    let asked = Asked {
        last_modified: context.flag("last_modified", false),
        popularity: context.flag("popularity", false),
        starred_by: user,
        stars: false,
    };
    let ids = page.iter().map(|entry| entry.repository).collect();
    let facts = context.state.registry.facts(ids, asked).await?;
    let entries = page.iter().zip(&facts);
    let entries = entries.map(|(entry, facts)| Entry::new(&context.state, entry, facts, asked));
    let key = context.state.accounts.seal_key();
    let view = ListView {
        repositories: entries.collect(),
        next_page: next.map(|position| cursor::seal(key, &source.listing(), &position)),
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

/// Where to look for what the caller may see of a namespace by name. An outsider sees what is granted to him,
/// and nobody in particular sees nothing.
async fn narrowed(
    context: &Context,
    namespace: NamespaceId,
    owner: &NamespaceRecord,
) -> Result<Source, ApiError> {
    let (state, identity) = (&context.state, &context.caller.identity);
    let Some(principal) = identity.principal() else {
        return Ok(Source::Nothing);
    };
    let full = state.features.superusers_full_access || !owner.is_local();
    let reads_all = identity.is_global_readonly() || (identity.is_superuser() && full);
    let rights = state.accounts.rights(principal, namespace, None).await?;
    if reads_all || rights.member || rights.role.is_some() {
        return Ok(Source::Namespace(namespace));
    }
    let granted = state.accounts.granted_to(principal, namespace, GRANTED);
    Ok(match granted.await? {
        Some(ids) => Source::Granted(namespace, state.registry.by_name(ids).await?),
        None => Source::Namespace(namespace),
    })
}

/// A page of what the caller may see, and behind what the next one begins.
async fn collect(
    context: &Context,
    source: &Source,
    public: bool,
) -> Result<(Vec<Catalogued>, Option<String>), ApiError> {
    let (state, key) = (&context.state, context.state.accounts.seal_key());
    let token = context.query();
    let token = token.value("next_page");
    let mut after = token
        .and_then(|token| cursor::open(key, &source.listing(), &token))
        .unwrap_or_default();
    let (mut page, mut looked_at) = (Vec::new(), 0);
    loop {
        // One more than the page, which tells whether there is more.
        let rows = (PAGE + 1 - page.len()).max(32);
        let (entries, next) = read(state, source, &after, rows).await?;
        looked_at += rows;
        for entry in entries {
            if !visible(state, &context.caller, &entry, public).await? {
                continue;
            }
            if page.len() == PAGE {
                let next = page.last().map(|last| position(source, last));
                return Ok((page, next));
            }
            page.push(entry);
        }
        match next {
            None => return Ok((page, None)),
            Some(next) if looked_at >= LOOKED_AT => {
                let (rest, more) = read(state, source, &next, 1).await?;
                let has_ended = rest.is_empty() && more.is_none();
                return Ok((page, (!has_ended).then_some(next)));
            }
            Some(next) => after = next,
        }
    }
}

async fn read(
    state: &State,
    source: &Source,
    after: &str,
    rows: usize,
) -> Result<(Vec<Catalogued>, Option<String>), ApiError> {
    let registry = &state.registry;
    Ok(match source {
        Source::Namespace(id) => registry.repositories_of(*id, after, rows).await?,
        Source::All => {
            let piece = registry.catalogue(after, rows).await?;
            (piece.repositories, piece.next)
        }
        Source::Starred(user) => {
            let after = after.parse().ok().map(RepositoryId);
            let (page, next) = registry.starred(*user, after, rows).await?;
            (page, next.map(|id| id.to_string()))
        }
        Source::Granted(_, all) => {
            let begin = all.partition_point(|entry| entry.record.name.as_str() <= after);
            let page = all[begin..].iter().take(rows).cloned();
            let page: Vec<_> = page.collect();
            let is_cut = begin + page.len() < all.len();
            let next = page.last().filter(|_| is_cut);
            let next = next.map(|entry| entry.record.name.to_string());
            (page, next)
        }
        Source::Nothing => (Vec::new(), None),
    })
}

/// Where a list goes on behind a repository.
fn position(source: &Source, entry: &Catalogued) -> String {
    match source {
        Source::Namespace(_) | Source::Granted(..) => entry.record.name.to_string(),
        Source::All | Source::Nothing => entry.full_name(),
        Source::Starred(_) => entry.repository.to_string(),
    }
}

/// Whether the caller may see a repository; by name only, unless what everyone may see counts as well.
pub(in crate::api) async fn visible(
    state: &State,
    caller: &Caller,
    entry: &Catalogued,
    public: bool,
) -> Result<bool, ApiError> {
    let mut target = Target::new(
        entry.namespace,
        &entry.owner,
        Some((entry.repository, &entry.record)),
    );
    if !public {
        target.anonymous_pull = false;
        target.repository = target
            .repository
            .map(|(id, _, state)| (id, Visibility::Private, state));
    }
    let permits = state.auth.on_repository(&caller.identity, &target).await?;
    Ok(permits.may_read())
}
