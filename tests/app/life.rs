//! Start, signals, crash, end.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::content::Image;
use crate::harness::origin::{Fault, Origin};
use crate::harness::process::{Place, Process};
use crate::harness::site::{Site, rule};
use crate::harness::soon;

fn caching(origin: &Origin) -> String {
    format!(
        "REGISTRY_MIRRORS: []\nPROXY_CACHES:\n  - organization: docker.io\n    \
         upstream: docker.io\n    endpoint: {}\n",
        origin.url("")
    )
}

/// An upstream that stops in the middle of a blob, a server, and a client that waits for the rest.
async fn in_the_middle_of_a_blob() -> (Origin, Place, Process, reqwest::Response, bytes::Bytes) {
    let origin = Origin::start().await;
    let blob = crate::harness::content::bytes(7, 400_000);
    let digest = origin.push_blob("library/app", &blob);
    origin.once("GET", "/v2/library/app/blobs/", Fault::StallAt(200_000));
    let place = Place::new(&caching(&origin));
    let process = place.serve().await;
    let url = process.url(&format!("/v2/docker.io/library/app/blobs/{digest}"));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut response = soon("the head", client.get(&url).send()).await.unwrap();
    let first = soon("the first piece", response.chunk()).await.unwrap();
    assert!(first.is_some_and(|piece| blob.starts_with(&piece)));
    (origin, place, process, response, blob)
}

/// LC-01: a pull that runs when SIGTERM comes is finished, and the process ends with 0.
#[tokio::test]
async fn sigterm_lets_a_running_pull_finish() {
    let (origin, _place, mut process, mut response, blob) = in_the_middle_of_a_blob().await;
    process.signal(Signal::TERM);
    process.logs("ending").await;
    origin.release();
    let mut last = Vec::new();
    while let Some(piece) = soon("the rest", response.chunk()).await.unwrap() {
        last = piece.to_vec();
    }
    assert!(blob.ends_with(&last) && !last.is_empty());
    assert!(process.ended().await.success());
}

/// LC-01: a second signal does not wait, and the end is still in order.
#[tokio::test]
async fn a_second_sigterm_hastens() {
    let (_origin, _place, mut process, mut response, _) = in_the_middle_of_a_blob().await;
    process.signal(Signal::TERM);
    process.logs("ending").await;
    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
    // The client sees a broken answer, never a short one that looks whole.
    let rest = async {
        while response.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    };
    soon("the break", rest).await.unwrap_err();
}

/// CR-01: what was pulled is there after a kill, without a new fetch.
#[tokio::test]
async fn a_killed_server_comes_back_with_what_it_held() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[50_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new(&caching(&origin));
    let mut process = place.serve().await;
    let digest = entrepot::oci::Digest::of(&image.layers[0]);
    let paths = ["manifests/v1".to_owned(), format!("blobs/{digest}")];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for path in &paths {
        let url = process.url(&format!("/v2/docker.io/library/app/{path}"));
        soon(&url, async {
            client
                .get(&url)
                .send()
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
        })
        .await;
    }
    // The row of the blob is committed a moment after its last byte is out.
    while !place
        .run_well(&["cache", "ls", "docker.io", "--json"])
        .await
        .contains("\"tag\"")
    {}
    process.signal(Signal::KILL);
    assert!(!process.ended().await.success());
    let before = origin.count("GET", "/v2/library/app/manifests/");
    let process = place.serve().await;
    for path in &paths {
        let url = process.url(&format!("/v2/docker.io/library/app/{path}"));
        let answer = soon(&url, client.get(&url).send()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    assert_eq!(origin.count("GET", "/v2/library/app/manifests/"), before);
}

#[tokio::test]
async fn the_start_says_where_and_how() {
    let origin = Origin::start().await;
    let yaml = caching(&origin).replace(
        "REGISTRY_MIRRORS: []",
        "REGISTRY_MIRRORS: [{organization: docker.io, listen: 127.0.0.1:0}]",
    );
    let place = Place::new(&yaml);
    let mut process = place.serve().await;
    process.signal(Signal::INT);
    assert!(process.ended().await.success());
    let port = process.address.port();
    let said = process.lines.join("\n");
    assert!(
        said.contains("mirror of docker.io on http://127.0.0.1:"),
        "{said}"
    );
    let pull = format!("pull with: docker pull localhost:{port}/docker.io/library/alpine");
    assert!(said.contains(&pull), "{said}");
}

/// LC-03: ready only when it serves, alive while its store answers, and ending when told to.
#[tokio::test]
async fn a_service_manager_is_kept_informed() {
    let place = Place::new("");
    let path = place.path("notify.sock");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let heard = async || {
        let mut buffer = [0; 100];
        let length = soon("a message", socket.recv(&mut buffer)).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let variables = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "20000"),
    ];
    let mut process = place.serve_with(&variables).await;
    assert_eq!(heard().await, "READY=1");
    for _ in 0..3 {
        assert_eq!(heard().await, "WATCHDOG=1");
    }
    process.signal(Signal::TERM);
    while heard().await != "STOPPING=1" {}
    assert!(process.ended().await.success());
}

/// LC-04: bad surroundings are told at once, and nothing is left running.
#[tokio::test]
async fn a_taken_port_is_told_before_anything_serves() {
    let origin = Origin::start().await;
    let place = Place::new("");
    let address = origin.address().to_string();
    let refused = place.run_badly(&["serve", "--listen", &address]).await;
    assert!(
        refused.contains(&format!("cannot listen on {address}")),
        "{refused}"
    );
}

/// LC-04: each of these surroundings is named, and what lies there stays as it is.
#[tokio::test]
async fn bad_surroundings_are_told_at_once() {
    for (name, kind, message) in [
        ("data/entrepot.redb", "file", "cannot be opened as a store"),
        ("data/entrepot.redb", "folder", "entrepot.redb"),
        ("data/blobs", "file", "blobs"),
        ("data/lock", "folder", "cannot open"),
        ("data/control.sock", "folder", "cannot listen on"),
    ] {
        let place = Place::new("");
        std::fs::create_dir(place.path("data")).unwrap();
        match kind {
            "file" => std::fs::write(place.path(name), "garbage").unwrap(),
            _ => std::fs::create_dir(place.path(name)).unwrap(),
        }
        let refused = place.run_badly(&["serve"]).await;
        assert!(refused.contains(message), "{name}: {refused}");
        assert!(place.path(name).exists(), "{name}");
    }
    let place = Place::new("");
    std::fs::write(place.path("file"), "").unwrap();
    let refused = place
        .run_badly(&["serve", "--data-dir", "file/below"])
        .await;
    assert!(
        refused.contains("cannot create the data directory"),
        "{refused}"
    );
}

/// A restart keeps content, and an end in order keeps even what was only noted.
#[tokio::test]
async fn a_restarted_site_answers_from_what_it_held() {
    let origin = Origin::start().await;
    origin.push_image("library/app", "v1", &Image::small(1));
    let mut rule = rule("docker.io", "docker.io", &origin);
    rule.fresh = Duration::from_secs(60);
    let mut site = Site::caching(vec![rule]).await;
    site.pull("docker.io/library/app", "v1").await;
    site.settled().await;
    let asked = origin.requests().len();
    site.restart().await;
    site.pull("docker.io/library/app", "v1").await;
    assert_eq!(
        origin.requests().len(),
        asked,
        "fresh and held: upstream is not asked"
    );
    site.stop().await;
}
