//! The few pages of OAuth: small, escaped, and with a policy that admits what they need and no more.

use ::http::{HeaderValue, StatusCode, header};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::asked::Asked;
use crate::api::headers::NO_STORE;
use crate::api::pages::Html;
use crate::api::v1::rows::Answer;
use crate::auth::Scopes;
use crate::http::{Response, response};
use crate::model::{NamespaceRecord, OauthApplicationRecord, Secret};

const BEGIN: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                     <title>Authorize application</title></head><body>\n";
const END: &str = "</body></html>\n";

/// Puts the token, which no server sees, from behind the `#` into the page.
const SCRIPT: &str = "document.getElementById('token').textContent=\
                      new URLSearchParams(location.hash.slice(1)).get('access_token')||'';";

/// The question whether an application may act for the person who reads it.
pub(super) fn consent(
    asked: &Asked,
    application: &OauthApplicationRecord,
    owner: &NamespaceRecord,
    scopes: Scopes,
    csrf: Option<&Secret>,
) -> Answer {
    let mut html = Html::default();
    html.markup(BEGIN)
        .within("<h1>", &application.name, "</h1>\n")
        .within(
            "<p>of ",
            &owner.name,
            " asks for your permission to:</p>\n<ul>\n",
        );
    for scope in scopes.implied() {
        html.within("<li><b>", scope.title(), "</b>: ")
            .within("", scope.description(), "</li>\n");
    }
    html.markup("</ul>\n");
    if scopes.implied().any(|scope| scope.is_dangerous()) {
        let warning =
            "<p><b>This gives the application far-reaching power. Do you trust it?</b></p>\n";
        html.markup(warning);
    }
    form(
        &mut html,
        "<form method=\"post\" action=\"/oauth/authorizeapp\">",
        asked,
        csrf,
    );
    html.markup("<button type=\"submit\">Authorize Application</button></form>\n");
    form(
        &mut html,
        "<form method=\"post\" action=\"/oauth/denyapp\">",
        asked,
        csrf,
    );
    html.markup("<button type=\"submit\">Cancel</button></form>\n");
    html.markup(END);
    // The answer to the form leads on to the application, and browsers count that as sending it there.
    let target = url::Url::parse(&asked.redirect_uri).ok();
    let target = target.map(|url| url.origin().ascii_serialization());
    let target = target.filter(|origin| origin != "null").unwrap_or_default();
    let policy = format!("default-src 'none'; form-action 'self' {target}; {COMMON}");
    Ok(page(html, &policy))
}

const COMMON: &str = "frame-ancestors 'none'; base-uri 'none'";

fn form(html: &mut Html, begin: &'static str, asked: &Asked, csrf: Option<&Secret>) {
    html.markup(begin);
    let mut hidden = |name: &'static str, value: Option<&str>| {
        if let Some(value) = value {
            html.within("<input type=\"hidden\" name=\"", name, "\" value=\"")
                .within("", value, "\">");
        }
    };
    hidden("client_id", Some(&asked.client_id));
    hidden("redirect_uri", Some(&asked.redirect_uri));
    hidden("scope", Some(&asked.scope));
    hidden("response_type", Some(&asked.response_type));
    hidden("state", asked.state.as_deref());
    hidden("assignment_uuid", asked.assignment.as_deref());
    hidden("_csrf_token", csrf.map(Secret::expose));
}

/// The token that the browser was given behind the `#` of the page's address.
pub(super) fn token() -> Response {
    let mut html = Html::default();
    html.markup(BEGIN)
        .markup("<h1>Your access token</h1>\n<p>It is shown once: keep it safe.</p>\n")
        .markup("<p><code id=\"token\"></code></p>\n<script>")
        .markup(SCRIPT)
        .markup("</script>\n")
        .markup(END);
    let hash = STANDARD.encode(digest(&SHA256, SCRIPT.as_bytes()));
    let policy =
        format!("default-src 'none'; script-src 'sha256-{hash}'; form-action 'none'; {COMMON}");
    page(html, &policy)
}

/// A page that says one thing.
pub(super) fn message(text: &'static str) -> Response {
    let mut html = Html::default();
    html.markup(BEGIN).within("<p>", text, "</p>\n").markup(END);
    page(
        html,
        &format!("default-src 'none'; form-action 'none'; {COMMON}"),
    )
}

fn page(html: Html, policy: &str) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    let mut answer = response::bytes(StatusCode::OK, kind, html.finish());
    let policy = HeaderValue::from_str(policy).expect("origins and hashes are printable ASCII");
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    answer
}
