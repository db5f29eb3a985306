//! Kills at exact system calls (CR-02), by strace's fault injection.
//!
//! strace counts calls for each thread by itself, so the n-th call of whichever thread makes n of them
//! first is where the process dies; n grows until a whole pull survives.

use super::crash::is_long;
use super::{caching, get, pull};
use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::{Place, Process};
use crate::harness::soon;
use crate::harness::strace::{Injected, Tracer, has_strace};

/// The calls that make content durable, give it its name and take it away.
const CALLS: [&str; 6] = [
    "fsync",
    "fdatasync",
    "rename",
    "pwrite64",
    "unlink",
    "ftruncate",
];

/// CR-02, CR-05: wherever the process dies in a cold pull, afterwards every answer is right or none, and
/// what was held before is held.
#[tokio::test]
async fn a_kill_at_any_call_of_a_cold_pull_leaves_nothing_wrong() {
    if !has_strace() {
        return;
    }
    let origin = Origin::start().await;
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let before = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "before", &before);
    let mut process = place.serve().await;
    pull(&process, "before").await.unwrap();
    wait_until_held(&process, &before).await;
    let mut seed = 100;
    let mut deaths = 0;
    for call in CALLS {
        let steps = if is_long() {
            (1..).step_by(1)
        } else {
            (1..).step_by(3)
        };
        for n in steps {
            seed += 1;
            let image = Image::with_layers(seed, &[150_000, 30_000]);
            let tag = format!("v{seed}");
            origin.push_image("library/app", &tag, &image);
            let tracer = Tracer::attach(&process, call, n, Injected::Kill).await;
            let survived = pull(&process, &tag).await.is_ok();
            let survived = survived && is_alive(&process).await;
            if survived {
                tracer.detach().await;
            } else {
                deaths += 1;
                assert!(!process.ended().await.success());
                process = place.serve().await;
            }
            assert_eq!(
                pull(&process, &tag).await.unwrap(),
                image.manifest.bytes,
                "{call} {n}"
            );
            assert_eq!(
                pull(&process, "before").await.unwrap(),
                before.manifest.bytes
            );
            if survived {
                break;
            }
        }
    }
    assert!(deaths >= 6, "{deaths} deaths");
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/before"), 1);
}

async fn is_alive(process: &Process) -> bool {
    get(process, "manifests/before").await.is_ok()
}

async fn wait_until_held(process: &Process, image: &Image) {
    for blob in image.blobs() {
        let path = format!("blobs/{}", entrepot::oci::Digest::of(blob));
        soon("a hit", async {
            while get(process, &path).await.unwrap().cache_status != "entrepot; hit" {}
        })
        .await;
    }
}
