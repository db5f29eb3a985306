//! `/api/v1/superuser/{build_uuid}/...`: builds by their id, of which there are none while nothing builds.

use super::guarded;
use crate::api::v1::context::Context;
use crate::api::v1::error::{ApiError, ErrorKind};
use crate::api::v1::rows::{Answer, Rows};
use crate::auth::Need;

pub(super) fn routes(rows: &mut Rows) {
    let (group, need) = ("superuser", Need::Superuser);
    let path = "/api/v1/superuser/{build_uuid}/build";
    guarded(rows.get(path, "getRepoBuildSuperUser", group, need, show))
        .summary("Returns information about a build.")
        .status(404, "There is no such build");
    for (path, operation) in [
        (
            "/api/v1/superuser/{build_uuid}/status",
            "getRepoBuildStatusSuperUser",
        ),
        (
            "/api/v1/superuser/{build_uuid}/logs",
            "getRepoBuildLogsSuperUser",
        ),
        (
            "/api/v1/superuser/{build_uuid}/logs/archive",
            "getRepoBuildLogsArchiveSuperUser",
        ),
    ] {
        guarded(rows.get(path, operation, group, need, show_part))
            .summary("Returns the status or the logs of a build.")
            .status(400, "There is no such build");
    }
}

async fn show(_: Context) -> Answer {
    Err(ApiError::not_found())
}

/// Quay: an unknown build is an invalid response here, not 404.
async fn show_part(context: Context) -> Answer {
    let text = format!("Build not found: {}", context.parameter("build_uuid"));
    Err(ApiError::exception(ErrorKind::InvalidResponse, text))
}
