//! `GET` and `HEAD /v2/<name>/manifests/<reference>`.
//!
//! The stored bytes go out as they are, whatever `Accept` says (a conversion would change the digest),
//! and `Range` is ignored.

use ::http::{HeaderMap, HeaderValue, StatusCode, header};

use super::access::Admitted;
use super::error::Failure;
use super::{Served, Visit, content_headers};
use crate::api::headers::{self, DOCKER_CONTENT_DIGEST};
use crate::http::{Body, Response};
use crate::oci::{Digest, ErrorCode, MediaType, Reference};
use crate::proxy::{self, Ask, CacheStatus, ManifestAnswer, ManifestHead, Source};

const IMMUTABLE_PUBLIC: HeaderValue =
    HeaderValue::from_static("public, max-age=31536000, immutable");
const IMMUTABLE_PRIVATE: HeaderValue =
    HeaderValue::from_static("private, max-age=31536000, immutable");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Answers with a manifest, or with its head alone.
pub(super) async fn manifest(
    visit: &Visit<'_>,
    source: &Source,
    reference: &Reference,
    admitted: &Admitted,
) -> Result<Served, Failure> {
    let is_public = admitted.is_public;
    let proxy = &visit.api.proxy;
    let ask = match headers::wants_validation(visit.headers()) {
        true => Ask::Validate,
        false => Ask::Normal,
    };
    if !visit.is_head() {
        let answer = proxy.manifest(source, reference, ask).await;
        let answer = match answer {
            Err(proxy::Error::ManifestUnknown) => {
                return Err(unknown(visit, source, reference).await);
            }
            answer => answer?,
        };
        let served = held(visit, is_public, reference, &answer);
        // Who has it already, or only asks for its head, has not pulled it.
        if served.response.status() == StatusCode::OK {
            visit.note_pull(source, reference, &answer, admitted).await;
        }
        return Ok(served);
    }
    match proxy.head_manifest(source, reference, ask).await? {
        ManifestHead::Held(answer) => Ok(held(visit, is_public, reference, &answer)),
        ManifestHead::Upstream {
            digest,
            media_type,
            size_bytes,
            cache,
        } => {
            let head = Head {
                digest,
                media_type: &media_type,
                size_bytes,
                cache,
            };
            Ok(upstream_head(visit, is_public, reference, &head))
        }
    }
}

/// Quay: a tag that has been here and ended is told from one that never was.
async fn unknown(visit: &Visit<'_>, source: &Source, reference: &Reference) -> Failure {
    let registry = &visit.api.registry;
    if let Reference::Tag(tag) = reference
        && source.is_local()
        && let Ok(Some(id)) = registry
            .repository(source.organization_id(), source.name())
            .await
        && let Ok(true) = registry.has_ended(id, tag).await
    {
        let text = format!(
            "the tag {tag} was deleted or has expired; entrepot tag restore may bring it back"
        );
        return Failure::new(ErrorCode::TagExpired, text);
    }
    proxy::Error::ManifestUnknown.into()
}

/// The `Cache-Control` of what stands under a URL: a digest names the same bytes for ever.
pub(super) const fn cache_control(is_public: bool, by_digest: bool) -> HeaderValue {
    match (by_digest, is_public) {
        (true, true) => IMMUTABLE_PUBLIC,
        (true, false) => IMMUTABLE_PRIVATE,
        (false, _) => NO_CACHE,
    }
}

fn held(
    visit: &Visit<'_>,
    is_public: bool,
    reference: &Reference,
    answer: &ManifestAnswer,
) -> Served {
    let manifest = &answer.manifest;
    let mut response = Response::default();
    let headers = response.headers_mut();
    content_headers(headers, answer.cache, answer.age);
    headers.insert(
        header::CACHE_CONTROL,
        cache_control(is_public, is_digest(reference)),
    );
    headers.insert(header::CONTENT_TYPE, manifest.content_type.clone());
    let (digest, etag) = match reference {
        // The digest in the algorithm that was asked for (oci-registry 4.1).
        Reference::Digest(digest) if *digest != manifest.raw.digest => {
            (headers::plain(digest.to_string()), headers::etag(digest))
        }
        _ => (manifest.digest.clone(), manifest.etag.clone()),
    };
    headers.insert(DOCKER_CONTENT_DIGEST, digest);
    let not_modified = headers::is_unchanged(visit.headers(), &etag);
    headers.insert(header::ETAG, etag);
    if not_modified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let size = manifest.raw.bytes.len();
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(size));
        *response.body_mut() = Body::from(manifest.raw.bytes.clone());
    }
    Served {
        response,
        cache: Some(answer.cache),
    }
}

/// What upstream's answer to `HEAD` says of a manifest that is not held.
struct Head<'a> {
    digest: Digest,
    media_type: &'a MediaType,
    size_bytes: u64,
    cache: CacheStatus,
}

fn upstream_head(
    visit: &Visit<'_>,
    is_public: bool,
    reference: &Reference,
    head: &Head<'_>,
) -> Served {
    let mut response = Response::default();
    let mut headers = HeaderMap::with_capacity(16);
    content_headers(&mut headers, head.cache, std::time::Duration::ZERO);
    headers.insert(
        header::CACHE_CONTROL,
        cache_control(is_public, is_digest(reference)),
    );
    headers.insert(
        header::CONTENT_TYPE,
        headers::plain(head.media_type.as_str()),
    );
    headers.insert(
        DOCKER_CONTENT_DIGEST,
        headers::plain(head.digest.to_string()),
    );
    let etag = headers::etag(&head.digest);
    if headers::is_unchanged(visit.headers(), &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(head.size_bytes));
    }
    headers.insert(header::ETAG, etag);
    *response.headers_mut() = headers;
    Served {
        response,
        cache: Some(head.cache),
    }
}

const fn is_digest(reference: &Reference) -> bool {
    matches!(reference, Reference::Digest(_))
}
