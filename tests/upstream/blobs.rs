//! Blobs: ranges, broken bodies, bounds.

use std::time::Duration;

use bytes::Bytes;
use entrepot::oci::Digest;
use entrepot::upstream::{Error, FailureKind};
use tokio::time::Instant;

use super::{Setup, collect, name};
use crate::harness::content::bytes;
use crate::harness::origin::{Fault, Origin};
use crate::harness::soon;

const PATH: &str = "/v2/org/app/blobs/";

async fn origin(blob: &Bytes) -> (Origin, Digest) {
    let origin = Origin::start().await;
    let digest = origin.push_blob("org/app", blob);
    (origin, digest)
}

#[tokio::test]
async fn a_blob_streams_with_its_size_known() {
    let blob = bytes(1, 3_000_000);
    let (origin, digest) = origin(&blob).await;
    let setup = Setup::of(&origin);
    let body = setup
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!((body.start(), body.total()), (0, Some(3_000_000)));
    assert_eq!(collect(body).await.unwrap(), blob);
    assert_eq!(origin.last("GET", PATH).header("range"), None);
    assert_eq!(origin.count("HEAD", PATH), 0);
    assert_eq!(
        setup.metric("entrepot_upstream_received_bytes_total", &["cache"]),
        3_000_000.0
    );
}

/// CA-04: the rest of a blob, from where it broke.
#[tokio::test]
async fn a_cut_body_resumes_by_range() {
    let blob = bytes(1, 500_000);
    let (origin, digest) = origin(&blob).await;
    origin.once("GET", PATH, Fault::CutAt(200_000));
    let upstream = Setup::of(&origin).build();
    let mut body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    let mut held = Vec::new();
    let error = loop {
        match soon("a piece", body.next()).await.unwrap() {
            Ok(piece) => held.extend_from_slice(&piece),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), FailureKind::Body, "{error}");
    assert!(error.is_outage());
    assert!(body.next().await.is_none());
    assert_eq!(held.len(), 200_000);
    let rest = upstream
        .open_blob(&name("org/app"), &digest, 200_000)
        .await
        .unwrap();
    assert_eq!((rest.start(), rest.total()), (200_000, Some(500_000)));
    held.extend(collect(rest).await.unwrap());
    assert_eq!(held, blob);
    assert_eq!(
        origin.last("GET", PATH).header("range").unwrap(),
        "bytes=200000-"
    );
}

/// CA-05: a 200 to a Range request says so; a wrong Content-Range is an error.
#[tokio::test]
async fn an_ignored_range_starts_at_zero_and_a_wrong_one_is_refused() {
    let blob = bytes(1, 10_000);
    let (origin, digest) = origin(&blob).await;
    let upstream = Setup::of(&origin).build();
    origin.once("GET", PATH, Fault::IgnoreRange);
    let body = upstream
        .open_blob(&name("org/app"), &digest, 4000)
        .await
        .unwrap();
    assert_eq!((body.start(), body.total()), (0, Some(10_000)));
    assert_eq!(collect(body).await.unwrap(), blob);
    for wrong in [
        "bytes 0-9999/10000",
        "bytes 4001-9999/10000",
        "bytes 4000-9999/5000",
        "bytes */10000",
        "x",
    ] {
        origin.once("GET", PATH, Fault::ContentRange(wrong));
        let error = upstream
            .open_blob(&name("org/app"), &digest, 4000)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), FailureKind::Invalid, "{wrong}: {error}");
    }
    let error = upstream
        .open_blob(&name("org/app"), &digest, 10_000)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Status { status: 416 }), "{error}");
}

#[tokio::test]
async fn a_range_nobody_asked_for_is_refused() {
    let (origin, digest) = origin(&bytes(1, 100)).await;
    let range = vec![("Content-Range", "bytes 0-99/100".to_owned())];
    origin.once("GET", PATH, Fault::Status(206, range, "x"));
    let error = Setup::of(&origin)
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Status { status: 206 }), "{error}");
}

