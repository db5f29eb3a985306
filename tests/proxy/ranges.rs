//! Pieces of blobs that are not here yet.

use entrepot::oci::Digest;

use super::{BLOBS, BY_TAG, LARGE, blob, patient, stage, stage_with, way};
use crate::harness::origin::Fault;
use crate::harness::soon;

/// Every kind of range on a cold blob, with its manifest known and unknown; then on the held one.
#[tokio::test]
async fn ranges_of_a_cold_blob_are_its_pieces() {
    for knows_manifest in [true, false] {
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=0-", 0, LARGE),
            ("bytes=500-999", 500, 1_000),
            ("bytes=999990-2000000", 999_990, LARGE),
            ("bytes=-7", LARGE - 7, LARGE),
        ] {
            let (origin, site, image) = stage(&[LARGE]).await;
            if knows_manifest {
                site.get(BY_TAG).await;
            }
            let layer = &image.layers[0];
            for wanted in ["fwd=uri-miss", "hit"] {
                let answer = site.get_with(&blob(layer), &[("range", range)]).await;
                assert_eq!(answer.status, 206, "{range}");
                assert!(answer.body == layer[from..to], "{range}");
                let content_range = format!("bytes {from}-{}/{LARGE}", to - 1);
                assert_eq!(answer.header("content-range"), content_range);
                assert!(way(&answer).contains(wanted), "{range}: {}", way(&answer));
                // The fill goes on behind a short range.
                site.settled().await;
            }
            assert_eq!(origin.count("GET", BLOBS), 1, "{range}");
            assert!(origin.last("GET", BLOBS).header("range").is_none());
        }
    }
}

/// containers/image counts the parts and takes them by position.
#[tokio::test]
async fn many_ranges_of_a_cold_blob_are_parts_in_their_order() {
    let (origin, site, image) = stage(&[LARGE]).await;
    let layer = &image.layers[0];
    let range = [("range", "bytes=900000-999999,0-9,500000-500000")];
    for wanted in ["fwd=uri-miss", "hit"] {
        let answer = site.get_with(&blob(layer), &range).await;
        assert_eq!(answer.status, 206);
        assert!(way(&answer).contains(wanted));
        let content_type = answer.header("content-type");
        let boundary = content_type
            .strip_prefix("multipart/byteranges; boundary=")
            .unwrap();
        let mut expected = Vec::new();
        for (from, to) in [(900_000, 999_999), (0, 9), (500_000, 500_000)] {
            let head = format!(
                "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {from}-{to}/{LARGE}\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&layer[from..=to]);
            expected.extend_from_slice(b"\r\n");
        }
        expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        assert_eq!(answer.header("content-length"), expected.len().to_string());
        assert!(answer.body == expected);
        site.settled().await;
    }
    assert_eq!(origin.count("GET", BLOBS), 1, "the parts share one fetch");
}

#[tokio::test]
async fn a_range_of_a_cold_blob_that_does_not_exist_is_416() {
    let (_origin, site, image) = stage(&[1_000]).await;
    let layer = &image.layers[0];
    for range in ["bytes=1000-", "bytes=500-0", "bytes=-0"] {
        let answer = site.get_with(&blob(layer), &[("range", range)]).await;
        super::assert_is(&answer, 416, "RANGE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */1000");
    }
    assert_eq!(site.get(&blob(layer)).await.body, layer);
}

/// A range is served as soon as its bytes are there, and one that is not waits for its own.
#[tokio::test]
async fn a_range_does_not_wait_for_the_rest_of_the_blob() {
    let (origin, site, image) = stage_with(&[LARGE], |_| {}, patient).await;
    let layer = &image.layers[0];
    origin.once("GET", BLOBS, Fault::StallAt(600_000));
    let inside = site
        .get_with(&blob(layer), &[("range", "bytes=1000-499999")])
        .await;
    assert!(inside.body == layer[1_000..500_000]);
    assert!(
        site.proxy().is_filling(&Digest::of(layer)),
        "upstream stalls"
    );
    let mut outside = site
        .begin(&blob(layer), &[("range", "bytes=500000-699999")])
        .await;
    let mut body = Vec::new();
    while body.len() < 100_000 {
        body.extend(soon("a piece", outside.chunk()).await.unwrap().unwrap());
    }
    origin.release();
    while let Some(piece) = soon("a piece", outside.chunk()).await.unwrap() {
        body.extend(piece);
    }
    assert!(body == layer[500_000..700_000]);
    assert!(site.get(&blob(layer)).await.body == layer);
    assert_eq!(origin.count("GET", BLOBS), 1);
}
