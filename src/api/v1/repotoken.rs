//! Access tokens of repositories, which Quay no longer has: every door says so (`quay-api` section 36).

use ::http::StatusCode;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Answer, Rows};
use crate::auth::Need;
use crate::model::Role;

pub(super) fn routes(rows: &mut Rows) {
    const GROUP: &str = "repotoken";
    const ALL: &str = "/api/v1/repository/{repository+}/tokens/";
    const ONE: &str = "/api/v1/repository/{repository+}/tokens/{code}";
    const NEED: Need = Need::Repository(Role::Admin);
    const GONE: &str = "There are no such tokens any more";
    rows.get(ALL, "listRepoTokens", GROUP, NEED, gone)
        .summary("Said no more")
        .status(410, GONE);
    rows.post(ALL, "createToken", GROUP, NEED, not_made)
        .summary("Made no more")
        .status(410, GONE);
    rows.get(ONE, "getTokens", GROUP, NEED, gone)
        .summary("Said no more")
        .status(410, GONE);
    rows.put(ONE, "changeToken", GROUP, NEED, gone)
        .summary("Changed no more")
        .status(410, GONE);
    rows.delete(ONE, "deleteToken", GROUP, NEED, gone)
        .summary("Removed no more")
        .status(410, GONE);
}

async fn gone(_: Context) -> Answer {
    let text = "Handling of access tokens is no longer supported";
    Err(ApiError::message(StatusCode::GONE, text))
}

async fn not_made(_: Context) -> Answer {
    let text = "Creation of access tokens is no longer supported";
    Err(ApiError::message(StatusCode::GONE, text))
}
