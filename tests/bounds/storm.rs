//! Everything at once: cold pulls of ten times what a cache may hold, with layers that some share.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;
use entrepot::registry::Repair;
use futures_util::future::join_all;

use super::{REPOSITORY, capped, held, tags, used};
use crate::harness::chance::{self, Chance};
use crate::harness::content::{self, Image};
use crate::harness::files::{self, Watcher};
use crate::harness::origin::Origin;
use crate::harness::site::Site;

const QUOTA: u64 = 8 << 20;
const PULLS: u64 = 64;
/// So many images have their lowest layer in common.
const ALIKE: u64 = 4;
/// Pulled once more when the storm is over, one after the other; two of them share a layer.
const CALM: [usize; 3] = [20, 21, 42];
/// What a fill may write beyond what it was allowed: nothing, in fact.
const PIECE: u64 = 256 << 10;

/// Images of a layer that others have too and two of their own, pushed as `v0`, `v1` ...
fn push_all(origin: &Origin, chance: &mut Chance) -> Vec<Image> {
    let mut number = 1_000_000;
    let mut own = |chance: &mut Chance| {
        number += 1;
        let len = 450_000 + chance.next() % 450_000;
        content::bytes(number, usize::try_from(len).unwrap())
    };
    let image = |seed: u64| {
        let base = content::bytes(2_000_000 + seed / ALIKE, 1 << 19);
        let layers = [base, own(chance), own(chance)];
        Image::of_layers(seed, &layers)
    };
    let images: Vec<_> = (0..PULLS).map(image).collect();
    for (number, image) in images.iter().enumerate() {
        origin.push_image("library/app", &format!("v{number}"), image);
    }
    images
}

/// Bytes of all blobs, each once.
fn distinct_bytes(images: &[Image]) -> u64 {
    let mut seen = HashSet::new();
    let blobs = images.iter().flat_map(Image::blobs);
    let distinct = blobs.filter(|blob| seen.insert(Digest::of(blob)));
    distinct.map(|blob| blob.len() as u64).sum()
}

fn blob_path(blob: &Bytes) -> String {
    format!("/v2/{REPOSITORY}/blobs/{}", Digest::of(blob))
}

/// Pulls an image as engines do, all blobs at once, and looks at every byte; gives the blobs that were
/// passed on without being kept, and whether the manifest was.
async fn pull(site: &Site, number: usize, image: &Image) -> (HashSet<Digest>, bool) {
    let manifest = site
        .get(&format!("/v2/{REPOSITORY}/manifests/v{number}"))
        .await;
    assert_eq!(manifest.status, 200, "v{number}: {}", manifest.text());
    assert_eq!(manifest.body, image.manifest.bytes, "v{number}");
    let blobs = image.blobs().map(async |blob| {
        let answer = site.get(&blob_path(blob)).await;
        assert_eq!(answer.status, 200, "v{number}: {}", answer.text());
        assert!(answer.body == *blob, "v{number}: other bytes");
        let is_passed = answer.header("cache-status").contains("no-room");
        is_passed.then(|| Digest::of(blob))
    });
    let passed = join_all(blobs).await.into_iter().flatten().collect();
    (passed, manifest.header("cache-status").contains("no-room"))
}

/// SC-261, SC-253, DK-02, GC-05: 64 cold pulls at once of ten times the quota. Every one of them is right,
/// the volume never has more than the quota set aside for them, and no image that stays loses a layer
/// with one that goes.
#[tokio::test]
async fn a_storm_of_cold_pulls_stays_under_the_quota_and_costs_nobody_a_layer() {
    let origin = Origin::start().await;
    let images = push_all(&origin, &mut Chance::new(chance::seed()));
    assert!(distinct_bytes(&images) >= 10 * QUOTA);
    let mut site = capped(&origin, QUOTA).await;
    let watcher = Watcher::start(&site.config.data_dir);
    let pulls = images.iter().enumerate();
    let mut pulled = join_all(pulls.map(|(number, image)| pull(&site, number, image))).await;
    site.settled().await;
    // In the storm itself nobody may have had room for all of an image.
    for number in CALM {
        site.clock.advance(Duration::from_secs(1));
        pulled[number] = pull(&site, number, &images[number]).await;
        site.settled().await;
    }
    let most = watcher.most();
    assert!(most.bytes <= QUOTA, "{} bytes lay there", most.bytes);
    assert!(most.bytes > QUOTA / 2, "only {} were seen", most.bytes);
    assert!(
        most.allocated <= QUOTA + PULLS * PIECE,
        "{} bytes were allocated",
        most.allocated
    );
    assert!(used(&site).await <= QUOTA);

    // Offline nothing goes for what is asked for and missing, and so no more while it is looked at what is left.
    let evicted = site.metric("entrepot_registry_evictions_total", &[]).await;
    origin.stop().await;
    site.stop().await;
    site.config.offline = true;
    site.start_again().await;
    let left = tags(&site).await;
    let mut whole = Vec::new();
    for (number, image) in images.iter().enumerate() {
        if left.contains(&format!("v{number}"))
            && is_whole(&site, number, image, &pulled[number].0).await
        {
            whole.push(number);
        }
    }
    let are_whole = CALM.iter().all(|number| whole.contains(number));
    assert!(are_whole, "of {left:?} only {whole:?} are whole");
    let refused = pulled.iter().filter(|(_, is_refused)| *is_refused).count() as f64;
    let gone = images.len() - left.len();
    assert!(
        gone as f64 <= evicted + refused,
        "{gone} are gone for no reason"
    );
    let check = site.registry().check(Repair::No, |_| {}).await.unwrap();
    assert_eq!(check.findings, 0);
    let manifests = left.iter().map(|tag| {
        let number: usize = tag[1..].parse().unwrap();
        images[number].manifest.bytes.len() as u64
    });
    let on_disk = files::bytes(&site.config.data_dir);
    assert_eq!(held(&site).await, on_disk + manifests.sum::<u64>(), "GC-06");
}

/// Whether an image that is listed can be pulled whole; all that its client was not told of as passed
/// on must be there.
async fn is_whole(site: &Site, number: usize, image: &Image, passed: &HashSet<Digest>) -> bool {
    let manifest = site
        .get(&format!("/v2/{REPOSITORY}/manifests/v{number}"))
        .await;
    assert_eq!(manifest.body, image.manifest.bytes, "v{number}");
    let mut is_whole = true;
    for blob in image.blobs() {
        let answer = site.get(&blob_path(blob)).await;
        if answer.status == 200 {
            assert!(answer.body == *blob, "v{number}: other bytes");
        } else {
            let digest = Digest::of(blob);
            assert!(passed.contains(&digest), "v{number} has lost {digest}");
            is_whole = false;
        }
    }
    is_whole
}
