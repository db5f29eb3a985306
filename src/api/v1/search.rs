//! Search of everything, and of repositories (`quay-api` section 31).
//!
//! What the caller may not see is not found (AZ-10). A search looks at a bounded number of names, and few
//! run at the same time ([`crate::api::searches`]).

use ::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::hit::{EntityHit, Hit, RepositoryHit, TeamHit};
use super::json;
use super::repository::visible;
use super::rows::ParameterKind::{Flag, Number, Text};
use super::rows::{Answer, Rows};
use crate::auth::{Need, Scope};
use crate::model::NamespaceKind;
use crate::registry::{Asked, Catalogued, Searched};

/// Longest text that is searched for, in bytes; no name is longer.
const LONGEST: usize = 255;

/// Pieces of the names that one search looks at: 10,000 names each.
const PIECES: usize = 10;

/// Repositories that are looked at closely for one search.
const CANDIDATES: usize = 1_000;

/// Hits of each kind in a search of everything (Quay).
const REPOSITORIES: usize = 5;
const NAMESPACES: usize = 10;
const OTHERS: usize = 5;

#[derive(Serialize, ToSchema)]
struct HitsView {
    results: Vec<Hit>,
}

#[derive(Serialize, ToSchema)]
struct RepositoryHitsView {
    results: Vec<RepositoryHit>,
    has_additional: bool,
    page: u64,
    page_size: u64,
    start_index: u64,
}

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "search";
    rows.get(
        "/api/v1/find/all",
        "conductSearch",
        GROUP,
        Need::Anyone,
        all,
    )
    .summary("Finds users, organizations, teams, robots and repositories by their names")
    .query("query", Text, "a part of the name")
    .answer::<HitsView>(200, "What was found, the best first");
    rows.get(
        "/api/v1/find/repositories",
        "conductRepoSearch",
        GROUP,
        Need::Anyone,
        repositories,
    )
    .summary("Finds repositories by their names")
    .query("query", Text, "a part of the name")
    .query("page", Number, "the page, from 1 on")
    .query("includeUsage", Flag, "tell how much they are used")
    .answer::<RepositoryHitsView>(200, "A page of repositories");
}

/// What is searched for, as names are written.
fn searched(context: &Context) -> String {
    normal(&context.text("query").unwrap_or_default())
}

/// A text as names are written; nothing for one that no name could hold.
pub(super) fn normal(text: &str) -> String {
    let text = text.trim().to_lowercase();
    match text.len() <= LONGEST {
        true => text,
        false => String::new(),
    }
}

async fn all(context: Context) -> Answer {
    let text = searched(&context);
    let mut results = Vec::new();
    if !text.is_empty() {
        results.extend(teams(&context, &text).await?);
        results.extend(robots(&context, &text).await?);
        let found = find(&context, &text, REPOSITORIES).await?;
        for entry in found.iter().take(REPOSITORIES) {
            let email = email(&context, entry).await?;
            let hit = RepositoryHit::new(&context.state, entry, email.as_deref(), None);
            results.push(Hit::Repository(hit));
        }
        results.extend(namespaces(&context, &text).await?);
    }
    let mut weighed: Vec<_> = results
        .into_iter()
        .map(|mut hit| (hit.weigh(&text), hit))
        .collect();
    weighed.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let results = weighed.into_iter().map(|(_, hit)| hit).collect();
    Ok(json::spaced(StatusCode::OK, &HitsView { results }))
}

