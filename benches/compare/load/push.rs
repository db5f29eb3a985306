//! Pushes as common clients make them: what is there is asked first, then POST, PATCH, PUT.
//!
//! Locations are followed as given: docker-registry keeps the state of an upload in them.

use std::fmt::Display;

use entrepot::oci::{Algorithm, Digest, Hasher};

use super::connection::{BYTES, Connection, Request};
use super::head::Head;
use crate::content::{Blob, MEDIA_TYPE};
use crate::failure::{Failure, Outcome};

/// The pieces in which Go's clients, nearly all there are, copy a body of unknown length.
const CHUNK: usize = 32 * 1024;

/// A large layer: a mebibyte over and over, so that making it costs nothing while it is sent.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    mebibytes: usize,
    /// The mebibyte, framed as chunks.
    chunks: Vec<u8>,
}

impl Layer {
    pub(crate) fn noise(seed: u64, mebibytes: usize) -> Self {
        let piece = Blob::noise(seed, 1).bytes;
        let mut hasher = Hasher::new(Algorithm::Sha256);
        for _ in 0..mebibytes {
            hasher.update(&piece);
        }
        let frame = |chunk: &[u8]| {
            let size = format!("{:x}\r\n", chunk.len());
            [size.as_bytes(), chunk, b"\r\n"].concat()
        };
        Self {
            digest: hasher.finish(),
            mebibytes,
            chunks: piece.chunks(CHUNK).flat_map(frame).collect(),
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        (self.mebibytes as u64) << 20
    }
}

/// Whether `repository` has the blob.
pub(crate) async fn has_blob(
    client: &mut Connection,
    repository: &str,
    blob: &Blob,
) -> Outcome<bool> {
    let path = blob.path(repository);
    let head = client.send(&request("HEAD", &path, &[])).await?;
    match head.status {
        200 => Ok(true),
        404 => Ok(false),
        status => Err(Failure::new(format!("HEAD {path}: status {status}"))),
    }
}

/// Pushes a blob that is not there, as Docker, Podman and skopeo do.
pub(crate) async fn push_blob(
    client: &mut Connection,
    repository: &str,
    blob: &Blob,
) -> Outcome<()> {
    let upload = begin(client, repository).await?;
    let head = client.send(&request("PATCH", &upload, &blob.bytes)).await?;
    let upload = next(head, 202, "PATCH of a blob")?;
    finish(client, &upload, &blob.digest).await
}

/// Pushes a large layer, whole and chunked.
pub(crate) async fn push_layer(
    client: &mut Connection,
    repository: &str,
    layer: &Layer,
) -> Outcome<()> {
    let upload = begin(client, repository).await?;
    let sent = client.send_chunked("PATCH", &upload, &layer.chunks, layer.mebibytes);
    let upload = next(sent.await?, 202, "PATCH of a layer")?;
    finish(client, &upload, &layer.digest).await
}

/// Pushes a manifest by tag.
pub(crate) async fn push_manifest(
    client: &mut Connection,
    repository: &str,
    tag: impl Display,
    body: &[u8],
) -> Outcome<()> {
    let head = client
        .send(&Request {
            method: "PUT",
            path: &format!("/v2/{repository}/manifests/{tag}"),
            media_type: MEDIA_TYPE,
            body,
        })
        .await?;
    check(&head, 201, "PUT of a manifest")
}

async fn begin(client: &mut Connection, repository: &str) -> Outcome<String> {
    let path = format!("/v2/{repository}/blobs/uploads/");
    let head = client.send(&request("POST", &path, &[])).await?;
    next(head, 202, "POST of an upload")
}

async fn finish(client: &mut Connection, upload: &str, digest: &Digest) -> Outcome<()> {
    let mark = if upload.contains('?') { '&' } else { '?' };
    let path = format!("{upload}{mark}digest={digest}");
    let head = client.send(&request("PUT", &path, &[])).await?;
    check(&head, 201, "PUT of an upload")
}

const fn request<'a>(method: &'a str, path: &'a str, body: &'a [u8]) -> Request<'a> {
    Request {
        method,
        path,
        media_type: BYTES,
        body,
    }
}

fn check(head: &Head, expected: u16, what: &str) -> Outcome<()> {
    if head.status == expected {
        return Ok(());
    }
    let status = head.status;
    Err(Failure::new(format!(
        "{what}: status {status} instead of {expected}"
    )))
}

/// Where the upload goes on.
fn next(head: Head, expected: u16, what: &str) -> Outcome<String> {
    check(&head, expected, what)?;
    let missing = || Failure::new(format!("{what}: an answer without Location"));
    head.location.ok_or_else(missing)
}
