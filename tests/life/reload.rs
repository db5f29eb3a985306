//! Changes of the configuration that other tests do not show: quotas, passwords, caches that go.

use entrepot::model::ByteSize;
use rustix::process::Signal;

use super::{caching, get, pull};
use crate::harness::content::Image;
use crate::harness::origin::{Auth, Origin};
use crate::harness::process::Place;
use crate::harness::{files, soon};

/// LC-04: a cache that is removed serves what it holds, whole, and asks nobody for more; put back, it
/// fetches again.
#[tokio::test]
async fn a_removed_cache_leaves_what_it_held_readable() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[40_000]);
    origin.push_image("library/app", "v1", &image);
    origin.push_image("library/app", "v2", &Image::small(2));
    let with = caching(&origin, "");
    let place = Place::new(&with);
    let mut process = place.serve().await;
    pull(&process, "v1").await.unwrap();
    soon("the last blob", async {
        let path = format!("blobs/{}", entrepot::oci::Digest::of(&image.config));
        while get(&process, &path).await.unwrap().cache_status != "entrepot; hit" {}
    })
    .await;
    place.configure("REGISTRY_MIRRORS: []\nPROXY_CACHES: []\n");
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    let asked = origin.requests().len();
    pull(&process, "v1").await.unwrap();
    assert_eq!(get(&process, "manifests/v2").await.unwrap().status, 404);
    assert_eq!(origin.requests().len(), asked);
    place.configure(&with);
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    pull(&process, "v2").await.unwrap();
}

/// A quota that SIGHUP lowers is met without waiting for the next turn of a loop.
#[tokio::test]
async fn sighup_lowers_a_quota_and_content_goes_at_once() {
    let origin = Origin::start().await;
    let place = Place::new(&caching(&origin, ""));
    let mut process = place.serve().await;
    for number in 0..4 {
        let tag = format!("v{number}");
        origin.push_image("library/app", &tag, &Image::with_layers(number, &[500_000]));
        pull(&process, &tag).await.unwrap();
    }
    place.configure(&caching(&origin, "    quota: 1 MiB\n"));
    process.signal(Signal::HUP);
    process.logs("configuration reloaded").await;
    soon("the lowered cap", async {
        while files::bytes(&place.path("data")) > ByteSize::mib(1).bytes() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pull(&process, "v3").await.unwrap();
}

/// A password file is read again when it changes: no restart, no signal.
#[tokio::test]
async fn a_changed_password_file_counts() {
    let origin = Origin::start().await;
    let image = Image::small(1);
    origin.push_image("library/app", "v1", &image);
    origin.push_image("library/app", "v2", &Image::small(2));
    origin.require(Auth::Basic {
        user: "robot",
        password: "second",
    });
    let place = Place::new("");
    std::fs::write(place.path("password"), "first\n").unwrap();
    let file = place.path("password");
    let more = format!(
        "    username: robot\n    password_file: {}\n    anonymous_pull: true\n",
        file.display()
    );
    place.configure(&caching(&origin, &more));
    let process = place.serve().await;
    assert_eq!(get(&process, "manifests/v1").await.unwrap().status, 502);
    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(
        get(&process, "manifests/v1").await.unwrap().body,
        image.manifest.bytes
    );
}
