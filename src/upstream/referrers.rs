//! What refers to a manifest: the referrers API, else the tag that stands for it (distribution-spec v1.1,
//! "Referrers Tag Schema").

use super::document::Document;
use super::exchange::Ask;
use super::manifests::media_type;
use super::metrics::Operation;
use super::page::{PAGE_BYTES, Pages};
use super::{Error, Upstream};
use crate::oci::{Descriptor, Digest, Manifest, MediaType, Reference, RepositoryName};

/// Most referrers of one manifest.
const MOST_REFERRERS: usize = 100_000;

impl Upstream {
    /// Lists everything that names `digest` as its subject, unfiltered; empty if there is nothing.
    ///
    /// # Errors
    /// What kept upstream from answering; a registry without the API is no error.
    pub async fn list_referrers(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        let work = async {
            match self.referrers_by_api(name, digest).await? {
                Some(referrers) => Ok(referrers),
                None => self.referrers_by_tag(name, digest).await,
            }
        };
        self.remote.measured(Operation::Referrers, work).await
    }

    /// As [`Upstream::list_referrers`], by the API alone; `None` if upstream has none.
    ///
    /// # Errors
    /// What kept upstream from answering.
    pub async fn referrers_of_api(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let work = self.referrers_by_api(name, digest);
        self.remote.measured(Operation::Referrers, work).await
    }

    async fn referrers_by_api(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let name = self.remote.remote_name(name)?;
        let url = self.remote.url(&format!("{name}/referrers/{digest}"));
        let mut pages = Pages::starting_at(&url);
        let mut ask = Ask::get(Operation::Referrers, url, Some(&name));
        ask.accept = "application/vnd.oci.image.index.v1+json";
        let mut referrers = Vec::new();
        loop {
            let answer = match self.remote.ask(&ask).await {
                Ok(answer) => answer,
                // Routers of registries without it say so in different ways.
                Err(
                    Error::NotFound
                    | Error::Status {
                        status: 400 | 405 | 406 | 501,
                    },
                ) if referrers.is_empty() => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let document = answer.document("a page of referrers", PAGE_BYTES).await?;
            // distribution-spec, end-12: an answer of another type is not from this API.
            if media_type(&document.headers) != Some(MediaType::OCI_INDEX) {
                return Ok(None);
            }
            referrers.extend(descriptors(&document)?);
            if referrers.len() > MOST_REFERRERS {
                let limit_bytes = MOST_REFERRERS;
                return Err(Error::TooLarge {
                    what: "a list of referrers",
                    limit_bytes,
                });
            }
            match pages.behind(&document)? {
                Some(next) => ask.url = next,
                None => return Ok(Some(referrers)),
            }
        }
    }

    async fn referrers_by_tag(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        match self.fetch_manifest(name, &fallback_tag(digest)?).await {
            Ok((_, manifest)) => Ok(manifest.manifests),
            Err(Error::NotFound) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn descriptors(document: &Document) -> Result<Vec<Descriptor>, Error> {
    let manifest = Manifest::parse(&document.bytes, Some(&MediaType::OCI_INDEX))?;
    Ok(manifest.manifests)
}

/// `sha256-<hex>`; of longer hashes only 64 digits, so that it stays a tag.
fn fallback_tag(digest: &Digest) -> Result<Reference, Error> {
    let hex = digest.hex();
    let tag = format!("{}-{}", digest.algorithm().as_str(), &hex[..64]);
    Ok(Reference::Tag(tag.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    #[test]
    fn fallback_tags_are_tags_for_every_algorithm() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, b"x");
            let tag = fallback_tag(&digest).unwrap().to_string();
            let want = format!("{}-{}", algorithm.as_str(), &digest.hex()[..64]);
            assert_eq!(tag, want);
        }
    }
}
