//! Collection as clients see it: what is needed stays, what is not goes, and nobody is in the way.

use std::cell::Cell;
use std::time::Duration;

use entrepot::jobs::Intervals;
use entrepot::model::{Actor, ByteSize, RepositoryId};
use entrepot::oci::Digest;
use entrepot::registry::{Budget, GcReport};
use futures_util::future::join_all;
use reqwest::Method;
use tokio::sync::Notify;

use crate::harness::clients::variable;
use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::local::{Dice, REPOSITORY};
use crate::harness::site::Site;
use crate::harness::soon;

const HOUR: Duration = Duration::from_secs(3600);

fn manifest(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

fn blob(digest: impl std::fmt::Display) -> String {
    format!("/v2/{REPOSITORY}/blobs/{digest}")
}

async fn collect(site: &Site) -> GcReport {
    let report = site.registry().collect(Budget::UNBOUNDED).await.unwrap();
    assert!(report.complete && report.failed == 0, "{report:?}");
    report
}

/// Whether what takes hours is asked for.
fn is_long() -> bool {
    variable("ENTREPOT_LONG").is_some_and(|value| value == "1")
}

async fn repository(site: &Site) -> RepositoryId {
    let (namespace, name) = ("local".parse().unwrap(), "app".parse().unwrap());
    let registry = site.registry();
    let (namespace, _) = registry.namespace(&namespace).await.unwrap().unwrap();
    registry
        .repository(namespace, &name)
        .await
        .unwrap()
        .unwrap()
}

/// A site that collects without a pause, and keeps nothing that was deleted.
async fn collecting() -> Site {
    let never = Duration::from_secs(30 * 86_400);
    let intervals = Intervals {
        collection: Some(Duration::from_millis(1)),
        flush: never,
        first_sweep: never,
        ..Intervals::default()
    };
    Site::start_turning(intervals, |config| {
        config.pushes.anonymous = vec!["local".parse().unwrap()];
        config.retention.time_machine = Duration::ZERO;
    })
    .await
}

/// A site that keeps nothing that is not named.
async fn without_grace() -> Site {
    Site::local_with(|config| {
        config.retention.grace = Duration::ZERO;
        config.retention.time_machine = Duration::ZERO;
    })
    .await
}

/// DO-03: indexes that lead to one image on two hundred thousand ways are taken apart one by one.
#[tokio::test]
async fn a_lattice_of_indexes_goes() {
    let site = without_grace().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "image", &image).await;
    let documents = content::lattice(&image, 60, 3);
    let (root, below) = documents.split_last().unwrap();
    for document in below {
        let digest = document.digest().to_string();
        let put = site.put_manifest(REPOSITORY, &digest, document).await;
        assert_eq!(put.status, 201);
    }
    site.put_manifest(REPOSITORY, "root", root).await;
    for tag in ["image", "root"] {
        let deleted = site.send(Method::DELETE, &manifest(tag), &[], "").await;
        assert_eq!(deleted.status, 202);
    }
    // A level a turn at most: what named them is gone then.
    for _ in 0..6 {
        site.clock.advance(Duration::from_secs(1));
        soon("a turn", collect(&site)).await;
    }
    for document in &documents {
        assert_eq!(site.head_status(&manifest(document.digest())).await, 404);
    }
    assert_eq!(
        site.head_status(&blob(Digest::of(&image.config))).await,
        404
    );
    assert_eq!(collect(&site).await.reviewed, 0);
}

