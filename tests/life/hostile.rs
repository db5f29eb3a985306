//! Clients that mean no good, or have none left: the process stays what it was for everybody else.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{caching, get, pull};
use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::{Place, Process};
use crate::harness::site::Site;
use crate::harness::{pass_time, soon};

/// DO-09: what a flood may cost in memory.
const GROWTH: u64 = 16 << 20;

/// More connections than there are descriptors for.
const CROWD: usize = 300;

fn descriptors(process: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", process.id()))
        .unwrap()
        .count()
}

/// Anonymous memory of the process in bytes.
fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Whether a request on a connection of its own is answered.
async fn is_alive(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return false;
    };
    let asked = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    asked.await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method POST`, `:scheme http`, `:path /`, `:authority a` in HPACK.
const POST: &[u8] = b"\x83\x86\x84\x41\x01a";

/// DO-09: frames that cost the sender nothing, by the ten thousand: each flood ends its own connection or is
/// swallowed, memory stays, and others are served.
#[tokio::test]
async fn floods_of_frames_harm_nobody_else() {
    let place = Place::new("PROXY_CACHES: []\n");
    let process = place.serve().await;
    assert!(soon("an answer", is_alive(process.address)).await);
    let before = resident(&process);
    let many = |one: Vec<u8>, times: usize| one.repeat(times);
    let settings = frame(4, 0, 0, &[]);
    let open = frame(1, 4, 1, POST);
    // A head that never ends: HEADERS without END_HEADERS, then CONTINUATION without end.
    let endless_head = [
        frame(1, 0, 1, POST),
        many(
            frame(
                9,
                0,
                1,
                &[b"\x40\x01a\x7f\x81\x01".as_slice(), &[b'b'; 256]].concat(),
            ),
            20_000,
        ),
    ];
    let floods = [
        ("CONTINUATION", endless_head.concat()),
        (
            "empty CONTINUATION",
            [frame(1, 0, 1, POST), many(frame(9, 0, 1, &[]), 50_000)].concat(),
        ),
        (
            "empty DATA",
            [open.clone(), many(frame(0, 0, 1, &[]), 100_000)].concat(),
        ),
        ("SETTINGS", many(settings.clone(), 50_000)),
        ("PING", many(frame(6, 0, 0, &[0; 8]), 50_000)),
        (
            "empty headers",
            [open, many(frame(1, 4, 3, &[0x40, 0, 0]), 5_000)].concat(),
        ),
        ("WINDOW_UPDATE", many(frame(8, 0, 0, &[0, 0, 0, 1]), 50_000)),
    ];
    for (name, flood) in floods {
        let mut stream = TcpStream::connect(process.address).await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let begin = [preface.as_slice(), &settings].concat();
        // The server may end the connection before it has heard everything, and need not be read.
        let _ = soon(name, stream.write_all(&begin)).await;
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.write_all(&flood)).await;
        assert!(soon(name, is_alive(process.address)).await, "{name}");
        drop(stream);
        let grown = resident(&process).saturating_sub(before);
        assert!(grown <= GROWTH, "{name}: {grown} bytes");
    }
}

/// RS-03: more connections than descriptors: the process neither ends nor hangs, and recovers when they go.
#[tokio::test]
async fn a_lack_of_descriptors_passes() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let mut process = place.serve_by("ulimit -n 96; exec \"$0\" serve").await;
    pull(&process, "v1").await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        // The queue of the socket takes those that are not accepted.
        crowd.push(
            soon("a place in the queue", TcpStream::connect(process.address))
                .await
                .unwrap(),
        );
    }
    process.logs("cannot accept").await;
    // It may have inherited some that lie above its limit.
    assert!(descriptors(&process) < CROWD);
    drop(crowd);
    soon("the recovery", async {
        while !is_alive(process.address).await {}
    })
    .await;
    pull(&process, "v1").await.unwrap();
}

/// RS-04: clients that leave in the middle leave nothing behind, whatever they were in the middle of.
#[tokio::test]
async fn clients_that_leave_take_everything_with_them() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[3_000_000]);
    origin.push_image("library/app", "v1", &image);
    let more = "    fresh_s: 3600\nANONYMOUS_PUSH: [local]\n";
    let place = Place::new(&caching(&origin, more));
    let process = place.serve().await;
    pull(&process, "v1").await.unwrap();
    let layer = entrepot::oci::Digest::of(&image.layers[0]);
    let warm = format!("GET /v2/docker.io/library/app/blobs/{layer} HTTP/1.1\r\nHost: a\r\n\r\n");
    let upload =
        "POST /v2/local/app/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    let half =
        "PUT /v2/local/app/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{";
    let requests = [
        warm.as_str(),
        upload,
        half,
        "GET /v2/ HTTP/1.1\r\nHost: a\r\n",
    ];
    soon("the first answers", async {
        for request in requests {
            leave(process.address, request).await;
        }
        while !is_alive(process.address).await {}
    })
    .await;
    let (before, memory) = (descriptors(&process), resident(&process));
    for _ in 0..150 {
        for request in requests {
            soon("a client", leave(process.address, request)).await;
        }
    }
    soon("descriptors to come back", async {
        while descriptors(&process) > before + 4 {
            assert!(is_alive(process.address).await);
        }
    })
    .await;
    let grown = resident(&process).saturating_sub(memory);
    assert!(grown <= 32 << 20, "{grown} bytes");
    assert_eq!(
        get(&process, &format!("blobs/{layer}")).await.unwrap().body,
        image.layers[0]
    );
}

/// Sends a request, takes the first bytes of the answer if they come at once, and goes.
async fn leave(address: SocketAddr, request: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    if request.starts_with("GET /v2/docker") {
        let mut some = [0; 1000];
        stream.read_exact(&mut some).await.unwrap();
    }
}

/// RS-02: clients that begin and do not go on keep nobody else from being served.
#[tokio::test]
async fn slow_clients_hold_nobody_up() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(
        &origin,
        "    fresh_s: 3600\nANONYMOUS_PUSH: [local]\n",
    ));
    let process = place.serve().await;
    pull(&process, "v1").await.unwrap();
    let mut slow = Vec::new();
    let beginnings = [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        "PUT /v2/local/app/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    ];
    for number in 0..400 {
        let mut stream = soon("a connection", TcpStream::connect(process.address))
            .await
            .unwrap();
        stream
            .write_all(beginnings[number % 4].as_bytes())
            .await
            .unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        pull(&process, "v1").await.unwrap();
    }
    drop(slow);
}

/// RS-04, CA-03: askers who leave a cold blob leave it to the others, and the last of them gets it whole.
#[tokio::test]
async fn askers_who_leave_a_fill_do_not_end_it() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[400_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin, "    fresh_s: 3600\n"));
    let process = place.serve().await;
    get(&process, "manifests/v1").await.unwrap();
    let layer = entrepot::oci::Digest::of(&image.layers[0]);
    let upstream = format!("/v2/library/app/blobs/{layer}");
    origin.once("GET", &upstream, Fault::StallAt(200_000));
    let request =
        format!("GET /v2/docker.io/library/app/blobs/{layer} HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..50 {
        soon("an asker", leave(process.address, &request)).await;
    }
    origin.release();
    let answer = get(&process, &format!("blobs/{layer}")).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, image.layers[0].clone()));
    assert_eq!(origin.count("GET", &upstream), 1);
}

/// DO-10: names that clients make up make no series, in whatever part of a request they stand.
#[tokio::test]
async fn made_up_names_make_no_series() {
    let origin = Origin::start().await;
    let site = Site::cache_of(&origin).await;
    let requests = |number: usize| {
        [
            format!("/random/{number}"),
            format!("/v2/nobody{number}/app/manifests/v1"),
            format!("/v2/docker.io/library/app/manifests/v{number}"),
            format!("/api/v1/repository/a{number}/b{number}"),
            format!("/v2/_catalog?n=1&last={number}"),
        ]
    };
    let metrics = async || {
        let url = site.metrics_url("/metrics");
        let answer = site.ask(reqwest::Method::GET, &url, &[]).await;
        answer.text().to_owned()
    };
    let series = async || {
        let text = metrics().await;
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    // The gauges turn now and then; the first time they make series.
    pass_time(Duration::from_secs(11)).await;
    soon("the gauges", async {
        while !metrics().await.contains("entrepot_quota_held_bytes{") {}
    })
    .await;
    // Looking makes a series too, once.
    series().await;
    for path in requests(0) {
        site.get(&path).await;
    }
    let before = series().await;
    for number in 1..200 {
        for path in requests(number) {
            site.get(&path).await;
        }
    }
    assert_eq!(series().await, before);
}
