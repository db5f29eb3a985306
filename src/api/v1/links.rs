//! What links in mails lead to. Nothing here sends mail, so no code is ever right.

use ::http::StatusCode;

use super::context::Context;
use super::error::ApiError;
use super::rows::{Answer, Rows};
use crate::auth::Need;

/// Path, operation: those that exist only where mail is sent.
const LINKS: [(&str, &str); 3] = [
    ("/confirm", "web.confirm_email"),
    ("/recovery", "web.confirm_recovery"),
    ("/authrepoemail", "web.confirm_repo_email"),
];

pub(super) fn routes(rows: &mut Rows) {
    for (path, operation) in LINKS {
        rows.get(path, operation, "email-links", Need::Anyone, unknown)
            .summary("Takes the code of a mail")
            .internal()
            .switch(|features| features.mailing)
            .status(403, "The code is not known");
    }
    let (path, operation) = ("/confirminvite", "web.confirm_invite");
    rows.get(path, operation, "email-links", Need::Anyone, unknown)
        .summary(
            "Takes the code of an invitation; PUT /api/v1/teaminvite/{code} does so for programs",
        )
        .internal()
        .switch(|features| features.mailing)
        .status(403, "The code is not known");
}

async fn unknown(_: Context) -> Answer {
    Err(ApiError::web(
        StatusCode::FORBIDDEN,
        "Invalid confirmation code",
    ))
}
