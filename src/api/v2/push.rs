//! `PUT` and `DELETE /v2/<name>/manifests/<reference>`, `DELETE /v2/<name>/blobs/<digest>`.

use ::http::{StatusCode, header};

use super::error::Failure;
use super::{RequestBody, Visit};
use crate::api::headers::{self, DOCKER_CONTENT_DIGEST};
use crate::http::{ReadError, ReadLimits, Response, read_all, response};
use crate::model::Performer;
use crate::oci::{
    Action, Digest, ErrorCode, InvalidManifest, MediaType, RawManifest, Reference, Tag, limits,
};
use crate::proxy::Source;
use crate::registry::{self, Condition, Placed, Push};

const OCI_SUBJECT: header::HeaderName = header::HeaderName::from_static("oci-subject");
const OCI_TAG: header::HeaderName = header::HeaderName::from_static("oci-tag");

/// The longest wait for the next KiB of a manifest.
const WAIT: std::time::Duration = std::time::Duration::from_secs(30);

/// Tags that one push may make.
const TAGS: usize = 100;

/// Tags told in one header line: clients bound both how many lines an answer has and how long one is.
const TAGS_A_LINE: usize = 10;

/// end-7: puts a manifest under a tag, or under its digest and any tags that the query names.
pub(super) async fn put_manifest(
    visit: &Visit<'_>,
    source: &Source,
    reference: &Reference,
    body: RequestBody,
) -> Result<Response, Failure> {
    let admitted = visit.admit(source, Action::Push).await?;
    let read = ReadLimits {
        bytes: limits::MANIFEST_BYTES,
        wait: WAIT,
    };
    let bytes = read_all(body, read).await.map_err(unread)?;
    let content_type = visit.content_type();
    let (raw, manifest) = match reference {
        Reference::Digest(digest) => {
            RawManifest::parse_expecting(bytes, content_type.as_ref(), digest)
        }
        Reference::Tag(_) => RawManifest::parse(bytes, content_type.as_ref()),
    }?;
    raw.check_push(&manifest)?;
    let artifacts = visit.api.pushes.load().artifacts.clone();
    artifacts.allows(&manifest).map_err(|error| {
        let key = match artifacts.takes_images_only() {
            true => "FEATURE_GENERAL_OCI_SUPPORT",
            false => "ALLOWED_OCI_ARTIFACT_TYPES",
        };
        // Quay answers a type that is not listed with 415.
        Failure::new(ErrorCode::ManifestInvalid, format!("{error} ({key})"))
            .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    })?;
    let tags = visit.tags_of(reference)?;
    let placed = visit.place(source, &admitted).await?;
    let (digest, subject) = (raw.digest, manifest.subject.clone());
    let push = Push {
        raw,
        manifest,
        tags: tags.clone(),
        by: visit.performer(&admitted.identity).await,
        condition: visit.condition()?,
    };
    visit.api.registry.push_manifest(&placed, push).await?;
    let mut answer = response::empty(StatusCode::CREATED);
    let headers = answer.headers_mut();
    let location = format!("/v2/{}/manifests/{digest}", source.shown());
    headers.insert(header::LOCATION, headers::plain(location));
    headers.insert(DOCKER_CONTENT_DIGEST, headers::plain(digest.to_string()));
    // It says that the referrers API lists this: without one, clients keep a fallback tag (SC-362).
    if let Some(subject) = subject.filter(|_| visit.api.referrers) {
        headers.insert(OCI_SUBJECT, headers::plain(subject.digest.to_string()));
    }
    if matches!(reference, Reference::Digest(_)) {
        for tags in tags.chunks(TAGS_A_LINE) {
            let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            headers.append(OCI_TAG, headers::plain(tags.join(", ")));
        }
    }
    Ok(answer)
}

