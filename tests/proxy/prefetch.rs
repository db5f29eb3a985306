//! Which children of an index come before anyone asks.

use entrepot::model::{PlatformPolicy, UpstreamRule};

use super::{BLOBS, MANIFESTS, manifest, stage_with};
use crate::harness::content::{Document, Image, index};
use crate::harness::origin::Origin;
use crate::harness::site::Site;

/// A site whose cache has this policy, and an upstream with an index of two images.
async fn indexed(policy: PlatformPolicy) -> (Origin, Site, Document, [Image; 2]) {
    let adjust = |rule: &mut UpstreamRule| rule.platforms = policy;
    let (origin, site, _) = stage_with(&[10], adjust, |_| {}).await;
    let images = [Image::small(2), Image::small(3)];
    for image in &images {
        origin.push_untagged("library/app", image);
    }
    let both = index(&[(&images[0], "amd64"), (&images[1], "arm64")]);
    origin.push_manifest("library/app", Some("multi"), &both);
    (origin, site, both, images)
}

async fn is_whole(site: &Site, image: &Image) -> bool {
    let manifest = site.get(&manifest(image.digest())).await;
    let mut whole = manifest.status == 200;
    for bytes in image.blobs() {
        whole &= site.get(&super::blob(bytes)).await.body == bytes;
    }
    whole
}

#[tokio::test]
async fn by_default_only_what_is_requested_comes() {
    let (origin, site, _, _) = indexed(PlatformPolicy::Requested).await;
    site.get(&manifest("multi")).await;
    // Nothing that would come is still on its way when the site has ended.
    let mut site = site;
    site.stop().await;
    assert_eq!(origin.requests().len(), 1);
}

/// What came ahead is there when upstream is not.
#[tokio::test]
async fn all_platforms_come_with_their_index() {
    let (origin, site, _, images) = indexed(PlatformPolicy::All).await;
    site.get(&manifest("multi")).await;
    origin.wait_for(3, "GET", MANIFESTS).await;
    origin.wait_for(4, "GET", BLOBS).await;
    // The last blob may be on its way still: asking for it waits for it.
    assert!(is_whole(&site, &images[1]).await);
    origin.stop().await;
    for image in &images {
        assert!(is_whole(&site, image).await);
    }
    assert_eq!(
        (origin.count("GET", MANIFESTS), origin.count("GET", BLOBS)),
        (3, 4)
    );
}

#[tokio::test]
async fn listed_platforms_come_with_their_index() {
    let listed = PlatformPolicy::Listed(vec!["linux/arm64".parse().unwrap()]);
    let (origin, site, both, [amd64, arm64]) = indexed(listed).await;
    site.get(&manifest("multi")).await;
    origin.wait_for(2, "GET", BLOBS).await;
    assert!(is_whole(&site, &arm64).await);
    origin.stop().await;
    assert!(is_whole(&site, &arm64).await);
    assert_eq!(
        origin.count("GET", &format!("{MANIFESTS}{}", amd64.digest())),
        0
    );
    assert_eq!(
        site.get(&manifest(both.digest())).await.body,
        both.bytes,
        "never cut down"
    );
}

/// A prefetch that fails leaves the index and everything else usable.
#[tokio::test]
async fn a_prefetch_that_fails_hurts_nobody() {
    let (origin, site, both, images) = indexed(PlatformPolicy::All).await;
    let broken = crate::harness::origin::Fault::Status(404, vec![], "");
    origin.once("GET", &format!("{MANIFESTS}{}", images[0].digest()), broken);
    assert_eq!(site.get(&manifest("multi")).await.body, both.bytes);
    origin.wait_for(2, "GET", MANIFESTS).await;
    assert!(is_whole(&site, &images[1]).await);
}
