//! `GET /v2/<name>/referrers/<digest>`: what points at a manifest.
//!
//! 404 would tell clients that the API is missing and send them to fallback tags, so a digest that
//! nothing points at, or that nobody knows, is answered with an empty list (oci-registry 6.2).

use ::http::HeaderValue;
use serde::Serialize;

use super::error::Failure;
use super::{Served, Visit, json_listing};
use crate::api::headers::{self, OCI_FILTERS_APPLIED};
use crate::api::page::next_link;
use crate::oci::{Descriptor, Digest, MediaType};
use crate::proxy::{self, CacheStatus, Source};

/// Bytes of descriptors in one answer; clients take at most 4 MiB in all.
const PAGE_BYTES: usize = (4 << 20) - (64 << 10);

/// An OCI index as this endpoint answers it; `manifests` is never `null`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferrersIndex<'a> {
    schema_version: u8,
    media_type: MediaType,
    manifests: &'a [Descriptor],
}

/// Answers with the manifests that name `subject`, of one artifact type if the client wants.
pub(super) async fn list_referrers(
    visit: &Visit<'_>,
    source: &Source,
    subject: &Digest,
) -> Result<Served, Failure> {
    if !visit.api.referrers {
        // 404 says that there is no such API, and sends clients to fallback tags (SC-362).
        return Err(Failure::no_such_path());
    }
    let (mut found, cache) = found(visit, source, subject).await?;
    let filter = visit
        .query
        .media_type("artifactType")
        .filter(|filter| !filter.is_empty());
    if let Some(filter) = &filter {
        found.retain(|descriptor| descriptor.artifact_type.as_deref() == Some(filter));
    }
    let last = visit
        .query
        .value("last")
        .and_then(|last| last.parse::<Digest>().ok());
    let (page, next) = page(&mut found, last, PAGE_BYTES);
    let link = next.map(|next| {
        let path = format!("/v2/{}/referrers/{subject}", source.shown());
        let next = next.to_string();
        let ns = visit.ns.as_deref();
        headers::plain(next_link(
            &path,
            &[
                ("artifactType", filter.as_deref()),
                ("last", Some(&next)),
                ("ns", ns),
            ],
        ))
    });
    let index = ReferrersIndex {
        schema_version: 2,
        media_type: MediaType::OCI_INDEX,
        manifests: page,
    };
    let content_type = headers::plain(MediaType::OCI_INDEX.as_str());
    let mut served = json_listing(&index, content_type, link, cache);
    if filter.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        served
            .response
            .headers_mut()
            .insert(OCI_FILTERS_APPLIED, applied);
    }
    Ok(served)
}

async fn found(
    visit: &Visit<'_>,
    source: &Source,
    subject: &Digest,
) -> Result<(Vec<Descriptor>, Option<CacheStatus>), Failure> {
    match visit.api.proxy.referrers(source, subject).await {
        Ok(answer) => Ok((answer.descriptors, Some(answer.cache))),
        Err(
            proxy::Error::NameUnknown | proxy::Error::ManifestUnknown | proxy::Error::BlobUnknown,
        ) => Ok((Vec::new(), None)),
        Err(error) => Err(error.into()),
    }
}

/// Cuts a page of at most `most_bytes` out of the list, and says after which digest the next begins.
///
/// A list that fits keeps its order; one that does not is put in the order of digests, in which pages
/// follow each other.
fn page(
    all: &mut [Descriptor],
    last: Option<Digest>,
    most_bytes: usize,
) -> (&[Descriptor], Option<Digest>) {
    let size = |descriptor: &Descriptor| {
        serde_json::to_string(descriptor).map_or(most_bytes, |text| text.len() + 1)
    };
    if last.is_none() && all.iter().map(size).sum::<usize>() <= most_bytes {
        return (all, None);
    }
    all.sort_unstable_by_key(|descriptor| descriptor.digest);
    let start = last.map_or(0, |last| all.partition_point(|entry| entry.digest <= last));
    let mut bytes = 0;
    let fitting = all[start..].iter().take_while(|descriptor| {
        bytes += size(descriptor);
        bytes <= most_bytes
    });
    // One that is too large alone goes out all the same: else its page would never end.
    let end = (start + fitting.count().max(1)).min(all.len());
    let next = all.get(end.wrapping_sub(1)).filter(|_| end < all.len());
    (&all[start..end], next.map(|descriptor| descriptor.digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(count: u8) -> Vec<Descriptor> {
        let of = |n: u8| Descriptor::new(MediaType::OCI_MANIFEST, Digest::of(&[n]), 7);
        (0..count).map(of).collect()
    }

    #[test]
    fn a_list_that_fits_keeps_its_order() {
        let mut all = descriptors(5);
        let (page, next) = page(&mut all, None, 1 << 20);
        assert_eq!((page, next), (&descriptors(5)[..], None));
        assert_eq!(super::page(&mut [], None, 10), (&[][..], None));
    }

    #[test]
    fn pages_hold_every_descriptor_once() {
        let (mut seen, mut last, mut pages) = (Vec::new(), None, 0);
        loop {
            let mut all = descriptors(50);
            let (page, next) = page(&mut all, last, 1000);
            assert!(!page.is_empty());
            seen.extend(page.iter().map(|descriptor| descriptor.digest));
            pages += 1;
            last = next;
            if last.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = descriptors(50).iter().map(|entry| entry.digest).collect();
        expected.sort();
        assert_eq!(seen, expected);
        assert!(pages > 5);
    }

    #[test]
    fn a_descriptor_larger_than_a_page_is_a_page() {
        let mut all = descriptors(2);
        assert_eq!(page(&mut all, None, 1).0.len(), 1);
    }
}
