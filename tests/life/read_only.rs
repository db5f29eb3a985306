//! A data volume that takes no writes: what is held is served, what is not is passed on, the rest refused.
//!
//! The disk is a file system of its own ([`Disk`]), which finds an error under the running server, and is later
//! mounted for reading only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::Value;

use super::power::draw_one;
use super::push_crash::yaml;
use crate::harness::content::Image;
use crate::harness::disk::Disk;
use crate::harness::origin::Origin;
use crate::harness::process::Place;
use crate::harness::pusher::{Pusher, Reply, Way};
use crate::harness::soon;

const DISK_BYTES: u64 = 64 << 20;

/// A site on a disk of its own, with a cache.
struct Stage {
    origin: Origin,
    place: Place,
    disk: Disk,
}

impl Stage {
    async fn new() -> Option<Self> {
        let origin = Origin::start().await;
        for (number, tag) in ["held", "other"].into_iter().enumerate() {
            let image = Image::with_layers(number as u64, &[100_000, 50_000]);
            origin.push_image("library/app", tag, &image);
        }
        let caches = format!(
            "PROXY_CACHES:\n- organization: docker.io\n  upstream: docker.io\n  endpoint: {}\n\
             DISK_RESERVE: 8 MiB\n",
            origin.url("")
        );
        let place = Place::new(&yaml().replace("PROXY_CACHES: []\n", &caches));
        let disk = Disk::mount(place.path("disk"), place.path("data"), DISK_BYTES)?;
        Some(Self {
            origin,
            place,
            disk,
        })
    }

    /// How often blobs were fetched.
    fn fetched(&self) -> usize {
        self.origin.count("GET", "/v2/library/app/blobs/")
    }
}

/// Pulls until it is told to end; every pull must come whole. Returns how many did.
async fn pull_on(pusher: Pusher, is_over: Arc<AtomicBool>) -> usize {
    let mut pulled = 0;
    while !is_over.load(Ordering::Relaxed) {
        assert_eq!(draw_one(&pusher, "held").await, Ok(true));
        pulled += 1;
    }
    pulled
}

async fn push(pusher: &Pusher, image: &Image) -> Reply {
    for blob in image.layers.iter().chain([&image.config]) {
        let reply = pusher.push_blob("local/app", blob, Way::Whole).await;
        let reply = reply.unwrap();
        if reply.status != 201 {
            return reply;
        }
    }
    let reply = pusher.put_manifest("local/app", "v1", &image.manifest);
    reply.await.unwrap()
}

/// Every kind of change is refused with 503, in words that say why.
async fn refuses_changes(pusher: &Pusher, image: &Image) {
    let digest = image.digest();
    let changes = [
        (Method::POST, "/v2/local/app/blobs/uploads/".to_owned()),
        (Method::PUT, format!("/v2/local/app/manifests/{digest}")),
        (Method::DELETE, "/v2/local/app/manifests/v1".to_owned()),
    ];
    for (method, path) in changes {
        let mut request = pusher.request(method.clone(), &path);
        if method == Method::PUT {
            request = request
                .header("content-type", image.manifest.media_type)
                .body(image.manifest.bytes.clone());
        }
        let reply = pusher.send(request).await.unwrap();
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert_eq!(reply.status, 503, "{method} {path}: {said}");
        assert!(said.contains("read-only"), "{method} {path}: {said}");
    }
}

/// The health says that the storage is not as it should be; the server is ready all the same.
async fn tells_its_state(pusher: &Pusher) {
    let health = pusher.get("/health/instance").await.unwrap();
    assert_eq!(health.status, 503);
    let health: Value = serde_json::from_slice(&health.body).unwrap();
    let services = &health["data"]["services"];
    assert_eq!(
        (&services["storage"], &services["database"]),
        (&false.into(), &true.into())
    );
    assert_eq!(pusher.get("/readyz").await.unwrap().status, 200);
}

/// DK-10: the disk finds an error while clients pull. Every pull comes whole, without a byte fetched twice; what
/// is not held is passed on; changes are refused; and the process lives until it is told to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pulls_go_on_when_the_disk_takes_no_more_writes() {
    let Some(stage) = Stage::new().await else {
        return;
    };
    let mut process = stage.place.serve().await;
    let pusher = Pusher::new(process.address);
    let image = Image::with_layers(7, &[30_000]);
    assert_eq!(push(&pusher, &image).await.status, 201);
    assert_eq!(draw_one(&pusher, "held").await, Ok(true));
    // What is fetched is held soon after its last byte.
    soon("the images", async {
        loop {
            let before = stage.fetched();
            assert_eq!(draw_one(&pusher, "held").await, Ok(true));
            if stage.fetched() == before {
                return;
            }
        }
    })
    .await;
    let fetched = stage.fetched();
    let is_over = Arc::new(AtomicBool::new(false));
    let pulling = tokio::spawn(pull_on(pusher.clone(), is_over.clone()));
    stage.disk.fail();
    refuses_changes(&pusher, &image).await;
    tells_its_state(&pusher).await;
    let manifest = pusher.get("/v2/local/app/manifests/v1").await.unwrap();
    assert_eq!(manifest.body, image.manifest.bytes);
    for _ in 0..20 {
        assert_eq!(draw_one(&pusher, "held").await, Ok(true));
    }
    assert_eq!(stage.fetched(), fetched, "held is held");
    for _ in 0..2 {
        assert_eq!(draw_one(&pusher, "other").await, Ok(true), "passed on");
    }
    refuses_changes(&pusher, &image).await;
    is_over.store(true, Ordering::Relaxed);
    assert!(pulling.await.unwrap() > 0);
    process.signal(Signal::TERM);
    assert!(process.ended().await.success(), "it was no failure");
}

/// DK-10: a start on a volume that takes no writes is one, and when it takes them again the process ends for a
/// fresh one to use it. Nothing that was acknowledged is lost on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_read_only_disk_serves_until_it_takes_writes() {
    let Some(stage) = Stage::new().await else {
        return;
    };
    let mut process = stage.place.serve().await;
    let image = Image::with_layers(7, &[30_000]);
    let pusher = Pusher::new(process.address);
    assert_eq!(push(&pusher, &image).await.status, 201);
    assert_eq!(draw_one(&pusher, "held").await, Ok(true));
    // As a crash leaves the store, on a disk that then refuses to be mounted for writing.
    stage.disk.fail();
    process.signal(Signal::KILL);
    process.ended().await;
    stage.disk.mend().await;
    assert!(stage.disk.remount("ro"));

    let mut process = stage.place.serve().await;
    let pusher = Pusher::new(process.address);
    refuses_changes(&pusher, &image).await;
    tells_its_state(&pusher).await;
    let manifest = pusher.get("/v2/local/app/manifests/v1").await.unwrap();
    assert_eq!(
        (manifest.status, &manifest.body),
        (200, &image.manifest.bytes)
    );
    for tag in ["held", "other", "held"] {
        assert_eq!(draw_one(&pusher, tag).await, Ok(true), "{tag}");
    }
    let refused = stage.place.run_badly(&["serve"]).await;
    assert!(refused.contains("in use"), "CR-09: {refused}");

    assert!(stage.disk.remount("rw"));
    assert_eq!(process.ended().await.code(), Some(1));
    let mut process = stage.place.serve().await;
    let pusher = Pusher::new(process.address);
    let next = Image::with_layers(8, &[30_000]);
    assert_eq!(push(&pusher, &next).await.status, 201);
    assert_eq!(draw_one(&pusher, "held").await, Ok(true));
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    let found = stage.place.run(&["check", "--json"]).await;
    assert!(found.status.success(), "{found:?}");
}
