//! The quota of an organisation: a cap on bytes at every moment, and who goes when it is reached.

use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;

use super::{REPOSITORY, capped, capped_rule, held, held_tags, pull, push_images, tags, used};
use crate::harness::content::{self, Image};
use crate::harness::files::{self, Watcher};
use crate::harness::origin::{Fault, Origin};
use crate::harness::site::Site;
use crate::harness::{pass_time, soon};

const QUOTA: u64 = 400_000;

async fn assert_within(site: &Site, quota: u64) {
    let (on_disk, used) = (files::bytes(&site.config.data_dir), used(site).await);
    assert!(on_disk <= quota, "{on_disk} bytes on the disk");
    assert!(used <= quota, "{used} bytes in the account");
}

/// GC-06: what the account says is what the directory has.
async fn assert_accounts_agree(site: &Site, manifests: u64) {
    let on_disk = files::bytes(&site.config.data_dir);
    assert_eq!(held(site).await, on_disk + manifests);
    assert_eq!(
        used(site).await,
        on_disk + manifests,
        "nothing is reserved or lingers"
    );
}

/// SC-261: the cap holds at every moment, for content three times its size, and what was used last is there.
#[tokio::test]
async fn bytes_on_disk_and_reserved_never_exceed_the_quota() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 12, 100_000);
    let site = capped(&origin, QUOTA).await;
    let watcher = Watcher::start(&site.config.data_dir);
    for number in 0..images.len() {
        pull(&site, &format!("v{number}")).await;
        assert_within(&site, QUOTA).await;
    }
    assert_eq!(tags(&site).await, ["v10", "v11", "v9"]);
    // Four at once do not fit together: each is served, and the cap holds.
    let (a, b) = (site.pull(REPOSITORY, "v0"), site.pull(REPOSITORY, "v1"));
    let (c, d) = (site.pull(REPOSITORY, "v2"), site.pull(REPOSITORY, "v3"));
    tokio::join!(a, b, c, d);
    site.settled().await;
    assert_within(&site, QUOTA).await;
    let manifests = tags(&site).await.len() as u64 * images[0].manifest.bytes.len() as u64;
    assert_accounts_agree(&site, manifests).await;
    let most = watcher.most().bytes;
    assert!(most <= QUOTA, "{most} bytes lay there at some moment");
    assert!(most > QUOTA / 2, "the watcher saw {most} bytes only");
}

/// Reserved for the whole blob when upstream's answer begins, released when the fill is kept.
#[tokio::test]
async fn room_is_taken_before_a_byte_is_kept() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 4, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let layer = Digest::of(&images[3].layers[0]);
    let path = format!("/v2/library/app/blobs/{layer}");
    origin.once("GET", &path, Fault::StallAt(10));
    let pulling = site.pull(REPOSITORY, "v3");
    let watching = async {
        origin.wait_for(1, "GET", &path).await;
        soon("its room", async {
            while tags(&site).await.contains(&"v0".to_owned()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(
            used(&site).await > 3 * 100_000,
            "the whole blob is in the account"
        );
        assert_within(&site, QUOTA).await;
        origin.release();
    };
    tokio::join!(pulling, watching);
    site.settled().await;
    assert_eq!(tags(&site).await, ["v1", "v2", "v3"]);
}

/// GC-04: what was used longest ago goes, not what came first.
#[tokio::test]
async fn the_least_recently_used_image_goes_first() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 6, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2", "v0", "v3"] {
        pull(&site, tag).await;
    }
    assert_eq!(tags(&site).await, ["v0", "v2", "v3"]);
    // A pull by digest is a use as well, and so is a HEAD of the manifest.
    let path = format!("/v2/{REPOSITORY}/manifests/{}", images[2].digest());
    assert_eq!(site.get(&path).await.status, 200);
    site.clock.advance(Duration::from_secs(1));
    pull(&site, "v4").await;
    assert_eq!(tags(&site).await, ["v2", "v3", "v4"]);
    assert_eq!(site.head(&path).await.status, 200);
    site.clock.advance(Duration::from_secs(1));
    pull(&site, "v5").await;
    assert_eq!(tags(&site).await, ["v2", "v4", "v5"]);
    for (tag, bytes) in held_tags(&site).await {
        assert_eq!(bytes, images[4].size(), "{tag} is whole");
    }
}

