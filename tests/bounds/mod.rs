//! What bounds a site: quotas, the disk, memory, bandwidth.

mod ahead;
mod bandwidth;
mod disk;
mod expiry;
mod full;
mod memory;
mod outage;
mod quota;
mod storm;

use std::collections::BTreeMap;

use entrepot::model::{ByteSize, NamespaceId, UpstreamRule};

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::{Site, rule};

/// Where all images of these tests are, below the cache.
pub(crate) const REPOSITORY: &str = "docker.io/library/app";

/// The rule of a cache with a quota.
pub(crate) fn capped_rule(origin: &Origin, quota: u64) -> UpstreamRule {
    let mut rule = rule("docker.io", "docker.io", origin);
    rule.quota = Some(ByteSize(quota));
    rule
}

/// A site with one cache, and a quota on it.
pub(crate) async fn capped(origin: &Origin, quota: u64) -> Site {
    Site::caching(vec![capped_rule(origin, quota)]).await
}

/// Images of one layer of `len` bytes, pushed as `v0`, `v1` ...
pub(crate) fn push_images(origin: &Origin, count: u64, len: usize) -> Vec<Image> {
    let image = |seed| Image::with_layers(seed, &[len]);
    let images: Vec<_> = (0..count).map(image).collect();
    for (number, image) in images.iter().enumerate() {
        origin.push_image("library/app", &format!("v{number}"), image);
    }
    images
}

/// Pulls an image, waits until it is kept, and lets a second pass.
pub(crate) async fn pull(site: &Site, tag: &str) {
    site.pull(REPOSITORY, tag).await;
    site.settled().await;
    site.clock.advance(std::time::Duration::from_secs(1));
}

pub(crate) async fn organization(site: &Site) -> NamespaceId {
    let name = "docker.io".parse().unwrap();
    let found = site.registry().namespace(&name).await.unwrap();
    found.expect("the cache exists").0
}

/// Bytes held, reserved and lingering, as the site itself counts.
pub(crate) async fn used(site: &Site) -> u64 {
    let organization = organization(site).await;
    site.registry().ledger().used(organization)
}

pub(crate) async fn held(site: &Site) -> u64 {
    let organization = organization(site).await;
    site.registry().ledger().held(organization)
}

/// The tags of `library/app` that are held, with the bytes of their images that are here.
pub(crate) async fn held_tags(site: &Site) -> BTreeMap<String, u64> {
    let registry = site.registry();
    let organization = organization(site).await;
    let name: entrepot::oci::RepositoryName = "library/app".parse().unwrap();
    let Some(repository) = registry.repository(organization, &name).await.unwrap() else {
        return BTreeMap::new();
    };
    let tags = registry.held_tags(organization, name, repository, None);
    let tags = tags.await.unwrap().into_iter();
    tags.map(|held| (held.tag.to_string(), held.size_bytes))
        .collect()
}

/// The names of [`held_tags`].
pub(crate) async fn tags(site: &Site) -> Vec<String> {
    held_tags(site).await.into_keys().collect()
}
