//! The doors of uploads: end-4, 5, 6, 11, 13, 14 of the distribution specification.
//!
//! A request is checked before its body is read: session, offset, declared length. A body is never held:
//! each piece is appended as it comes, and what is answered is durable. A request that is refused leaves
//! its session as it was, and has a bounded part of its body read away, since a Go client that is still
//! sending sees a reset rather than the answer.

use ::http::{Method, StatusCode, header};

use super::access::{Admitted, Pullable};
use super::error::Failure;
use super::{RequestBody, Visit};
use crate::api::headers::{self, DOCKER_CONTENT_DIGEST};
use crate::http::{BodyReader, ReadError, Response, StreamLimits, response};
use crate::model::Actor;
use crate::oci::{
    Action, Algorithm, Digest, ErrorCode, RepositoryName, UploadRange, upload_progress,
};
use crate::proxy::Source;
use crate::registry::{self, Placed, Upload, UploadId};

const UPLOAD_UUID: header::HeaderName = header::HeaderName::from_static("docker-upload-uuid");

/// The longest wait for the next KiB of a body.
const WAIT: std::time::Duration = std::time::Duration::from_secs(60);

/// How much of a refused body is read away.
const DRAINED_BYTES: u64 = 1 << 20;

/// `POST /v2/<name>/blobs/uploads/`: mount, whole blob, or a session.
pub(super) async fn begin(
    visit: &Visit<'_>,
    source: &Source,
    body: RequestBody,
) -> Result<Response, Failure> {
    let admitted = visit.admit(source, Action::Push).await?;
    let placed = visit.place(source, &admitted).await?;
    let owner = admitted.identity.actor();
    visit.api.registry.admit_push(placed.namespace).await?;
    if let Some(mount) = visit.query.value("mount")
        && let Ok(digest) = mount.parse::<Digest>()
        && mounted(visit, source, (&placed, &owner), digest).await?
    {
        return Ok(created(source.shown(), &digest));
    }
    let algorithm = algorithm(visit)?;
    match visit.query.value("digest") {
        Some(digest) => {
            let digest = digest_of(&digest)?;
            let registry = &visit.api.registry;
            let algorithm = digest.algorithm();
            let upload = registry.open_new_upload(&placed, &owner, algorithm).await?;
            whole(visit, source, upload, digest, None, body).await
        }
        None => {
            let id = visit
                .api
                .registry
                .begin_upload(&placed, &owner, algorithm)
                .await?;
            Ok(session(StatusCode::ACCEPTED, source.shown(), &id, 0))
        }
    }
}

/// What stands under a session's path: status, a piece, the end, or its cancellation.
pub(super) async fn continue_session(
    visit: &Visit<'_>,
    source: &Source,
    id: &str,
    body: RequestBody,
) -> Result<Response, Failure> {
    let admitted = visit.admit(source, Action::Push).await?;
    let session = InSession {
        visit,
        source,
        placed: placed(source, &admitted)?,
        owner: admitted.identity.actor(),
        id,
    };
    match *visit.method {
        Method::GET | Method::HEAD => session.status().await,
        Method::PATCH => session.append(body).await,
        Method::PUT => session.finish(body).await,
        Method::DELETE => session.cancel().await,
        _ => Err(Failure::method(
            "GET, HEAD, PATCH, PUT, DELETE",
            "an upload is appended to, finished or cancelled",
        )),
    }
}

/// A request under a session's path.
struct InSession<'a> {
    visit: &'a Visit<'a>,
    source: &'a Source,
    placed: Placed,
    owner: Actor,
    id: &'a str,
}

