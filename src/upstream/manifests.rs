//! Manifests: HEAD and GET, the digest checked.

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Method};

use super::document::{self, Document};
use super::exchange::Ask;
use super::metrics::Operation;
use super::{Error, Upstream};
use crate::oci::{Digest, Manifest, MediaType, RawManifest, Reference, RepositoryName, limits};

/// Sent with every manifest request, whatever a client accepts.
///
/// One fixed list makes one answer for each tag: upstreams convert or refuse by this header, and what the
/// first client accepts must not decide what all others get.
pub(super) const ACCEPT_MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    */*;q=0.1";

/// What upstream says of a manifest without sending it. Each field may be missing: registries leave them
/// out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestHead {
    /// A claim, not a proof: good for noticing that a tag moved.
    pub digest: Option<Digest>,
    pub media_type: Option<MediaType>,
    pub size_bytes: Option<u64>,
}

impl Upstream {
    /// Asks what `reference` is now; free of Docker Hub's pull limit.
    ///
    /// `name` is the repository's name below the organisation, as in all methods here.
    ///
    /// # Errors
    /// [`Error::NotFound`] if upstream has no such manifest, else what kept it from saying.
    pub async fn head_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestHead, Error> {
        let mut ask = self.ask_manifest(Operation::HeadManifest, name, reference)?;
        ask.method = Method::HEAD;
        let work = async {
            let answer = self.remote.ask(&ask).await?;
            let headers = answer.response.headers();
            document::check_plain(headers)?;
            Ok(ManifestHead {
                digest: announced_digest(headers),
                media_type: media_type(headers),
                size_bytes: document::content_length(headers).filter(|size| *size > 0),
            })
        };
        self.remote.measured(Operation::HeadManifest, work).await
    }

    /// Fetches a manifest of at most 4 MiB.
    ///
    /// By digest, the bytes have that digest and are returned under it. By tag, their own decides.
    ///
    /// # Errors
    /// [`Error::Digest`] for other bytes than were asked for, [`Error::Manifest`] for what is none,
    /// [`Error::NotFound`] if upstream has none.
    pub async fn fetch_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<(RawManifest, Manifest), Error> {
        let ask = self.ask_manifest(Operation::Manifest, name, reference)?;
        let work = async {
            let answer = self.remote.ask(&ask).await?;
            let document = answer
                .document("a manifest", limits::MANIFEST_BYTES)
                .await?;
            parse(document, reference)
        };
        self.remote.measured(Operation::Manifest, work).await
    }

    fn ask_manifest(
        &self,
        operation: Operation,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<Ask, Error> {
        let name = self.remote.remote_name(name)?;
        let url = self.remote.url(&format!("{name}/manifests/{reference}"));
        let mut ask = Ask::get(operation, url, Some(&name));
        ask.accept = ACCEPT_MANIFESTS;
        Ok(ask)
    }
}

fn parse(document: Document, reference: &Reference) -> Result<(RawManifest, Manifest), Error> {
    let Document { bytes, headers, .. } = document;
    let (expected, asked) = match reference {
        Reference::Digest(digest) => (Some(*digest), true),
        Reference::Tag(_) => (announced_digest(&headers), false),
    };
    let found = expected.map(|expected| Digest::with(expected.algorithm(), &bytes));
    if let (Some(expected), Some(found)) = (expected, found)
        && expected != found
    {
        if asked {
            return Err(Error::Digest {
                expected: Box::new(expected),
                found: Box::new(found),
            });
        }
        tracing::warn!(%expected, %found, "upstream announces another digest than its bytes have");
    }
    let (mut raw, manifest) = RawManifest::parse(bytes, media_type(&headers).as_ref())?;
    if asked && let Some(expected) = expected {
        raw.digest = expected;
    }
    Ok((raw, manifest))
}

fn announced_digest(headers: &HeaderMap) -> Option<Digest> {
    headers
        .get("docker-content-digest")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
}

pub(super) fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    MediaType::from_content_type(headers.get(CONTENT_TYPE)?.to_str().ok()?)
}
