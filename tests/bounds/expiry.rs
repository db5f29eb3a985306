//! What has outlived its time: nothing goes for that alone, and it goes before all else.

use std::time::Duration;

use super::{REPOSITORY, capped, pull, push_images, tags};
use crate::harness::files;
use crate::harness::origin::Origin;
use entrepot::oci::Digest;

const QUOTA: u64 = 400_000;

/// SC-258: an image that expired stays while there is room; it goes before one that was used longer ago
/// and did not expire, and its bytes are free at once: no time machine keeps them.
#[tokio::test]
async fn expired_images_go_first_and_free_their_bytes_at_once() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 4, 100_000);
    let site = capped(&origin, QUOTA).await;
    pull(&site, "v0").await;
    site.clock.advance(Duration::from_secs(20 * 3600));
    for tag in ["v1", "v2"] {
        pull(&site, tag).await;
    }
    // A use of the image is none of its tag: nobody asked upstream whether it is still the same.
    site.clock.advance(Duration::from_secs(5 * 3600));
    let path = format!("/v2/{REPOSITORY}/manifests/{}", images[0].digest());
    assert_eq!(site.get(&path).await.status, 200);
    assert_eq!(tags(&site).await, ["v0", "v1", "v2"], "expired, and here");
    site.clock.advance(Duration::from_secs(1));
    pull(&site, "v3").await;
    assert_eq!(tags(&site).await, ["v1", "v2", "v3"]);
    let layer = Digest::of(&images[0].layers[0]);
    assert!(!files::blob(&site.config.data_dir, &layer).exists());
}