/// Sends what the repository lacks, perhaps has the collector turn, then names it; what was collected
/// meanwhile is sent again, until the manifest is taken. Then it is there, whole.
async fn push_until_taken(
    site: &Site,
    (repository, tag): &(String, String),
    image: &Image,
    turn: &Notify,
    dice: &mut Dice,
) {
    for attempt in 0.. {
        for bytes in image.blobs() {
            let digest = Digest::of(bytes);
            let path = format!("/v2/{repository}/blobs/{digest}");
            if soon("a HEAD", site.head_status(&path)).await == 200 {
                continue;
            }
            let mount = format!("/v2/{repository}/blobs/uploads/?mount={digest}");
            let mount = site.send(Method::POST, &mount, &[], "");
            let mounted = dice.below(2) == 0 && soon("a mount", mount).await.status == 201;
            if !mounted {
                soon("a blob", site.push_blob(repository, bytes)).await;
            }
        }
        // Not again: what is tried again must be taken some time. So a push fails once for a turn at
        // most, and turns are as many as pushes; there is a last try, however slow the machine is.
        if attempt == 0 && dice.below(4) == 0 {
            turn.notify_one();
        }
        let put = site.put_manifest(repository, tag, &image.manifest);
        let answer = soon("a manifest", put).await;
        if answer.status == 201 {
            return;
        }
        assert_eq!(answer.code(), "MANIFEST_BLOB_UNKNOWN");
        assert!(attempt < 500, "{}", answer.text());
    }
}

/// GC-01: 32 clients push, mount, pull and delete images that share layers, while everything unnamed is
/// taken away at once. What was answered 201 is there, and in the end nothing is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_named_stays_while_everything_else_is_taken_away() {
    let site = without_grace().await;
    let layers: Vec<_> = (0..6).map(|seed| content::bytes(seed, 3000)).collect();
    let image = |n: usize| {
        let own = [layers[n % 6].clone(), layers[(n + 1) % 6].clone()];
        Image::of_layers(n as u64, &own)
    };
    let images: Vec<Image> = (0..8).map(image).collect();
    let rounds = if is_long() { 200 } else { 5 };
    let turn = Notify::new();
    let client = |number: usize| {
        let (site, images, turn) = (&site, &images, &turn);
        async move {
            let mut dice = Dice::new(number as u64);
            let place = (format!("local/r{}", number % 4), format!("t{number}"));
            let (repository, tag) = &place;
            for _ in 0..rounds {
                let image = &images[dice.below(images.len())];
                push_until_taken(site, &place, image, turn, &mut dice).await;
                let pulled = site.pull(repository, tag).await;
                assert_eq!(pulled.body, image.manifest.bytes);
                if dice.below(2) == 0 {
                    let path = format!("/v2/{repository}/manifests/{tag}");
                    assert_eq!(site.delete(&path).await.status, 202);
                }
            }
        }
    };
    // A turn at a time, beside the clients, and each to its end: one that is dropped leaves files to the
    // next sweep.
    let ended = Cell::new(false);
    let collector = async {
        while !ended.get() {
            turn.notified().await;
            let collected = site.registry().collect(Budget { reviews: 64 }).await;
            assert_eq!(collected.unwrap().failed, 0);
        }
    };
    let clients = async {
        join_all((0..32).map(client)).await;
        ended.set(true);
        turn.notify_one();
    };
    tokio::join!(clients, collector);
    for number in 0..4 {
        let repository = format!("local/r{number}");
        for tag in site.tags(&repository).await {
            site.pull(&repository, &tag).await;
            let path = format!("/v2/{repository}/manifests/{tag}");
            assert_eq!(site.delete(&path).await.status, 202);
        }
    }
    site.clock.advance(HOUR);
    collect(&site).await;
    assert_eq!(files::bytes(&site.config.data_dir), 0);
    let name = "local".parse().unwrap();
    let (namespace, _) = site.registry().namespace(&name).await.unwrap().unwrap();
    assert_eq!(site.registry().ledger().used(namespace), 0, "GC-06");
}