/// end-9: a tag alone, or a manifest with its tags.
pub(super) async fn delete_manifest(
    visit: &Visit<'_>,
    source: &Source,
    reference: &Reference,
) -> Result<Response, Failure> {
    let (placed, by) = to_delete_from(visit, source).await?;
    let registry = &visit.api.registry;
    match reference {
        Reference::Tag(tag) => registry.delete_tag(&placed, tag, &by).await?,
        Reference::Digest(digest) => registry.delete_manifest(&placed, digest, &by).await?,
    }
    Ok(response::empty(StatusCode::ACCEPTED))
}

/// end-10
pub(super) async fn delete_blob(
    visit: &Visit<'_>,
    source: &Source,
    digest: &Digest,
) -> Result<Response, Failure> {
    let (placed, _) = to_delete_from(visit, source).await?;
    visit.api.registry.delete_blob(&placed, digest).await?;
    Ok(response::empty(StatusCode::ACCEPTED))
}

async fn to_delete_from(
    visit: &Visit<'_>,
    source: &Source,
) -> Result<(Placed, Performer), Failure> {
    let admitted = visit.admit(source, Action::Delete).await?;
    let (repository, _) = admitted.repository.ok_or(registry::Error::NameUnknown)?;
    let placed = Placed {
        namespace: source.organization_id(),
        repository,
    };
    Ok((placed, visit.performer(&admitted.identity).await))
}

impl Visit<'_> {
    fn content_type(&self) -> Option<MediaType> {
        let value = self.headers.get(header::CONTENT_TYPE)?;
        MediaType::from_content_type(value.to_str().ok()?)
    }

    /// The tags that a push makes: its own, or those of `?tag=` (distribution-spec 1.2, dev).
    fn tags_of(&self, reference: &Reference) -> Result<Vec<Tag>, Failure> {
        let mut tags = match reference {
            Reference::Tag(tag) => vec![tag.clone()],
            Reference::Digest(_) => Vec::new(),
        };
        for text in self.query.values("tag") {
            let tag = text.parse::<Tag>();
            let tag =
                tag.map_err(|error| Failure::new(ErrorCode::TagInvalid, error.to_string()))?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
            if tags.len() > TAGS {
                let text = format!("one push makes at most {TAGS} tags");
                return Err(
                    Failure::new(ErrorCode::TagInvalid, text).with_status(StatusCode::URI_TOO_LONG)
                );
            }
        }
        Ok(tags)
    }

    /// RFC 9110 §13.1: what the client expects of the tag.
    fn condition(&self) -> Result<Condition, Failure> {
        let text = |name| {
            let value = self.headers.get(name)?;
            Some(value.to_str().unwrap_or("").to_owned())
        };
        if let Some(tags) = text(header::IF_MATCH) {
            if tags.trim() == "*" {
                return Ok(Condition::Present);
            }
            let digests = tags.split(',').map(|tag| tag.trim().trim_matches('"'));
            return Ok(Condition::PointsTo(
                digests.filter_map(|digest| digest.parse().ok()).collect(),
            ));
        }
        match text(header::IF_NONE_MATCH).as_deref() {
            None => Ok(Condition::None),
            Some("*") => Ok(Condition::Absent),
            Some(_) => Err(Failure::new(
                ErrorCode::ManifestInvalid,
                "If-None-Match of a push is \"*\": push only if there is no such tag",
            )),
        }
    }
}

fn unread(error: ReadError) -> Failure {
    let failure = Failure::new(ErrorCode::ManifestInvalid, error.to_string());
    match error {
        ReadError::TooLarge { .. } => failure.with_status(StatusCode::PAYLOAD_TOO_LARGE),
        ReadError::TooSlow => failure.with_status(StatusCode::REQUEST_TIMEOUT),
        ReadError::Broken(_) => failure,
    }
}

impl From<InvalidManifest> for Failure {
    fn from(error: InvalidManifest) -> Self {
        match error {
            InvalidManifest::DigestMismatch { .. } => {
                Self::new(ErrorCode::DigestInvalid, error.to_string())
            }
            InvalidManifest::TooLarge { .. } => {
                Self::new(ErrorCode::ManifestInvalid, error.to_string())
                    .with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            error => Self::new(ErrorCode::ManifestInvalid, error.to_string()),
        }
    }
}
