//! `/v1/`: what is left of the first registry protocol. Nothing is pushed or pulled by it; clients ask
//! whether it is there, and `docker search` searches by it (`quay-api` section 37).

use ::http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::context::Context;
use super::json;
use super::repository::is_public;
use super::rows::{Answer, ParameterKind, Rows};
use super::search::{find, normal};
use crate::auth::Need;
use crate::http::response;

/// Hits of a page: as many as asked for, 25 if that is not said (Quay).
const HITS: u64 = 25;
const MOST_HITS: u64 = 100;

/// Nobody leafs further (Quay).
const PAGES: u64 = 5;

const NOTICE: &str = "The first registry protocol is not served here; clients use /v2/.\n";

#[derive(Serialize, ToSchema)]
struct FoundView {
    query: String,
    num_results: usize,
    num_pages: u64,
    page: u64,
    page_size: u64,
    results: Vec<FoundRepository>,
}

#[derive(Serialize, ToSchema)]
struct FoundRepository {
    name: String,
    description: Option<String>,
    is_public: bool,
    href: String,
}

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("registry-v1-legacy", Need::Anyone);
    for (path, operation) in [
        ("/v1/_ping", "v1.ping"),
        ("/v1/_internal_ping", "v1.internal_ping"),
    ] {
        rows.get(path, operation, group, need, ping)
            .summary("Whether there is a registry of the first version: there is its ping.")
            .internal()
            .status(200, "true");
    }
    rows.get("/v1/search", "v1.get_search", group, need, search)
        .summary("Finds repositories by their names, as docker search does.")
        .internal()
        .basic()
        .query("q", ParameterKind::Text, "A part of the name")
        .query("n", ParameterKind::Number, "Hits of a page, up to 100")
        .query("page", ParameterKind::Number, "The page, from 1 to 5")
        .answer::<FoundView>(200, "What was found, the best first");
    rows.get("/v1/", "web.v1", group, need, notice)
        .summary("Says that the first protocol is not served.")
        .internal()
        .status(200, "Where to turn");
}

/// What clients of the first registry protocol asked: they are told that there is one.
async fn ping(_: Context) -> Answer {
    let mut answer = json::compact(StatusCode::OK, &true);
    let headers = answer.headers_mut();
    let version = HeaderValue::from_static("0.6.0");
    headers.insert("x-docker-registry-version", version);
    headers.insert(
        "x-docker-registry-standalone",
        HeaderValue::from_static("0"),
    );
    Ok(answer)
}

async fn notice(_: Context) -> Answer {
    Ok(response::text(StatusCode::OK, NOTICE))
}

/// What is no number counts as not said (Quay).
async fn search(context: Context) -> Answer {
    let number = |name: &str, default: u64| {
        let text = context.text(name);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (size, page) = (
        number("n", HITS).clamp(1, MOST_HITS),
        number("page", 1).clamp(1, PAGES),
    );
    let query = context.text("q").unwrap_or_default();
    let text = normal(&query);
    let skip = (page - 1) * size;
    let found = match text.is_empty() {
        true => Vec::new(),
        false => find(&context, &text, (skip + size + 1) as usize).await?,
    };
    let has_more = found.len() as u64 > skip + size;
    let shown = found.iter().skip(skip as usize).take(size as usize);
    let results: Vec<_> = shown
        .map(|entry| FoundRepository {
            name: entry.full_name(),
            description: entry.record.description.clone(),
            is_public: is_public(entry),
            href: format!("/repository/{}", entry.full_name()),
        })
        .collect();
    let view = FoundView {
        query: query.into_owned(),
        num_results: results.len(),
        num_pages: page + u64::from(has_more),
        page,
        page_size: size,
        results,
    };
    Ok(json::compact(StatusCode::OK, &view))
}
