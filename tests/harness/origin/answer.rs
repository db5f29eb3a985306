//! What the server answers when nothing goes wrong.

use bytes::Bytes;
use entrepot::oci::Digest;
use serde_json::json;

use super::content::{Content, Repository};
use super::wire::{Recorded, Reply};
use super::{Shared, State};
use crate::harness::content::referrers_index;

impl State {
    pub(super) fn answer(&mut self, shared: &Shared, request: &Recorded) -> Reply {
        if request.path == "/token" {
            return self.token(request);
        }
        if let Some(file) = self.content.file(&request.path) {
            return bytes("application/octet-stream", file, request);
        }
        let Some(rest) = request.path.strip_prefix("/v2/") else {
            return missing("NOT_FOUND");
        };
        let word = ["/manifests/", "/blobs/", "/tags/", "/referrers/"];
        let split = word
            .into_iter()
            .find_map(|word| Some((rest.rsplit_once(word)?, word)));
        let name = split.map(|((name, _), _)| name);
        if let Some(refusal) = self.challenge(shared, request, name) {
            return refusal;
        }
        let Some(((name, last), word)) = split else {
            return Reply::new(200, "application/json", "{}");
        };
        let Some(repository) = self.content.repository(name) else {
            return missing("NAME_UNKNOWN");
        };
        match word {
            "/manifests/" => manifest(repository, last),
            "/blobs/" => blob(repository, last, request),
            "/tags/" => tags(&self.content, repository, name, request),
            _ => referrers(&self.content, repository, last, request),
        }
    }
}

fn missing(code: &str) -> Reply {
    let body = json!({"errors": [{"code": code, "message": "it is not here"}]});
    Reply::new(404, "application/json", body.to_string())
}

fn manifest(repository: &Repository, reference: &str) -> Reply {
    match repository.manifest(reference) {
        None => missing("MANIFEST_UNKNOWN"),
        Some(document) => Reply::new(200, document.media_type, document.bytes.clone())
            .with("Docker-Content-Digest", document.digest().to_string()),
    }
}

fn blob(repository: &Repository, digest: &str, request: &Recorded) -> Reply {
    let digest = digest.parse::<Digest>().ok();
    match digest.and_then(|digest| repository.blobs.get(&digest)) {
        None => missing("BLOB_UNKNOWN"),
        Some(blob) => bytes("application/octet-stream", blob, request),
    }
}

/// All of `content`, or what is behind the offset of a Range.
fn bytes(content_type: &str, content: &Bytes, request: &Recorded) -> Reply {
    let range = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes="));
    let from: Option<usize> = range
        .and_then(|range| range.strip_suffix('-'))
        .and_then(|from| from.parse().ok());
    let total = content.len();
    match from {
        None => Reply::new(200, content_type, content.clone()),
        Some(from) if from >= total => Reply::new(416, "text/plain", Bytes::new()),
        Some(from) => Reply::new(206, content_type, content.slice(from..)).with(
            "Content-Range",
            format!("bytes {from}-{}/{total}", total - 1),
        ),
    }
}

fn tags(content: &Content, repository: &Repository, name: &str, request: &Recorded) -> Reply {
    let tags: Vec<&String> = repository.tags.keys().collect();
    let (page, link) = page(content, &tags, request);
    let body = json!({"name": name, "tags": page, "more": "fields"});
    linked(Reply::new(200, "application/json", body.to_string()), link)
}

fn referrers(
    content: &Content,
    repository: &Repository,
    digest: &str,
    request: &Recorded,
) -> Reply {
    let digest = digest
        .parse::<Digest>()
        .ok()
        .filter(|_| content.has_referrers_api);
    let Some(digest) = digest else {
        return missing("NOT_FOUND");
    };
    let (page, link) = page(content, repository.referrers(&digest), request);
    let index = referrers_index(&page);
    linked(Reply::new(200, index.media_type, index.bytes), link)
}

/// One page, and the link to the next one: opaque, relative, by a parameter of our own.
fn page<T: Clone>(content: &Content, all: &[T], request: &Recorded) -> (Vec<T>, Option<String>) {
    let size = content.page_size.unwrap_or(usize::MAX);
    let start = request
        .parameter("next_page")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let page: Vec<T> = all.iter().skip(start).take(size).cloned().collect();
    let end = start + page.len();
    let link =
        (end < all.len()).then(|| format!("<{}?next_page={end}>; rel=\"next\"", request.path));
    (page, link)
}

fn linked(reply: Reply, link: Option<String>) -> Reply {
    match link {
        Some(link) => reply.with("Link", link),
        None => reply,
    }
}