async fn repositories(context: Context) -> Answer {
    let text = searched(&context);
    let (size, pages) = (
        context.state.web.search_page,
        context.state.web.search_pages,
    );
    let page = context
        .number("page", 1, 0..=u64::MAX)?
        .clamp(1, pages.max(1));
    let start = (page - 1).saturating_mul(size);
    let (skip, size) = (to_usize(start), to_usize(size).max(1));
    let found = find(&context, &text, skip.saturating_add(size).saturating_add(1)).await?;
    let has_additional = found.len() > skip.saturating_add(size);
    let shown: Vec<_> = found.into_iter().skip(skip).take(size).collect();
    let asked = Asked {
        last_modified: true,
        popularity: true,
        stars: true,
        ..Asked::default()
    };
    let facts = match context.flag("includeUsage", false) {
        true => {
            let ids = shown.iter().map(|entry| entry.repository).collect();
            Some(context.state.registry.facts(ids, asked).await?)
        }
        false => None,
    };
    let mut results = Vec::with_capacity(shown.len());
    for (at, entry) in shown.iter().enumerate() {
        let email = email(&context, entry).await?;
        let usage = facts.as_ref().and_then(|facts| facts.get(at));
        results.push(RepositoryHit::new(
            &context.state,
            entry,
            email.as_deref(),
            usage,
        ));
    }
    let view = RepositoryHitsView {
        results,
        has_additional,
        page,
        page_size: size as u64,
        start_index: start,
    };
    Ok(json::spaced(StatusCode::OK, &view))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Repositories that the caller may see and whose names hold the text, those that fit best first: up to
/// `wanted` of them, and not fewer if there are as many.
pub(super) async fn find(
    context: &Context,
    text: &str,
    wanted: usize,
) -> Result<Vec<Catalogued>, ApiError> {
    let (state, mut from, mut found) = (&context.state, Searched::default(), Vec::new());
    let _place = state.searches.place().await?;
    let mut looked_at = 0;
    for _ in 0..PIECES {
        let (piece, next) = state.registry.search_repositories(text, from).await?;
        for entry in piece {
            looked_at += 1;
            if looked_at > CANDIDATES {
                break;
            }
            if visible(state, &context.caller, &entry, true).await? {
                found.push(entry);
            }
        }
        match next {
            Some(next) if looked_at <= CANDIDATES => from = next,
            _ => break,
        }
    }
    let name = text.rsplit('/').next().unwrap_or(text);
    found.sort_by_cached_key(|entry| {
        let found = entry.record.name.as_str();
        let last = found.rsplit('/').next().unwrap_or(found);
        let fit = (last != name, !last.starts_with(name));
        (fit, found.len(), entry.full_name())
    });
    found.truncate(wanted);
    Ok(found)
}

/// The address that the picture of a repository's owner is made from.
async fn email(context: &Context, entry: &Catalogued) -> Result<Option<String>, ApiError> {
    match entry.owner.kind {
        NamespaceKind::User(id) => {
            let user = context.state.accounts.user(id).await?;
            Ok(user.and_then(|user| user.email))
        }
        NamespaceKind::Cache | NamespaceKind::Organization => Ok(None),
    }
}

async fn namespaces(context: &Context, text: &str) -> Result<Vec<Hit>, ApiError> {
    let accounts = &context.state.accounts;
    let users = accounts.users_beginning(text, NAMESPACES).await?;
    let organizations = accounts.organizations_beginning(text, NAMESPACES).await?;
    let users = users
        .iter()
        .map(|user| EntityHit::of_user(&context.state, user));
    let organizations = organizations
        .iter()
        .map(|record| EntityHit::of_namespace(&context.state, record, None));
    Ok(users.chain(organizations).map(Hit::Entity).collect())
}

/// Teams that the caller is in, and those of organisations that he rules.
async fn teams(context: &Context, text: &str) -> Result<Vec<Hit>, ApiError> {
    let Some((user, _)) = known(context) else {
        return Ok(Vec::new());
    };
    let state = &context.state;
    let mut hits = Vec::new();
    for found in state.accounts.teams_around(user, text, OTHERS).await? {
        let rules = state
            .auth
            .in_namespace(&context.caller.identity, found.namespace, found.owner.kind)
            .await?;
        if found.is_member || rules.is_admin() {
            hits.push(Hit::Team(TeamHit::new(
                state,
                &found.owner,
                &found.team.name,
            )));
        }
    }
    hits.truncate(OTHERS);
    Ok(hits)
}

/// Robots of the caller, and of organisations that he rules.
async fn robots(context: &Context, text: &str) -> Result<Vec<Hit>, ApiError> {
    let Some((user, _)) = known(context) else {
        return Ok(Vec::new());
    };
    let state = &context.state;
    let short = text.split_once('+').map_or(text, |(_, short)| short);
    let mut hits = Vec::new();
    if let Some(user) = state.accounts.user(user).await? {
        let robots = state
            .accounts
            .robots_beginning(user.namespace, short, OTHERS);
        let robots = robots.await?;
        hits.extend(
            robots
                .iter()
                .map(|it| Hit::Entity(EntityHit::of_robot(it, true))),
        );
    }
    for (namespace, record) in state.accounts.organizations_with(user).await? {
        let identity = &context.caller.identity;
        let rules = state
            .auth
            .in_namespace(identity, namespace, record.kind)
            .await?;
        if rules.is_admin() {
            let robots = state.accounts.robots_beginning(namespace, short, OTHERS);
            let robots = robots.await?;
            hits.extend(
                robots
                    .iter()
                    .map(|it| Hit::Entity(EntityHit::of_robot(it, false))),
            );
        }
    }
    hits.truncate(OTHERS);
    Ok(hits)
}

/// The caller, if he may be told what is his.
fn known(context: &Context) -> Option<(crate::model::UserId, &crate::model::NamespaceName)> {
    let may = context.caller.scopes().contains(Scope::RepoRead);
    context.caller.user().filter(|_| may)
}
