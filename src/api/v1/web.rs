//! Doors of the web beside `/api/v1`: what a page must know of the site before anybody logs in, and the
//! fixed files that programs ask every site for (`quay-api` sections 9, 37.2, 39).

use std::time::Duration;

use ::http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::error::ApiError;
use super::json as write;
use super::rows::{Answer, Rows};
use crate::auth::Need;
use crate::config::{AvatarKind, Closed};
use crate::http::{Response, response};

/// Architectures that a mirror may be cut down to (Quay).
const ARCHITECTURES: [&str; 4] = ["amd64", "arm64", "ppc64le", "s390x"];

/// Features that answer as if they were off, whatever the configuration says.
const NOT_BUILT: [&str; 1] = ["QUOTA_NOTIFICATIONS"];

/// Robots find nothing here that a search should know.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

pub(super) fn routes(rows: &mut Rows) {
    let need = Need::Anyone;
    rows.get("/config", "web.config", "web", need, configuration)
        .summary("What a page must know of the site.")
        .internal()
        .status(200, "Configuration, features, state");
    let path = "/api/v1/registry/capabilities";
    rows.get(
        path,
        "getRegistryCapabilities",
        "capabilities",
        need,
        capabilities,
    )
    .summary("Returns what this registry can do.")
    .status(200, "The capabilities");
    let path = "/.well-known/app-capabilities";
    rows.get(
        path,
        "wellknown.app_capabilities",
        "wellknown",
        need,
        applications,
    )
    .summary("Where programs find what this site shows of an image.")
    .internal()
    .status(200, "Templates of URLs");
    let path = "/.well-known/change-password";
    rows.get(
        path,
        "wellknown.change_password",
        "wellknown",
        need,
        change_password,
    )
    .summary("Leads to where the password is changed.")
    .internal()
    .status(302, "There")
    .status(401, "Nobody is logged in");
    rows.get("/robots.txt", "web.robots", "web", need, robots)
        .summary("What robots may read.")
        .internal()
        .status(200, "Nothing");
    rows.get("/opensearch.xml", "web.opensearch", "web", need, opensearch)
        .summary("How a browser searches this site.")
        .internal()
        .status(200, "OpenSearch description");
    rows.get(
        "/secscan/_internal_ping",
        "secscan.internal_ping",
        "secscan",
        need,
        secscan_ping,
    )
    .summary("Whether the door for scanners answers.")
    .internal()
    .status(200, "true");
}

/// `GET /config`: keys that have a meaning here, as Quay names them.
async fn configuration(context: Context) -> Answer {
    let state = &context.state;
    let (site, web) = (state.site.load(), &state.web);
    let url = context.site_url();
    let (scheme, host) = url.split_once("://").unwrap_or(("http", url.as_str()));
    let avatars = match web.avatars {
        AvatarKind::Local => "local",
        AvatarKind::Gravatar => "gravatar",
    };
    let features = &state.features;
    let config = json!({
        "SERVER_HOSTNAME": site.hostname.as_deref().unwrap_or(host),
        "PREFERRED_URL_SCHEME": scheme,
        "AUTHENTICATION_TYPE": "Database",
        "REGISTRY_TITLE": web.title,
        "REGISTRY_TITLE_SHORT": web.short_title,
        "CONTACT_INFO": web.contact,
        "AVATAR_KIND": avatars,
        "LOCAL_OAUTH_HANDLER": state.people.local_oauth_handler,
        "SETUP_COMPLETE": true,
        "TAG_EXPIRATION_OPTIONS": state.tag_expirations.iter().map(span).collect::<Vec<_>>(),
        "SEARCH_RESULTS_PER_PAGE": web.search_page,
        "SEARCH_MAX_RESULT_PAGE_COUNT": web.search_pages,
        "FEATURE_REPO_MIRROR": features.repo_mirror,
        "FEATURE_ORG_MIRROR": features.org_mirror,
        "FEATURE_QUOTA_MANAGEMENT": features.quota_management,
        "FEATURE_QUOTA_NOTIFICATIONS": false,
        "FEATURE_EDIT_QUOTA": features.edit_quota,
        "FEATURE_PROXY_CACHE": features.proxy_cache,
        "FEATURE_ASSIGN_OAUTH_TOKEN": features.assign_oauth_token,
        "FEATURE_IMAGE_EXPIRY_TRIGGER": features.image_expiry_trigger,
        "FEATURE_AUTO_PRUNE": features.auto_prune,
    });
    let switches = features.iter().map(|(name, is_on)| {
        let is_on = is_on && !NOT_BUILT.contains(&name);
        (name.to_owned(), is_on.into())
    });
    let is_closed = state.pushes.load().closed == Some(Closed::ReadOnly);
    let view = json!({
        "config": config,
        "features": switches.collect::<Map<String, Value>>(),
        // No service of others logs anybody in.
        "oauth": {},
        "external_login": [],
        "registry_state": if is_closed { "readonly" } else { "normal" },
        "account_recovery_mode": false,
        "version_number": concat!("entrepot ", env!("CARGO_PKG_VERSION")),
    });
    Ok(write::compact(StatusCode::OK, &view))
}

