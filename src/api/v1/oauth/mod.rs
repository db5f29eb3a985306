//! OAuth for applications: consent, codes, tokens, and tokens that are offered (RFC 6749).
//!
//! Who consents is there in person, with a session or a password: a token of an application never makes
//! another (AZ-14). Nobody is sent anywhere but where the application registered (AU-11, AU-12).

mod asked;
mod assign;
mod authorize;
mod page;
mod token;

use super::rows::{Row, Rows};
use crate::auth::Need;

/// The operation of the page that shows a token, whatever its path is.
const LOCAL: &str = "web.oauth_local_handler";

/// Moves the page that shows a token to where the operator wants it (`LOCAL_OAUTH_HANDLER`).
pub(in crate::api) fn show_tokens_at(rows: &mut [Row], path: &str) {
    let page = rows.iter_mut().find(|row| row.operation == LOCAL);
    if let Some(page) = page.filter(|page| page.pattern != path) {
        // Patterns live as long as the process, and so does this one.
        page.pattern = Box::leak(path.to_owned().into_boxed_str());
    }
}

pub(super) fn routes(rows: &mut Rows) {
    let group = "oauth";
    let authorize = "/oauth/authorize";
    let operation = "web.request_authorization_code";
    rows.get(authorize, operation, group, Need::Anyone, authorize::ask)
        .summary("Asks whether an application may act for somebody")
        .internal()
        .basic()
        .status(200, "The question, as a page or as JSON")
        .status(302, "It was answered before; back to the application")
        .status(401, "Nobody is signed in")
        .status(404, "There is no such application or scope");
    let path = "/oauth/authorizeapp";
    let operation = "web.authorize_application";
    rows.post(path, operation, group, Need::Anyone, authorize::consent)
        .summary("Lets an application act for somebody")
        .internal()
        .basic()
        .csrf_exempt()
        .status(302, "Back to the application with a token or a code");
    let path = "/oauth/denyapp";
    rows.post(
        path,
        "web.deny_application",
        group,
        Need::Anyone,
        authorize::deny,
    )
    .summary("Does not let an application act for somebody")
    .internal()
    .csrf_exempt()
    .status(302, "Back to the application")
    .status(401, "Nobody is signed in");
    let path = "/oauth/localapp";
    rows.get(path, LOCAL, group, Need::Anyone, token::local)
        .summary("Shows a token that somebody has made for himself")
        .internal()
        .status(200, "The token, as a page or as JSON")
        .status(401, "Nobody is signed in");
    let path = "/oauth/access_token";
    let operation = "web.exchange_code_for_token";
    rows.post(path, operation, group, Need::Anyone, token::exchange)
        .summary("Changes a code for a token")
        .internal()
        .csrf_exempt()
        .answer::<token::TokenView>(200, "The token")
        .status(400, "The code, the application or its secret is wrong");
    let path = "/oauth/authorize/assignuser";
    rows.post(
        path,
        "web.assign_user_to_app",
        group,
        Need::Anyone,
        assign::assign,
    )
    .summary("Offers somebody a token of an application")
    .internal()
    .csrf_exempt()
    .switch(|features| features.assign_oauth_token)
    .status(200, "Offered")
    .status(401, "Nobody is signed in");
}
