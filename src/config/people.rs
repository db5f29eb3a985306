//! Who is more than others, and how long logins and their tokens last.
//!
//! Called by `Config::load`; `auth`, `accounts` and `api` take the fields they obey.

use std::time::Duration;

use super::features::Features;
use super::fields::Fields;
use super::report::Report;
use super::value;
use crate::model::NamespaceName;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Who is more than others, and how long logins and their tokens last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeopleConfig {
    /// Users who read everything and change nothing.
    pub global_readonly: Vec<NamespaceName>,
    /// Users own no content, but for these (`FEATURE_RESTRICTED_USERS`); `None`: they do.
    pub restricted_but: Option<Vec<NamespaceName>>,
    /// How long after a login dangerous changes need no password again.
    pub fresh_login: Duration,
    /// How long a web session lasts.
    pub session: Duration,
    /// A web session outlives the browser (`FEATURE_PERMANENT_SESSIONS`).
    pub permanent_sessions: bool,
    /// The session's cookie is for TLS only, whatever the listener speaks.
    pub secure_cookie: bool,
    /// How long app tokens last; `None` for ever.
    pub app_token_life: Option<Duration>,
    /// Most unexpired tokens of an OAuth application.
    pub application_tokens: Option<u64>,
    /// Path of the page that shows a token made for a person.
    pub local_oauth_handler: String,
    /// Clients for which a password alone authorises an application.
    pub direct_oauth_clients: Vec<String>,
    /// How long a service's key waits to be approved.
    pub unapproved_key_life: Duration,
    /// How long an expired service key is kept.
    pub expired_key_life: Duration,
}

impl PeopleConfig {
    pub(super) fn read(fields: &Fields, features: &Features, report: &mut Report<'_>) -> Self {
        let whitelist = names(fields, "RESTRICTED_USERS_WHITELIST", report);
        if !features.restricted_users && !whitelist.is_empty() {
            let key = "RESTRICTED_USERS_WHITELIST";
            let text = "has no effect while FEATURE_RESTRICTED_USERS is false";
            report.warn(fields.place_of(key), key, text);
        }
        let within = |least: Duration, most: Duration| {
            move |node: &super::document::Node| value::duration(node, least, most)
        };
        let fresh_login = fields.read(report, "FRESH_LOGIN_TIMEOUT", within(SECOND, DAY));
        let minute = Duration::from_secs(60);
        let session = fields.read(report, "SESSION_TIMEOUT", within(minute, YEAR));
        let app_token_life = fields.read(report, "APP_SPECIFIC_TOKEN_EXPIRATION", |node| {
            value::optional(node, within(minute, 100 * YEAR))
        });
        let tokens = fields.read(report, "OAUTH_APPLICATION_MAXIMUM_TOKEN_COUNT", |node| {
            value::integer(node, 1, 1_000_000)
        });
        let handler = fields.read(report, "LOCAL_OAUTH_HANDLER", path);
        let clients = fields.list(report, "DIRECT_OAUTH_CLIENTID_WHITELIST", value::text);
        let secure_cookie = fields.read(report, "SESSION_COOKIE_SECURE", value::switch);
        let seconds = |node: &super::document::Node| value::seconds(node, YEAR);
        let unapproved = fields.read(report, "UNAPPROVED_SERVICE_KEY_TTL_SEC", seconds);
        let expired = fields.read(report, "EXPIRED_SERVICE_KEY_TTL_SEC", seconds);
        Self {
            global_readonly: names(fields, "GLOBAL_READONLY_SUPER_USERS", report),
            restricted_but: features.restricted_users.then_some(whitelist),
            fresh_login: fresh_login.unwrap_or(10 * minute),
            session: session.unwrap_or(31 * DAY),
            permanent_sessions: features.permanent_sessions,
            secure_cookie: secure_cookie.unwrap_or(false),
            app_token_life: app_token_life.flatten(),
            application_tokens: tokens,
            local_oauth_handler: handler.unwrap_or_else(|| "/oauth/localapp".to_owned()),
            direct_oauth_clients: clients.unwrap_or_default(),
            unapproved_key_life: unapproved.unwrap_or(DAY),
            expired_key_life: expired.unwrap_or(7 * DAY),
        }
    }
}

fn names(fields: &Fields, key: &str, report: &mut Report<'_>) -> Vec<NamespaceName> {
    let names = fields.list(report, key, value::parsed);
    names.unwrap_or_default()
}

/// A path on this site.
fn path(node: &super::document::Node) -> value::Parsed<String> {
    let text = value::text(node)?;
    let is_path = text.starts_with('/') && !text.contains(['?', '#', ' ']);
    is_path
        .then_some(text.clone())
        .ok_or_else(|| format!("{text:?} is not a path; write /oauth/localapp"))
}
