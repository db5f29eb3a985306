//! Repositories: listed, made, shown, described, opened, closed, deleted (`quay-api` section 18).

mod change;
mod list;
mod show;

use serde::Serialize;
use utoipa::ToSchema;

use super::rows::ParameterKind::{Flag, Text};
use super::rows::Rows;
use crate::auth::Need;
use crate::model::Role;

pub(super) use list::{is_public, visible};

/// What a change that worked says.
#[derive(Serialize, ToSchema)]
pub(super) struct SuccessView {
    success: bool,
}

impl SuccessView {
    pub(super) const YES: Self = Self { success: true };
}

pub(super) fn routes(rows: &mut Rows) {
    reading(rows);
    changing(rows);
}

fn reading(rows: &mut Rows) {
    const GROUP: &str = "repository";
    rows.get(
        "/api/v1/repository",
        "listRepos",
        GROUP,
        Need::Anyone,
        list::list,
    )
    .summary("Lists repositories that the caller may see, in the order of their names")
    .query("namespace", Text, "those of this user or organisation")
    .query("starred", Flag, "those that the caller has starred")
    .query("public", Flag, "also those that everyone may see")
    .query("last_modified", Flag, "tell when the newest tag began")
    .query(
        "popularity",
        Flag,
        "tell how many acts there were in the last week",
    )
    .query("repo_kind", Text, "image")
    .query("next_page", Text, "where the page before ended")
    .answer::<list::ListView>(200, "A page of repositories")
    .status(400, "Neither namespace, starred nor public was given");
    rows.get(
        "/api/v1/repository/{repository+}",
        "getRepo",
        GROUP,
        Need::Repository(Role::Read),
        show::show,
    )
    .summary("Shows a repository")
    .query(
        "includeStats",
        Flag,
        "tell how many acts there were on each day",
    )
    .query("includeTags", Flag, "tell its tags, 500 of them at most")
    .answer::<show::RepositoryView>(200, "The repository");
}

fn changing(rows: &mut Rows) {
    const GROUP: &str = "repository";
    const ONE: &str = "/api/v1/repository/{repository+}";
    const ADMIN: Need = Need::Repository(Role::Admin);
    const WRITE: Need = Need::Repository(Role::Write);
    rows.post(
        "/api/v1/repository",
        "createRepo",
        GROUP,
        Need::Anyone,
        change::create,
    )
    .summary("Makes a repository")
    .body::<change::CreateRepositoryBody>()
    .answer::<change::CreatedRepositoryView>(201, "It is there")
    .status(400, "It is there already, or its name is none")
    .status(401, "Nobody may do that")
    .status(403, "The caller may not make repositories there");
    rows.put(ONE, "updateRepo", GROUP, WRITE, change::describe)
        .summary("Says what is in a repository")
        .body::<change::DescriptionBody>()
        .answer::<SuccessView>(200, "It is said");
    rows.delete(ONE, "deleteRepository", GROUP, ADMIN, change::delete)
        .summary("Deletes a repository")
        .status(204, "It is gone");
    rows.post(
        "/api/v1/repository/{repository+}/changevisibility",
        "changeRepoVisibility",
        GROUP,
        ADMIN,
        change::set_visibility,
    )
    .summary("Lets everyone pull, or only those to whom it is granted")
    .body::<change::VisibilityBody>()
    .answer::<SuccessView>(200, "It is so");
    rows.post(
        "/api/v1/repository/{repository+}/changetrust",
        "changeRepoTrust",
        GROUP,
        ADMIN,
        change::set_trust,
    )
    .summary("Turns content trust on or off")
    .switch(|features| features.signing)
    .body::<change::TrustBody>()
    .answer::<SuccessView>(200, "It is so");
    rows.put(
        "/api/v1/repository/{repository+}/changestate",
        "changeRepoState",
        GROUP,
        ADMIN,
        change::set_state,
    )
    .summary("Says what may be done to a repository, whoever asks")
    .switch(|features| features.repo_mirror)
    .body::<change::StateBody>()
    .answer::<SuccessView>(200, "It is so")
    .status(400, "There is no such state, or it is not set here");
}
