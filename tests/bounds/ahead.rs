//! Room that is made ahead of need: pulls near a quota's end do not wait for it.

use super::{capped, held_tags, pull, push_images, tags, used};
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::site::Site;
use crate::harness::soon;

const QUOTA: u64 = 4_000_000;

async fn waits(site: &Site) -> f64 {
    site.metric("entrepot_registry_room_waits_total", &[]).await
}

/// DK-04: past the high mark of its quota a cache lets the least recently used go by itself, down to the low
/// one; the pulls that come then fit without anybody waiting.
#[tokio::test]
async fn a_cache_makes_room_before_somebody_needs_it() {
    let origin = Origin::start().await;
    push_images(&origin, 10, 50_000);
    let large = Image::with_layers(90, &[3_470_000]);
    origin.push_image("library/app", "large", &large);
    let site = capped(&origin, QUOTA).await;
    for number in 0..8 {
        pull(&site, &format!("v{number}")).await;
    }
    pull(&site, "v8").await;
    assert_eq!(tags(&site).await.len(), 9);
    pull(&site, "large").await;
    soon("the low mark", async {
        while used(&site).await > QUOTA - QUOTA / 20 + 51_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pull(&site, "v9").await;
    let left = tags(&site).await;
    assert!(!left.contains(&"v0".to_owned()), "{left:?}");
    assert!(left.contains(&"v8".to_owned()), "{left:?}");
    assert_eq!(held_tags(&site).await["large"], large.size());
    assert_eq!(waits(&site).await, 0.0, "nobody waited");
}
