//! What the API and the web pages say of the site, and to whom they answer.
//!
//! Called by `Config::load`; `api` takes the fields it obeys.

use super::document::Node;
use super::fields::Fields;
use super::report::Report;
use super::value::{self, Parsed};

/// What the API and the web pages say of the site, and to whom they answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebConfig {
    /// Browsers read the API with the header `X-Requested-With` only.
    pub xhr_only: bool,
    /// Origins whose pages may use the API with a session; none: every origin, without one.
    pub cors_origins: Vec<String>,
    pub avatars: AvatarKind,
    pub title: String,
    pub short_title: String,
    pub contact: Vec<String>,
    /// Repositories on a page of a search.
    pub search_page: u64,
    /// Most pages of a search.
    pub search_pages: u64,
}

/// How avatars are made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AvatarKind {
    /// Their hash is SHA-256.
    #[default]
    Local,
    /// Their hash is MD5, as that service has it.
    Gravatar,
}

impl WebConfig {
    pub(super) fn read(fields: &Fields, report: &mut Report<'_>) -> Self {
        let mut text = |key: &str| fields.read(report, key, value::text);
        let title = text("REGISTRY_TITLE");
        let short_title = text("REGISTRY_TITLE_SHORT");
        let mut page = |key: &str| {
            let count = fields.read(report, key, |node| value::integer(node, 1, 100));
            count.unwrap_or(10)
        };
        let search_page = page("SEARCH_RESULTS_PER_PAGE");
        let search_pages = page("SEARCH_MAX_RESULT_PAGE_COUNT");
        let origins = fields.list(report, "CORS_ORIGIN", origin);
        let contact = fields.list(report, "CONTACT_INFO", value::text);
        let xhr_only = fields.read(report, "BROWSER_API_CALLS_XHR_ONLY", value::switch);
        let avatars = fields.read(report, "AVATAR_KIND", avatar_kind);
        let named = || "entrepot".to_owned();
        Self {
            xhr_only: xhr_only.unwrap_or(true),
            cors_origins: origins.unwrap_or_default(),
            avatars: avatars.unwrap_or_default(),
            title: title.unwrap_or_else(named),
            short_title: short_title.unwrap_or_else(named),
            contact: contact.unwrap_or_default(),
            search_page,
            search_pages,
        }
    }
}

/// `scheme://host[:port]`, as browsers send it.
fn origin(node: &Node) -> Parsed<String> {
    let text = value::text(node)?;
    let parsed = url::Url::parse(&text).ok();
    let is_origin = parsed.is_some_and(|url| url.origin().ascii_serialization() == text);
    is_origin.then_some(text.clone()).ok_or_else(|| {
        format!("{text:?} is not an origin; write https://host or https://host:port")
    })
}

fn avatar_kind(node: &Node) -> Parsed<AvatarKind> {
    match value::text(node)?.as_str() {
        "local" => Ok(AvatarKind::Local),
        "gravatar" => Ok(AvatarKind::Gravatar),
        other => Err(format!(
            "{other:?} is not a kind of avatar; write local or gravatar"
        )),
    }
}
