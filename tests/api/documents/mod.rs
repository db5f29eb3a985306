//! The product documents as tests: every door is asked as they print it, and its answer held against
//! theirs, field by field and in their order.
//!
//! A test takes a heading of the API's description and shows every operation that stands under it, so a
//! door that is added without its documented answer fails the test of its heading. What the documents
//! leave open follows `quay-api`; where two of them differ, `differences` says which is followed.

mod differences;
mod guide;
mod keys;
mod logs;
mod mirror;
mod oauth;
mod org_mirror;
mod organization;
mod policy;
mod quota;
mod repository;
mod robot;
mod search;
mod superuser;
mod tag;
mod team;
mod user;
mod web;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use self::guide::Guide;
use crate::harness::site::Site;

/// The headings of the description, each with a test that shows what stands under it.
const HEADINGS: &[&str] = &[
    "appspecifictokens",
    "bootstrap",
    "capabilities",
    "discovery",
    "email-links",
    "error",
    "globalmessages",
    "immutability_policy",
    "keyserver",
    "logs",
    "manifest",
    "mirror",
    "mirrorhealth",
    "namespacequota",
    "oauth",
    "org_mirror",
    "organization",
    "organization_application_tokens",
    "permission",
    "policy",
    "prototype",
    "registry-v1-legacy",
    "repository",
    "repotoken",
    "robot",
    "search",
    "secscan",
    "suconfig",
    "superuser",
    "tag",
    "team",
    "user",
    "web",
    "wellknown",
];

#[tokio::test]
async fn every_heading_of_the_description_is_shown() {
    let guide = Guide::new().await;
    let known: BTreeSet<&str> = HEADINGS.iter().copied().collect();
    let unknown: Vec<_> = guide.headings().filter(|it| !known.contains(it)).collect();
    assert!(unknown.is_empty(), "no test shows {unknown:?}");
}

/// An avatar as views show it: the documents print hashes of 64 digits.
fn avatar(name: &str, kind: &str) -> Value {
    json!({"name": name, "hash": "0".repeat(64), "color": "#aec7e8", "kind": kind})
}

/// The body of an error that is an exception (quay-api section 2, form 1).
fn exception(site: &Site, status: u16, kind: &str, detail: &str) -> Value {
    json!({
        "detail": detail,
        "error_message": detail,
        "error_type": kind,
        "title": kind,
        "type": site.url(&format!("/api/v1/error/{kind}")),
        "status": status,
    })
}

fn not_found(site: &Site) -> Value {
    exception(site, 404, "not_found", "Not Found")
}

fn invalid(site: &Site, detail: &str) -> Value {
    exception(site, 400, "invalid_request", detail)
}

fn forbidden(site: &Site) -> Value {
    exception(site, 403, "insufficient_scope", "Unauthorized")
}
