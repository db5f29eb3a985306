//! `GET` and `HEAD /v2/<name>/blobs/<digest>`, whole or by ranges.
//!
//! Bytes go out as soon as they exist, from the file that is being filled if need be; the size is
//! always known, so nothing is sent in chunks. What is asked of ranges, and what clients make of the
//! answers, stands in oci-registry 4.2 to 4.5.

use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use futures_util::StreamExt as _;

use super::error::Failure;
use super::manifests::cache_control;
use super::residency::region;
use super::{Served, Visit, content_headers};
use crate::api::headers::{self, DOCKER_CONTENT_DIGEST};
use crate::blob::BlobFile;
use crate::http::conditional::may_range;
use crate::http::{Body, BodyError, Multipart, Response};
use crate::oci::{ByteRange, Digest, RangeRequest, Satisfied};
use crate::proxy::{BlobAnswer, BlobContent, CacheStatus, Source};

/// Below this a mapping costs more than it saves (DESIGN, hot paths).
const SENDFILE_BYTES: u64 = 64 * 1024;

const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Answers with a blob, pieces of it, or its head alone.
pub(super) async fn blob(
    visit: &Visit<'_>,
    source: &Source,
    digest: &Digest,
    is_public: bool,
) -> Result<Served, Failure> {
    let etag = headers::etag(digest);
    let not_modified = headers::is_unchanged(visit.headers(), &etag);
    // A client that has the bytes must not make us fetch them.
    if visit.is_head() || not_modified {
        visit.keep_for_pusher(source, digest).await;
        let head = visit.api.proxy.head_blob(source, digest).await?;
        let mut response = Response::default();
        *response.headers_mut() = common(is_public, digest, etag, head.cache);
        if not_modified {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            // HEAD ignores Range (RFC 9110 §14.2 defines it for GET only).
            content(response.headers_mut(), OCTET_STREAM, head.size_bytes);
        }
        return Ok(Served {
            response,
            cache: Some(head.cache),
        });
    }
    let wanted = wanted_ranges(visit.headers(), &etag);
    let answer = visit.api.proxy.blob(source, digest).await?;
    let headers = common(is_public, digest, etag, answer.cache);
    pieces(visit, headers, &answer, wanted.as_ref())
}

fn wanted_ranges(headers: &HeaderMap, etag: &HeaderValue) -> Option<RangeRequest> {
    let value = headers.get(header::RANGE)?.to_str().ok()?;
    may_range(headers, etag.to_str().ok()?)
        .then(|| RangeRequest::parse(value))
        .flatten()
}

fn pieces(
    visit: &Visit<'_>,
    mut headers: HeaderMap,
    answer: &BlobAnswer,
    wanted: Option<&RangeRequest>,
) -> Result<Served, Failure> {
    let size = answer.size_bytes;
    let piece = |range| piece(&answer.content, range, visit.exchange.sendfile);
    let whole = ByteRange {
        start: 0,
        end: size,
    };
    let (status, body) = match wanted.map_or(Satisfied::Whole, |wanted| wanted.satisfy(size)) {
        Satisfied::Whole => {
            content(&mut headers, OCTET_STREAM, size);
            (StatusCode::OK, piece(whole))
        }
        Satisfied::One(range) => {
            content(&mut headers, OCTET_STREAM, range.len());
            headers.insert(
                header::CONTENT_RANGE,
                headers::plain(range.content_range(size)),
            );
            (StatusCode::PARTIAL_CONTENT, piece(range))
        }
        Satisfied::Many(ranges) => {
            let parts = Multipart::new("application/octet-stream", size);
            let parts = ranges.into_iter().fold(parts, |parts, range| {
                parts.part(range.start, range.end, piece(range))
            });
            let (content_type, body) = parts.finish();
            let length = body.size().expect("every part has a size");
            content(&mut headers, content_type, length);
            (StatusCode::PARTIAL_CONTENT, body)
        }
        Satisfied::None => return Err(Failure::range(size)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Served {
        response,
        cache: Some(answer.cache),
    })
}

/// The body of one range.
fn piece(content: &BlobContent, range: ByteRange, sendfile: bool) -> Body {
    if range.is_empty() {
        return Body::Empty;
    }
    match content {
        BlobContent::Held(file) => held(file, range, sendfile),
        BlobContent::Stream(source) => {
            let bytes = (**source).clone().stream(range);
            Body::stream(
                range.len(),
                bytes.map(|piece| piece.map_err(BodyError::source)),
            )
        }
    }
}

fn held(file: &BlobFile, range: ByteRange, sendfile: bool) -> Body {
    if sendfile && range.len() >= SENDFILE_BYTES {
        match region(file, range) {
            Ok(region) => return Body::File(region),
            Err(error) => tracing::debug!(%error, "the blob cannot be mapped; it is streamed"),
        }
    }
    Body::stream(
        range.len(),
        file.stream(range)
            .map(|piece| piece.map_err(BodyError::source)),
    )
}

/// The headers of every answer about a blob that is there.
fn common(is_public: bool, digest: &Digest, etag: HeaderValue, cache: CacheStatus) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    content_headers(&mut headers, cache, std::time::Duration::ZERO);
    headers.insert(header::CACHE_CONTROL, cache_control(is_public, true));
    headers.insert(header::ETAG, etag);
    headers.insert(DOCKER_CONTENT_DIGEST, headers::plain(digest.to_string()));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // WB-02: a browser that is sent here saves the bytes rather than showing them.
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    headers
}

fn content(headers: &mut HeaderMap, content_type: HeaderValue, length: u64) {
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
}
