//! `GET /v2/<name>/tags/list`.

use ::http::HeaderValue;
use serde::Serialize;

use super::error::Failure;
use super::{Served, Visit, json_listing};
use crate::api::page::{PageRequest, next_link};
use crate::oci::{RepositoryName, Tag};
use crate::proxy::Source;

/// distribution-spec, "Listing Tags". `tags` is never `null`: Helm and Flux stumble over it.
#[derive(Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: &'a [Tag],
}

/// Answers with a page of a repository's tags, in byte order.
pub(super) async fn list_tags(visit: &Visit<'_>, source: &Source) -> Result<Served, Failure> {
    let page = PageRequest::of(visit.query)?;
    let answer = visit.api.proxy.tags(source).await?;
    let (tags, more) = page.cut(&answer.tags, Tag::as_str);
    let list = TagList {
        name: source.shown(),
        tags,
    };
    let link = tags.last().filter(|_| more).map(|last| {
        let path = format!("/v2/{}/tags/list", source.shown());
        let n = page.limit().to_string();
        let ns = visit.ns.as_deref();
        next_link(
            &path,
            &[("last", Some(last.as_str())), ("n", Some(&n)), ("ns", ns)],
        )
    });
    let link = link.map(crate::api::headers::plain);
    let json = HeaderValue::from_static("application/json");
    Ok(json_listing(&list, json, link, answer.cache))
}