/// GC-03: again and again the same bytes are pushed, pulled, deleted and collected.
#[tokio::test]
async fn what_was_collected_is_pushed_again_as_if_it_had_never_been() {
    let site = Site::local().await;
    let image = Image::with_layers(3, &[2000, 70_000]);
    let rounds = if is_long() { 500 } else { 40 };
    for round in 0..rounds {
        site.push_image(REPOSITORY, "v1", &image).await;
        site.pull(REPOSITORY, "v1").await;
        assert_eq!(site.delete(&manifest(image.digest())).await.status, 202);
        site.clock
            .advance(site.config.retention.time_machine + HOUR);
        let report = collect(&site).await;
        assert_eq!((report.manifests, report.files), (1, 3), "round {round}");
        assert_eq!(files::bytes(&site.config.data_dir), 0);
        for bytes in image.blobs() {
            assert_eq!(site.head_status(&blob(Digest::of(bytes))).await, 404);
        }
    }
}

/// A push that takes longer than the grace period: what its client was told is there stays, from then on
/// for as long (GC-01).
#[tokio::test]
async fn a_blob_that_a_pusher_asks_for_is_kept_for_him() {
    let site = Site::local().await;
    let grace = site.config.retention.grace;
    let [asked, mounted, forgotten] = [b"asked", b"mount", b"forgo"];
    for bytes in [asked, mounted, forgotten] {
        site.push_blob(REPOSITORY, bytes).await;
    }
    let paths = [asked, mounted, forgotten].map(|bytes| blob(Digest::of(bytes)));
    site.clock.advance(grace - Duration::from_secs(60));
    assert_eq!(collect(&site).await.blobs, 0);
    assert_eq!(site.head_status(&paths[0]).await, 200);
    let mount = format!(
        "/v2/{REPOSITORY}/blobs/uploads/?mount={}",
        Digest::of(mounted)
    );
    let answer = site.send(Method::POST, &mount, &[], "").await;
    assert_eq!(answer.status, 201);
    site.clock.advance(Duration::from_secs(120));
    assert_eq!(collect(&site).await.blobs, 1);
    let mut image = Image::with_layers(1, &[]);
    image.layers = [asked, mounted].map(|bytes| bytes.to_vec().into()).to_vec();
    let image = Image::of_layers(1, &image.layers);
    site.push_blob(REPOSITORY, &image.config).await;
    site.push_manifest(REPOSITORY, "v1", &image.manifest).await;
    site.clock.advance(100 * grace);
    collect(&site).await;
    site.pull(REPOSITORY, "v1").await;
    let gone = blob(Digest::of(forgotten));
    assert_eq!(site.send(Method::HEAD, &gone, &[], "").await.status, 404);
}

#[tokio::test]
async fn what_nothing_comes_to_name_goes_after_the_grace_period() {
    let site = Site::local().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, image.digest(), &image).await;
    let loose = site.push_blob(REPOSITORY, b"loose").await;
    site.clock.advance(site.config.retention.grace * 2);
    let report = collect(&site).await;
    assert_eq!((report.manifests, report.files), (1, 3));
    assert_eq!(site.head_status(&manifest(image.digest())).await, 404);
    // Who asks by GET or HEAD is told the same.
    assert_eq!(site.get(&blob(loose)).await.status, 404);
    assert_eq!(files::bytes(&site.config.data_dir), 0);
}

/// oci-registry 6.2: a signature lives as long as what it signs; one that comes first waits for it.
#[tokio::test]
async fn referrers_go_with_their_subject() {
    let site = Site::local().await;
    site.push_blob(REPOSITORY, b"{}").await;
    let image = Image::small(1);
    let late = Image::small(2);
    let signature = content::referrer(&image.manifest, "a/b");
    let of_signature = content::referrer(&signature, "a/b");
    let early = content::referrer(&late.manifest, "a/b");
    for document in [&of_signature, &signature, &early] {
        site.push_manifest(REPOSITORY, document.digest(), document)
            .await;
    }
    site.push_image(REPOSITORY, "v1", &image).await;
    let time_machine = site.config.retention.time_machine;
    site.clock.advance(time_machine - HOUR);
    collect(&site).await;
    site.push_image(REPOSITORY, "late", &late).await;
    site.clock.advance(10 * time_machine);
    collect(&site).await;
    for document in [&signature, &of_signature, &early] {
        assert_eq!(site.head_status(&manifest(document.digest())).await, 200);
    }
    assert_eq!(site.delete(&manifest("v1")).await.status, 202);
    site.clock.advance(time_machine + HOUR);
    collect(&site).await;
    for digest in [image.digest(), signature.digest(), of_signature.digest()] {
        assert_eq!(site.head_status(&manifest(digest)).await, 404);
    }
    assert_eq!(site.head_status(&manifest(early.digest())).await, 200);
    site.pull(REPOSITORY, "late").await;
}

