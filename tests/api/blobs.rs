//! Blobs at the door, against the bytes they stand for.

use entrepot::oci::Digest;
use reqwest::Method;

use super::stage;
use crate::harness::site::{Answer, Site};

/// Larger than what is worth a sendfile.
const LARGE: usize = 300_000;

async fn fetch(site: &Site, digest: &Digest, range: &str) -> Answer {
    let path = format!("/v2/docker.io/library/app/blobs/{digest}");
    site.get_with(&path, &[("range", range)]).await
}

/// PR-13: every kind of range, from memory and by sendfile, is the piece it says it is.
#[tokio::test]
async fn ranges_are_pieces_of_the_blob() {
    for size in [1_000, LARGE] {
        let (_origin, site, image) = stage(&[size]).await;
        site.pull("docker.io/library/app", "v1").await;
        let bytes = &image.layers[0];
        let digest = Digest::of(bytes);
        let last = size - 1;
        for (range, from, to) in [
            ("bytes=0-0".to_owned(), 0, 1),
            ("bytes=0-".to_owned(), 0, size),
            (format!("bytes={last}-"), last, size),
            ("bytes=17-900".to_owned(), 17, 901),
            (format!("bytes=100-{}", u64::MAX), 100, size),
            ("bytes=-10".to_owned(), size - 10, size),
            (format!("bytes=-{}", size + 5), 0, size),
            (format!("bytes=5-6,{}-", size + 1), 5, 7),
        ] {
            let answer = fetch(&site, &digest, &range).await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.body, bytes[from..to], "{range}");
            let content_range = format!("bytes {from}-{}/{size}", to - 1);
            assert_eq!(answer.header("content-range"), content_range);
            assert_eq!(answer.header("content-length"), (to - from).to_string());
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        }
        for range in [
            "bytes=500-0".to_owned(),
            format!("bytes={size}-"),
            "bytes=-0".to_owned(),
        ] {
            let answer = fetch(&site, &digest, &range).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (416, "RANGE_INVALID")
            );
            assert_eq!(answer.header("content-range"), format!("bytes */{size}"));
        }
        for range in ["bytes=x-y", "lines=1-2", "bytes=0-5,3-9"] {
            let answer = fetch(&site, &digest, range).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body),
                (200, bytes),
                "{range}"
            );
        }
    }
}

/// One part a range, in the order asked, since clients count parts.
#[tokio::test]
async fn many_ranges_are_parts_in_their_order() {
    let (_origin, site, image) = stage(&[LARGE]).await;
    site.pull("docker.io/library/app", "v1").await;
    let bytes = &image.layers[0];
    let wanted = [(200_000, 299_999), (0, 0), (70_000, 140_000), (10, 19)];
    let list: Vec<_> = wanted
        .iter()
        .map(|(from, to)| format!("{from}-{to}"))
        .collect();
    let range = format!("bytes={}", list.join(", "));
    let answer = fetch(&site, &Digest::of(bytes), &range).await;
    assert_eq!(answer.status, 206);
    assert!(!answer.headers.contains_key("content-range"));
    let content_type = answer.header("content-type");
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let mut expected = Vec::new();
    for (from, to) in wanted {
        let head = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {from}-{to}/{LARGE}\r\n\r\n"
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&bytes[from..=to]);
        expected.extend_from_slice(b"\r\n");
    }
    expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    assert_eq!(answer.header("content-length"), expected.len().to_string());
    assert!(answer.body == expected);
}

/// What is not here yet is answered by ranges as well, several streams out of one fetch.
#[tokio::test]
async fn ranges_of_a_cold_blob_come_out_of_one_fetch() {
    let (origin, site, image) = stage(&[LARGE]).await;
    site.get("/v2/docker.io/library/app/manifests/v1").await;
    let bytes = &image.layers[0];
    let answer = fetch(&site, &Digest::of(bytes), "bytes=250000-250099,5-9").await;
    assert_eq!(answer.status, 206);
    let has = |piece: &[u8]| {
        answer
            .body
            .windows(piece.len())
            .any(|window| window == piece)
    };
    assert!(has(&bytes[250_000..250_100]) && has(&bytes[5..10]));
    site.settled().await;
    let answer = fetch(&site, &Digest::of(bytes), "bytes=1-").await;
    assert!(answer.body == bytes[1..]);
    assert_eq!(origin.count("GET", "/v2/library/app/blobs/"), 1);
}

#[tokio::test]
async fn conditions_decide_between_everything_a_piece_and_nothing() {
    let (origin, site, image) = stage(&[1_000]).await;
    let digest = Digest::of(&image.layers[0]);
    let path = format!("/v2/docker.io/library/app/blobs/{digest}");
    let etag = format!("\"{digest}\"");
    site.get("/v2/docker.io/library/app/manifests/v1").await;
    // A client that has the bytes does not make us fetch them.
    let answer = site.get_with(&path, &[("if-none-match", &etag)]).await;
    assert_eq!(answer.status, 304);
    assert_eq!(origin.count("GET", "/v2/library/app/blobs/"), 0);
    let range = ("range", "bytes=0-9");
    for (if_range, status) in [
        (&*etag, 206),
        (&format!("W/{etag}"), 200),
        ("\"sha256:00\"", 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ] {
        let answer = site.get_with(&path, &[range, ("if-range", if_range)]).await;
        assert_eq!(answer.status, status, "{if_range}");
    }
    let head = site.ask(Method::HEAD, &site.url(&path), &[range]).await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, "1000")
    );
}

/// WB-02: what a browser is sent here is saved, never shown.
#[tokio::test]
async fn a_blob_is_bytes_to_everyone() {
    let (_origin, site, image) = stage(&[1_000]).await;
    let digest = Digest::of(&image.layers[0]);
    let answer = site
        .get(&format!("/v2/docker.io/library/app/blobs/{digest}"))
        .await;
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-disposition"), "attachment");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    let zipped = [("accept-encoding", "zstd;q=1.0, gzip;q=0.8")];
    let path = format!("/v2/docker.io/library/app/blobs/{digest}");
    let answer = site.get_with(&path, &zipped).await;
    assert!(!answer.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn the_empty_blob_is_a_blob() {
    let (origin, site, _) = stage(&[10]).await;
    let digest = origin.push_blob("library/app", &bytes::Bytes::new());
    let answer = site
        .get(&format!("/v2/docker.io/library/app/blobs/{digest}"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "0")
    );
    let answer = fetch(&site, &digest, "bytes=0-").await;
    assert_eq!(answer.status, 416);
}
