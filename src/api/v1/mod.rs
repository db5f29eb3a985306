//! `/api/v1` and the web doors beside it: Quay's REST API, to the byte where its clients look.
//!
//! A resource has a file with its rows and one small function a door: parse, one call on one service,
//! view out. What guards a door stands in its row ([`crate::auth::Need`]), and `dispatch` sees to it
//! before the door is opened; what the path names is found on that way ([`context::Context::repository`],
//! [`context::Context::organization`]).
//!
//! ```text
//!  rows.get("/api/v1/repository/{repository+}/tag/", "listRepoTags", "tag", Need::Repository(Role::Read), list)
//!      .summary("Lists the tags, newest first").query("limit", Number, "1 to 100").answer::<TagListView>(200, "The tags");
//!
//!  async fn list(context: Context) -> Answer {
//!      let limit = context.number("limit", 50, 1..=100)?;
//!      let subject = context.repository();
//!      ...
//!      Ok(json::spaced(StatusCode::OK, &TagListView { ... }))
//!  }
//! ```
//!
//! Views are `...View` with [`serde::Serialize`] and [`utoipa::ToSchema`], fields in Quay's order; bodies
//! are `...Body` with [`serde::Deserialize`] and [`utoipa::ToSchema`]. Errors are [`error::ApiError`]; `?`
//! turns those of services into the usual form, and a door that has Quay's own words for one matches it.

mod app_tokens;
mod application_tokens;
mod applications;
mod authorizations;
mod autoprune;
mod body;
mod context;
mod cursor;
mod discovery;
mod dispatch;
mod entity;
mod error;
mod error_types;
mod hit;
mod immutability;
mod inbox;
mod initialize;
mod invitation;
mod json;
mod keyserver;
mod label;
mod legacy;
mod links;
mod logs;
mod loose;
mod manifest;
mod members;
mod messages;
mod mirror;
mod mirrorhealth;
mod need;
mod oauth;
mod org_mirror;
mod organization;
mod permission;
mod prototype;
mod proxycache;
mod quota;
mod repository;
mod repotoken;
mod robot;
mod rows;
mod schema;
mod search;
mod session;
mod similarity;
mod star;
mod superuser;
mod tag;
mod team;
mod user;
mod user_view;
mod view;
mod web;

use rows::{Row, Rows};

pub(super) use discovery::Description;
pub(super) use dispatch::{answer, options};
pub(super) use error::ApiError;
pub(super) use oauth::show_tokens_at;
pub(super) use rows::Row as ApiRow;

/// Every row, resource by resource.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = Rows::default();
    for add in RESOURCES {
        add(&mut rows);
    }
    rows.rows
}

/// What adds the rows of a resource.
type Resource = fn(&mut Rows);

/// Every resource; in the order of their names.
const RESOURCES: &[Resource] = &[
    app_tokens::routes,
    application_tokens::routes,
    applications::routes,
    authorizations::routes,
    autoprune::routes,
    discovery::routes,
    entity::routes,
    error_types::routes,
    immutability::routes,
    inbox::routes,
    initialize::routes,
    invitation::routes,
    keyserver::routes,
    label::routes,
    legacy::routes,
    links::routes,
    logs::routes,
    manifest::routes,
    members::routes,
    messages::routes,
    mirror::routes,
    mirrorhealth::routes,
    oauth::routes,
    org_mirror::routes,
    organization::routes,
    permission::routes,
    prototype::routes,
    proxycache::routes,
    quota::routes,
    repository::routes,
    repotoken::routes,
    robot::routes,
    search::routes,
    session::routes,
    star::routes,
    superuser::routes,
    tag::routes,
    team::routes,
    user::routes,
    web::routes,
];
