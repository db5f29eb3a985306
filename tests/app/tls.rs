//! `tls self-signed`, and a server that speaks with what it made.

use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::content::Image;
use crate::harness::origin::Origin;
use crate::harness::process::Place;
use crate::harness::soon;

/// A client that trusts the certificate of the place and nothing else.
fn client(place: &Place) -> reqwest::Client {
    let pem = std::fs::read(place.path("entrepot.crt")).unwrap();
    let authority = reqwest::Certificate::from_pem(&pem).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap()
}

async fn is_served(place: &Place, address: std::net::SocketAddr) -> bool {
    let client = client(place);
    let url = format!("https://localhost:{}/v2/", address.port());
    soon(&url, client.get(&url).send())
        .await
        .is_ok_and(|answer| answer.status() == 200)
}

/// LC-04: the pair that was printed is one a server starts with, and an exchanged pair is taken over.
#[tokio::test]
async fn a_self_signed_pair_serves() {
    let place = Place::new("");
    let lines = place.run_well(&["tls", "self-signed"]).await;
    for name in ["entrepot.crt", "entrepot.key"] {
        let mode = std::fs::metadata(place.path(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        assert!(lines.contains(place.path(name).canonicalize().unwrap().to_str().unwrap()));
    }
    let refused = place.run_badly(&["tls", "self-signed"]).await;
    assert!(
        refused.contains("cannot write"),
        "files are never replaced: {refused}"
    );
    let yaml = format!("REGISTRY_MIRRORS: []\nPROXY_CACHES: []\n{lines}");
    place.configure(&yaml);
    let mut process = place.serve().await;
    assert!(is_served(&place, process.address).await);

    std::fs::remove_file(place.path("entrepot.key")).unwrap();
    std::fs::remove_file(place.path("entrepot.crt")).unwrap();
    place.run_well(&["tls", "self-signed"]).await;
    process.signal(Signal::HUP);
    process.logs("the TLS certificate was exchanged").await;
    assert!(is_served(&place, process.address).await);
}

/// The same bytes by HTTP/2, which takes another way to the wire than plain HTTP/1.1.
#[tokio::test]
async fn a_blob_crosses_tls_and_http_2() {
    let origin = Origin::start().await;
    let image = Image::with_layers(1, &[3_000_000]);
    origin.push_image("library/app", "v1", &image);
    let place = Place::new("");
    let lines = place.run_well(&["tls", "self-signed"]).await;
    let url = origin.url("");
    place.configure(&format!(
        "{lines}REGISTRY_MIRRORS: []\nPROXY_CACHES: [{{organization: docker.io, upstream: docker.io, \
         endpoint: \"{url}\"}}]\n"
    ));
    let process = place.serve().await;
    let client = client(&place);
    let digest = entrepot::oci::Digest::of(&image.layers[0]);
    let url = format!(
        "https://localhost:{}/v2/docker.io/library/app/blobs/{digest}",
        process.address.port()
    );
    // From upstream, then from the file.
    for range in [None, Some("bytes=100000-2999999")] {
        let request = client.get(&url);
        let request = match range {
            Some(range) => request.header("range", range),
            None => request,
        };
        let answer = soon("the head", request.send()).await.unwrap();
        assert_eq!(answer.version(), reqwest::Version::HTTP_2);
        let from = if range.is_some() { 100_000 } else { 0 };
        let body = soon("the body", answer.bytes()).await.unwrap();
        assert!(body == image.layers[0].slice(from..), "{range:?}");
    }
}

#[tokio::test]
async fn hosts_are_checked_before_anything_is_written() {
    let place = Place::new("");
    let output = place
        .run(&["tls", "self-signed", "--host", "https://a:80"])
        .await;
    assert_eq!(output.status.code(), Some(2));
    place
        .run_well(&[
            "tls",
            "self-signed",
            "--host",
            "registry.lan",
            "--host",
            "10.0.0.1",
        ])
        .await;
    assert!(place.path("entrepot.crt").is_file());
}