/// A layer that several images have is one file and counts once, and goes with the last of them.
#[tokio::test]
async fn shared_layers_count_once_and_stay_while_somebody_needs_them() {
    let origin = Origin::start().await;
    let base = content::bytes(77, 200_000);
    let image = |seed: u64| {
        let own = content::bytes(1000 + seed, 50_000);
        Image::of_layers(seed, &[base.clone(), own])
    };
    let images: Vec<_> = (0..4).map(image).collect();
    for (number, image) in images.iter().enumerate() {
        origin.push_image("library/app", &format!("v{number}"), image);
    }
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    assert_eq!(
        tags(&site).await,
        ["v0", "v1", "v2"],
        "three fit, sharing their base"
    );
    assert_accounts_agree(&site, 3 * images[0].manifest.bytes.len() as u64).await;
    pull(&site, "v3").await;
    assert_eq!(tags(&site).await, ["v1", "v2", "v3"]);
    for (tag, bytes) in held_tags(&site).await {
        assert_eq!(bytes, images[3].size(), "{tag} is whole");
    }
    let path = format!("/v2/library/app/blobs/{}", Digest::of(&base));
    assert_eq!(origin.count("GET", &path), 1);
    // When the last image that has it goes, it goes.
    origin.push_image("library/app", "big", &Image::with_layers(90, &[390_000]));
    pull(&site, "big").await;
    assert_eq!(tags(&site).await, ["big"]);
    assert!(!files::blob(&site.config.data_dir, &Digest::of(&base)).exists());
}

/// A layer that two repositories have needs no more room than for one.
#[tokio::test]
async fn a_layer_of_two_repositories_counts_once() {
    let origin = Origin::start().await;
    let base = content::bytes(77, 200_000);
    for (seed, repository) in [(0, "library/app"), (1, "library/tool")] {
        let own = content::bytes(1000 + seed, 50_000);
        let image = Image::of_layers(seed, &[base.clone(), own]);
        origin.push_image(repository, "v1", &image);
    }
    let site = capped(&origin, 310_000).await;
    pull(&site, "v1").await;
    site.pull("docker.io/library/tool", "v1").await;
    site.settled().await;
    assert_eq!(tags(&site).await, ["v1"], "the first image stays");
    assert_eq!(
        origin.count(
            "GET",
            &format!("/v2/library/tool/blobs/{}", Digest::of(&base))
        ),
        0
    );
    assert_eq!(files::bytes(&site.config.data_dir) / 1000, 300);
    assert_eq!(
        site.metric("entrepot_registry_evictions_total", &[]).await,
        0.0
    );
    assert_within(&site, 310_000).await;
}

/// GC-05: pinned by a glob of the configuration.
#[tokio::test]
async fn tags_that_a_glob_pins_stay() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 6, 100_000);
    origin.push_image("library/app", "keep-1", &images[0]);
    let mut rule = capped_rule(&origin, QUOTA);
    rule.pin = vec!["library/*:keep-*".to_owned()];
    let site = Site::caching(vec![rule]).await;
    for tag in ["keep-1", "v1", "v2", "v3", "v4", "v5"] {
        pull(&site, tag).await;
    }
    assert_eq!(tags(&site).await, ["keep-1", "v4", "v5"]);
    assert_eq!(held_tags(&site).await["keep-1"], images[0].size());
    assert_within(&site, QUOTA).await;
}