/// GC-09: what an image has to itself goes back to the file system, to the byte; what it shares stays.
#[tokio::test]
async fn an_image_that_is_deleted_frees_what_it_has_to_itself() {
    let site = without_grace().await;
    let shared = content::bytes(1, 300_000);
    let image =
        |seed: u64| Image::of_layers(seed, &[shared.clone(), content::bytes(seed, 900_000)]);
    let (stays, goes) = (image(2), image(3));
    site.push_image(REPOSITORY, "stays", &stays).await;
    let before = files::bytes(&site.config.data_dir);
    site.push_image(REPOSITORY, "goes", &goes).await;
    let own = (goes.layers[1].len() + goes.config.len()) as u64;
    assert_eq!(files::bytes(&site.config.data_dir), before + own);
    let path = manifest(goes.digest());
    assert_eq!(site.delete(&path).await.status, 202);
    collect(&site).await;
    assert_eq!(files::bytes(&site.config.data_dir), before);
    site.pull(REPOSITORY, "stays").await;
}

/// GC-05: what was pushed is never taken to make room, and what is immutable is not taken at all.
#[tokio::test]
async fn pushed_content_is_never_taken_to_make_room() {
    let site = Site::local_with(|config| config.disk_reserve = Some(ByteSize(0))).await;
    let images: Vec<Image> = (0..4).map(Image::small).collect();
    for (number, image) in images.iter().enumerate() {
        site.push_image(REPOSITORY, format!("v{number}"), image)
            .await;
    }
    let id = repository(&site).await;
    let fixed = "v0".parse().unwrap();
    assert!(
        site.registry()
            .set_tag_immutable(id, &fixed, true)
            .await
            .unwrap()
    );
    for path in [manifest("v0"), manifest(images[0].digest())] {
        let refused = site.delete(&path).await;
        assert!(refused.status.is_client_error(), "{path}");
        assert_eq!(refused.code(), "TAG_IMMUTABLE");
    }
    let moved = site.put_manifest(REPOSITORY, "v0", &images[1].manifest);
    assert_eq!(moved.await.code(), "TAG_IMMUTABLE");
    site.push_manifest(REPOSITORY, "v0", &images[0].manifest)
        .await;
    site.registry().relieve().await.unwrap();
    site.clock.advance(10_000 * HOUR);
    collect(&site).await;
    site.registry().relieve().await.unwrap();
    for number in 0..4 {
        site.pull(REPOSITORY, &format!("v{number}")).await;
    }
    // An old tag comes back after a collection.
    assert_eq!(site.delete(&manifest("v3")).await.status, 202);
    collect(&site).await;
    let (tag, digest) = ("v3".parse().unwrap(), images[3].digest());
    let registry = site.registry();
    let restored = registry.restore_tag(id, &tag, &digest, &Actor::System);
    restored.await.unwrap();
    site.pull(REPOSITORY, "v3").await;
}

/// The loop turns by itself: nobody has to ask for it.
#[tokio::test]
async fn the_loop_takes_away_what_is_due() {
    let site = collecting().await;
    let image = Image::small(1);
    site.push_image(REPOSITORY, "v1", &image).await;
    site.pull(REPOSITORY, "v1").await;
    assert_eq!(site.delete(&manifest("v1")).await.status, 202);
    site.clock.advance(site.config.retention.grace * 2);
    soon("the collection", async {
        while files::bytes(&site.config.data_dir) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(site.head_status(&manifest(image.digest())).await, 404);
}