/// CA-05: what is no blob never begins to stream.
#[tokio::test]
async fn pages_and_encoded_blobs_are_refused() {
    let (origin, digest) = origin(&bytes(1, 100)).await;
    let upstream = Setup::of(&origin).build();
    for (fault, kind) in [
        (Fault::Html, FailureKind::Invalid),
        (Fault::Gzip, FailureKind::Encoded),
    ] {
        origin.once("GET", PATH, fault);
        let error = upstream
            .open_blob(&name("org/app"), &digest, 0)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    let absent = Digest::of(b"absent");
    assert!(
        upstream
            .open_blob(&name("org/app"), &absent, 0)
            .await
            .unwrap_err()
            .is_absent()
    );
}

#[tokio::test]
async fn a_body_shorter_than_announced_is_broken() {
    let (origin, digest) = origin(&bytes(1, 1000)).await;
    origin.once("GET", PATH, Fault::WrongLength(24));
    let setup = Setup::of(&origin);
    let body = setup
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!(body.total(), Some(1024));
    let error = collect(body).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Body, "{error}");
    assert_eq!(
        setup.metric("entrepot_upstream_broken_bodies_total", &["body"]),
        1.0
    );
}

/// Chunked bodies have no length to be held to; the total of the range is.
#[tokio::test]
async fn a_body_longer_than_its_range_is_cut_off() {
    let (origin, digest) = origin(&bytes(1, 1000)).await;
    let chunked = vec![
        ("Transfer-Encoding", "chunked".to_owned()),
        ("Content-Range", "bytes 10-13/14".to_owned()),
    ];
    origin.once(
        "GET",
        PATH,
        Fault::Status(206, chunked.clone(), "8\r\nabcdefgh\r\n0\r\n\r\n"),
    );
    let upstream = Setup::of(&origin).build();
    let body = upstream
        .open_blob(&name("org/app"), &digest, 10)
        .await
        .unwrap();
    assert_eq!(
        collect(body).await.unwrap_err().kind(),
        FailureKind::TooLarge
    );
    origin.once(
        "GET",
        PATH,
        Fault::Status(206, chunked, "2\r\nab\r\n0\r\n\r\n"),
    );
    let body = upstream
        .open_blob(&name("org/app"), &digest, 10)
        .await
        .unwrap();
    let error = collect(body).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Short {
                expected: 4,
                received: 2
            }
        ),
        "{error}"
    );
}

/// CA-06: no progress is a failure, found within the idle deadline.
#[tokio::test]
async fn a_stalled_body_is_given_up() {
    let (origin, digest) = origin(&bytes(1, 1000)).await;
    origin.once("GET", PATH, Fault::StallAt(600));
    let mut setup = Setup::of(&origin);
    setup.deadlines.idle = Duration::from_millis(300);
    let mut body = setup
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    assert_eq!(
        soon("the first piece", body.next())
            .await
            .unwrap()
            .unwrap()
            .len(),
        600
    );
    let error = soon("giving up", body.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Stalled(_)), "{error}");
    assert!(error.is_outage());
}

/// CA-06: a stall shorter than the deadline is a pause and nothing more.
#[tokio::test]
async fn a_body_that_moves_again_goes_on() {
    let blob = bytes(1, 1000);
    let (origin, digest) = origin(&blob).await;
    origin.once("GET", PATH, Fault::StallAt(600));
    let mut body = Setup::of(&origin)
        .build()
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    let mut got = soon("the first piece", body.next())
        .await
        .unwrap()
        .unwrap()
        .to_vec();
    origin.release();
    got.extend(collect(body).await.unwrap());
    assert_eq!(got, blob);
}

/// `bandwidth` holds over all bodies of an upstream: the last piece comes when all before it are paid for.
#[tokio::test]
async fn bandwidth_is_kept_to() {
    let blob = bytes(1, 300_000);
    let (origin, digest) = origin(&blob).await;
    let upstream = Setup::of(&origin).bandwidth(1_000_000).build();
    let mut body = upstream
        .open_blob(&name("org/app"), &digest, 0)
        .await
        .unwrap();
    let start = Instant::now();
    let (mut paid, mut last) = (0, 0);
    while let Some(piece) = soon("a piece", body.next()).await {
        paid += last;
        last = piece.unwrap().len();
        // At a million bytes a second, a microsecond for each byte already read.
        assert!(start.elapsed() >= Duration::from_micros(paid as u64));
    }
    assert_eq!(paid + last, 300_000);
}