impl InSession<'_> {
    /// end-13
    async fn status(&self) -> Result<Response, Failure> {
        let registry = &self.visit.api.registry;
        let (id, len) = registry
            .upload_len(&self.placed, &self.owner, self.id)
            .await?;
        let name = self.source.shown();
        Ok(session(StatusCode::NO_CONTENT, name, &id, len))
    }

    /// end-5
    async fn append(&self, body: RequestBody) -> Result<Response, Failure> {
        let mut body = self.visit.reader(body);
        let upload = match self.open_at(&body).await {
            Ok(upload) => upload,
            Err(failure) => {
                self.visit.read_away(body).await;
                return Err(failure);
            }
        };
        let range = self.visit.upload_range()?;
        let id = upload.id().clone();
        let before = upload.len();
        let upload = receive(self.visit, upload, &mut body).await?;
        let came = upload.len() - before;
        let len = upload.pause().await?;
        if range.is_some_and(|range| range.len() != came) {
            return Err(Failure::new(
                ErrorCode::SizeInvalid,
                format!("{came} bytes came, Content-Range says otherwise"),
            ));
        }
        Ok(session(StatusCode::ACCEPTED, self.source.shown(), &id, len))
    }

    /// end-6
    async fn finish(&self, body: RequestBody) -> Result<Response, Failure> {
        let body = self.visit.reader(body);
        let checked = async {
            let digest = self.visit.query.value("digest").ok_or_else(|| {
                Failure::new(ErrorCode::DigestInvalid, "the digest parameter is missing")
            })?;
            let digest = digest_of(&digest)?;
            let range = self.visit.upload_range()?;
            Ok::<_, Failure>((digest, range, self.open_at(&body).await?))
        };
        match checked.await {
            Ok((digest, range, upload)) => {
                finish(self.visit, self.source, upload, digest, range, body).await
            }
            Err(failure) => {
                self.visit.read_away(body).await;
                Err(failure)
            }
        }
    }

    /// end-14
    async fn cancel(&self) -> Result<Response, Failure> {
        let registry = &self.visit.api.registry;
        registry
            .cancel_upload(&self.placed, &self.owner, self.id)
            .await?;
        Ok(response::no_content())
    }

    /// Opens the session if what comes belongs where it ends; else 416, and it stays as it was.
    async fn open_at(&self, body: &Reader) -> Result<Upload, Failure> {
        let range = self.visit.upload_range()?;
        if let (Some(range), Some(declared)) = (range, body.declared())
            && range.len() != declared
        {
            let text = format!("Content-Range {range} is not {declared} bytes long");
            return Err(Failure::new(ErrorCode::SizeInvalid, text));
        }
        let registry = &self.visit.api.registry;
        let upload = registry
            .open_upload(&self.placed, &self.owner, self.id)
            .await?;
        let len = upload.len();
        match range {
            Some(range) if range.start() != len => {
                let id = upload.id().clone();
                drop(upload);
                Err(Failure::upload_range(
                    format!("the next byte is number {len}, not {}", range.start()),
                    &location(self.source.shown(), &id),
                    len,
                ))
            }
            _ => Ok(upload),
        }
    }
}

type Reader = BodyReader<RequestBody>;

async fn whole(
    visit: &Visit<'_>,
    source: &Source,
    upload: Upload,
    digest: Digest,
    range: Option<UploadRange>,
    body: RequestBody,
) -> Result<Response, Failure> {
    finish(visit, source, upload, digest, range, visit.reader(body)).await
}

/// Takes the last piece in and makes a blob of the upload.
async fn finish(
    visit: &Visit<'_>,
    source: &Source,
    upload: Upload,
    digest: Digest,
    range: Option<UploadRange>,
    mut body: Reader,
) -> Result<Response, Failure> {
    let before = upload.len();
    let upload = receive(visit, upload, &mut body).await?;
    let came = upload.len() - before;
    if range.is_some_and(|range| range.len() != came) {
        upload.pause().await?;
        return Err(Failure::new(
            ErrorCode::SizeInvalid,
            format!("{came} bytes came, Content-Range says otherwise"),
        ));
    }
    upload.finish(digest).await?;
    Ok(created(source.shown(), &digest))
}

/// Appends what comes. What a broken request brought stays, for the client to go on from.
async fn receive(
    visit: &Visit<'_>,
    mut upload: Upload,
    body: &mut Reader,
) -> Result<Upload, Failure> {
    let most = visit.api.pushes.load().maximum_layer.bytes();
    let too_large = || {
        Failure::new(
            ErrorCode::SizeInvalid,
            format!("a blob has at most {most} bytes here (MAXIMUM_LAYER_SIZE)"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    if let Some(declared) = body.declared() {
        if upload.len().saturating_add(declared) > most {
            return Err(too_large());
        }
        if let Err(error) = upload.expect(declared).await {
            return Err(refuse(upload, error).await);
        }
    }
    while let Some(piece) = body.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                upload.pause().await?;
                return Err(broken(&error));
            }
        };
        if upload.len() + piece.len() as u64 > most {
            upload.pause().await?;
            return Err(too_large());
        }
        if let Err(error) = upload.append(piece).await {
            return Err(refuse(upload, error).await);
        }
    }
    Ok(upload)
}

/// What is over a quota is not gone on with, and must not count against who begins anew: its bytes go, and its
/// session with them. Where only the disk is full they stay, for there may be room soon.
async fn refuse(upload: Upload, error: registry::Error) -> Failure {
    if matches!(error, registry::Error::QuotaExceeded) && !upload.is_empty() {
        upload.discard().await;
    }
    error.into()
}