/// GC-05: with everything pinned nothing goes, and pulls pass the cache by.
#[tokio::test]
async fn with_everything_pinned_the_rest_passes_through() {
    let origin = Origin::start().await;
    push_images(&origin, 4, 100_000);
    let mut rule = capped_rule(&origin, 250_000);
    rule.pin = vec!["v0".to_owned(), "v1".to_owned()];
    let site = Site::caching(vec![rule]).await;
    for tag in ["v0", "v1", "v2", "v3", "v2"] {
        pull(&site, tag).await;
        assert_within(&site, 250_000).await;
    }
    let whole = held_tags(&site).await;
    assert!(whole["v0"] > 100_000 && whole["v1"] > 100_000, "{whole:?}");
}

async fn assert_served_uncached(site: &Site, blob: &Bytes) {
    let digest = Digest::of(blob);
    let answer = site.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, blob);
    assert_eq!(
        answer.header("cache-status"),
        "entrepot; fwd=uri-miss; detail=no-room"
    );
    assert!(!files::contents(&site.config.data_dir).contains_key(&digest.hex()));
}

/// SC-248: what can never fit is passed on, whole and right, and nobody goes for it.
#[tokio::test]
async fn what_is_larger_than_the_quota_passes_and_evicts_nothing() {
    let origin = Origin::start().await;
    push_images(&origin, 3, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let one = Image::with_layers(50, &[500_000]);
    origin.push_image("library/app", "one-layer", &one);
    assert_eq!(
        site.get(&format!("/v2/{REPOSITORY}/manifests/one-layer"))
            .await
            .status,
        200
    );
    assert_served_uncached(&site, &one.layers[0]).await;
    let kept = ["one-layer", "v0", "v1", "v2"];
    assert_eq!(tags(&site).await, kept);
    // Each of its layers would fit, all of them never will.
    let many = Image::with_layers(51, &[150_000, 150_000, 150_000]);
    origin.push_image("library/app", "many-layers", &many);
    assert_eq!(
        site.get(&format!("/v2/{REPOSITORY}/manifests/many-layers"))
            .await
            .status,
        200
    );
    for layer in &many.layers {
        assert_served_uncached(&site, layer).await;
    }
    assert_eq!(
        tags(&site).await,
        ["many-layers", "one-layer", "v0", "v1", "v2"]
    );
    assert_within(&site, QUOTA).await;
}

/// A blob whose manifest nobody asked for makes room for itself too.
#[tokio::test]
async fn a_blob_without_a_manifest_makes_room() {
    let origin = Origin::start().await;
    push_images(&origin, 3, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let blob = content::bytes(123, 150_000);
    let path = format!(
        "/v2/{REPOSITORY}/blobs/{}",
        origin.push_blob("library/app", &blob)
    );
    let answer = site.get(&path).await;
    assert_eq!(answer.body, blob);
    assert_eq!(
        answer.header("cache-status"),
        "entrepot; fwd=uri-miss; stored"
    );
    site.settled().await;
    assert_eq!(tags(&site).await, ["v1", "v2"]);
    assert_eq!(
        site.get(&path).await.header("cache-status"),
        "entrepot; hit"
    );
    assert_within(&site, QUOTA).await;
}

/// Eviction gives real bytes back, and every figure says the same.
#[tokio::test]
async fn figures_agree_with_the_directory() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 5, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let before = files::bytes(&site.config.data_dir);
    let label = [("organization", "docker.io")];
    let freed = async || {
        site.metric("entrepot_registry_evicted_bytes_total", &[])
            .await as u64
    };
    assert_eq!(freed().await, 0);
    for tag in ["v3", "v4"] {
        pull(&site, tag).await;
    }
    assert_eq!(
        site.metric("entrepot_registry_evictions_total", &[]).await,
        2.0
    );
    let came: usize = images[3..]
        .iter()
        .flat_map(Image::blobs)
        .map(Bytes::len)
        .sum();
    let now = files::bytes(&site.config.data_dir);
    assert_eq!(freed().await, before + came as u64 - now);

    pass_time(Duration::from_secs(11)).await;
    let manifests = 3 * images[0].manifest.bytes.len() as u64;
    soon("gauges that agree with the directory", async {
        while site.metric("entrepot_quota_held_bytes", &label).await as u64 != now + manifests {}
    })
    .await;
    assert_eq!(
        site.metric("entrepot_quota_used_bytes", &label).await as u64,
        now + manifests
    );
    assert_eq!(
        site.metric("entrepot_quota_limit_bytes", &label).await as u64,
        QUOTA
    );
}

/// A cap that is lowered while the site runs is met at once, and holds from then on.
#[tokio::test]
async fn a_lowered_quota_is_met_soon() {
    let origin = Origin::start().await;
    push_images(&origin, 4, 100_000);
    let site = capped(&origin, QUOTA).await;
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
    }
    let mut config = site.config.clone();
    config.upstreams = vec![capped_rule(&origin, 150_000)];
    site.app().reload(Ok((config, Vec::new()))).await;
    soon("the lowered cap", async {
        while files::bytes(&site.config.data_dir) > 150_000 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(tags(&site).await, ["v2"]);
    pull(&site, "v3").await;
    assert_eq!(tags(&site).await, ["v3"]);
    assert_within(&site, 150_000).await;
}

/// The first 60 kB of a blob of 200 kB have come when upstream refuses the rest.
async fn leave_a_partial(origin: &Origin, site: &Site, image: &Image) -> String {
    let layer = Digest::of(&image.layers[0]);
    let path = format!("/v2/library/app/blobs/{layer}");
    origin.once("GET", &path, Fault::CutAt(60_000));
    origin.once("GET", &path, Fault::Status(403, Vec::new(), "{}"));
    let path = format!("/v2/{REPOSITORY}/blobs/{layer}");
    let broken = soon("the cut", reqwest::get(site.url(&path)))
        .await
        .unwrap();
    soon("the cut", broken.bytes()).await.unwrap_err();
    site.settled().await;
    assert_eq!(files::contents(&site.config.data_dir)[&layer.hex()], 60_000);
    path
}

/// What a broken fill leaves to be resumed is in the account, and goes where room is needed.
#[tokio::test]
async fn what_a_broken_fill_leaves_is_in_the_account() {
    let origin = Origin::start().await;
    let images = push_images(&origin, 3, 100_000);
    let broken = Image::with_layers(60, &[200_000]);
    origin.push_image("library/app", "broken", &broken);
    let site = capped(&origin, QUOTA).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/broken"))
        .await;
    leave_a_partial(&origin, &site, &broken).await;
    let manifest = broken.manifest.bytes.len() as u64;
    assert_eq!(used(&site).await, 60_000 + manifest);
    for tag in ["v0", "v1", "v2"] {
        pull(&site, tag).await;
        assert_within(&site, QUOTA).await;
    }
    pull(&site, "v0").await;
    let whole = held_tags(&site).await;
    for tag in ["v0", "v1", "v2"] {
        assert_eq!(whole[tag], images[0].size(), "{tag}: {whole:?}");
    }
    origin.push_image("library/app", "more", &Image::with_layers(61, &[90_000]));
    pull(&site, "more").await;
    assert_within(&site, QUOTA).await;
}

/// A sweep leaves alone what stopped half-way a moment ago; what nobody went on with for a day it
/// removes, and takes out of the account too.
#[tokio::test]
async fn a_swept_partial_leaves_the_account() {
    let origin = Origin::start().await;
    let broken = Image::with_layers(60, &[200_000]);
    origin.push_image("library/app", "broken", &broken);
    let site = capped(&origin, QUOTA).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/broken"))
        .await;
    leave_a_partial(&origin, &site, &broken).await;
    let before = used(&site).await;
    assert_eq!(site.proxy().sweep().await.unwrap().removed_partials, 0);
    assert_eq!(used(&site).await, before);
    site.clock.advance(Duration::from_secs(25 * 3600));
    site.proxy().sweep().await.unwrap();
    assert_eq!(files::bytes(&site.config.data_dir), 0);
    assert_eq!(used(&site).await, broken.manifest.bytes.len() as u64);
}

/// A fill that could go on but gets no room leaves nothing that no account knows of.
#[tokio::test]
async fn what_cannot_be_resumed_for_want_of_room_is_given_up() {
    let origin = Origin::start().await;
    push_images(&origin, 2, 100_000);
    let broken = Image::with_layers(60, &[200_000]);
    origin.push_image("library/app", "broken", &broken);
    let mut rule = capped_rule(&origin, 300_000);
    rule.pin = vec!["v*".to_owned()];
    let site = Site::caching(vec![rule]).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/broken"))
        .await;
    let path = leave_a_partial(&origin, &site, &broken).await;
    for tag in ["v0", "v1"] {
        pull(&site, tag).await;
    }
    let answer = site.get(&path).await;
    assert_eq!(answer.body, broken.layers[0]);
    site.settled().await;
    let on_disk = files::bytes(&site.config.data_dir);
    assert!(on_disk <= used(&site).await, "{on_disk} bytes on the disk");
    assert_within(&site, 300_000).await;
}

/// A fill that pauses because nobody reads it stays in the account.
#[tokio::test]
async fn a_paused_fill_stays_in_the_account() {
    const LAYER: usize = 70 << 20;
    let origin = Origin::start().await;
    let image = Image::with_layers(70, &[LAYER]);
    origin.push_image("library/app", "large", &image);
    let site = capped(&origin, 100 << 20).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/large")).await;
    let layer = Digest::of(&image.layers[0]);
    let path = format!("/v2/library/app/blobs/{layer}");
    origin.once("GET", &path, Fault::StallAt(100_000));
    let url = site.url(&format!("/v2/{REPOSITORY}/blobs/{layer}"));
    let connections = async || site.metric("entrepot_http_connections", &[]).await;
    let before = connections().await;
    let mut response = soon("the head", reqwest::get(url)).await.unwrap();
    soon("a piece", response.chunk()).await.unwrap().unwrap();
    assert!(connections().await > before);
    drop(response);
    soon("the end of the reader", async {
        while connections().await > before {}
    })
    .await;
    let manifest = image.manifest.bytes.len() as u64;
    assert_eq!(
        used(&site).await,
        LAYER as u64 + manifest,
        "all of it is reserved"
    );
    pass_time(Duration::from_secs(31)).await;
    origin.release();
    site.settled().await;
    let on_disk = files::bytes(&site.config.data_dir);
    assert!(
        (100_000..6 << 20).contains(&on_disk),
        "it stopped after {on_disk} bytes"
    );
    assert_eq!(used(&site).await, on_disk + manifest);
}

/// GC-02: who reads an image while it goes to make room gets all of it; its bytes count until then.
#[tokio::test]
async fn a_slow_reader_gets_all_of_an_image_that_goes_meanwhile() {
    const LAYER: usize = 40 << 20;
    let origin = Origin::start().await;
    let image = Image::with_layers(80, &[LAYER]);
    origin.push_image("library/app", "slow", &image);
    push_images(&origin, 1, 30 << 20);
    let site = capped(&origin, 60 << 20).await;
    pull(&site, "slow").await;
    let layer = Digest::of(&image.layers[0]);
    let path = format!("/v2/{REPOSITORY}/blobs/{layer}");
    let mut reading = site.begin(&path, &[]).await;
    let mut read = soon("a piece", reading.chunk())
        .await
        .unwrap()
        .unwrap()
        .to_vec();
    pull(&site, "v0").await;
    assert!(!tags(&site).await.contains(&"slow".to_owned()));
    assert!(!files::blob(&site.config.data_dir, &layer).exists());
    assert!(used(&site).await > LAYER as u64, "it is open still");
    while let Some(piece) = soon("the rest", reading.chunk()).await.unwrap() {
        read.extend_from_slice(&piece);
    }
    assert!(read == image.layers[0], "{} bytes of {LAYER}", read.len());
    drop(reading);
    soon("the end of the file", async {
        while used(&site).await > held(&site).await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    pull(&site, "v0").await;
    assert_eq!(tags(&site).await, ["v0"]);
}
