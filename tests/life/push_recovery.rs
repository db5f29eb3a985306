//! Starts after a crash: interrupted themselves, with thousands of leftovers, with files that are gone.

use std::fs;
use std::time::{Duration, Instant};

use entrepot::oci::Digest;
use reqwest::Method;
use rustix::process::Signal;

use super::crash::is_long;
use super::push_crash::{Yard, copy_files};
use crate::harness::chance::{Chance, say, seed};
use crate::harness::content::{self, Image};
use crate::harness::files;
use crate::harness::pusher::{Pusher, Way};
use crate::harness::site::Site;
use crate::harness::strace::{Injected, has_strace};

/// The calls by which a start changes files.
const CALLS: [&str; 7] = [
    "fdatasync",
    "fsync",
    "rename",
    "pwrite64",
    "unlink",
    "ftruncate",
    "mkdir",
];

/// CR-07: by then what a crash has left is gone.
const SWEEP: Duration = Duration::from_secs(600);

/// CR-04: a start after a crash that dies at its n-th call, and the next one too, loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_the_recovery_and_one_in_the_next_lose_nothing() {
    if !has_strace() {
        return;
    }
    let seed = seed();
    let mut chance = Chance::new(seed);
    let mut yard = Yard::new(4, seed);
    let (mut process, at) = yard.serve().await;
    yard.work_and_kill(&mut process, &at).await;
    let (data, crashed) = (yard.place.path("data"), yard.place.path("crashed"));
    copy_files(&data, &crashed);
    let mut deaths = 0;
    for call in CALLS {
        for n in 1.. {
            fs::remove_dir_all(&data).unwrap();
            copy_files(&crashed, &data);
            let died = yard.place.serve_under(call, n, Injected::Kill).await;
            deaths += usize::from(died);
            let again = 1 + chance.of(0..n);
            if died && yard.place.serve_under(call, again, Injected::Kill).await {
                deaths += 1;
            }
            if !died || n % 4 == 1 || is_long() {
                let ledgers = yard.ledgers();
                let (mut process, at) = yard.serve().await;
                let wrongs = yard.wrongs(&at.pusher, true).await;
                assert!(wrongs.is_empty(), "{call} {n}, {again}: {wrongs:#?}");
                process.signal(Signal::KILL);
                process.ended().await;
                let found = yard.findings().await;
                assert!(found.is_empty(), "{call} {n}, {again}: {found:#?}");
                yard.go_back(ledgers);
            }
            if !died {
                break;
            }
        }
    }
    say(&format!("{deaths} deaths in starts"));
    assert!(deaths >= 2, "{deaths} deaths");
}

/// CR-07: ten thousand leftovers of every kind keep no start waiting; a sweep takes them away, and
/// nothing else.
#[tokio::test]
async fn ten_thousand_leftovers_keep_no_start_waiting() {
    const LEFTOVERS: u64 = 10_000;
    let mut yard = Yard::new(1, seed());
    let (mut process, at) = yard.serve().await;
    for number in 0..3 {
        let image = yard.clients[0].new_image();
        let tag = Some(format!("v{number}"));
        yard.clients[0].push(&at, image, tag).await.unwrap();
    }
    let begun = at
        .pusher
        .request(Method::POST, "/v2/local/one/blobs/uploads/");
    let location = at.pusher.send(begun).await.unwrap().location();
    let half = content::bytes(1, 5_000);
    let appended = at.pusher.append(&location, half.clone()).await.unwrap();
    assert_eq!(appended.status, 202);
    process.signal(Signal::KILL);
    process.ended().await;

    let data = yard.place.path("data");
    let before = files::contents(&data);
    for number in 0..LEFTOVERS {
        let orphan = number.to_le_bytes();
        let digest = Digest::of(&orphan);
        let path = match number % 4 {
            0 | 1 => files::blob(&data, &digest),
            2 => files::partial(&data, &digest),
            _ => data.join("tmp").join(number.to_string()),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, orphan).unwrap();
    }
    let begun = Instant::now();
    let (mut process, at) = yard.serve().await;
    say(&format!(
        "ready after {:?} with {LEFTOVERS} leftovers",
        begun.elapsed()
    ));
    assert_eq!(yard.wrongs(&at.pusher, true).await, [""; 0]);
    // Ten thousand files take their time on a slow disk; nobody waits for that but this test.
    let swept = tokio::time::timeout(SWEEP, yard.place.run_patiently(&["sweep"])).await;
    assert!(swept.unwrap().status.success());
    assert_eq!(files::contents(&data), before);
    assert_eq!(yard.wrongs(&at.pusher, true).await, [""; 0]);
    let status = at.pusher.get(&location).await.unwrap();
    assert_eq!((status.status, status.offset()), (204, half.len() as u64));
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    yard.place.run_well(&["check"]).await;
}

/// CR-05, CR-08: a pushed blob whose file is gone, empty, short or long is absent, counted, and there again
/// once it is pushed again; the process stays up.
#[tokio::test]
async fn a_pushed_blob_whose_file_is_not_whole_is_absent_until_it_is_pushed_again() {
    let mut site = Site::start(|config| {
        config.pushes.anonymous = vec!["local".parse().unwrap()];
    })
    .await;
    let image = Image::with_layers(1, &[60_000]);
    let layer = &image.layers[0];
    let pusher = Pusher::new(site.address());
    for blob in image.blobs() {
        let pushed = pusher
            .push_blob("local/app", blob, Way::Whole)
            .await
            .unwrap();
        assert_eq!(pushed.status, 201, "{pushed:?}");
    }
    let put = pusher
        .put_manifest("local/app", "v1", &image.manifest)
        .await;
    assert_eq!(put.unwrap().status, 201);
    let path = format!("/v2/local/app/blobs/{}", Digest::of(layer));
    let file = files::blob(&site.config.data_dir, &Digest::of(layer));
    for len in [None, Some(0), Some(59_999), Some(60_001)] {
        site.stop().await;
        match len {
            None => fs::remove_file(&file).unwrap(),
            Some(len) => {
                let file = fs::File::options().write(true).open(&file).unwrap();
                file.set_len(len).unwrap();
            }
        }
        site.start_again().await;
        let pusher = Pusher::new(site.address());
        let reply = pusher.get(&path).await.unwrap();
        assert_eq!(reply.status, 404, "{len:?}: {reply:?}");
        let damaged = site.metric("entrepot_registry_damaged_blobs_total", &[]);
        assert!(damaged.await >= 1.0, "{len:?}");
        // What a client does that looks before it pushes: it is not told that the blob is there.
        assert_eq!(pusher.head(&path).await.unwrap().status, 404, "{len:?}");
        let pushed = pusher
            .push_blob("local/app", layer, Way::Whole)
            .await
            .unwrap();
        assert_eq!(pushed.status, 201, "{len:?}: {pushed:?}");
        let reply = pusher.get(&path).await.unwrap();
        assert!(reply.status == 200 && reply.body == *layer, "{len:?}");
    }
    site.pull("local/app", "v1").await;
}
