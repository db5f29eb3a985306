//! The listener that sends plain HTTP on to HTTPS (`LISTEN_REDIRECT`).
//!
//! It leads to `SERVER_HOSTNAME` and nowhere else, whatever host a request names; path and query stay as they
//! are, and so does the method (308), because clients push too. Only `/livez` is answered.

use ::http::{HeaderValue, StatusCode, Uri, header};

use crate::api::headers::NO_STORE;
use crate::api::state::State;
use crate::http::{AccessLevel, Operation, Response, response};

/// Answers whatever is asked there.
pub(in crate::api) fn redirect(state: &State, asked: &Uri) -> Response {
    let mut answer = match asked.path() {
        "/livez" => {
            let mut answer = response::text(StatusCode::OK, "ok\n");
            answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
            answer.extensions_mut().insert(AccessLevel::Quiet);
            answer
        }
        _ => lead(state, asked),
    };
    answer.extensions_mut().insert(Operation("redirect"));
    answer
}

fn lead(state: &State, asked: &Uri) -> Response {
    let site = state.site.load();
    let target = site.hostname.as_ref().and_then(|host| {
        let path = asked.path_and_query().map(|path| path.as_str());
        // `OPTIONS *` has none.
        let path = path.filter(|path| path.starts_with('/')).unwrap_or("/");
        HeaderValue::try_from(format!("https://{host}{path}")).ok()
    });
    // A changed configuration may have taken the name away.
    let Some(target) = target else {
        return response::text(StatusCode::NOT_FOUND, "There is nothing here.\n");
    };
    let text = "This is to be asked for by HTTPS.\n";
    let mut answer = response::text(StatusCode::PERMANENT_REDIRECT, text);
    answer.headers_mut().insert(header::LOCATION, target);
    answer
}