/// A span as Quay's configuration writes it, in the largest unit that it is a whole number of.
fn span(of: &Duration) -> String {
    let seconds = of.as_secs();
    let units = [(604_800, 'w'), (86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let fits = |(unit, _): &(u64, char)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, letter) = units.into_iter().find(fits).unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

async fn capabilities(context: Context) -> Answer {
    let sparse = context.state.features.sparse_index;
    let view = json!({
        "sparse_manifests": {
            "supported": sparse,
            "required_architectures": [],
            "optional_architectures_allowed": sparse,
        },
        "mirror_architectures": ARCHITECTURES,
    });
    Ok(write::spaced(StatusCode::OK, &view))
}

async fn applications(context: Context) -> Answer {
    let app = context.site_url();
    let repository = format!("{app}/api/v1/repository/{{namespace}}/{{reponame}}");
    let view = json!({
        "appName": "io.quay",
        "capabilities": {
            "io.quay.view-image": {
                "url-template": format!("{app}/{{namespace}}/{{reponame}}:{{tag}}"),
            },
            "io.quay.image-security": {
                "rest-api-template": format!("{repository}/image/{{imageid}}/security"),
                "deprecated": true,
            },
            "io.quay.manifest-security": {
                "rest-api-template": format!("{repository}/manifest/{{digest}}/security"),
            },
        },
    });
    Ok(write::compact(StatusCode::OK, &view))
}

async fn change_password(context: Context) -> Answer {
    let session = context.caller.session().is_some();
    let Some((_, name)) = context.caller.user().filter(|_| session) else {
        let text = "Requires authentication";
        return Err(ApiError::web(StatusCode::UNAUTHORIZED, text));
    };
    let mut answer = response::empty(StatusCode::FOUND);
    // A user's name has no character that a path could not hold.
    let place = HeaderValue::from_str(&format!("/user/{name}?tab=settings"));
    if let Ok(place) = place {
        answer.headers_mut().insert(header::LOCATION, place);
    }
    Ok(answer)
}

async fn robots(_: Context) -> Answer {
    Ok(response::text(StatusCode::OK, ROBOTS))
}

async fn opensearch(context: Context) -> Answer {
    let escape = |text: &str| {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        text.replace('>', "&gt;").replace('"', "&quot;")
    };
    let (title, url) = (
        escape(&context.state.web.title),
        escape(&context.site_url()),
    );
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <OpenSearchDescription xmlns=\"http://a9.com/-/spec/opensearch/1.1/\">\n  \
         <ShortName>{title}</ShortName>\n  \
         <Description>Search {title}</Description>\n  \
         <Url type=\"text/html\" template=\"{url}/search?q={{searchTerms}}\"/>\n\
         </OpenSearchDescription>\n"
    );
    Ok(of_type("application/xml", text))
}

async fn secscan_ping(_: Context) -> Answer {
    Ok(write::compact(StatusCode::OK, &true))
}

fn of_type(media_type: &'static str, text: String) -> Response {
    response::bytes(StatusCode::OK, HeaderValue::from_static(media_type), text)
}