fn broken(error: &ReadError) -> Failure {
    let failure = Failure::new(ErrorCode::BlobUploadInvalid, error.to_string());
    match error {
        ReadError::TooSlow => failure.with_status(StatusCode::REQUEST_TIMEOUT),
        ReadError::TooLarge { .. } => failure.with_status(StatusCode::PAYLOAD_TOO_LARGE),
        ReadError::Broken(_) => failure,
    }
}

/// end-11: from the repository that is named, or from any that the caller may pull from. That it failed
/// is not told from there being no such blob (AZ-02).
async fn mounted(
    visit: &Visit<'_>,
    source: &Source,
    (to, by): (&Placed, &Actor),
    digest: Digest,
) -> Result<bool, Failure> {
    let registry = &visit.api.registry;
    // A collector that is taking it away from here is waited for (GC-01).
    registry.touch_blob(to.repository, digest, by).await;
    let names = match visit.query.value("from") {
        Some(from) => from.parse().into_iter().collect(),
        None => {
            let mut names = Vec::new();
            for candidate in registry.repositories_showing(&digest).await? {
                names.extend(registry.full_name(candidate).await?);
            }
            names
        }
    };
    let mut narrow = None;
    for name in names {
        let Ok(from) = visit.find(&name, Action::Pull).await else {
            continue;
        };
        match visit.may_pull(&from).await {
            Pullable::Yes(from) if registry.mount_blob(from, to, digest).await? => return Ok(true),
            Pullable::WithScope(id, name) if registry.shows(id, &digest).await? => {
                narrow = narrow.or(Some(name));
            }
            Pullable::Yes(_) | Pullable::WithScope(..) | Pullable::No => {}
        }
    }
    match narrow {
        Some(from) => Err(visit.wider_token(source.shown(), from)),
        None => Ok(false),
    }
}

fn placed(source: &Source, admitted: &Admitted) -> Result<Placed, Failure> {
    let repository = admitted.repository.as_ref();
    let (repository, _) = repository.ok_or(registry::Error::UploadUnknown)?;
    Ok(Placed {
        namespace: source.organization_id(),
        repository: *repository,
    })
}

/// distribution-spec 1.2 (dev): `digest-algorithm` says what the blob will be named by.
fn algorithm(visit: &Visit<'_>) -> Result<Algorithm, Failure> {
    match visit.query.value("digest-algorithm").as_deref() {
        None | Some("sha256") => Ok(Algorithm::Sha256),
        Some("sha512") => Ok(Algorithm::Sha512),
        Some(other) => Err(Failure::new(
            ErrorCode::DigestInvalid,
            format!("{other:?} is not taken as an algorithm; sha256 and sha512 are"),
        )),
    }
}

fn digest_of(text: &str) -> Result<Digest, Failure> {
    let parsed = text.parse::<Digest>();
    parsed.map_err(|error| Failure::new(ErrorCode::DigestInvalid, error.to_string()))
}

fn location(name: &RepositoryName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{}", id.as_str())
}

/// An answer about a session that holds `len` bytes.
fn session(status: StatusCode, name: &RepositoryName, id: &UploadId, len: u64) -> Response {
    let mut answer = response::empty(status);
    let headers = answer.headers_mut();
    headers.insert(header::LOCATION, headers::plain(location(name, id)));
    headers.insert(header::RANGE, headers::plain(upload_progress(len)));
    headers.insert(UPLOAD_UUID, headers::plain(id.key().to_string()));
    answer
}

/// 201 for a blob.
fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let mut answer = response::empty(StatusCode::CREATED);
    let headers = answer.headers_mut();
    let location = format!("/v2/{name}/blobs/{digest}");
    headers.insert(header::LOCATION, headers::plain(location));
    headers.insert(DOCKER_CONTENT_DIGEST, headers::plain(digest.to_string()));
    answer
}

impl Visit<'_> {
    fn reader(&self, body: RequestBody) -> Reader {
        let limits = StreamLimits {
            bytes: None,
            wait: WAIT,
        };
        BodyReader::new(body, limits)
    }

    /// Reads what is left of a refused body, unless the client waits to be asked for it: it hears of
    /// the refusal first (RFC 9110 §10.1.1).
    async fn read_away(&self, body: Reader) {
        if !self.headers.contains_key(header::EXPECT) {
            body.drain(DRAINED_BYTES).await;
        }
    }

    /// `Content-Range` of a piece.
    fn upload_range(&self) -> Result<Option<UploadRange>, Failure> {
        let Some(value) = self.headers.get(header::CONTENT_RANGE) else {
            return Ok(None);
        };
        let parsed = value.to_str().unwrap_or("").parse::<UploadRange>();
        parsed
            .map(Some)
            .map_err(|error| Failure::new(ErrorCode::BlobUploadInvalid, error.to_string()))
    }
}
